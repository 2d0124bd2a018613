"""The one door for what happened outside: every outcome in every state, repeated, late, contradictory, many at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import transaction
from ledger.errors import PayoutNotCancellable, TextInvalid
from ledger.journal import accounts
from ledger.outbox.instruction import Acknowledged, Failed, OutcomeUnknown, Rejected, Settled
from ledger.outcomes import Applied, Outcome, OutcomeNotPostable, Unchanged
from ledger.payouts.payout import TRANSITIONS, Effect, Event, Move, Standing, State
from tests.ledger.payouts.roads import (
    ACKNOWLEDGED,
    CANCELLED,
    FAILED,
    REJECTED,
    STARTED,
    UNCLEAR,
    outcome_of,
    road_to,
    settled,
)
from tests.ledger.payouts.shop import (
    CHARGE,
    CHARGES,
    DEFERRED,
    FEES,
    FLOAT,
    IN_TRANSIT,
    MOMENT,
    PREFUND,
    SHORTAGE,
    UNKNOWN,
    Shop,
    open_shop,
)

AMOUNT = 150_000


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[Shop]:
    """Prefunded with KES 100,000 and KES 7.50 a payout. Leaving it asserts that books and payouts agree."""
    async with open_shop(engine, fee=750) as opened:
        yield opened


async def test_every_event_in_every_state_does_what_the_table_says(shop: Shop) -> None:
    """All sixty-four at once: a set of outcomes for payouts in all states, as a busy worker records them."""
    pairs = [(state, event) for state in State for event in Event]
    ids = await shop.request_many(len(pairs), shillings=10)
    arrived = [(one, event, outcome) for one, (state, _) in zip(ids, pairs, strict=True) for event, outcome in _road(state, one)]
    await shop.record(*((one, outcome) for one, _, outcome in arrived))
    assert [await shop.state(one) for one in ids] == [state.value for state, _ in pairs]

    recorded = await shop.record(
        *((one, _small(outcome_of(event, one))) for one, (_, event) in zip(ids, pairs, strict=True))
    )

    for payout_id, (state, event), verdict in zip(ids, pairs, recorded, strict=True):
        expected = TRANSITIONS[event][state]
        if isinstance(expected, Move):
            assert isinstance(verdict, Applied), (state, event)
            assert verdict.state is expected.target
            assert (verdict.entry_id is not None) == (expected.effect is not Effect.NONE)
        else:
            assert verdict == Unchanged(state, expected), (state, event)
        assert await shop.state(payout_id) == verdict.state.value
    conflicts = {one for one, (state, event) in zip(ids, pairs, strict=True) if TRANSITIONS[event][state] is Standing.CONFLICT}
    assert conflicts <= {payout_id for _, payout_id in await shop.reviews()}


def _road(state: State, payout_id: int) -> list[tuple[str, Outcome]]:
    return [(state.value, _small(outcome)) for _, outcome in road_to(state, payout_id)]


def _small(outcome: Outcome) -> Outcome:
    return settled(int(outcome.receipt[1:]), shillings=10) if isinstance(outcome, Settled) else outcome
