"""Payouts as the target of receipts: money that a payee sends back goes to the partner whose prefund paid it, never
more than was paid. What paid a loan out, or a winner, refunds nothing: it is given to whom it is owed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from ledger.collections.allocation import Claim, Share, Taken, Unfit
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.journal.chart import partner_account
from ledger.journal.entry import credit
from ledger.money import Money
from ledger.payouts import writing
from ledger.payouts.payout import State
from ledger.payouts.writing import LockedPayout

_REFUNDED = """
SELECT target_id, sum(amount)::bigint FROM allocations
WHERE ledger_id = %s AND target_kind = 'payout' AND target_id = ANY(%s) AND undone_entry_id IS NULL GROUP BY target_id
"""


class PayoutAllocator:
    """See `ledger.collections.allocation.Allocator`. The payout stays SETTLED: it was paid; what came back is what its
    living allocations sum up to."""

    async def lock(self, driver: Driver, ledger: Ledger, target_ids: Collection[str]) -> None:
        """Locks the payouts."""
        await writing.lock_payouts(driver, ledger_id=ledger.id, payout_ids=[int(one) for one in target_ids])

    async def share(
        self, driver: Driver, ledger: Ledger, claims: Sequence[Claim], *, now: datetime
    ) -> list[Share | Unfit]:
        """Claims of one payout are judged one after another, each by what the one before it left."""
        ids = [int(one.target_id) for one in claims]
        payouts = await writing.lock_payouts(driver, ledger_id=ledger.id, payout_ids=ids)
        refunded = await _refunded(driver, ledger, ids)
        shares: list[Share | Unfit] = []
        for claim in claims:
            payout = payouts.get(int(claim.target_id))
            reason = _refuses(payout, claim, refunded)
            if payout is None or reason is not None:
                shares.append(Unfit(reason or ""))
                continue
            refunded[payout.id] = refunded.get(payout.id, 0) + claim.amount.minor_units
            own = partner_account(partner=payout.partner, currency=claim.amount.currency).path
            shares.append(Share((credit(own, claim.amount),)))
        return shares

    async def allocated(self, driver: Driver, ledger: Ledger, taken: Sequence[Taken], *, now: datetime) -> None:
        """Nothing of the payout changes."""

    async def undone(self, driver: Driver, ledger: Ledger, taken: Sequence[Taken], *, now: datetime) -> None:
        """Nothing of the payout changes."""


async def _refunded(driver: Driver, ledger: Ledger, payout_ids: Sequence[int]) -> dict[int, int]:
    """What was sent back of each, under the payouts' locks."""
    cursor = await driver.execute(_REFUNDED, (ledger.id, [str(one) for one in payout_ids]))
    return {int(target_id): amount for target_id, amount in await cursor.fetchall()}


def _refuses(payout: LockedPayout | None, claim: Claim, refunded: Mapping[int, int]) -> str | None:
    if payout is None:
        return "there is no such payout"
    if payout.state is not State.SETTLED:
        return f"the payout is {payout.state.value}: nothing of it can be sent back"
    if payout.funding is not None:
        return "the payout was not funded by a partner: the money is for the loan, or for whom it was owed to"
    left = Money(payout.amount.currency, payout.amount.minor_units - refunded.get(payout.id, 0))
    if claim.amount.currency != left.currency or claim.amount.minor_units > left.minor_units:
        return f"of the payout {left} can still be sent back"
    return None
