"""Every magic number of the sandbox as a payout of its own, over real HTTP: where each ends; the books and the rail.

All are under way at once, as in life; what became of them is looked at by one test per question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from adapters.sandbox.magic import MAGIC, magic_msisdn
from api.worker import Worker
from ledger.database import connect, transaction
from ledger.journal.trial_balance import trial_balance
from tests.fix_database import Postgres
from tests.journeys.rig import RESULT_DEADLINE_SECONDS, Rig, open_rig
from tests.ledger.payouts.shop import FLOAT, IN_TRANSIT, SHORTAGE, UNKNOWN

SHILLINGS = 1500
DECLINED_AT_ONCE = {"312"}
NOT_SENT = {"309", "310", "313"}
# Acknowledged, and then nothing that settles or releases: what the callback says is nothing, or unclear, or not for us.
SILENT = {"201", "202", "414"}
UNCLEAR_ANSWERS = {"302", "303", "305", "307", "308", "311"}
UNCLEAR_CALLBACKS = {"115", "117", "405", "406", "407", "408", "411", "412", "413", "416"}
LATE_SUCCESS = {"409"}
DECLINED_BY_CALLBACK = {suffix for suffix in MAGIC if suffix[0] == "1"} - UNCLEAR_CALLBACKS | {"415"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One payout when all was quiet: `told` is the last word of its history, `requests` what the rail saw of it."""

    state: str
    paid: bool
    requests: int
    told: str
    reviews: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """Everything when all was quiet and the deadline for results had passed."""

    endings: dict[str, Ending]
    before_deadline: dict[str, str]
    balances: dict[str, int]
    float_opening: int
    rail_utility: int
    rail_opening: int
    receipts: dict[str, str | None]
    rail_receipts: dict[str, str]
    is_balanced: bool


async def live_through(rig: Rig) -> Aftermath:
    """One payout to each number, then silence."""
    ids = {suffix: await rig.request(msisdn=magic_msisdn(suffix), shillings=SHILLINGS) for suffix in MAGIC}
    await rig.work_until_quiet()
    before_deadline = {suffix: await rig.state(payout_id) for suffix, payout_id in ids.items()}
    rig.clock.advance(seconds=RESULT_DEADLINE_SECONDS + 1)
    await Worker(rig.application, public_url=rig.public_url).call_silence_unknown()
    reviews = await rig.reviews()
    async with transaction(rig.engine) as connection:
        balance = await trial_balance(connection, ledger_id=rig.ledger.id)
    world = rig.sandbox.world
    return Aftermath(
        endings={
            suffix: Ending(
                state=await rig.state(payout_id),
                paid=await rig.paid(payout_id),
                requests=len(await rig.seen(payout_id)),
                told=(await rig.events(payout_id))[-1].detail or "",
                reviews=frozenset(queue for queue, about in reviews if about == payout_id),
            )
            for suffix, payout_id in ids.items()
        },
        before_deadline=before_deadline,
        balances={path: await rig.balance(path) for path in (FLOAT, IN_TRANSIT, UNKNOWN, SHORTAGE)},
        float_opening=rig.float_opening,
        rail_utility=world.balances.utility_cents,
        rail_opening=world.opening.utility_cents,
        receipts={suffix: (await rig.payout(payout_id)).receipt for suffix, payout_id in ids.items()},
        rail_receipts={
            movement.payment.msisdn[-3:]: movement.receipt for movement in world.movements if movement.payment
        },
        is_balanced=balance.is_balanced,
    )


@pytest.fixture(scope="module")
def aftermath(postgres: Postgres) -> Iterator[Aftermath]:
    """Lived through once for all tests of this module; nothing in it can change any more."""
    database = postgres.clone()

    async def live() -> Aftermath:
        engine = connect(database.app, pool_size=5, application_name="tests")
        try:
            async with open_rig(engine) as rig:
                return await live_through(rig)
        finally:
            await engine.dispose()

    yield asyncio.run(live())
    postgres.drop(database.name)


def of(aftermath: Aftermath, *states: str) -> set[str]:
    return {suffix for suffix, ending in aftermath.endings.items() if ending.state in states}


