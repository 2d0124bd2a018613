"""Statements as files: both templates as CSV and XLSX, what they say, and what is refused with its row."""

from __future__ import annotations

import json
import random
import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.statements import read_columns, read_statement
from ledger.reconciliation.statement import (
    Continuity,
    Heading,
    LineKind,
    LineStatus,
    StatementLine,
    StatementRefused,
    masked,
)
from tests.adapters.statement_files import CHARGES, EXAMPLES, UTILITY, WHOLE, read, rows_of, write_csv, write_xlsx

TOLD = json.loads((EXAMPLES / "statements.json").read_text())


@pytest.mark.parametrize("path", [UTILITY, CHARGES, WHOLE], ids=lambda path: path.name)
def test_a_captured_statement_is_read_as_its_index_says(path: Path) -> None:
    told = TOLD[path.name]

    _, lines = read(path)

    assert len(lines) == told["rows"]
    assert Counter(line.status for line in lines)[LineStatus.COMPLETED] == told["completed_rows"]
    assert len({line.receipt for line in lines}) == told["distinct_receipts"]
    completed = [line for line in lines if line.status is LineStatus.COMPLETED]
    net = sum(line.amount for line in completed)
    closing, opening = (round(float(told[f"{word}_balance"]) * 100) for word in ("closing", "opening"))
    assert closing - opening == net


def test_a_payout_names_our_reference_its_payee_and_its_time() -> None:
    _, lines = read(UTILITY)

    (line,) = [one for one in lines if one.receipt == "UI1YOXP20E"]

    assert (line.originator, line.kind, line.amount) == ("dft-po-01J8Z1M4Q7R2", LineKind.PAYOUT, -250_000)
    assert line.party == "25470****017 - WANJIRU ACHIENG TESTER"
    assert line.completed_at == datetime(2026, 9, 1, 7, 15, 36, tzinfo=UTC)


def test_a_reversal_names_what_it_undoes_and_charges_know_themselves() -> None:
    _, lines = read(UTILITY)

    undone = [one for one in lines if one.receipt == "UI1UT8O71D"]

    assert {one.kind for one in undone} == {LineKind.REVERSAL, LineKind.CHARGE_REVERSAL}
    assert {one.linked_receipt for one in undone} == {"UI1M4N557P"}


@pytest.mark.parametrize("path", [UTILITY, CHARGES, WHOLE], ids=lambda path: path.name)
def test_a_workbook_says_the_same(path: Path, tmp_path: Path) -> None:
    heading, lines = read(path)

    again, typed = read(write_xlsx(tmp_path / "same.xlsx", rows_of(path)))

    assert (again, typed) == (heading, lines)


def test_cells_that_excel_made_numbers_and_moments_are_read(tmp_path: Path) -> None:
    header = rows_of(WHOLE)[0]
    serial = 46269.5  # 4 September 2026, noon
    rows: list[list[object]] = [
        [*header],
        ["UI4YTSL5EG", serial, "Pay Bill from 25470****111 - A", "Completed", 12.5, 0, 12.5],
    ]

    _, (line,) = read(write_xlsx(tmp_path / "typed.xlsx", rows))

    assert (line.amount, line.completed_at) == (1250, datetime(2026, 9, 4, 9, tzinfo=UTC))


@given(seed=st.integers(0, 2**32))
def test_lines_in_any_order_have_the_same_balance(seed: int) -> None:
    heading, lines = read(UTILITY)
    random.Random(seed).shuffle(lines)
    continuity = Continuity(heading)
    for line in lines:
        continuity.add(line)

    assert continuity.check() == (43_362_050, 98_024_550)


@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest first", "newest first"])
def test_lines_that_tell_no_time_of_day_are_followed_in_the_order_of_the_file(newest_first: bool) -> None:
    balance, lines = 100, []
    for row, amount in enumerate([-50, 50, -70, 70] * 5_000 + [1]):  # the same balances again and again
        balance += amount
        lines.append(_line_of_the_day(row, amount, balance))
    continuity = Continuity(Heading())
    for line in reversed(lines) if newest_first else lines:
        continuity.add(line)

    assert continuity.check() == (100, 101)


def _line_of_the_day(row: int, amount: int, balance: int) -> StatementLine:
    return StatementLine(
        row=row, receipt=f"R{row}", completed_at=datetime(2026, 9, 1, tzinfo=UTC), details="x", amount=amount,
        balance=balance, kind=LineKind.OTHER, status=LineStatus.COMPLETED,
    )  # fmt: skip


def test_a_line_taken_out_is_missed_by_the_balance(tmp_path: Path) -> None:
    rows = rows_of(WHOLE)
    for gone in range(2, len(rows) - 1):
        if rows[gone][3] != "Completed" or rows[gone][0] in (rows[1][0], rows[-1][0]):
            continue
        left = write_csv(tmp_path / "less.csv", [*rows[:gone], *rows[gone + 1 :]])

        with pytest.raises(StatementRefused, match="running balance"):
            read(left)


def test_a_file_cut_short_is_refused_by_its_heading(tmp_path: Path) -> None:
    rows = rows_of(UTILITY)

    with pytest.raises(StatementRefused, match="not whole"):
        read(write_csv(tmp_path / "cut.csv", rows[:-10]))


