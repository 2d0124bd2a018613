"""What breaks come to: proposed by one, posted by another's approval, once; and the next run explains them by it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.collections.refusals import ApproverNeeded
from ledger.database import Driver, driver, run
from ledger.errors import AccountNotFound
from ledger.journal.poster import Poster
from ledger.money import Money
from ledger.outbox.instruction import Settled
from ledger.payouts.outcome import Started
from ledger.reconciliation.adjusting import RACING_CONSTRAINTS, AdjustmentDesk, Wanted
from ledger.reconciliation.adjustment import AdjustmentNotReady, RunNotFound, Way
from ledger.reconciliation.matching import State
from ledger.reconciliation.proposals import Adjustment
from ledger.reconciliation.run import Run
from tests.adapters.statement_files import write_csv
from tests.ledger.payouts.shop import CHARGES, FLOAT, OWED, SHORTAGE
from tests.ledger.reconciliation.desk import Desk, statement_rows
from tests.ledger.reconciliation.test_run import OPENING

EXCESS, FOREIGN = "liab.recon.excess", "Business Payment to Customer via API to 25470****666 - B."
COLLECTED = "Pay Bill from 25470****111 - A Acc. {}"
_Result = TypeVar("_Result")


class Office:
    """Two people at the adjustments of a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk, shop = desk, desk.till.shop
        self.adjusting = AdjustmentDesk(Poster(directory=shop.directory, ids=shop.ids), desk.till.recorder)

    async def certain(self, found: Run) -> list[Adjustment]:
        """What rules propose in Amina's name."""
        shop = self.desk.till.shop
        return await self._run(
            lambda session: self.adjusting.propose_certain(
                session, ledger=shop.ledger, run_id=found.id, actor="amina", now=shop.now()
            )
        )

    async def propose(self, found: Run, *numbers: int, against: str | None = "", reason: str = "so") -> Adjustment:
        """What Amina proposes; every break unless some are named."""
        shop = self.desk.till.shop
        every = [one.number for one in await self.desk.breaks(found)]
        wanted = Wanted(numbers=numbers or every, reason=reason, against=against)
        return await self._run(
            lambda session: self.adjusting.propose(
                session, ledger=shop.ledger, run_id=found.id, wanted=wanted, actor="amina", now=shop.now()
            )
        )

    async def approve(self, one: Adjustment, *, actor: str = "brian") -> tuple[Adjustment, bool]:
        """Brian's approval, unless it is another's."""
        shop = self.desk.till.shop
        return await self._run(
            lambda session: self.adjusting.approve(
                session, ledger=shop.ledger, adjustment_id=one.id, actor=actor, now=shop.now()
            )
        )

    async def reject(self, one: Adjustment, *, actor: str = "brian") -> tuple[Adjustment, bool]:
        """Turned down."""
        shop = self.desk.till.shop
        return await self._run(
            lambda session: self.adjusting.reject(
                session, ledger=shop.ledger, adjustment_id=one.id, reason="not ours", actor=actor, now=shop.now()
            )
        )

    async def _run(self, command: Callable[[Driver], Awaitable[_Result]]) -> _Result:
        async def once(connection: AsyncConnection) -> _Result:
            return await command(await driver(connection))

        return await run(self.desk.till.shop.engine, once, again_on=RACING_CONSTRAINTS)


@pytest.fixture
def office(desk: Desk) -> Office:
    """See above, on the day after the books were opened."""
    desk.till.shop.clock.advance(seconds=86_400)
    return Office(desk)


async def _told(office: Office, tmp_path: Path, *moves: tuple[str, datetime, str, int], opening: int = OPENING) -> Run:
    """A statement of these moves, taken in and held against the books."""
    await office.desk.take_in(write_csv(tmp_path / "utility.csv", statement_rows(opening, *moves)))
    return await office.desk.reconcile()


async def _paid(office: Office, receipt: str) -> None:
    """A payout over KES 1,500, settled."""
    shop = office.desk.till.shop
    payout_id = await shop.request()
    await shop.record((payout_id, Started()), (payout_id, Settled(receipt, Money("KES", 150_000), shop.now())))


