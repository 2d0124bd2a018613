"""What keeps payouts from being sent: a person hears of it, and a rail that refuses our access is not tried on."""

from __future__ import annotations

import pytest

from adapters.errands import RETRY_SECONDS_MAX
from adapters.sandbox.magic import magic_msisdn
from adapters.submission import TRIES_BEFORE_REVIEW
from ledger.errors import RailStopped
from ledger.journal.decide import Refused
from ledger.outcomes import BREAKER, NOT_SENT_QUEUE
from tests.journeys.rig import Rig

RATE_LIMITED = magic_msisdn("309")


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """In a ledger of its own, on the database of all rigs."""
    return shared_rig


async def test_what_cannot_be_sent_for_long_is_a_case_that_ends_when_it_is_sent_after_all(rig: Rig) -> None:
    payout_id = await rig.request(msisdn=RATE_LIMITED)
    opened_after = []
    for tries in range(1, TRIES_BEFORE_REVIEW + 3):
        await rig.dispatcher.step()
        rig.clock.advance(seconds=RETRY_SECONDS_MAX)
        if await rig.reviews():
            opened_after.append(tries)
    cases = await rig.reviews()
    await rig.script("success", count=1)

    await rig.work_until_quiet()

    assert opened_after[0] == TRIES_BEFORE_REVIEW
    assert cases == [(NOT_SENT_QUEUE, payout_id)]
    assert await rig.state(payout_id) == "SETTLED"
    closed = await rig.rows("SELECT verb FROM review_resolutions WHERE ledger_id = :ledger")
    assert [verb for (verb,) in closed] == ["answered"]


@pytest.mark.parametrize("behaviour", ["result-2001", "result-8006"])
async def test_a_provider_that_refuses_our_access_stops_the_rail_until_a_person_resumes(
    rig: Rig, behaviour: str
) -> None:
    """Trying on would fail every payout, and locks the credential."""
    await rig.script(behaviour, count=1)
    (first,) = await rig.request_many(1)
    await rig.work_until_quiet()
    (refused,) = await rig.request_all(rig.draft())
    waiting = await rig.rows("SELECT stopped_by, reason FROM rail_stops WHERE ledger_id = :ledger")

    await rig.resume()
    second = await rig.request()
    await rig.work_until_quiet()

    assert await rig.state(first) == "RELEASED"
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, RailStopped)
    assert [(row.stopped_by, behaviour[-4:] in row.reason) for row in waiting] == [(BREAKER, True)]
    assert await rig.state(second) == "SETTLED"
