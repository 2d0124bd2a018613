"""Days are closed: begun by one person, signed by another, with what is open listed; and providers are heard all the
same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from api.closing import close_document
from api.documents import Document, write_document
from ledger.collections.refusals import ApproverNeeded
from ledger.collections.return_asking import TakenBack
from ledger.database import Driver, driver, run, transaction
from ledger.idempotency import claim
from ledger.journal.entry import Source
from ledger.journal.post import business_date
from ledger.money import Money
from ledger.outbox.instruction import Settled
from ledger.payouts.outcome import Started
from ledger.reconciliation.close_report import CloseReport, read_close_report
from ledger.reconciliation.closing import RACING_CONSTRAINTS, CloseDesk, CloseNotReady, Closing
from ledger.reconciliation.matching import State
from ledger.reconciliation.reading import Days
from ledger.reconciliation.run import Run
from ledger.returns import ReturnRecorder
from tests.adapters.statement_files import write_csv
from tests.ledger.payouts.shop import FLOAT, SHORTAGE
from tests.ledger.reconciliation.desk import Desk, statement_rows
from tests.ledger.reconciliation.test_adjusting import COLLECTED, FOREIGN, Office
from tests.ledger.reconciliation.test_run import OPENING

_Result = TypeVar("_Result")
DAY = timedelta(days=1).total_seconds()


@dataclass
class Close:
    """Two people who close the books of a shop; its first day is the one after the books were opened."""

    desk: Desk
    folder: Path
    first_day: date

    async def begin(self, last: date | None = None, *, actor: str = "amina") -> Closing:
        """Amina begins to close the first day, unless it is another or another's."""
        shop = self.desk.till.shop
        return await self._run(
            lambda session: CloseDesk(shop.ids).begin(
                session, ledger=shop.ledger, last=last or self.first_day, actor=actor, now=shop.now()
            )
        )

    async def sign(self, *, actor: str = "brian", accept: str = "") -> Closing:
        """Brian signs, unless it is another."""
        shop = self.desk.till.shop
        return await self._run(
            lambda session: CloseDesk(shop.ids).sign(
                session, ledger=shop.ledger, accept=accept, actor=actor, now=shop.now()
            )
        )

    async def reopen(self) -> Closing:
        """Whoever it is."""
        shop = self.desk.till.shop
        return await self._run(
            lambda session: CloseDesk(shop.ids).reopen(
                session, ledger=shop.ledger, reason="too early", actor="amina", now=shop.now()
            )
        )

    async def report(self, last: date | None = None) -> CloseReport:
        """What is there to sign, or was signed."""
        async with transaction(self.desk.till.shop.engine) as connection:
            return await read_close_report(connection, ledger=self.desk.till.shop.ledger, last=last)

    async def told(self, *moves: tuple[str, str, int], opening: int = OPENING) -> Run:
        """The statement of today with these moves, all at this moment, held against the books."""
        at = self.desk.till.shop.now()
        rows = statement_rows(opening, *((receipt, at, details, cents) for receipt, details, cents in moves))
        await self.desk.take_in(write_csv(self.folder / f"{at:%d}.csv", rows))
        return await self.desk.reconcile()

    async def _run(self, command: Callable[[Driver], Awaitable[_Result]]) -> _Result:
        async def once(connection: AsyncConnection) -> _Result:
            return await command(await driver(connection))

        return await run(self.desk.till.shop.engine, once, again_on=RACING_CONSTRAINTS)


@pytest.fixture
def close(desk: Desk, tmp_path: Path) -> Close:
    """See above."""
    shop = desk.till.shop
    shop.clock.advance(seconds=DAY)
    return Close(desk, tmp_path, business_date(shop.now(), shop.ledger.zone))


async def test_a_day_that_agrees_is_closed_by_two_people(close: Close) -> None:
    till = close.desk.till
    await till.take(receipt="UI4BBB0001", shillings=700)
    await close.told(("UI4BBB0001", COLLECTED.format("X"), 70_000))
    with pytest.raises(CloseNotReady, match="once it is over"):
        await close.begin()
    with pytest.raises(CloseNotReady, match="begin one first"):
        await close.sign()
    till.shop.clock.advance(seconds=DAY)

    begun, again = await close.begin(), await close.begin()
    with pytest.raises(ApproverNeeded):
        await close.sign(actor="amina")
    signed = await close.sign()

    assert (again, signed.open_items, signed.reason) == (begun, 0, "")
    with pytest.raises(CloseNotReady, match="is closed and signed"):
        await close.begin()
    with pytest.raises(CloseNotReady, match="begin one first"):
        await close.reopen()
    (account,) = (await close.report()).accounts
    assert (account.path, account.statement, account.books) == (FLOAT, OPENING + 70_000, OPENING + 70_000)
    assert signed.last == close.first_day


