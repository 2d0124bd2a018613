"""What payees send back by a way that no provider tells of: asked for by one person, booked once by another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.collections import shortcodes
from ledger.collections.refusals import ApproverNeeded, RefundNotReady
from ledger.collections.shortcodes import Shortcode
from ledger.database import driver, run
from ledger.errors import LedgerError, ShortcodeNotFound, TargetUnfit, TimeInvalid
from ledger.money import Money
from ledger.payouts.payout import State as PayoutState
from ledger.refunds import RACING_CONSTRAINTS, Approval, Refund, RefundDesk, RefundRequest, State
from tests.ledger.cases import payout_in
from tests.ledger.collections.till import Till, open_till
from tests.ledger.payouts.shop import BANK, PREFUND

PAID = 150_000


class Counter:
    """The people who ask and approve, over one till whose bank takes money back."""

    def __init__(self, till: Till) -> None:
        self.till, self.desk = till, RefundDesk(till.recorder)

    async def ask(self, payout_id: int, **changes: Any) -> Refund:
        """A request of Amina's, of all of the payout unless said otherwise."""
        values: dict[str, Any] = {
            "key": None, "payout_id": payout_id, "provider": "bank", "shortcode": "main", "receipt": "FT1",
            "amount": Money("KES", PAID), "completed_at": self.till.shop.now(), "evidence": "bank slip",
            "actor": "amina",
        }  # fmt: skip
        request = RefundRequest(**(values | changes))

        async def command(connection: AsyncConnection) -> Refund:
            session, shop = await driver(connection), self.till.shop
            return (await self.desk.request(session, ledger=shop.ledger, request=request, now=shop.now()))[0]

        return await run(self.till.shop.engine, command, again_on=RACING_CONSTRAINTS)

    async def approve(self, refund: Refund, *, actor: str = "brian") -> tuple[Refund, bool]:
        """Another person's approval, and whether it had been given before."""

        async def command(connection: AsyncConnection) -> tuple[Refund, bool]:
            session, shop = await driver(connection), self.till.shop
            approval = Approval(refund.id, actor)
            return await self.desk.approve(session, ledger=shop.ledger, approval=approval, now=shop.now())

        return await run(self.till.shop.engine, command, again_on=RACING_CONSTRAINTS)

    async def reject(self, refund: Refund) -> Refund:
        """Another person's no."""

        async def command(connection: AsyncConnection) -> Refund:
            session, shop = await driver(connection), self.till.shop
            approval = Approval(refund.id, "brian", "no such slip")
            return (await self.desk.reject(session, ledger=shop.ledger, approval=approval, now=shop.now()))[0]

        return await run(self.till.shop.engine, command, again_on=RACING_CONSTRAINTS)


@pytest.fixture
async def counter(engine: AsyncEngine) -> Any:
    """See Counter."""
    async with open_till(engine) as till:
        bank = Shortcode("bank", "main", "KES", BANK, accepts_unanswered=True)

        async def command(connection: AsyncConnection) -> None:
            shop = till.shop
            await shortcodes.open_shortcode(
                connection, ledger=shop.ledger, shortcode=bank, ids=shop.ids, now=shop.now()
            )

        await run(engine, command)
        yield Counter(till)


async def test_a_refund_is_booked_once_by_another_person(counter: Counter) -> None:
    shop = counter.till.shop
    payout_id = await payout_in(shop, PayoutState.SETTLED)
    before = await shop.balance(BANK), await shop.balance(PREFUND)
    asked = await counter.ask(payout_id)
    assert (await shop.balance(BANK), await shop.balance(PREFUND)) == before

    with pytest.raises(ApproverNeeded):
        await counter.approve(asked, actor="amina")
    results = await asyncio.gather(*(counter.approve(asked) for _ in range(4)))

    assert sorted(replayed for _, replayed in results) == [False, True, True, True]
    assert {one.state for one, _ in results} == {State.APPROVED}
    assert (await shop.balance(BANK) - before[0], await shop.balance(PREFUND) - before[1]) == (PAID, PAID)


async def test_racing_refunds_by_both_ways_are_never_more_than_the_payout(counter: Counter) -> None:
    shop = counter.till.shop
    payout_id = await payout_in(shop, PayoutState.SETTLED)
    before = await shop.balance(PREFUND)
    parts = [await counter.ask(payout_id, receipt=f"FT{number}", amount=Money("KES", 60_000)) for number in range(5)]

    results = await asyncio.gather(*(counter.approve(one) for one in parts), return_exceptions=True)

    assert sum(isinstance(one, TargetUnfit) for one in results) == len(parts) - PAID // 60_000
    assert await shop.balance(PREFUND) - before == PAID // 60_000 * 60_000


async def test_a_rejected_refund_moves_nothing_and_may_be_asked_for_again(counter: Counter) -> None:
    payout_id = await payout_in(counter.till.shop, PayoutState.SETTLED)
    asked = await counter.ask(payout_id)
    with pytest.raises(RefundNotReady):
        await counter.ask(payout_id)

    rejected = await counter.reject(asked)

    assert rejected.state is State.REJECTED
    with pytest.raises(RefundNotReady):
        await counter.approve(asked)
    approved, _ = await counter.approve(await counter.ask(payout_id))
    assert approved.state is State.APPROVED
    with pytest.raises(RefundNotReady):
        await counter.reject(approved)


async def test_what_a_provider_told_of_is_not_booked_again_by_hand(counter: Counter) -> None:
    payout_id = await payout_in(counter.till.shop, PayoutState.SETTLED)
    await counter.till.take(receipt="UKR1", shillings=1500)
    asked = await counter.ask(payout_id, provider="daraja", shortcode="600584", receipt="UKR1")

    with pytest.raises(RefundNotReady):
        await counter.approve(asked)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"amount": Money("KES", PAID + 1)}, TargetUnfit),
        ({"amount": Money("USD", 1)}, TargetUnfit),
        ({"payout_id": 1}, TargetUnfit),
        ({"shortcode": "other"}, ShortcodeNotFound),
        ({"days": 1}, TimeInvalid),
    ],
    ids=str,
)
async def test_what_cannot_be_is_refused_at_once(
    counter: Counter, change: dict[str, Any], error: type[LedgerError]
) -> None:
    payout_id = await payout_in(counter.till.shop, PayoutState.SETTLED)
    if change.pop("days", 0):
        change["completed_at"] = counter.till.shop.now().replace(year=2030)

    with pytest.raises(error):
        await counter.ask(**({"payout_id": payout_id} | change))
