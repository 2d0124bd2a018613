"""A person's decisions: each verb in each state, what they post, what they need, and that a case is closed once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.errors import FloorWouldBreak, LedgerError, ReviewNotFound, ReviewNotResolvable, TextInvalid
from ledger.payouts.payout import State
from ledger.payouts.reviews import Review
from ledger.resolutions import Resolution, Verb
from tests.ledger.cases import (
    ABOUT_SUSPENSE,
    AMOUNT,
    EVIDENCE,
    case_of,
    decision,
    holding_case,
    open_queues,
    payout_in,
    resolve,
)
from tests.ledger.payouts.roads import road_to, settled
from tests.ledger.payouts.shop import (
    DEFERRED,
    FEES,
    FLOAT,
    IN_TRANSIT,
    PREFUND,
    SHORTAGE,
    UNKNOWN,
    Shop,
    open_shop,
)

# What each verb does from each state: the state after it; anything else is refused.
ALLOWED = {
    (Verb.SETTLE, State.UNKNOWN): State.SETTLED,
    (Verb.SETTLE, State.RELEASED): State.CONFLICTED,
    (Verb.SETTLE, State.CANCELLED): State.CONFLICTED,
    (Verb.RELEASE, State.UNKNOWN): State.RELEASED,
    (Verb.RELEASE, State.RESERVED): State.CANCELLED,
    (Verb.CHARGE, State.CONFLICTED): State.SETTLED,
    (Verb.CLAW_BACK, State.CONFLICTED): State.SETTLED,
    (Verb.REFUTE, State.CONFLICTED): State.RELEASED,
}
MOVING = [verb for verb in Verb if verb is not Verb.DISMISS]


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[Shop]:
    """Prefunded with KES 200,000; each payout costs the partner KES 10."""
    async with open_shop(engine, fee=1_000) as opened:
        yield opened


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("verb", MOVING)
async def test_each_verb_does_what_is_drawn_in_each_state_and_nothing_else(
    shop: Shop, verb: Verb, state: State
) -> None:
    payout_id = await payout_in(shop, state)
    before, review_id = await shop.payout(payout_id), await case_of(shop, payout_id)
    waiting = await open_queues(shop)

    if (verb, state) in ALLOWED:
        if verb in ABOUT_SUSPENSE:
            review_id = await holding_case(shop, payout_id)
        closed = await resolve(shop, review_id, decision(verb))

        payout = await shop.payout(payout_id)
        assert payout.state is ALLOWED[verb, state]
        assert payout.version == before.version + 1
        assert (closed.verb, closed.evidence, closed.actor) == (verb.value, EVIDENCE, "amina")
        entry = await shop.rows(
            "SELECT kind, actor, source FROM journal_entries WHERE ledger_id = :ledger AND id = :id", id=closed.entry_id
        )
        last = (await shop.events(payout_id))[-1]
        assert (last.entry_id, last.state) == (closed.entry_id, payout.state)
        assert [(row.actor, row.source) for row in entry] == [("amina", "manual")]
    else:
        with pytest.raises(ReviewNotResolvable) as caught:
            await resolve(shop, review_id, decision(verb))

        assert caught.value.field == "verb"
        assert caught.value.facts == {"state": state.value}
        assert await shop.payout(payout_id) == before
        assert await open_queues(shop) == waiting


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("queue", ["submit-unknown", "provider-conflict", "amount-mismatch"])
async def test_a_case_is_dismissed_unless_the_payouts_money_waits_for_it(shop: Shop, queue: str, state: State) -> None:
    payout_id = await payout_in(shop, state)
    in_suspense = (queue, state) == ("provider-conflict", State.CONFLICTED)
    find = holding_case(shop, payout_id) if in_suspense else case_of(shop, payout_id, queue=queue)
    before, review_id = await shop.payout(payout_id), await find
    holds = in_suspense or (queue, state) == ("submit-unknown", State.UNKNOWN)

    if holds:
        with pytest.raises(ReviewNotResolvable):
            await resolve(shop, review_id, decision(Verb.DISMISS))
    else:
        closed = await resolve(shop, review_id, decision(Verb.DISMISS))
        assert (closed.verb, closed.entry_id) == ("dismiss", None)

    assert await shop.payout(payout_id) == before
    assert (queue in await open_queues(shop)) == holds


async def test_settling_an_unknown_payout_moves_its_money_out_and_earns_the_fee(shop: Shop) -> None:
    payout_id = await payout_in(shop, State.UNKNOWN)
    review_id = await case_of(shop, payout_id, queue="submit-unknown")

    await resolve(shop, review_id, decision(Verb.SETTLE))

    payout = await shop.payout(payout_id)
    assert (payout.receipt, payout.completed_at) == ("QKJ7MANUAL", shop.now())
    assert await shop.balance(UNKNOWN) == await shop.balance(IN_TRANSIT) == await shop.balance(DEFERRED) == 0
    assert await shop.balance(FLOAT) == shop.float_opening - AMOUNT
    assert await shop.balance(FEES) == 1_000
    assert await shop.balance(PREFUND) == shop.prefunded - AMOUNT - 1_000


async def test_releasing_an_unknown_payout_gives_everything_back(shop: Shop) -> None:
    payout_id = await payout_in(shop, State.UNKNOWN)
    review_id = await case_of(shop, payout_id, queue="submit-unknown")

    await resolve(shop, review_id, decision(Verb.RELEASE))

    payout = await shop.payout(payout_id)
    assert (payout.failure_code, payout.failure_text) == ("MANUAL", "decided by a person on evidence")
    assert await shop.balance(UNKNOWN) == await shop.balance(DEFERRED) == 0
    assert await shop.balance(PREFUND) == shop.prefunded


async def test_a_partner_without_money_is_not_charged_and_the_case_stays_open(engine: AsyncEngine) -> None:
    async with open_shop(engine, prefunded=AMOUNT) as shop:
        payout_id = await payout_in(shop, State.CONFLICTED)
        other = await shop.request(shillings=10)
        review_id = await holding_case(shop, payout_id)

        with pytest.raises(FloorWouldBreak):
            await resolve(shop, review_id, decision(Verb.CHARGE))

        assert await shop.state(payout_id) == "CONFLICTED"
        assert await open_queues(shop) == ["provider-conflict"]
        await shop.cancel(other)
        await resolve(shop, review_id, decision(Verb.CHARGE))
        assert await shop.balance(PREFUND) == 0


async def test_a_receipt_that_settled_another_payout_settles_no_second_one(shop: Shop) -> None:
    first, second = await shop.request_many(2)
    await shop.record(*road_to(State.UNKNOWN, second), (first, settled(first, receipt="QKJ7TAKEN")))
    review_id = await case_of(shop, second, queue="submit-unknown")

    with pytest.raises(ReviewNotResolvable):
        await resolve(shop, review_id, decision(Verb.SETTLE, receipt="QKJ7TAKEN"))

    assert await shop.state(second) == "UNKNOWN"
    assert await open_queues(shop) == ["submit-unknown"]
    await resolve(shop, review_id, decision(Verb.SETTLE, receipt="QKJ7OTHER"))
    assert await shop.state(second) == "SETTLED"


async def test_a_refused_settlement_leaves_its_receipt_free(shop: Shop) -> None:
    released, waiting = await shop.request_many(2)
    await shop.record(*road_to(State.CONFLICTED, released), *road_to(State.UNKNOWN, waiting))
    wrong = await case_of(shop, released)

    with pytest.raises(ReviewNotResolvable):
        await resolve(shop, wrong, decision(Verb.SETTLE))

    right = await case_of(shop, waiting, queue="submit-unknown")
    await resolve(shop, right, decision(Verb.SETTLE))
    assert await shop.state(waiting) == "SETTLED"


async def test_what_a_person_settled_is_repeated_by_the_same_receipt_and_contradicted_by_another(shop: Shop) -> None:
    payout_id = await payout_in(shop, State.UNKNOWN)
    await resolve(shop, await case_of(shop, payout_id, queue="submit-unknown"), decision(Verb.SETTLE))

    await shop.record((payout_id, settled(payout_id, receipt="QKJ7MANUAL")))
    quiet = await open_queues(shop)
    await shop.record((payout_id, settled(payout_id, receipt="QKJ7OTHER")))

    assert quiet == []
    assert await open_queues(shop) == ["provider-conflict"]


async def test_a_success_after_a_person_released_is_parked_and_not_silent(shop: Shop) -> None:
    payout_id = await payout_in(shop, State.UNKNOWN)
    await resolve(shop, await case_of(shop, payout_id, queue="submit-unknown"), decision(Verb.RELEASE))

    await shop.record((payout_id, settled(payout_id)))

    assert await shop.state(payout_id) == "CONFLICTED"
    assert await shop.balance(SHORTAGE) == AMOUNT
    assert await open_queues(shop) == ["provider-conflict"]


async def test_a_time_of_completion_is_taken_over_but_never_from_the_future(shop: Shop) -> None:
    earlier, later = await payout_in(shop, State.UNKNOWN), await payout_in(shop, State.UNKNOWN)
    times = {earlier: shop.now() - timedelta(hours=2), later: shop.now() + timedelta(hours=2)}

    for payout_id, at in times.items():
        review_id = await case_of(shop, payout_id, queue="submit-unknown")
        proof = Resolution(verb=Verb.SETTLE, evidence=EVIDENCE, receipt=f"R{payout_id}", completed_at=at)
        await resolve(shop, review_id, proof)

    assert (await shop.payout(earlier)).completed_at == times[earlier]
    assert (await shop.payout(later)).completed_at == shop.now()


@pytest.mark.parametrize(
    "verbs", [(Verb.SETTLE, Verb.SETTLE), (Verb.SETTLE, Verb.RELEASE), (Verb.RELEASE, Verb.DISMISS)]
)
async def test_a_case_is_resolved_once(shop: Shop, verbs: tuple[Verb, Verb]) -> None:
    payout_id = await payout_in(shop, State.UNKNOWN)
    review_id = await case_of(shop, payout_id, queue="submit-unknown")
    await resolve(shop, review_id, decision(verbs[0]))
    after = await shop.payout(payout_id)

    with pytest.raises(ReviewNotResolvable) as caught:
        await resolve(shop, review_id, decision(verbs[1]), actor="baraka")

    assert caught.value.facts == {"verb": verbs[0].value}
    assert await shop.payout(payout_id) == after


@pytest.mark.parametrize("has_payout", [True, False])
async def test_of_several_people_who_decide_at_once_one_does(shop: Shop, has_payout: bool) -> None:
    payout_id = await payout_in(shop, State.UNKNOWN) if has_payout else None
    review_id = await case_of(shop, payout_id, queue="submit-unknown" if has_payout else "callback-orphan")
    verbs = [Verb.SETTLE, Verb.RELEASE] if has_payout else [Verb.DISMISS, Verb.DISMISS]

    results = await asyncio.gather(
        *(resolve(shop, review_id, decision(verbs[number % 2]), actor=f"person {number}") for number in range(5)),
        return_exceptions=True,
    )

    assert [isinstance(one, Review) for one in results].count(True) == 1
    assert {type(one) for one in results if not isinstance(one, Review)} == {ReviewNotResolvable}
    if payout_id is not None:
        assert (await shop.entries(payout_id))[:2] == ["payout.reserved", "payout.unknown"]
        assert len(await shop.entries(payout_id)) == 3


async def test_a_case_answered_by_evidence_is_closed_for_people_too(shop: Shop) -> None:
    payout_id = await payout_in(shop, State.UNKNOWN)
    review_id = await case_of(shop, payout_id, queue="submit-unknown")
    await shop.record((payout_id, settled(payout_id)))

    with pytest.raises(ReviewNotResolvable, match="answered"):
        await resolve(shop, review_id, decision(Verb.RELEASE))


@pytest.mark.parametrize("verb", MOVING)
async def test_a_case_without_a_payout_is_dismissed_and_nothing_else(shop: Shop, verb: Verb) -> None:
    review_id = await case_of(shop, None, queue="callback-orphan")

    with pytest.raises(ReviewNotResolvable):
        await resolve(shop, review_id, decision(verb))

    assert (await resolve(shop, review_id, decision(Verb.DISMISS))).verb == "dismiss"


async def test_a_case_that_is_not_there_is_not_found(shop: Shop) -> None:
    with pytest.raises(ReviewNotFound):
        await resolve(shop, 1, decision(Verb.DISMISS))


@pytest.mark.parametrize(
    ("verb", "evidence", "receipt", "field"),
    [
        (Verb.DISMISS, "", "", "evidence"),
        (Verb.DISMISS, " ", "", "evidence"),
        (Verb.DISMISS, "x" * 1001, "", "evidence"),
        (Verb.RELEASE, "a\x00b", "", "evidence"),
        (Verb.SETTLE, EVIDENCE, "", "receipt"),
        (Verb.SETTLE, EVIDENCE, "x" * 101, "receipt"),
        (Verb.SETTLE, EVIDENCE, " ", "receipt"),
        (Verb.SETTLE, EVIDENCE, "QKJ7MANUAL ", "receipt"),
        (Verb.RELEASE, EVIDENCE, "QKJ7MANUAL", "receipt"),
        (Verb.CHARGE, EVIDENCE, "QKJ7MANUAL", "receipt"),
    ],
)
def test_a_decision_needs_evidence_and_settling_a_receipt(verb: Verb, evidence: str, receipt: str, field: str) -> None:
    with pytest.raises(TextInvalid) as caught:
        Resolution(verb=verb, evidence=evidence, receipt=receipt)

    assert isinstance(caught.value, LedgerError)
    assert caught.value.field == field
