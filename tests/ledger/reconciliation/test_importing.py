"""Statements taken in: every line once, in whatever files it comes, or nothing of a file at all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ledger.errors import AccountNotFound
from ledger.reconciliation.statement import StatementRefused
from tests.adapters.statement_files import CHARGES, UTILITY, WHOLE, rows_of, write_csv, write_xlsx
from tests.ledger.reconciliation.desk import Desk

LINES = """
SELECT receipt, ordinal, completed_at, kind, status, amount, balance, details, originator, party, reference,
    linked_receipt FROM statement_lines WHERE ledger_id = %s ORDER BY digest, ordinal
"""


async def test_a_file_goes_in_whole_and_its_bytes_are_sealed(desk: Desk) -> None:
    one = await desk.take_in(UTILITY)

    assert (one.lines, one.added, one.opening, one.closing) == (74, 74, 43_362_050, 98_024_550)
    (sealed,) = await desk.rows("SELECT sealed FROM statement_chunks WHERE ledger_id = %s")
    assert b"Pay Bill" not in bytes(sealed[0])


async def test_the_same_file_again_changes_nothing(desk: Desk) -> None:
    first = await desk.take_in(UTILITY)

    again = await desk.take_in(UTILITY)

    assert (again.import_id, again.lines, again.added) == (first.import_id, 74, 0)


async def test_files_that_overlap_in_any_order_leave_what_one_file_leaves(desk: Desk, tmp_path: Path) -> None:
    rows = rows_of(WHOLE)
    shuffled = rows[1:]
    random.Random(4).shuffle(shuffled)
    older, newer = [rows[0], *rows[41:]], [rows[0], *rows[1:55]]
    for number, part in enumerate((older, newer, [rows[0], *shuffled])):
        await desk.take_in(write_csv(tmp_path / f"{number}.csv", part))
    in_parts = await desk.rows(LINES)

    one = await desk.take_in(write_xlsx(tmp_path / "whole.xlsx", rows))

    assert (one.lines, one.added) == (84, 0)
    assert await desk.rows(LINES) == in_parts
    assert len(in_parts) == 84


async def test_a_refused_file_leaves_its_bytes_and_the_reason_alone(desk: Desk, tmp_path: Path) -> None:
    rows = rows_of(WHOLE)
    rows[60][4] = "1.234"

    with pytest.raises(StatementRefused, match="row 61"):
        await desk.take_in(write_csv(tmp_path / "bad.csv", rows))

    assert await desk.rows("SELECT count(*) FROM statement_lines WHERE ledger_id = %s") == [(0,)]
    verdicts = await desk.rows("SELECT verdict, reason, lines FROM statement_imports WHERE ledger_id = %s")
    assert verdicts == [("refused", "it was refused", 0)]
    assert await desk.rows("SELECT count(*) FROM statement_chunks WHERE ledger_id = %s") == [(1,)]


async def test_a_statement_of_another_account_or_till_is_refused(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(StatementRefused, match="charges_paid"):
        await desk.take_in(CHARGES)
    rows = rows_of(UTILITY)
    rows[1][1] = "600999"
    with pytest.raises(StatementRefused, match="600999"):
        await desk.take_in(write_csv(tmp_path / "other.csv", rows))
    with pytest.raises(AccountNotFound):
        await desk.account("airtime")


async def test_charges_owed_are_a_statement_of_their_own(desk: Desk) -> None:
    one = await desk.take_in(CHARGES, sub_account="charges_paid")

    assert (one.lines, one.opening, one.closing) == (16, -42_700, 0)