async def test_a_close_that_nobody_signed_is_given_up(close: Close) -> None:
    close.desk.till.shop.clock.advance(seconds=3 * DAY)
    await close.begin()

    with pytest.raises(CloseNotReady, match="is under way"):
        await close.begin(close.first_day + timedelta(days=1))
    await close.reopen()
    later = await close.begin(close.first_day + timedelta(days=1))

    assert (later.first, later.last) == (None, close.first_day + timedelta(days=1))


async def test_what_is_open_is_listed_and_signed_only_for_a_reason(close: Close) -> None:
    shop = close.desk.till.shop
    await close.told(("UI4ZZZ0001", FOREIGN, -9_100_000))
    shop.clock.advance(seconds=DAY)
    await close.begin()

    with pytest.raises(CloseNotReady, match="1 items are open"):
        await close.sign()
    before = await close.report()
    signed = await close.sign(accept="with the police, case 7")
    after = await close.report()

    (account,) = before.accounts
    assert [(item.what, item.receipt, item.difference) for item in account.items] == [
        ("missing_here", "UI4ZZZ0001", -9_100_000)
    ]
    assert (account.open, account.explained, signed.open_items) == (-9_100_000, 0, 1)
    assert (before.signed, after.signed, after.accounts) == (None, signed, before.accounts)
    kept = await close.desk.rows("SELECT open, items, books_closing FROM closing_accounts WHERE ledger_id = %s")
    assert kept == [(-9_100_000, 1, OPENING)]


async def test_an_account_without_a_statement_is_open(close: Close) -> None:
    close.desk.till.shop.clock.advance(seconds=DAY)
    await close.begin()

    (account,) = (await close.report()).accounts

    assert (account.statement, account.books, account.items_count) == (None, OPENING, 1)
    assert account.items[0].what == "no_statement"


async def test_what_was_posted_after_its_run_is_reconciled_first(close: Close) -> None:
    till = close.desk.till
    await close.told(("UI4BBB0001", COLLECTED.format("X"), 70_000))
    till.shop.clock.advance(seconds=DAY)
    await till.take(
        receipt="UI4BBB0001", shillings=700, completed_at=till.shop.now() - timedelta(days=1)
    )  # fmt: skip
    await close.begin()

    with pytest.raises(CloseNotReady, match="reconcile these days again"):
        await close.sign(accept="so")
    await close.desk.reconcile()

    assert (await close.sign()).open_items == 0


async def test_an_adjustment_goes_into_days_being_closed_and_behind_those_that_are_signed(
    close: Close,
) -> None:
    shop, office = close.desk.till.shop, Office(close.desk)
    found = await close.told(("UI4ZZZ0001", FOREIGN, -700), ("UI4ZZZ0002", FOREIGN, -500))
    shop.clock.advance(seconds=DAY)
    await close.begin()

    await office.approve(await office.propose(found, 1))
    again = await close.desk.reconcile(days=Days(close.first_day, close.first_day))
    await close.sign(accept="asked the provider")
    (left,) = [one.number for one in await close.desk.breaks(again)]
    await office.approve(await office.propose(again, left))
    following = await close.told(("UI4BBB0001", "Something", 1), opening=OPENING - 1_200)

    dates = await close.desk.rows(
        "SELECT business_date FROM journal_entries WHERE ledger_id = %s AND kind LIKE 'reconciliation.%%' ORDER BY id"
    )
    assert [day for (day,) in dates] == [close.first_day, close.first_day + timedelta(days=1)]
    assert await shop.balance(SHORTAGE) == 1_200
    assert (following.carried, following.opening_gap) == (-500, 0)
    assert [one.difference for one in await close.desk.breaks(following)] == [1]


async def test_a_callback_behind_the_signature_is_booked_and_counts_for_the_first_open_day(close: Close) -> None:
    shop = close.desk.till.shop
    payout_id, at = await shop.request(), shop.now()
    await shop.record((payout_id, Started()))
    await close.told(("UI4AAA0001", "Sent", -150_000))
    shop.clock.advance(seconds=DAY)
    await close.begin()
    await close.sign(accept="its callback is awaited")
    shop.clock.advance(seconds=DAY)

    await shop.record((payout_id, Settled("UI4AAA0001", Money("KES", 150_000), at)))

    rows = await close.desk.rows(
        "SELECT business_date, effective_at FROM journal_entries WHERE ledger_id = %s AND kind = 'payout.settled'"
    )
    assert rows == [(close.first_day + timedelta(days=1), at)]
    assert await shop.state(payout_id) == "SETTLED"
    closed = await close.desk.reconcile(days=Days(close.first_day, close.first_day))
    assert [(one.state, one.rule) for one in await close.desk.decisions(closed)] == [(State.ACCEPTED, "late")]
    await close.desk.till.take(receipt="UI4BBB0001", shillings=7)
    await close.told(("UI4BBB0001", COLLECTED.format("X"), 700), opening=OPENING - 150_000)
    second = close.first_day + timedelta(days=1)
    open_days = await close.desk.reconcile(days=Days(second, second + timedelta(days=1)))
    assert (open_days.agrees, open_days.carried) == (True, -150_000)
    assert sorted(one.rule for one in await close.desk.decisions(open_days)) == ["late", "receipt"]


