"""Statements held against the books: what agrees, what a statement proves, what alarms, what runs leave behind."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.money import Money
from ledger.outbox.instruction import Acknowledged, Failed, OutcomeUnknown, Settled
from ledger.payouts.outcome import Started
from ledger.reconciliation.matching import State
from ledger.reconciliation.run import StatementMissing
from ledger.reconciliation.statement import LineKind, LineStatus
from tests.adapters.statement_files import UTILITY, WHOLE, read, write_csv
from tests.ledger.payouts.shop import CHARGES, FLOAT, OWED
from tests.ledger.reconciliation.desk import Desk, statement_rows

OPENING = 100_000_000


async def _day(desk: Desk) -> None:
    """The day after the books were opened."""
    desk.till.shop.clock.advance(seconds=86_400)


async def _sent(desk: Desk, *, shillings: int = 1500) -> int:
    """A payout the provider took in."""
    payout_id = await desk.till.shop.request(shillings=shillings)
    await desk.till.shop.record((payout_id, Started()))
    await desk.till.shop.record((payout_id, Acknowledged()))
    return payout_id


async def _paid(desk: Desk, receipt: str, *, shillings: int = 1500) -> int:
    """A payout that its callback settled."""
    payout_id = await _sent(desk, shillings=shillings)
    settled = Settled(receipt, Money("KES", shillings * 100), desk.till.shop.now())
    await desk.till.shop.record((payout_id, settled))
    return payout_id


async def _details(desk: Desk, payout_id: int) -> str:
    rows = await desk.till.shop.rows(
        "SELECT provider_reference FROM payouts WHERE ledger_id = :ledger AND id = :payout", payout=payout_id
    )
    return f"Business Payment to Customer via API to 25470****017 - A. Original conversation ID is {rows[0][0]}."


async def test_payouts_and_collections_agree_to_the_cent(desk: Desk, tmp_path: Path) -> None:
    await _day(desk)
    at, payout_id = desk.till.shop.now(), await _paid(desk, "UI4AAA0001")
    await desk.till.take(receipt="UI4BBB0001", shillings=700)
    rows = statement_rows(
        OPENING,
        ("UI4AAA0001", at, await _details(desk, payout_id), -150_000),
        ("UI4BBB0001", at, "Pay Bill from 25470****111 - A Acc. X", 70_000),
    )
    await desk.take_in(write_csv(tmp_path / "utility.csv", rows))

    run = await desk.reconcile()

    assert {one.state for one in await desk.decisions(run)} == {State.MATCHED}
    assert (run.agrees, run.decided.unexplained, run.decided.difference, run.opening_gap) == (True, 0, 0, 0)
    assert run.statement_closing == run.books_closing == await desk.till.shop.balance(FLOAT)


async def test_a_statement_settles_what_nothing_else_told_of(desk: Desk, tmp_path: Path) -> None:
    await _day(desk)
    payout_id, at = await _sent(desk), desk.till.shop.now()
    await desk.till.shop.record((payout_id, OutcomeUnknown("no answer")))
    rows = statement_rows(OPENING, ("UI4AAA0001", at, await _details(desk, payout_id), -150_000))
    await desk.take_in(write_csv(tmp_path / "utility.csv", rows))

    run = await desk.reconcile()

    assert (await desk.till.shop.state(payout_id), run.resolved, run.agrees) == ("SETTLED", 1, True)
    assert (await desk.reconcile()).resolved == 0
    sources = await desk.rows("SELECT source FROM journal_entries WHERE ledger_id = %s AND kind = 'payout.settled'")
    assert sources == [("statement",)]


async def test_a_failed_line_releases_what_is_unknown_and_a_pending_one_does_not(desk: Desk, tmp_path: Path) -> None:
    await _day(desk)
    payout_id, at = await _sent(desk), desk.till.shop.now()
    await desk.till.shop.record((payout_id, OutcomeUnknown("no answer")))
    move = ("UI4AAA0001", at, await _details(desk, payout_id), -150_000)
    for status, state in (("Pending", "UNKNOWN"), ("Failed", "RELEASED")):
        await desk.take_in(write_csv(tmp_path / f"{status}.csv", statement_rows(OPENING, move, status=status)))

        await desk.reconcile()

        assert await desk.till.shop.state(payout_id) == state


async def test_what_a_payer_types_settles_no_payout(desk: Desk, tmp_path: Path) -> None:
    await _day(desk)
    payout_id, at = await _sent(desk), desk.till.shop.now()
    forged = (await _details(desk, payout_id)).replace("Business Payment to Customer via API to", "Pay Bill from")
    for status in ("Completed", "Failed"):
        rows = statement_rows(OPENING, ("UI4AAA0001", at, forged, 150_000), status=status)
        await desk.take_in(write_csv(tmp_path / f"{status}.csv", rows))

        assert (await desk.reconcile()).resolved == 0
        assert await desk.till.shop.state(payout_id) == "SUBMITTED"


async def test_a_payout_that_was_released_and_paid_is_a_conflict_with_its_money_booked(
    desk: Desk, tmp_path: Path
) -> None:
    await _day(desk)
    payout_id, at = await _sent(desk), desk.till.shop.now()
    await desk.till.shop.record((payout_id, Failed("1", "no funds")))
    rows = statement_rows(OPENING, ("UI4AAA0001", at, await _details(desk, payout_id), -150_000))
    await desk.take_in(write_csv(tmp_path / "utility.csv", rows))

    run = await desk.reconcile()

    assert await desk.till.shop.state(payout_id) == "CONFLICTED"
    assert (run.resolved, run.agrees) == (1, True)


async def test_an_insiders_payout_is_found_once_and_told_with_its_receipt(desk: Desk, tmp_path: Path) -> None:
    await _day(desk)
    stolen = "Business Payment to Customer via API to 25470****666 - B. Original conversation ID is thief-1."
    rows = statement_rows(OPENING, ("UI4ZZZ0001", desk.till.shop.now(), stolen, -9_100_000))
    await desk.take_in(write_csv(tmp_path / "utility.csv", rows))

    run = await desk.reconcile()
    await desk.reconcile()

    assert [(one.state, one.difference) for one in await desk.breaks(run)] == [(State.MISSING_HERE, -9_100_000)]
    assert run.decided.unexplained == 9_100_000
    cases = await desk.rows("SELECT queue, reason FROM reviews WHERE ledger_id = %s")
    assert [queue for queue, _ in cases] == ["unledgered-movement"]
    assert "KES 91,000.00" in cases[0][1]
    assert "UI4ZZZ0001" in cases[0][1]


@pytest.mark.parametrize("path", [UTILITY, WHOLE], ids=lambda path: path.name)
async def test_a_captured_statement_agrees_with_books_that_hold_what_it_shows(desk: Desk, path: Path) -> None:
    desk.till.shop.clock.advance(seconds=timedelta(days=4).total_seconds())
    _, lines = read(path)
    completed = [line for line in lines if line.status is LineStatus.COMPLETED]
    shop = desk.till.shop
    entries = []
    for line in completed:
        money = Money("KES", abs(line.amount))
        if line.kind.is_charge:
            owed = (debit(CHARGES, money), credit(OWED, money))
            owed = owed if line.kind is LineKind.CHARGE else (debit(OWED, money), credit(CHARGES, money))
            entries.append((line, owed))
        else:
            other = "liab.recon.excess"
            moved = (debit(FLOAT, money), credit(other, money))
            moved = moved if line.amount > 0 else (debit(other, money), credit(FLOAT, money))
            entries.append((line, moved))
    posted = [
        JournalEntry(
            kind="test.moved", postings=postings, effective_at=line.completed_at, source=Source.CALLBACK,
            reference=line.receipt,
        )
        for line, postings in entries
    ]  # fmt: skip
    await shop.post(*posted)
    await desk.take_in(path)

    run = await desk.reconcile()

    assert [one for one in await desk.breaks(run) if one.receipt] == []
    charges = -sum(line.amount for line in completed if line.kind.is_charge)
    assert sum(one.difference for one in await desk.decisions(run) if one.is_explained) == -charges


async def test_days_without_a_statement_are_refused(desk: Desk) -> None:
    with pytest.raises(StatementMissing):
        await desk.reconcile()


async def test_what_is_booked_after_the_statement_ends_is_awaited(desk: Desk, tmp_path: Path) -> None:
    await _day(desk)
    at = desk.till.shop.now()
    await desk.till.take(receipt="UI4BBB0001", shillings=700)
    rows = statement_rows(OPENING, ("UI4BBB0001", at, "Pay Bill from 25470****111 - A Acc. X", 70_000))
    await desk.take_in(write_csv(tmp_path / "utility.csv", rows))
    desk.till.shop.clock.advance(seconds=timedelta(minutes=10).total_seconds())
    await desk.till.take(receipt="UI4BBB0002", shillings=100)

    run = await desk.reconcile()

    assert sorted(one.state.value for one in await desk.decisions(run)) == ["awaited", "matched"]


async def test_every_run_stays_as_it_was_written(desk: Desk, tmp_path: Path) -> None:
    await _day(desk)
    rows = statement_rows(OPENING, ("UI4ZZZ0001", desk.till.shop.now(), "Sent by nobody", -100))
    await desk.take_in(write_csv(tmp_path / "utility.csv", rows))

    for _ in range(2):
        await desk.reconcile()

    told = await desk.rows("SELECT breaks, unexplained, actor FROM reconciliation_runs WHERE ledger_id = %s")
    assert told == [(1, 100, "fin.viewer")] * 2
    kept = await desk.rows(
        "SELECT state, rule, cardinality(line_ids) FROM reconciliation_decisions WHERE ledger_id = %s"
    )
    assert kept == [("missing_here", "none", 1)] * 2