async def test_money_nobody_ordered_waits_where_it_was_proposed_and_explains_the_next_run(
    office: Office, tmp_path: Path
) -> None:
    shop = office.desk.till.shop
    found = await _told(office, tmp_path, ("UI4ZZZ0001", shop.now(), FOREIGN, -9_100_000))

    one = await office.propose(found, reason="an insider; police report 7")
    before = await shop.balance(FLOAT)
    with pytest.raises(ApproverNeeded):
        await office.approve(one, actor="amina")
    done, repeated = await office.approve(one)
    again, twice = await office.approve(one)
    later = await office.desk.reconcile()

    assert [(line.account, line.side.value) for line in one.postings] == [(SHORTAGE, "D"), (FLOAT, "C")]
    assert (repeated, twice, done.entry_id) == (False, True, again.entry_id)
    assert (before - await shop.balance(FLOAT), await shop.balance(SHORTAGE)) == (9_100_000, 9_100_000)
    (why,) = await office.desk.decisions(later)
    assert (later.agrees, why.state, why.rule) == (True, State.MATCHED, "adjustment")
    assert "approved by brian: an insider" in why.reason


async def test_an_adjustment_is_rejected_once_and_posts_nothing(office: Office, tmp_path: Path) -> None:
    shop = office.desk.till.shop
    found = await _told(office, tmp_path, ("UI4ZZZ0001", shop.now(), "Something", 5_000))
    one = await office.propose(found)

    with pytest.raises(AdjustmentNotReady, match="is about break 1 already"):
        await office.propose(found)
    _, repeated = await office.reject(one)
    _, twice = await office.reject(one)
    with pytest.raises(AdjustmentNotReady, match="rejected"):
        await office.approve(one)
    other = await office.propose(found)

    assert (repeated, twice, await shop.balance(EXCESS)) == (False, True, 0)
    assert [line.account for line in other.postings] == [FLOAT, EXCESS]


async def test_of_two_approvals_at_once_one_posts(office: Office, tmp_path: Path) -> None:
    found = await _told(office, tmp_path, ("UI4ZZZ0001", office.desk.till.shop.now(), FOREIGN, -700))
    one = await office.propose(found)

    results = await asyncio.gather(*(office.approve(one, actor=actor) for actor in ("brian", "chao", "dida")))

    assert sorted(repeated for _, repeated in results) == [False, True, True]
    assert len({done.entry_id for done, _ in results}) == 1
    assert await office.desk.till.shop.balance(SHORTAGE) == 700


async def test_what_the_books_learned_since_is_not_booked_again(office: Office, tmp_path: Path) -> None:
    shop = office.desk.till.shop
    found = await _told(office, tmp_path, ("UI4AAA0001", shop.now(), "Sent", -150_000))
    one = await office.propose(found)
    await _paid(office, "UI4AAA0001")

    with pytest.raises(AdjustmentNotReady, match="have moved"):
        await office.approve(one)
    later = await office.desk.reconcile()

    assert later.agrees
    with pytest.raises(AdjustmentNotReady, match="newer run"):
        await office.propose(found, 1)


async def test_charges_taken_from_the_account_itself_are_one_entry_line_by_line(office: Office, tmp_path: Path) -> None:
    shop = office.desk.till.shop
    at, moves = shop.now(), []
    for number, taken in ((1, 500), (2, 700)):  # KES 5.00 is the tariff
        await _paid(office, f"UI4AAA000{number}")
        moves += [(f"UI4AAA000{number}", at, "Sent", -150_000), (f"UI4AAA000{number}", at, "Business Charge", -taken)]
    found = await _told(office, tmp_path, *moves, ("UI4ZZZ0001", at, FOREIGN, -9_100), ("UI4ZZZ0001", at,
                        "Business Charge", -300))  # fmt: skip

    (one,) = await office.certain(found)
    again = await office.certain(found)
    await office.approve(one)
    later = await office.desk.reconcile()

    assert [(line.account, line.side.value, line.money.minor_units) for line in one.postings] == [
        (OWED, "D", 1_000), (CHARGES, "D", 200), (FLOAT, "C", 1_200),
    ]  # fmt: skip
    assert (one.way, one.difference, len(one.numbers), again) == (Way.ENTRY, -1_200, 2, [])
    assert await shop.balance(OWED) == 0
    left = {(d.receipt, d.difference) for d in await office.desk.breaks(later)}
    assert left == {("UI4ZZZ0001", -9_100), ("UI4ZZZ0001", -300)}


