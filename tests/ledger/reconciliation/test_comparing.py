"""What passes by a few rows at a time is decided as it would be if everything were held."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver, run
from ledger.journal.entry import JournalEntry, Posting, Source, credit, debit
from ledger.money import Money
from ledger.reconciliation.comparing import Compared, comparing
from ledger.reconciliation.matching import Booked, Books, Decision, Line, match
from ledger.reconciliation.reading import find_days, read_told
from ledger.reconciliation.statement import LineKind, LineStatus
from tests.adapters.statement_files import write_csv
from tests.ledger.payouts.shop import CHARGES, FLOAT, OWED
from tests.ledger.reconciliation.desk import Desk, statement_rows
from tests.ledger.reconciliation.test_run import OPENING

EXCESS, PAID_IN, CHARGE = "liab.recon.excess", "Pay Bill from 25470****111 - A Acc. X", "Pay Bill Charge"
# (receipt, what the statement shows, what the books say), in cents.
MOVES: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
    ("UI4AAA0001", (70_000,), (70_000,)),
    ("UI4AAA0002", (70_000,), (30_000, 40_000)),
    ("UI4AAA0003", (30_000, 40_000), (70_000,)),
    ("UI4AAA0004", (60_000,), (70_000,)),
    ("UI4AAA0005", (80_000,), (70_000,)),
    ("UI4AAA0006", (50_000,), ()),
    ("UI4AAA0007", (), (50_000,)),
    ("UI4AAA0008", (-20_000, 20_000), ()),
    ("UI4AAA0009", (), (-20_000, 20_000)),
    ("UI4AAA0010", (-10_000,), (-10_000,)),
    ("UI4AAA0011", (90_000, 90_000), (90_000,)),
]
LATER, FAILED = "UI4AAA0012", "UI4AAA0013"
LINES = "id, receipt, completed_at, amount, kind, status, originator, reference, linked_receipt"


async def _both_sides(desk: Desk, tmp_path: Path) -> None:
    """All of MOVES; one receipt's second line a day later; charges; failed lines over what is booked and beside a
    payment."""
    shop, start = desk.till.shop, desk.till.shop.now()
    shop.clock.advance(seconds=3 * 86_400)
    at = {receipt: start + timedelta(hours=1, minutes=number) for number, (receipt, _, _) in enumerate(MOVES)}
    told = [(receipt, at[receipt], PAID_IN, cents) for receipt, lines, _ in MOVES for cents in lines]
    told += [("UI4AAA0001", at["UI4AAA0001"], CHARGE, -700), ("UI4AAA0010", at["UI4AAA0010"], CHARGE, -900)]
    told += [(LATER, start, PAID_IN, 10_000), (LATER, start + timedelta(days=1), PAID_IN, 5_000)]
    told.sort(key=lambda one: one[1])
    await desk.take_in(write_csv(tmp_path / "utility.csv", statement_rows(OPENING, *told)))
    tried = [(receipt, start + timedelta(hours=2), PAID_IN, 1_000) for receipt in (FAILED, "UI4AAA0004")]
    failed = statement_rows(OPENING, *tried, status="Failed")
    await desk.take_in(write_csv(tmp_path / "failed.csv", failed))
    booked = [(receipt, at[receipt], cents) for receipt, _, entries in MOVES for cents in entries]
    await shop.post(
        *(
            JournalEntry(
                kind="test.moved", postings=_postings(cents), effective_at=when, source=Source.CALLBACK,
                reference=receipt,
            )
            for receipt, when, cents in [*booked, (LATER, start, 15_000), (FAILED, start, 1_000)]
        )
    )  # fmt: skip


def _postings(cents: int) -> tuple[Posting, ...]:
    money, charge = Money("KES", abs(cents)), Money("KES", 700)
    into, out = (FLOAT, EXCESS) if cents > 0 else (EXCESS, FLOAT)
    return (debit(into, money), credit(out, money), debit(CHARGES, charge), credit(OWED, charge))


async def test_rows_that_pass_by_are_decided_as_if_all_were_held(desk: Desk, tmp_path: Path) -> None:
    await _both_sides(desk, tmp_path)
    lines, books = await _lines(desk), await _books(desk)
    moved = sum(one.amount for one in lines if one.status is LineStatus.COMPLETED)

    passed = [await _compared(desk, rows_at_once) for rows_at_once in (1, 3, 1_000)]

    decisions = match(lines, books)
    assert {one.rule for one in decisions} == {"receipt", "charge", "pair", "undone", "status", "none"}
    assert passed == [(decisions, 6, len(lines), moved)] * 3


async def _compared(desk: Desk, rows_at_once: int) -> tuple[list[Decision], int, int, int]:
    """The decisions, how many lines were held, how many there were, and what they moved."""
    account, ledger = await desk.account(), desk.till.shop.ledger

    async def compare(connection: AsyncConnection) -> tuple[list[Decision], int, int, int]:
        session = await driver(connection)
        days = await find_days(session, ledger=ledger, account=account)
        assert days is not None
        told = await read_told(session, ledger=ledger, account=account, days=days)
        assert told is not None
        compared = Compared(ledger=ledger, account=account, days=days, told=told)
        async with comparing(session, compared, rows_at_once=rows_at_once) as comparison:
            passed = [one async for decisions in comparison.decisions() for one in decisions]
            return passed, len(comparison.held), comparison.lines, comparison.moved

    return await run(desk.till.shop.engine, compare)


async def _lines(desk: Desk) -> list[Line]:
    rows = await desk.rows(f"SELECT {LINES} FROM statement_lines WHERE ledger_id = %s ORDER BY completed_at, id")
    return [
        Line(
            id=row[0], receipt=row[1], at=row[2], amount=row[3], kind=LineKind(row[4]), status=LineStatus(row[5]),
            originator=row[6], reference=row[7], linked=row[8],
        )
        for row in rows
    ]  # fmt: skip


async def _books(desk: Desk) -> Books:
    rows = await desk.rows(
        "SELECT e.id, CASE p.side WHEN 'D' THEN 1 ELSE -1 END * p.amount, e.effective_at, e.source, e.reference "
        "FROM journal_entries AS e JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id "
        "JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id "
        "WHERE e.ledger_id = %s AND a.path LIKE 'asset.float.%%.utility' ORDER BY e.id"
    )
    booked = [Booked(entry_id=row[0], amount=row[1], at=row[2], source=row[3], receipt=row[4]) for row in rows]
    charges = {receipt: 700 for receipt, _, entries in MOVES for _ in entries}
    until = max(one.at for one in await _lines(desk))
    return Books(booked=booked, payouts={}, charges=charges, elsewhere={}, told_until=until)
