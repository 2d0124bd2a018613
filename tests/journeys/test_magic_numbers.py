"""Every magic number of the sandbox as a payout of its own, over real HTTP: where each ends; the books and the rail.

All are under way at once, as in life. They are looked at twice: when all is quiet and the deadline for results has
passed, and again when every question about the unknown ones has been asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from adapters.sandbox.magic import MAGIC, PAYMENT_ROWS, STATUS_ROWS, magic_msisdn
from adapters.sandbox.world import Movement
from ledger.database import connect, transaction
from ledger.journal.trial_balance import trial_balance
from tests.fix_database import Postgres
from tests.journeys.rig import RESULT_DEADLINE_SECONDS, Rig, open_rig
from tests.ledger.payouts.shop import FLOAT, IN_TRANSIT, SHORTAGE, UNKNOWN

SHILLINGS = 1000
# Of an hour, until the last question about every unknown payout has been asked and waited for.
QUARTERS = 13

# What the number's own row says, by hand, so that neither adapter nor sandbox vouches for itself.
NOT_SENT = {"309", "310", "313"}
DECLINED_AT_ONCE = {"312", "317"}
UNCLEAR_CALLBACKS = {"115", "117", "405", "406", "407", "408", "411", "412", "413", "416", "421"}
DECLINED_BY_CALLBACK = {suffix for suffix in PAYMENT_ROWS if suffix[0] == "1"} - UNCLEAR_CALLBACKS | {"415"}
# Acknowledged, and then nothing that is readable.
SILENT = {"201", "202", "414"} | set(STATUS_ROWS) - {"507", "508"}
UNCLEAR_ANSWERS = {"302", "303", "305", "307", "308", "311", "315", "316"}
LATE_SUCCESS = {"409"}
# The rail paid, told of a definite failure, and says no more unless it is asked: only its statement gives it away.
LIED_ABOUT = {"508"}
SETTLED = set(MAGIC) - NOT_SENT - DECLINED_AT_ONCE - UNCLEAR_CALLBACKS - DECLINED_BY_CALLBACK - SILENT
SETTLED -= UNCLEAR_ANSWERS | LATE_SUCCESS | LIED_ABOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One payout: `told` is the last word of its history, `requests` how often the rail was asked to pay it."""

    state: str
    paid: bool
    requests: int
    told: str
    receipt: str | None
    reviews: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All payouts by their number, and the figures of the books and of the rail, in minor units."""

    endings: dict[str, Ending]
    balances: dict[str, int]
    paid_by_books: int
    paid_by_rail: int
    is_balanced: bool

    def of(self, *states: str) -> set[str]:
        """The numbers whose payouts are in one of the states."""
        return {suffix for suffix, ending in self.endings.items() if ending.state in states}

    @property
    def paid(self) -> set[str]:
        """The numbers whose payouts the rail paid, whatever anyone was told."""
        return {suffix for suffix, ending in self.endings.items() if ending.paid}


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """`submitted` are the numbers that still awaited a result when the deadline came; `receipts` are the rail's own."""

    submitted: set[str]
    unasked: Snapshot
    asked: Snapshot
    receipts: dict[str, str]


async def live_through(rig: Rig) -> Aftermath:
    """One payout to each number, then silence, then every question that the schedule knows."""
    ids = {suffix: await rig.request(msisdn=magic_msisdn(suffix), shillings=SHILLINGS) for suffix in MAGIC}
    await rig.work_through()
    submitted = {suffix for suffix, payout_id in ids.items() if await rig.state(payout_id) == "SUBMITTED"}
    rig.clock.advance(seconds=RESULT_DEADLINE_SECONDS + 1)
    await rig.application.silence_watch().step()
    unasked = await take(rig, ids)
    for _ in range(QUARTERS):
        rig.clock.advance(seconds=900)
        await rig.work_until_quiet()
    movements = [one for one in rig.sandbox.world.movements if payee(one)]
    receipts = {payee(one)[-3:]: one.receipt for one in movements}
    return Aftermath(submitted=submitted, unasked=unasked, asked=await take(rig, ids), receipts=receipts)


def payee(movement: Movement) -> str:
    payment = movement.payment
    return payment.msisdn if payment is not None else ""