async def test_the_account_of_charges_is_trued_up_to_what_was_taken(office: Office, tmp_path: Path) -> None:
    shop = office.desk.till.shop
    for number in (1, 2, 3):
        await _paid(office, f"UI4AAA000{number}")
    at = shop.now()
    moves = [("UI4AAA0001", at, "Business Charge", -500), ("UI4AAA0002", at, "Business Charge", -650)]
    shop.clock.advance(seconds=7_200)
    rows = statement_rows(0, *moves, ("UI4ZZZ0001", shop.now(), "Business Charge", -40))
    await office.desk.take_in(write_csv(tmp_path / "charges.csv", rows), sub_account="charges_paid")
    found = await office.desk.reconcile(sub_account="charges_paid")

    (one,) = await office.certain(found)
    await office.approve(one)
    later = await office.desk.reconcile(sub_account="charges_paid")

    # 6.50 for one where 5.00 is accrued; and nothing for the third.
    assert [(line.account, line.money.minor_units) for line in one.postings] == [(OWED, 350), (CHARGES, 350)]
    assert [(d.receipt, d.difference) for d in await office.desk.breaks(later)] == [("UI4ZZZ0001", -40)]


async def test_a_payment_that_only_the_statement_shows_is_a_receipt_like_any(office: Office, tmp_path: Path) -> None:
    shop, till = office.desk.till.shop, office.desk.till
    order = await till.order(shillings=700)
    found = await _told(office, tmp_path, ("UI4BBB0001", shop.now(), COLLECTED.format(order.reference), 70_000))

    (one,) = await office.certain(found)
    await office.approve(one)
    await till.tell(till.paid(receipt="UI4BBB0001", shillings=700, reference=order.reference))
    later = await office.desk.reconcile()

    assert (one.way, one.postings) == (Way.RECEIPT, ())
    assert (await office.desk.rows("SELECT state FROM orders WHERE ledger_id = %s"), later.agrees) == (
        [("PAID",)],
        True,
    )
    evidence = await office.desk.rows("SELECT channel FROM receipt_evidence WHERE ledger_id = %s ORDER BY 1")
    assert [channel for (channel,) in evidence] == ["confirmation", "statement"]


async def test_people_put_a_line_and_an_entry_together(office: Office, tmp_path: Path) -> None:
    till = office.desk.till
    await till.take(receipt="UI4BBB0001", shillings=700)
    at = till.shop.now()
    till.shop.clock.advance(seconds=7_200)
    found = await _told(office, tmp_path, ("UI4QRS0009", at, "Something", 70_000), ("UI4QRS0010", till.shop.now(),
                        "Other", 1))  # fmt: skip
    numbers = [one.number for one in await office.desk.decisions(found) if abs(one.difference) == 70_000]

    with pytest.raises(AdjustmentNotReady, match="nothing is open"):
        await office.propose(found, *numbers)
    one = await office.propose(found, *numbers, against=None, reason="the provider gave it another number")
    done, _ = await office.approve(one)
    later = await office.desk.reconcile()

    assert (found.decided.breaks, done.entry_id, one.difference) == (3, None, 0)
    assert [(d.receipt, d.state) for d in await office.desk.breaks(later)] == [("UI4QRS0010", State.MISSING_HERE)]


async def test_a_difference_that_stays_is_accepted_and_carried(office: Office, tmp_path: Path) -> None:
    shop = office.desk.till.shop
    at = shop.now()
    found = await _told(office, tmp_path, ("UI4QRS0009", at, "Something", 300))

    await office.approve(await office.propose(found, against=None, reason="below what is worth asking"))
    later = await office.desk.reconcile()
    shop.clock.advance(seconds=86_400)
    await office.desk.till.take(receipt="UI4BBB0001", shillings=7)
    following = await _told(office, tmp_path, ("UI4BBB0001", shop.now(), COLLECTED.format("X"), 700),
                            opening=OPENING + 300)  # fmt: skip

    assert (later.agrees, later.decided.unexplained, later.decided.difference) == (True, 0, 300)
    assert [d.state for d in await office.desk.decisions(later)] == [State.ACCEPTED]
    assert (following.carried, following.opening_gap, following.agrees) == (300, 0, True)


async def test_what_does_not_exist_is_not_adjusted(office: Office, tmp_path: Path) -> None:
    found = await _told(office, tmp_path, ("UI4QRS0009", office.desk.till.shop.now(), "Something", 300))

    with pytest.raises(RunNotFound, match=r"no break \[9\]"):
        await office.propose(found, 9)
    with pytest.raises(AccountNotFound, match=r"income\.none"):
        await office.propose(found, against="income.none")
    with pytest.raises(AdjustmentNotReady, match="two accounts"):
        await office.propose(found, against=FLOAT)