async def test_what_went_back_and_was_learned_behind_the_signature_is_known_by_its_own_number(close: Close) -> None:
    till, shop = close.desk.till, close.desk.till.shop
    receipt_id, at = await till.take(receipt="UI4BBB0001", shillings=700), shop.now()
    await close.told(
        ("UI4BBB0001", COLLECTED.format("X"), 70_000), ("UI4RRR0001", "Pay Utility Reversal by X", -70_000)
    )
    shop.clock.advance(seconds=DAY)
    await close.begin()
    await close.sign(accept="the provider took it back")
    key = claim(client_id=7, key="taken-back", method="BookTakenBack", content=b"")
    taken = TakenBack(
        receipt_id=receipt_id, amount=Money("KES", 70_000), return_receipt="UI4RRR0001", completed_at=at,
        reason="the portal shows it", actor="amina", source=Source.MANUAL, key=key,
    )  # fmt: skip
    returns = ReturnRecorder(allocating=till.recorder.allocating, ids=shop.ids, rails=frozenset({"daraja"}))

    async def take_back(connection: AsyncConnection) -> None:
        await returns.take_back(await driver(connection), ledger=shop.ledger, taken=taken, now=shop.now())

    await run(shop.engine, take_back)

    closed = await close.desk.reconcile(days=Days(close.first_day, close.first_day))
    decided = {one.receipt: (one.state, one.rule) for one in await close.desk.decisions(closed)}
    assert decided == {"UI4BBB0001": (State.MATCHED, "receipt"), "UI4RRR0001": (State.ACCEPTED, "late")}


async def test_what_was_learned_late_and_put_right_is_not_carried_as_if_the_statement_had_it(close: Close) -> None:
    shop, office = close.desk.till.shop, Office(close.desk)
    payout_id, at = await shop.request(), shop.now()
    await shop.record((payout_id, Started()))
    shop.clock.advance(seconds=DAY)
    await close.begin()
    await close.sign(accept="its callback is awaited")
    await shop.record((payout_id, Settled("UI4AAA0001", Money("KES", 150_000), at)))
    shop.clock.advance(seconds=7_200)
    await close.told(("UI4BBB0001", COLLECTED.format("X"), 1))
    second = close.first_day + timedelta(days=1)

    both = await close.desk.reconcile(days=Days(close.first_day, second))
    (missing,) = [one.number for one in await close.desk.breaks(both) if one.state is State.MISSING_THERE]
    await office.approve(await office.propose(both, missing))

    alone = await close.desk.reconcile(days=Days(second, second))
    assert (alone.carried, alone.opening_gap) == (0, 0)


async def test_the_report_says_what_it_rests_on(close: Close, tmp_path: Path) -> None:
    till = close.desk.till
    await till.take(receipt="UI4BBB0001", shillings=700)
    found = await close.told(("UI4BBB0001", COLLECTED.format("X"), 70_000), ("UI4CCC0001", "Something", 300))
    office = Office(close.desk)
    await office.approve(await office.propose(found, against=None, reason="below what is worth asking"))
    await close.desk.reconcile()
    till.shop.clock.advance(seconds=DAY)
    await close.begin()
    await close.sign()

    document = close_document(till.shop.ledger, await close.report(close.first_day))

    facts = dict(document.facts)
    assert facts["signed"].startswith("by brian")
    assert facts["open items"] == "none"
    parts = {part.title: part for part in document.parts}
    assert list(parts) == ["Explained by two persons", "Clearing accounts by age", "Statements"]
    assert "below what is worth asking" in str(parts["Explained by two persons"].rows[0].cells)
    assert len(str(parts["Statements"].rows[0].cells[-2])) == 64
    _write(document, tmp_path)
    text = (tmp_path / "close.csv").read_text()
    assert "Clearing accounts by age" in text
    assert "1000703.00" in text


def _write(document: Document, folder: Path) -> None:
    for form in ("csv", "xlsx", "pdf"):
        write_document(document, folder / f"close.{form}")