_ROW = ["UI4YTSL5EG", "04/09/2026 23:09:30", "Pay Bill from 25470****111 - A", "Completed", "5.00", "0.00", "5.00"]
_BAD = [
    ({4: "5.001"}, "more decimals"),
    ({4: "1e9"}, "no amount"),
    ({4: "NaN"}, "no amount"),
    ({4: "\uff15.00"}, "no amount"),
    ({4: "9" * 16}, "no amount"),
    ({4: "-5.00"}, "negative"),
    ({4: "0.00"}, "no amount"),
    ({5: "-5.00"}, "both"),
    ({1: "31/02/2026 10:00:00"}, "completion time"),
    ({1: "yesterday"}, "completion time"),
    ({0: ""}, "receipt"),
    ({0: "UI4 YTSL"}, "receipt"),
    ({2: ""}, "details"),
    ({2: "x" * 501}, "details"),
]


@pytest.mark.parametrize(("changes", "why"), _BAD)
def test_a_bad_row_refuses_the_file_and_is_named(changes: dict[int, str], why: str, tmp_path: Path) -> None:
    rows = [rows_of(WHOLE)[0], _ROW, [changes.get(place, cell) for place, cell in enumerate(_ROW)]]

    with pytest.raises(StatementRefused, match=why) as refusal:
        read(write_csv(tmp_path / "bad.csv", rows))

    assert refusal.value.message.startswith("row 3: ")
    assert refusal.value.facts["row"] == "3"


def test_bytes_that_are_no_statement_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in (
        b"",
        b"a,b\n1,2\n",
        b"\xff\xfe\x00R\x00e",
        b"PK\x03\x04 no archive",
        b"\xd0\xcf\x11\xe0\xa1\xb1",
        b"Receipt No,Completion Time,Details,Paid In,Withdrawn\n",
        UTILITY.read_bytes().replace(b"JARIBU", b"JAR\xffBU"),
        b'"' + UTILITY.read_bytes(),
    ):
        file.write_bytes(content)

        with pytest.raises(StatementRefused):
            read(file)


def test_a_workbook_that_calculates_or_carries_more_than_values_is_refused(tmp_path: Path) -> None:
    header = rows_of(WHOLE)[0]
    formula = write_xlsx(tmp_path / "formula.xlsx", [header, [*_ROW[:4], "=1+4", "0", "5"]])
    with pytest.raises(StatementRefused, match="row 2: a formula"):
        read(formula)

    for member, content in (
        ("xl/vbaProject.bin", b"code"),
        ("xl/externalLinks/externalLink1.xml", b"<x/>"),
        ("xl/extra.xml", b'<!DOCTYPE a [<!ENTITY b "c">]><a/>'),
        ("xl/bomb.xml", b"0" * 2**26),
    ):
        plain = write_xlsx(tmp_path / "extra.xlsx", [header, _ROW])
        with zipfile.ZipFile(plain, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, content)
        with pytest.raises(StatementRefused):
            read(plain)


def test_what_a_payer_typed_keeps_no_statement_out_and_shows_no_number(tmp_path: Path) -> None:
    row = [*_ROW[:2], "Pay Bill from 25470****111 - A Acc. =1+254712345678", *_ROW[3:]]

    _, (line,) = read(write_csv(tmp_path / "typed.csv", [rows_of(WHOLE)[0], row]))

    assert line.reference == "=1+25471****678"
    assert "254712345678" not in repr(line)


_MOMO = {
    "columns": {
        "receipt": ["Id"],
        "completed_at": ["Date"],
        "details": ["Note"],
        "status": ["State"],
        "amount": ["Amount"],
        "balance": ["Balance"],
    },
    "moment": "%Y-%m-%d %H:%M:%S",
    "zone": "Africa/Kigali",
    "statuses": {"successful": "completed"},
    "kinds": [["^Fee", "charge"], ["^Transfer", "payout"]],
    "originator": "ref ([0-9a-f-]{36})",
}


def test_columns_of_any_provider_can_be_declared(tmp_path: Path) -> None:
    reference = "0f6c3a7e-5b1d-4a57-9f0e-3a8a4c1c8e11"
    rows = [
        ["Id", "Date", "Note", "State", "Amount", "Balance"],
        ["1", "2026-09-04 09:00:00", f"Transfer ref {reference}", "Successful", "-500", "1500"],
        ["2", "2026-09-04 09:00:01", "Fee", "Successful", "-20", "1480"],
    ]
    columns = read_columns(json.dumps(_MOMO).encode())

    lines = list(read_statement(write_csv(tmp_path / "momo.csv", rows), columns, currency="RWF").lines)

    assert [(line.kind, line.amount) for line in lines] == [(LineKind.PAYOUT, -500), (LineKind.CHARGE, -20)]
    assert (lines[0].originator, lines[0].completed_at.hour) == (reference, 7)


@pytest.mark.parametrize("document", [b"", b"[]", b'{"columns": {}}', b'{"columns": {"a": [1]}, "moment": 1}'])
def test_a_declaration_that_makes_no_sense_is_refused(document: bytes) -> None:
    with pytest.raises(StatementRefused, match="declaration"):
        read_columns(document)


def test_lines_without_balances_are_not_followed() -> None:
    continuity = Continuity(Heading())
    at = datetime(2026, 9, 4, tzinfo=UTC)
    continuity.add(
        StatementLine(
            row=1, receipt="A", completed_at=at, details="x", kind=LineKind.OTHER, status=LineStatus.COMPLETED, amount=1
        )
    )

    assert continuity.check() == (None, None)


def test_only_what_may_be_a_phone_number_is_masked() -> None:
    assert masked("254712345678 and LN000417, AG_20191219_0000") == "25471****678 and LN000417, AG_20191219_0000"
