"""Batches on real books, from draft to their end: what each step does to the accounts, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ledger.errors import AmountNotPayable, FloorWouldBreak, IdempotencyKeyReused, LedgerError, TimeInvalid
from ledger.promotions.batch import Event, Funding, State
from ledger.promotions.redeeming import Redeemed
from ledger.promotions.refusals import (
    ActivatorNeeded,
    BatchExists,
    BatchNotReady,
    CodeNotFound,
    CodeNotLive,
    CodesExported,
    CodeTaken,
)
from tests.ledger.promotions.fair import CHECKER, FACE, MAKER, Fair

BUDGET, BREAKAGE = "revenue_reduction.promo", "income.breakage"


async def test_codes_of_a_draft_are_counted_beside_the_books(fair: Fair) -> None:
    batch = await fair.draft(codes=3)

    assert (batch.state, batch.issued, batch.live) == (State.DRAFT, 3, 3)
    assert await fair.held(batch) == (0, 0, 3 * FACE)


async def test_activating_owes_the_face_value_at_the_partners_expense(fair: Fair) -> None:
    before = await fair.prefund()
    batch = await fair.active(codes=3)

    assert batch.state is State.ACTIVE
    assert await fair.held(batch) == (3 * FACE, 0, 0)
    assert before - await fair.prefund() == 3 * FACE


async def test_our_own_budget_reduces_revenue_and_gets_back_what_nobody_took(fair: Fair) -> None:
    batch = await fair.active(codes=3, funding=Funding.BUDGET, days=30)
    spent = await fair.shop.balance(BUDGET)
    fair.shop.clock.advance(seconds=31 * 86_400)
    await fair.expire_due()

    assert spent == 3 * FACE
    assert (await fair.shop.balance(BUDGET), await fair.shop.balance(BREAKAGE)) == (0, 0)
    assert await fair.held(await fair.batch(batch.id)) == (0, 0, 0)


async def test_a_promise_of_last_year_that_nobody_took_is_income(fair: Fair) -> None:
    await fair.active(codes=3, funding=Funding.BUDGET, days=200)
    fair.shop.clock.advance(seconds=201 * 86_400)
    await fair.expire_due()

    assert (await fair.shop.balance(BUDGET), await fair.shop.balance(BREAKAGE)) == (3 * FACE, 3 * FACE)


async def test_a_batch_ends_by_the_clock_and_gives_back_what_is_live(fair: Fair) -> None:
    before = await fair.prefund()
    batch = await fair.active(codes=3)
    await fair.won(batch, 1)
    early = await fair.expire_due()
    fair.shop.clock.advance(seconds=30 * 86_400)

    ended = await fair.expire_due()

    after = await fair.batch(batch.id)
    assert (early, ended, await fair.expire_due()) == (0, 1, 0)
    assert (after.state, after.live, after.redeemed) == (State.EXPIRED, 2, 1)
    assert await fair.held(batch) == (0, 0, 0)
    assert before - await fair.prefund() == FACE


async def test_a_draft_whose_time_is_over_ends_too(fair: Fair) -> None:
    batch = await fair.draft(codes=2)
    empty = await fair.create(fair.wanted(codes=2))
    fair.shop.clock.advance(seconds=30 * 86_400)

    assert await fair.expire_due() == 2
    assert {(await fair.batch(one.id)).state for one in (batch, empty)} == {State.EXPIRED}
    assert await fair.held(batch) == (0, 0, 0)


async def test_cancelling_takes_live_codes_back_and_no_redemption(fair: Fair) -> None:
    before = await fair.prefund()
    batch = await fair.active(codes=3)
    won = await fair.won(batch, 2)

    await fair.switch(batch, "cancel")

    assert (await fair.batch(batch.id)).state is State.CANCELLED
    assert (await fair.redemption(won.id)).state.value == "PAYING"
    assert await fair.held(batch) == (0, 0, 0)
    assert before - await fair.prefund() == FACE


async def test_a_pause_keeps_what_is_owed(fair: Fair) -> None:
    batch = await fair.active(codes=3)

    await fair.switch(batch, "pause")

    assert await fair.held(batch) == (3 * FACE, 0, 0)
    await fair.switch(batch, "resume")
    assert isinstance(await fair.redeem(batch, 1), Redeemed)


@pytest.mark.parametrize("event", [Event.STOLEN, Event.DISABLED])
async def test_a_code_taken_out_is_owed_no_more(fair: Fair, event: Event) -> None:
    before = await fair.prefund()
    batch = await fair.active(codes=3)

    await fair.take(batch, 2, event)

    assert await fair.held(batch) == (2 * FACE, 0, 0)
    assert before - await fair.prefund() == 2 * FACE
    with pytest.raises(CodeNotLive):
        await fair.take(batch, 2, event)
    with pytest.raises(CodeNotFound):
        await fair.take(batch, 4, event)


async def test_a_redeemed_code_cannot_be_taken_out(fair: Fair) -> None:
    batch = await fair.active(codes=3)
    await fair.won(batch, 2)

    with pytest.raises(CodeNotLive) as refused:
        await fair.take(batch, 2)

    assert refused.value.facts["state"] == "REDEEMED"


async def test_a_range_takes_out_what_is_live_of_it(fair: Fair) -> None:
    batch = await fair.active(codes=6)
    await fair.won(batch, 3)

    voided = await fair.void(batch, 2, 5, name="carton")
    again = await fair.void(batch, 2, 5, name="carton")

    assert (voided, again) == ((3, False), (3, True))
    assert await fair.held(batch) == (2 * FACE, 0, 0)


async def test_codes_of_a_draft_are_taken_out_beside_the_books(fair: Fair) -> None:
    batch = await fair.draft(codes=4)

    await fair.void(batch, 1, 2)
    await fair.activate(batch)

    assert await fair.held(batch) == (2 * FACE, 0, 0)


async def test_who_created_a_batch_does_not_activate_it(fair: Fair) -> None:
    batch = await fair.draft()

    with pytest.raises(ActivatorNeeded):
        await fair.activate(batch, actor=MAKER)

    assert not await fair.activate(batch, actor=CHECKER, name="once")
    assert await fair.activate(batch, actor=CHECKER, name="once")


async def test_more_than_the_partner_has_is_not_activated(fair: Fair) -> None:
    batch = await fair.create(fair.wanted(codes=5, face=10_000_000))
    await fair.generate(batch)

    with pytest.raises(FloorWouldBreak):
        await fair.activate(batch)

    assert await fair.held(batch) == (0, 0, 50_000_000)


async def test_what_no_rail_carries_is_not_activated(fair: Fair) -> None:
    batch = await fair.create(fair.wanted(face=5_050))
    await fair.generate(batch)

    with pytest.raises(AmountNotPayable):
        await fair.activate(batch)


async def test_an_incomplete_batch_is_not_activated(fair: Fair) -> None:
    batch = await fair.create(fair.wanted(codes=3))
    await fair.take_in(batch, "ABCDE-12345")

    with pytest.raises(BatchNotReady):
        await fair.activate(batch)


async def test_a_batch_that_ended_moves_no_more(fair: Fair) -> None:
    batch = await fair.active()
    await fair.switch(batch, "cancel")

    for verb in ("pause", "resume", "expire"):
        with pytest.raises(BatchNotReady):
            await fair.switch(batch, verb)
    with pytest.raises(BatchNotReady):
        await fair.take(batch, 1)


async def test_a_batch_is_not_expired_before_its_time(fair: Fair) -> None:
    batch = await fair.active()

    with pytest.raises(BatchNotReady):
        await fair.switch(batch, "expire")


async def test_names_and_request_ids_stand_for_one_batch(fair: Fair) -> None:
    request = fair.wanted(name="one")
    first = await fair.create(request)

    again = await fair.create(request)

    assert again.id == first.id
    with pytest.raises(BatchExists):
        await fair.create(fair.wanted(name="one"))
    with pytest.raises(IdempotencyKeyReused):
        await fair.create(replace(request, key=request.key._replace(request_hash=bytes(16))))
    with pytest.raises(TimeInvalid):
        await fair.create(replace(fair.wanted(), expires_at=fair.shop.now() - timedelta(seconds=1)))


async def test_codes_are_imported_as_they_are_read_all_or_none(fair: Fair) -> None:
    batch = await fair.create(fair.wanted(codes=4))
    with pytest.raises(CodeTaken) as twice:
        await fair.take_in(batch, "O0O0-IL1L-77", "oooo1111 77")
    await fair.take_in(batch, "O0O0-IL1L-77", "ABCDEFGHJKM1", name="first")
    repeated = await fair.take_in(batch, "O0O0-IL1L-77", "ABCDEFGHJKM1", name="first")

    with pytest.raises(CodeTaken) as taken:
        await fair.take_in(batch, "ZZZZZZZZZZ2", "abcdefghjkmI")

    assert (repeated, twice.value.field, taken.value.field) == (True, "codes[1]", "codes[1]")
    assert (await fair.batch(batch.id)).issued == 2
    assert [one.code for one in await fair.sheets(batch)] == ["0000111177", "ABCDEFGHJKM1"]


async def test_codes_are_exported_under_one_request(fair: Fair) -> None:
    batch = await fair.draft(codes=3)

    first = await fair.export(batch, name="printer")

    assert (first, await fair.export(batch, name="printer")) == (False, True)
    with pytest.raises(CodesExported):
        await fair.export(batch, name="another")
    assert len({one.code for one in await fair.sheets(batch)}) == 3


async def test_generating_goes_on_where_it_stopped(fair: Fair) -> None:
    batch = await fair.create(fair.wanted(codes=5_003))

    first, second, third = [await fair.generate(batch) for _ in range(3)]

    assert (first.issued, second.issued, third.issued) == (5_000, 5_003, 5_003)
    printed = await fair.sheets(batch)
    assert [one.number for one in printed] == list(range(1, 5_004))
    assert len({one.code for one in printed}) == 5_003


async def test_refusals_of_batches_leave_nothing(fair: Fair) -> None:
    batch = await fair.active()
    before = await fair.batch(batch.id)

    for refused in (fair.activate(batch, name="x"), fair.switch(batch, "resume"), fair.take(batch, 99)):
        with pytest.raises(LedgerError):
            await refused

    assert await fair.batch(batch.id) == before