async def take(rig: Rig, ids: dict[str, int]) -> Snapshot:
    """How everything stands now."""
    cases = await rig.reviews()
    async with transaction(rig.engine) as connection:
        balance = await trial_balance(connection, ledger_id=rig.ledger.id)
    world = rig.sandbox.world
    endings = {}
    for suffix, payout_id in ids.items():
        payout = await rig.payout(payout_id)
        endings[suffix] = Ending(
            state=payout.state.value,
            paid=await rig.paid(payout_id),
            requests=len(await rig.seen(payout_id)),
            told=(await rig.events(payout_id))[-1].detail or "",
            receipt=payout.receipt,
            reviews=frozenset(queue for queue, about in cases if about == payout_id),
        )
    return Snapshot(
        endings=endings,
        balances={path: await rig.balance(path) for path in (IN_TRANSIT, UNKNOWN, SHORTAGE)},
        paid_by_books=rig.float_opening - await rig.balance(FLOAT),
        paid_by_rail=world.opening.utility_cents - world.balances.utility_cents,
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


@pytest.fixture(params=["unasked", "asked"])
def snapshot(request: pytest.FixtureRequest, aftermath: Aftermath) -> Snapshot:
    """Before and after the questions."""
    taken: Snapshot = getattr(aftermath, request.param)
    return taken


def test_every_number_ends_where_it_must(aftermath: Aftermath) -> None:
    ended = {state: aftermath.unasked.of(state) for state in ("SETTLED", "RELEASED", "UNKNOWN", "CONFLICTED")}

    assert aftermath.submitted == SILENT
    assert ended == {
        "SETTLED": SETTLED,
        "RELEASED": DECLINED_BY_CALLBACK | DECLINED_AT_ONCE | LIED_ABOUT,
        "UNKNOWN": UNCLEAR_ANSWERS | UNCLEAR_CALLBACKS | SILENT,
        "CONFLICTED": LATE_SUCCESS,
    }
    assert aftermath.unasked.of("RESERVED") == NOT_SENT


def test_what_the_books_call_settled_the_rail_paid_under_the_same_receipt(
    snapshot: Snapshot, aftermath: Aftermath
) -> None:
    settled = snapshot.of("SETTLED")

    assert settled <= snapshot.paid
    assert {suffix: snapshot.endings[suffix].receipt for suffix in settled} == {
        suffix: aftermath.receipts[suffix] for suffix in settled
    }


def test_what_the_books_gave_back_the_rail_did_not_pay_unless_it_lied(snapshot: Snapshot) -> None:
    assert snapshot.of("RELEASED", "RESERVED") & snapshot.paid == LIED_ABOUT


def test_the_money_rests_where_the_states_say(snapshot: Snapshot) -> None:
    assert snapshot.balances == {
        IN_TRANSIT: 100 * SHILLINGS * len(snapshot.of("RESERVED", "SUBMITTING", "SUBMITTED")),
        UNKNOWN: 100 * SHILLINGS * len(snapshot.of("UNKNOWN")),
        SHORTAGE: 100 * SHILLINGS * len(snapshot.of("CONFLICTED")),
    }


def test_the_floats_differ_by_the_named_unknown_payouts_that_were_paid_and_the_lies(snapshot: Snapshot) -> None:
    unsettled = (snapshot.of("UNKNOWN") & snapshot.paid) | LIED_ABOUT

    assert snapshot.paid_by_rail - snapshot.paid_by_books == 100 * SHILLINGS * len(unsettled)


def test_debits_equal_credits(snapshot: Snapshot) -> None:
    assert snapshot.is_balanced


def test_nothing_was_sent_twice_that_may_have_arrived(snapshot: Snapshot) -> None:
    repeated = {suffix for suffix, ending in snapshot.endings.items() if ending.requests != 1}

    assert repeated <= NOT_SENT


def test_every_unknown_and_every_conflict_has_its_reason_in_words(snapshot: Snapshot) -> None:
    wordless = {suffix for suffix in snapshot.of("UNKNOWN", "CONFLICTED") if not snapshot.endings[suffix].told}

    assert wordless == set()


def test_every_contradiction_awaits_a_person(aftermath: Aftermath) -> None:
    cases = {suffix: ending.reviews for suffix, ending in aftermath.unasked.endings.items() if ending.reviews}

    assert cases == {
        "409": {"provider-conflict"},
        "410": {"provider-conflict"},
        "411": {"amount-mismatch"},
        "412": {"amount-mismatch"},
        "414": {"poison-message"},
    }


def test_questions_change_no_payout_that_was_final(aftermath: Aftermath) -> None:
    final = aftermath.unasked.of("SETTLED", "RELEASED", "CONFLICTED")

    assert {suffix: aftermath.asked.endings[suffix].state for suffix in final} == {
        suffix: aftermath.unasked.endings[suffix].state for suffix in final
    }


def test_what_stays_unknown_after_every_question_awaits_a_person(aftermath: Aftermath) -> None:
    alone = {
        suffix
        for suffix in aftermath.asked.of("UNKNOWN")
        if "submit-unknown" not in aftermath.asked.endings[suffix].reviews
    }

    assert alone == set()


def test_the_table_of_magic_numbers_has_not_shrunk() -> None:
    """It is what makes this module's claims wide."""
    assert len(MAGIC) >= 76
