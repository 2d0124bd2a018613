"""What the outcomes of payouts mean for the redemptions that they pay, told in the transaction that records them.

The payout's own entries move the money: a released one gives it back to what the batch owes its winners, where it waits
for another try. The code stays redeemed whatever comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.payouts import payout, posting
from ledger.promotions.redemption import Event, Move, Verdict, retry_at, transition
from ledger.promotions.redemptions import (
    Redemption,
    Step,
    lock_redemptions,
    redemptions_of_payouts,
    write_steps,
)
from ledger.promotions.refusals import RedemptionDisputed
from ledger.promotions.writing import lock_batches

_EVENTS = {
    payout.Effect.SETTLE: Event.PAID,
    payout.Effect.CHARGE: Event.PAID,
    payout.Effect.RELEASE: Event.FAILED,
    payout.Effect.LATE_SUCCESS: Event.DISPUTED,
}
_LOCKING = frozenset({*_EVENTS, payout.Effect.CLAW_BACK})
# These move what the batch owes its winners.
_OF_THE_BATCH = frozenset({payout.Effect.CHARGE, payout.Effect.RELEASE})


async def lock_redemptions_of(driver: Driver, ledger: Ledger, steps: Sequence[posting.Step]) -> dict[int, Redemption]:
    """The redemptions that payouts pay whose outcomes mean something for them, by payout; locked before any entry is
    posted, with the batches whose accounts it touches. Raises RedemptionDisputed where a person charges a late success
    to money that is gone, or claws back what the winner's own money can pay."""
    about = {one.payout.id: one for one in steps if one.payout.purpose == "promotion" and one.move.effect in _LOCKING}
    found = await redemptions_of_payouts(driver, ledger_id=ledger.id, payout_ids=about)
    locked = await lock_redemptions(driver, ledger_id=ledger.id, redemption_ids=found.values())
    by_payout = {payout_id: locked[redemption_id] for payout_id, redemption_id in found.items()}
    touched = {one.batch_id for key, one in by_payout.items() if about[key].move.effect in _OF_THE_BATCH}
    await lock_batches(driver, ledger_id=ledger.id, batch_ids=touched)
    for payout_id, redemption in by_payout.items():
        _check_decision(redemption, about[payout_id])
    return by_payout


async def follow_payouts(
    driver: Driver, ledger: Ledger, steps: Sequence[posting.Step], redemptions: Mapping[int, Redemption], now: datetime
) -> None:
    """Moves redemptions on with their payouts, changed a moment before in this transaction. `redemptions` are what
    lock_redemptions_of() locked. News of a payout that was given up changes nothing here: its own entries say it."""
    told = [one for one in steps if one.payout.id in redemptions and one.move.effect in _EVENTS]
    changes: list[Step] = []
    for one in told:
        redemption, event = redemptions[one.payout.id], _EVENTS[one.move.effect]
        verdict = _verdict(redemption, one)
        if isinstance(verdict, Move):
            again = retry_at(tries=redemption.tries, failed_at=now) if event is Event.FAILED else None
            changes.append(Step(redemption.moved(verdict, retry_at=again), event, one.report.actor))
    await write_steps(driver, ledger_id=ledger.id, steps=changes, now=now)


def _check_decision(redemption: Redemption, step: posting.Step) -> None:
    effect, waits = step.move.effect, _waits_for(redemption, step)
    if effect is payout.Effect.CHARGE and not waits:
        raise RedemptionDisputed("the winner's money left another way; claw this back", field="resolution")
    if effect is payout.Effect.CLAW_BACK and waits:
        raise RedemptionDisputed("the winner's money waits for this; charge it", field="resolution")


def _waits_for(redemption: Redemption, step: posting.Step) -> bool:
    another = isinstance(step.move, payout.Stay) or redemption.payout_id != step.payout.id
    return isinstance(transition(Event.PAID, redemption.state, of_another_payout=another), Move)


def _verdict(redemption: Redemption, step: posting.Step) -> Verdict:
    # A receipt beside the one that its payout is settled by is money that left again: no news of the redemption.
    another = isinstance(step.move, payout.Stay) or redemption.payout_id != step.payout.id
    return transition(_EVENTS[step.move.effect], redemption.state, of_another_payout=another)
