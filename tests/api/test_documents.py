"""The books as documents: each form says the same, and a spreadsheet calculates nothing of it."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openpyxl import load_workbook

from api.documents import PDF_ROWS_MAX, Document, Figure, Row, harmless, write_document
from api.finance import balance_sheet_document, document_table, general_ledger_document, partner_document
from ledger.errors import ChoiceInvalid, SetTooLarge
from ledger.finance.partner_statements import PartnerLine, PartnerStatement
from ledger.journal.accounts import AccountClass
from ledger.journal.books import Ledger
from ledger.journal.entry import Side
from ledger.journal.financials import BalanceSheet, FinancialLine, Section
from ledger.journal.general_ledger import LedgerAccount, LedgerLine
from ledger.money import Money
from ledger.partners import Partner

KENYA = Ledger(1, "kenya", "Kenya", "KES", ZoneInfo("Africa/Nairobi"), datetime(2026, 1, 1, tzinfo=UTC))
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "'=1")


def document(*texts: str) -> Document:
    rows = [Row((text, Figure(-123_456, "KES"))) for text in texts]
    total = Row(("all", Figure(10**15 + 1, "KES")), is_total=True)
    facts = (("ledger", "kenya (=cmd)"), ("zone of the days", "Africa/Nairobi"))
    return Document(title="Test", facts=facts, columns=("what", ">amount"), rows=[*rows, total])


def test_a_csv_has_the_facts_the_count_and_exact_figures_and_begins_no_formula(tmp_path: Path) -> None:
    write_document(document(*FORMULAS), tmp_path / "a.csv")

    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[1:4] == [["ledger", "kenya (=cmd)"], ["zone of the days", "Africa/Nairobi"], ["rows", "8"]]
    assert [row[0][0] for row in rows[6:-1]] == ["'"] * len(FORMULAS)
    assert {row[1] for row in rows[6:-1]} == {"-1234.56"}
    assert rows[-1] == ["all", "10000000000000.01"]


def test_an_xlsx_holds_text_as_text_and_figures_as_numbers_where_they_are_exact(tmp_path: Path) -> None:
    write_document(document(*FORMULAS, "a\x07b"), tmp_path / "a.xlsx")

    sheet = load_workbook(tmp_path / "a.xlsx").active
    assert sheet is not None
    cells = list(sheet.iter_rows(min_row=7))
    assert {row[0].data_type for row in cells} == {"s"}
    assert [row[0].value for row in cells[:2]] == ["=1+1", "+1"]
    assert [(row[1].value, row[1].data_type) for row in cells[:2]] == [(-1234.56, "n")] * 2
    assert (cells[-1][1].value, cells[-1][1].data_type) == ("10,000,000,000,000.01", "s")
    assert [sheet.column_dimensions[name].width for name in "AB"] == [10, 23]


def test_a_pdf_is_bounded_and_takes_what_its_font_has_no_letters_for(tmp_path: Path) -> None:
    write_document(document("shilingi ≥ 汉字", "x" * 300), tmp_path / "a.pdf")

    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
    with pytest.raises(SetTooLarge, match="csv"):
        write_document(document(*["a"] * PDF_ROWS_MAX), tmp_path / "b.pdf")
    with pytest.raises(ChoiceInvalid):
        write_document(document(), tmp_path / "a.doc")


@given(st.text())
@example("'\x1f")
def test_what_is_made_harmless_begins_no_formula_and_says_the_same(text: str) -> None:
    made = harmless(text)
    plain = text.translate(dict.fromkeys([*range(32), 127], " "))

    assert not made.lstrip().startswith(("=", "+", "-", "@"))
    assert made in (plain, f"'{plain}")


def test_a_general_ledger_counts_its_lines_and_ends_with_what_moved_on_each_side() -> None:
    day = date(2026, 11, 20)
    line = LedgerLine(
        entry_id=1, business_date=day, kind="fee", reference="[/]", side=Side.DEBIT, minor_units=100, balance_after=150
    )
    account = LedgerAccount(number="1210", path="asset.bank", name="Bank", currency="KES", opening=50, lines=(line,))

    made = general_ledger_document(KENYA, [account], from_date=day, until_date=date(2026, 12, 1))

    assert made.head[1:] == (
        ("zone of the days", "Africa/Nairobi"),
        ("days", "2026-11-20 to 2026-11-30, both included"),
        ("rows", "1"),
    )
    assert [row.cells[-3:] for row in made.rows] == [
        ("", "", Figure(50, "KES")),
        (Figure(100, "KES"), "", Figure(150, "KES")),
        ("", "", Figure(150, "KES")),
        (Figure(100, "KES"), "", ""),
        ("", Figure(0, "KES"), ""),
    ]
    assert document_table(made).row_count == len(made.rows)


def test_a_balance_sheet_ends_with_the_difference_of_its_currency() -> None:
    bank = Section(AccountClass.ASSET, (FinancialLine("1210", "asset.bank", "Bank", 70),))
    owed, equity = (Section(one, ()) for one in (AccountClass.LIABILITY, AccountClass.EQUITY))

    made = balance_sheet_document(KENYA, [BalanceSheet("KES", bank, owed, equity, 70)], on=None)

    assert [(row.cells[1], row.cells[-1]) for row in made.rows if row.is_total][-3:] == [
        ("result not closed into equity", Figure(70, "KES")),
        ("liabilities, equity and result", Figure(70, "KES")),
        ("difference", Figure(0, "KES")),
    ]


def test_a_partners_statement_says_its_currency_and_closes_by_what_moved_in_all() -> None:
    day = date(2026, 9, 1)
    moves = [("partner.topup", 100_000, 0), ("payout.reserved", -30_000, -100), ("payout.released", 30_000, 100)]
    lines, balance = [], 5_000
    for number, (kind, amount, fee) in enumerate(moves):
        balance += amount + fee
        lines.append(
            PartnerLine(
                entry_id=number + 1, business_date=day, kind=kind, about="", reference="", payee="", amount=amount,
                fee=fee, balance_after=balance, place=number,
            )
        )  # fmt: skip
    partner = Partner(1, 1, "shop", "Shop", Money("KES", 100), suspended=False)
    statement = PartnerStatement(
        partner=partner, currency="KES", from_date=day, until_date=date(2026, 9, 2), opening=5_000, lines=lines
    )

    found = partner_document(KENYA, statement)

    assert found.head == (
        ("partner", "shop (Shop)"), ("currency", "KES"), ("ledger", "kenya (Kenya)"),
        ("zone of the days", "Africa/Nairobi"), ("days", "2026-09-01 to 2026-09-01, both included"), ("rows", "3"),
    )  # fmt: skip
    assert [row.cells[1:3] for row in found.rows if row.is_total] == [
        ("", "opening"), ("1 in all", "partner.topup"), ("1 in all", "payout.released"),
        ("1 in all", "payout.reserved"), ("3 in all", "all kinds"), ("", "closing"),
    ]  # fmt: skip
    moved = found.rows[-2].cells[-3:-1]
    assert moved == (Figure(100_000, "KES"), Figure(0, "KES"))
    assert found.rows[-1].cells[-1] == Figure(5_000 + 100_000, "KES")