def test_every_number_ends_where_it_must(aftermath: Aftermath) -> None:
    settled = set(MAGIC) - DECLINED_BY_CALLBACK - DECLINED_AT_ONCE - NOT_SENT - SILENT
    settled -= UNCLEAR_ANSWERS | UNCLEAR_CALLBACKS | LATE_SUCCESS

    assert {
        "SETTLED": of(aftermath, "SETTLED"),
        "RELEASED": of(aftermath, "RELEASED"),
        "UNKNOWN": of(aftermath, "UNKNOWN"),
        "CONFLICTED": of(aftermath, "CONFLICTED"),
        "RESERVED": of(aftermath, "RESERVED"),
    } == {
        "SETTLED": settled,
        "RELEASED": DECLINED_BY_CALLBACK | DECLINED_AT_ONCE,
        "UNKNOWN": UNCLEAR_ANSWERS | UNCLEAR_CALLBACKS | SILENT,
        "CONFLICTED": LATE_SUCCESS,
        "RESERVED": NOT_SENT,
    }


def test_before_the_deadline_silence_is_still_waited_for(aftermath: Aftermath) -> None:
    assert {suffix for suffix, state in aftermath.before_deadline.items() if state == "SUBMITTED"} == SILENT


def test_what_the_books_call_settled_the_rail_paid(aftermath: Aftermath) -> None:
    assert {suffix for suffix in of(aftermath, "SETTLED") if not aftermath.endings[suffix].paid} == set()
    assert {suffix: aftermath.receipts[suffix] for suffix in of(aftermath, "SETTLED", "CONFLICTED")} == {
        suffix: aftermath.rail_receipts[suffix] for suffix in of(aftermath, "SETTLED", "CONFLICTED")
    }


def test_what_the_books_gave_back_the_rail_did_not_pay(aftermath: Aftermath) -> None:
    assert {suffix for suffix in of(aftermath, "RELEASED", "RESERVED") if aftermath.endings[suffix].paid} == set()


def test_what_the_rail_paid_is_settled_or_rests_where_somebody_looks(aftermath: Aftermath) -> None:
    paid = {suffix for suffix, ending in aftermath.endings.items() if ending.paid}

    assert paid - of(aftermath, "SETTLED") == of(aftermath, "CONFLICTED") | {
        suffix for suffix in of(aftermath, "UNKNOWN") if aftermath.endings[suffix].paid
    }
    assert aftermath.balances[SHORTAGE] == 100 * SHILLINGS * len(of(aftermath, "CONFLICTED"))
    assert aftermath.balances[UNKNOWN] == 100 * SHILLINGS * len(of(aftermath, "UNKNOWN"))
    assert aftermath.balances[IN_TRANSIT] == 100 * SHILLINGS * len(of(aftermath, "RESERVED"))


def test_every_unknown_and_every_conflict_has_its_reason_in_words(aftermath: Aftermath) -> None:
    told = {suffix: aftermath.endings[suffix].told for suffix in of(aftermath, "UNKNOWN", "CONFLICTED")}

    assert {suffix for suffix, words in told.items() if not words} == set()
    assert aftermath.endings["409"].reviews == {"provider-conflict"}
    assert aftermath.endings["410"].reviews == {"provider-conflict"}
    assert aftermath.endings["411"].reviews == {"amount-mismatch"}
    assert aftermath.endings["412"].reviews == {"amount-mismatch"}
    assert aftermath.endings["414"].reviews == {"poison-message"}


def test_the_floats_differ_by_the_named_unknown_payouts_that_were_paid(aftermath: Aftermath) -> None:
    ours = aftermath.balances[FLOAT] - aftermath.float_opening
    theirs = aftermath.rail_utility - aftermath.rail_opening
    paid_and_unknown = {suffix for suffix in of(aftermath, "UNKNOWN") if aftermath.endings[suffix].paid}

    assert paid_and_unknown == {"201", "302", "407", "408", "411", "412", "414", "416"}
    assert ours - theirs == 100 * SHILLINGS * len(paid_and_unknown)


def test_nothing_was_sent_twice(aftermath: Aftermath) -> None:
    assert {suffix: ending.requests for suffix, ending in aftermath.endings.items() if ending.requests != 1} == {}


def test_debits_equal_credits(aftermath: Aftermath) -> None:
    assert aftermath.is_balanced


def test_the_table_of_magic_numbers_has_not_shrunk() -> None:
    """It is what makes this module's claims wide."""
    assert len(MAGIC) >= 53
