"""The one door for what happened outside: every outcome in every state, repeated, late, out of order, contradictory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import transaction
from ledger.errors import PayoutNotCancellable, TextInvalid
from ledger.journal import accounts
from ledger.outbox.instruction import Acknowledged, Failed, OutcomeUnknown, Rejected
from ledger.outcomes import Applied, Unchanged
from ledger.payouts.outcome import Charged, ClawedBack, Outcome
from ledger.payouts.payout import TRANSITIONS, Effect, Event, Move, Standing, State
from ledger.payouts.posting import OutcomeNotPostable
from tests.ledger.payouts.roads import (
    ACKNOWLEDGED,
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
    CLAWBACK,
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

AMOUNT, FEE = 150_000, 750


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[Shop]:
    """Prefunded with KES 200,000; KES 7.50 a payout. Leaving it asserts that books and payouts agree."""
    async with open_shop(engine, fee=FEE) as opened:
        yield opened


async def test_every_event_in_every_state_does_what_the_table_says(shop: Shop) -> None:
    """All pairs at once: a set of outcomes for payouts in all states, as a busy worker records them."""
    pairs = [(state, event) for state in State for event in Event]
    ids = await shop.request_many(len(pairs))
    for payout_id, (state, _) in zip(ids, pairs, strict=True):
        await shop.record(*road_to(state, payout_id))
        assert await shop.state(payout_id) == state.value
    opened_before = len(await shop.reviews())

    recorded = await shop.record(
        *[
            (payout_id, outcome_of(event, payout_id, held_entry_id=await shop.held(payout_id)))
            for payout_id, (_, event) in zip(ids, pairs, strict=True)
        ]
    )

    contradicted = []
    for payout_id, (state, event), verdict in zip(ids, pairs, recorded, strict=True):
        expected = TRANSITIONS[event][state]
        if isinstance(expected, Move):
            assert isinstance(verdict, Applied), (state, event)
            assert verdict.state is expected.target
            assert (verdict.entry_id is not None) == (expected.effect is not Effect.NONE)
        else:
            assert verdict == Unchanged(state, expected), (state, event)
        assert await shop.state(payout_id) == verdict.state.value
        if expected is Standing.CONFLICT or (isinstance(expected, Move) and expected.effect is Effect.LATE_SUCCESS):
            contradicted.append(("provider-conflict", payout_id))
    assert sorted((await shop.reviews())[opened_before:], key=str) == sorted(contradicted, key=str)


@pytest.mark.parametrize(
    "outcome",
    [ACKNOWLEDGED, UNCLEAR, REJECTED, FAILED, settled(1, receipt="UI10000001")],
    ids=lambda outcome: type(outcome).__name__,
)
async def test_a_repeated_outcome_posts_nothing_and_says_so(shop: Shop, outcome: Outcome) -> None:
    payout_id = await shop.request()
    await shop.record((payout_id, STARTED), (payout_id, outcome))
    before = await shop.payout(payout_id), await shop.entries(payout_id)

    (again,) = await shop.record((payout_id, outcome))

    assert again == Unchanged(before[0].state, Standing.REPEATED)
    assert (await shop.payout(payout_id), await shop.entries(payout_id)) == before
    assert await shop.reviews() == []


async def test_a_settlement_moves_the_money_out_of_the_float_with_fee_and_charge(shop: Shop) -> None:
    payout_id = await shop.request()

    await shop.record((payout_id, STARTED), (payout_id, settled(payout_id, receipt="UI10000001")))

    payout = await shop.payout(payout_id)
    assert (payout.state, payout.receipt, payout.completed_at) == (State.SETTLED, "UI10000001", MOMENT)
    assert await shop.balance(PREFUND) == shop.prefunded - AMOUNT - FEE
    assert await shop.balance(FLOAT) == shop.float_opening - AMOUNT
    assert (await shop.balance(FEES), await shop.balance(CHARGES)) == (FEE, CHARGE)


async def test_a_failure_gives_everything_back_and_links_the_release_to_the_reserve(shop: Shop) -> None:
    payout_id = await shop.request()

    await shop.record((payout_id, STARTED), (payout_id, FAILED))

    payout = await shop.payout(payout_id)
    assert (payout.state, payout.failure_code, payout.failure_text) == (State.RELEASED, "2040", "not registered")
    assert await shop.balance(PREFUND) == shop.prefunded
    (linked,) = await shop.rows("SELECT count(*), sum(amount) FROM reversal_links WHERE ledger_id = :ledger")
    assert tuple(linked) == (3, 2 * (AMOUNT + FEE))


async def test_an_unclear_answer_parks_the_money_and_refunds_nobody(shop: Shop) -> None:
    payout_id = await shop.request()

    await shop.record((payout_id, STARTED), (payout_id, UNCLEAR))

    assert await shop.balance(UNKNOWN) == AMOUNT
    assert await shop.balance(IN_TRANSIT) == 0
    assert await shop.balance(PREFUND) == shop.prefunded - AMOUNT - FEE


async def test_the_order_of_the_news_does_not_matter(shop: Shop) -> None:
    orders = list(permutations(["acknowledged", "unclear", "final"]))
    settling, failing = await shop.request_many(len(orders)), await shop.request_many(len(orders))
    outcomes: list[tuple[int, Outcome]] = [(one, STARTED) for one in settling + failing]
    for payout_id, order in zip(settling + failing, orders * 2, strict=True):
        final: Outcome = settled(payout_id) if payout_id in settling else FAILED
        news: dict[str, Outcome] = {"acknowledged": ACKNOWLEDGED, "unclear": UNCLEAR, "final": final}
        outcomes += [(payout_id, news[word]) for word in order]

    await shop.record(*outcomes)

    assert {await shop.state(one) for one in settling} == {"SETTLED"}
    assert {await shop.state(one) for one in failing} == {"RELEASED"}
    assert await shop.reviews() == []


@pytest.mark.parametrize("taken_back", [State.RELEASED, State.CANCELLED])
async def test_a_success_after_the_money_went_back_rests_in_suspense_and_awaits_a_person(
    shop: Shop, taken_back: State
) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(taken_back, payout_id))

    (late,) = await shop.record((payout_id, settled(payout_id)))

    assert isinstance(late, Applied)
    assert late.state is State.CONFLICTED
    assert await shop.balance(SHORTAGE) == AMOUNT
    assert await shop.balance(FLOAT) == shop.float_opening - AMOUNT
    assert await shop.balance(PREFUND) == shop.prefunded
    assert await shop.reviews() == [("provider-conflict", payout_id)]


async def test_a_failure_after_the_settlement_changes_nothing_and_awaits_a_person(shop: Shop) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(State.SETTLED, payout_id))

    (verdict,) = await shop.record((payout_id, FAILED))

    assert verdict == Unchanged(State.SETTLED, Standing.CONFLICT)
    assert await shop.balance(FLOAT) == shop.float_opening - AMOUNT
    assert await shop.reviews() == [("provider-conflict", payout_id)]
    told = await shop.rows("SELECT reason FROM reviews WHERE ledger_id = :ledger")
    assert told == [("failed with code 2040 while SETTLED",)]


@pytest.mark.parametrize("state", [State.SETTLED, State.CONFLICTED])
async def test_every_other_receipt_of_one_payout_is_money_that_left_again_and_a_case_of_its_own(
    shop: Shop, state: State
) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(state, payout_id))
    before, opened_before = await shop.payout(payout_id), len(await shop.reviews())
    suspense_before, float_before = await shop.balance(SHORTAGE), await shop.balance(FLOAT)

    verdicts = await shop.record(
        *((payout_id, settled(payout_id, receipt=receipt)) for receipt in ("UI10000002", "UI10000003", "UI10000002"))
    )

    assert [type(one) for one in verdicts] == [Applied, Applied, Unchanged]
    assert verdicts[2] == Unchanged(state, Standing.REPEATED)
    assert await shop.payout(payout_id) == before
    assert await shop.balance(SHORTAGE) == suspense_before + 2 * AMOUNT
    assert await shop.balance(FLOAT) == float_before - 2 * AMOUNT
    told = await shop.rows("SELECT reason FROM reviews WHERE ledger_id = :ledger ORDER BY id")
    assert [row.reason for row in told[opened_before:]] == [
        f"settled with KES 1,500.00 under receipt {receipt} while {state.value}"
        for receipt in ("UI10000002", "UI10000003")
    ]


async def test_a_receipt_that_settled_another_payout_settles_nothing_in_any_state(shop: Shop) -> None:
    other, *ids = await shop.request_many(1 + len(State))
    await shop.record((other, STARTED), (other, settled(other, receipt="UI10000001")))
    for payout_id, state in zip(ids, State, strict=True):
        await shop.record(*road_to(state, payout_id))
    float_before, opened_before = await shop.balance(FLOAT), len(await shop.reviews())

    verdicts = await shop.record(*((one, settled(one, receipt="UI10000001")) for one in ids))

    assert verdicts == [Unchanged(state, Standing.CONFLICT) for state in State]
    assert await shop.balance(FLOAT) == float_before
    assert (await shop.reviews())[opened_before:] == [("provider-conflict", one) for one in ids]


async def test_of_two_payouts_that_name_one_receipt_in_a_set_the_first_keeps_it(shop: Shop) -> None:
    second, first = await shop.request_many(2)

    verdicts = await shop.record(*((one, settled(one, receipt="UI10000001")) for one in (first, second)))

    assert isinstance(verdicts[0], Applied)
    assert verdicts[1] == Unchanged(State.RESERVED, Standing.CONFLICT)
    assert await shop.balance(FLOAT) == shop.float_opening - AMOUNT


async def test_a_success_over_another_amount_posts_nothing_in_any_state(shop: Shop) -> None:
    ids = await shop.request_many(len(State))
    for payout_id, state in zip(ids, State, strict=True):
        await shop.record(*road_to(state, payout_id))
    entries_before, opened_before = [await shop.entries(one) for one in ids], len(await shop.reviews())

    verdicts = await shop.record(*((one, settled(one, shillings=1600)) for one in ids))

    assert verdicts == [Unchanged(state, Standing.CONFLICT) for state in State]
    assert [await shop.entries(one) for one in ids] == entries_before
    assert (await shop.reviews())[opened_before:] == [("provider-conflict", one) for one in ids]


async def test_outcomes_of_many_payouts_and_several_of_one_are_recorded_as_one_set(shop: Shop) -> None:
    ids = await shop.request_many(20)
    settling, failing, odd = ids[:10], ids[10:19], ids[19]
    outcomes: list[tuple[int, Outcome]] = [(one, STARTED) for one in ids]
    outcomes += [(one, settled(one)) for one in settling] + [(one, FAILED) for one in failing]
    outcomes += [(odd, FAILED), (odd, settled(odd)), (odd, settled(odd)), (odd, FAILED)]

    recorded = await shop.record(*outcomes)

    assert [type(one) for one in recorded[:40]] == [Applied] * 39 + [Applied]
    assert recorded[40:] == [
        Applied(State.CONFLICTED, recorded[40].entry_id if isinstance(recorded[40], Applied) else None),
        Unchanged(State.CONFLICTED, Standing.REPEATED),
        Unchanged(State.CONFLICTED, Standing.OUTDATED),
    ]
    assert await shop.balance(FLOAT) == shop.float_opening - 11 * AMOUNT
    assert await shop.balance(PREFUND) == shop.prefunded - 10 * (AMOUNT + FEE)


@pytest.mark.parametrize(("decision", "owing"), [(Charged, PREFUND), (ClawedBack, CLAWBACK)])
async def test_a_person_ends_a_late_success_and_says_who_owes_the_money(
    shop: Shop, decision: type[Charged | ClawedBack], owing: str
) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(State.CONFLICTED, payout_id))
    before = await shop.balance(owing)

    (verdict,) = await shop.record((payout_id, decision("statement", await shop.held(payout_id))))

    assert isinstance(verdict, Applied)
    assert verdict.state is State.SETTLED
    assert await shop.balance(SHORTAGE) == 0
    assert abs(await shop.balance(owing) - before) == AMOUNT


async def test_cancelling_gives_everything_back_and_cancelling_again_changes_nothing(shop: Shop) -> None:
    payout_id = await shop.request()

    await shop.cancel(payout_id, reason="ordered twice")
    cancelled = await shop.payout(payout_id)
    await shop.cancel(payout_id, reason="ordered twice, I said")

    assert cancelled.state is State.CANCELLED
    assert await shop.payout(payout_id) == cancelled
    assert await shop.balance(PREFUND) == shop.prefunded
    assert (await shop.events(payout_id))[-1].detail == "ordered twice"


async def test_a_payout_is_cancelled_only_while_it_is_reserved_and_with_a_reason(shop: Shop) -> None:
    for state in set(State) - {State.RESERVED, State.CANCELLED}:
        payout_id = await shop.request()
        await shop.record(*road_to(state, payout_id))

        with pytest.raises(PayoutNotCancellable) as caught:
            await shop.cancel(payout_id)

        assert caught.value.facts["state"] == state.value == await shop.state(payout_id)
    for reason in ("", "x" * 201, "a\x00b"):
        with pytest.raises(TextInvalid):
            await shop.cancel(payout_id, reason=reason)


async def test_every_change_is_kept_with_its_words(shop: Shop) -> None:
    payout_id = await shop.request()

    await shop.record(
        (payout_id, STARTED),
        (payout_id, Acknowledged()),
        (payout_id, OutcomeUnknown("no result within 900 seconds")),
        (payout_id, Failed("2040", "not registered")),
        (payout_id, settled(payout_id, receipt="UI10000001")),
    )

    told = [(one.state.value, one.event, one.detail) for one in await shop.events(payout_id)]
    assert told == [
        ("RESERVED", "requested", None),
        ("SUBMITTING", "submission_started", None),
        ("SUBMITTED", "acknowledged", None),
        ("UNKNOWN", "outcome_unknown", "no result within 900 seconds"),
        ("RELEASED", "failed", "2040: not registered"),
        ("CONFLICTED", "settled", "UI10000001"),
    ]


async def test_what_the_provider_calls_a_payout_is_kept_even_where_the_news_are_old(shop: Shop) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(State.UNKNOWN, payout_id))

    (verdict,) = await shop.record((payout_id, Acknowledged((("daraja.conversation_id", "AG_1"),))))

    assert verdict == Unchanged(State.UNKNOWN, Standing.OUTDATED)
    found = await shop.rows("SELECT kind, value, payout_id FROM provider_references WHERE ledger_id = :ledger")
    assert [tuple(row) for row in found] == [("daraja.conversation_id", "AG_1", payout_id)]


async def test_long_words_of_a_provider_are_cut_not_refused(shop: Shop) -> None:
    payout_id = await shop.request()

    await shop.record((payout_id, STARTED), (payout_id, Rejected("400.002.02", "x" * 5000)))

    assert (await shop.payout(payout_id)).failure_text == "x" * 200


async def test_a_completion_that_lies_ahead_of_our_clock_is_booked_now(shop: Shop) -> None:
    payout_id = await shop.request()

    await shop.record((payout_id, STARTED), (payout_id, settled(payout_id, completed_at=MOMENT + timedelta(days=3))))

    (row,) = await shop.rows(
        "SELECT effective_at FROM journal_entries WHERE ledger_id = :ledger AND kind = 'payout.settled'"
    )
    assert row.effective_at == MOMENT
    assert (await shop.payout(payout_id)).completed_at == MOMENT


async def test_an_outcome_that_a_closed_account_refuses_is_not_recorded_at_all(engine: AsyncEngine) -> None:
    async with open_shop(engine, prefunded=AMOUNT) as shop:
        payout_id = await shop.request()
        await shop.record(*road_to(State.SUBMITTED, payout_id))
        async with transaction(engine) as connection:
            await accounts.close_account(
                connection, ledger_id=shop.ledger.id, path=PREFUND, currency="KES", now=shop.now()
            )

        with pytest.raises(OutcomeNotPostable):
            await shop.record((payout_id, FAILED))

        assert await shop.state(payout_id) == "SUBMITTED"
        assert await shop.balance(IN_TRANSIT) == AMOUNT
