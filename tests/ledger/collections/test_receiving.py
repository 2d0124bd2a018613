"""Money that comes in is booked once, found its owner where one is named, and else waits for a person."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from ledger.collections.booking import Booked, Contradiction, NotOurs, ToldBefore
from ledger.collections.order import State
from ledger.collections.receipt import Holdings
from ledger.errors import IdempotencyKeyReused, ReferenceTaken, ReviewNotResolvable
from ledger.money import Money
from ledger.outbox.collecting import Channel
from ledger.resolutions import Verb
from tests.ledger.cases import decision, resolve
from tests.ledger.collections.till import LANDING, NUMBER, PREFUND, SUSPENSE, UNALLOCATED, WALLET, Till

OPENED = 1_000_000


async def test_a_receipt_with_a_known_reference_goes_to_whom_it_names(till: Till) -> None:
    await till.add_reference("AMINA-7")

    receipt_id = await till.take(reference=" amina 7", shillings=1500)

    assert await till.holdings(receipt_id) == Holdings(0, allocated=150_000)
    assert await till.events(receipt_id) == ["received", "allocated"]
    assert await till.balances(LANDING, UNALLOCATED, WALLET) == [OPENED + 1500, 0, 1500]


async def test_one_receipt_told_by_every_channel_is_one_receipt(till: Till) -> None:
    paid = till.paid(shillings=700)

    results = [
        *(await till.tell(paid, paid)),
        *(await till.tell(paid, channel=Channel.PROMPT)),
        *(await till.tell(paid, channel=Channel.PULL)),
        *(await till.tell(paid, channel=Channel.STATEMENT)),
    ]

    assert [type(one) for one in results] == [Booked, ToldBefore, ToldBefore, ToldBefore, ToldBefore]
    assert await till.balances(LANDING, UNALLOCATED) == [OPENED + 700, 700]
    channels = await till.shop.rows("SELECT channel FROM receipt_evidence WHERE ledger_id = :ledger ORDER BY channel")
    assert [channel for (channel,) in channels] == ["confirmation", "prompt", "pull", "statement"]


async def test_sixteen_tellings_at_once_book_it_once(till: Till) -> None:
    paid = till.paid(shillings=700)

    results = await asyncio.gather(*(till.tell(paid) for _ in range(16)))

    assert sorted(type(one).__name__ for (one,) in results) == ["Booked", *["ToldBefore"] * 15]
    assert await till.balances(LANDING) == [OPENED + 700]


async def test_the_same_receipt_with_another_amount_books_nothing_and_opens_a_case(till: Till) -> None:
    paid = till.paid(shillings=700)
    await till.tell(paid)

    (result,) = await till.tell(till.paid(shillings=7000, receipt=paid.receipt))

    assert isinstance(result, Contradiction)
    assert await till.balances(LANDING) == [OPENED + 700]
    assert [queue for queue, _ in await till.cases()] == ["amount-mismatch"]


async def test_money_of_a_foreign_shortcode_or_currency_is_not_booked_and_spoils_no_neighbour(till: Till) -> None:
    foreign = till.paid(shortcode="999999")
    dollars = till.paid(amount=Money("USD", 100))

    results = await till.tell(foreign, till.paid(shillings=5), dollars)

    assert [type(one) for one in results] == [NotOurs, Booked, NotOurs]
    assert await till.balances(LANDING) == [OPENED + 5]


async def test_a_reference_that_means_nothing_waits_and_then_goes_to_suspense_with_a_case(till: Till) -> None:
    receipt_id = await till.take(reference="whose?", shillings=300)
    early = await till.settle_waiting()
    till.shop.clock.advance(seconds=301)

    late = await till.settle_waiting()

    assert (early, late) == (0, 1)
    assert await till.holdings(receipt_id) == Holdings(0, suspended=30_000)
    assert await till.balances(UNALLOCATED, SUSPENSE) == [0, 300]
    assert await till.cases() == [("receipt-unallocated", "its reference means nothing here")]
    assert await till.settle_waiting() == 0


async def test_the_case_of_money_in_suspense_is_not_dismissed_while_the_money_waits_for_it(till: Till) -> None:
    await till.take(reference="whose?")
    till.shop.clock.advance(seconds=301)
    await till.settle_waiting()
    ((case,),) = await till.shop.rows("SELECT id FROM reviews WHERE ledger_id = :ledger AND receipt_id IS NOT NULL")

    with pytest.raises(ReviewNotResolvable) as refused:
        await resolve(till.shop, case, decision(Verb.DISMISS))

    assert refused.value.facts["state"] == "suspended"
    assert await till.cases() == [("receipt-unallocated", "its reference means nothing here")]


async def test_a_reference_made_while_the_money_waits_still_finds_it(till: Till) -> None:
    receipt_id = await till.take(reference="AMINA9", shillings=300)
    await till.add_reference("amina-9")
    till.shop.clock.advance(seconds=301)

    await till.settle_waiting()

    assert await till.holdings(receipt_id) == Holdings(0, allocated=30_000)
    assert await till.cases() == []


async def test_no_row_holds_the_number_of_a_payer_or_of_a_reference(till: Till) -> None:
    await till.take(reference=NUMBER)
    await till.take(reference="0712 345 678")

    told = await till.shop.rows(
        "SELECT payer_shown, reference_shown, sealed FROM receipts WHERE ledger_id = :ledger ORDER BY id"
    )

    assert [(payer, reference) for payer, reference, _ in told] == [
        ("2547****678", "2547****678"),
        ("2547****678", "0712****678"),
    ]
    assert not [sealed for _, _, sealed in told if NUMBER.encode() in bytes(sealed) or b"AMINA" in bytes(sealed)]


async def test_an_order_is_paid_by_the_payment_that_completes_it(till: Till) -> None:
    order = await till.order(shillings=1000)

    await till.take(reference=order.reference, shillings=400)
    between = await till.read_order(order)
    await till.take(reference=order.reference.lower(), shillings=700)

    paid = await till.read_order(order)
    assert (between.money.state, between.money.missing) == (State.OPEN, 60_000)
    assert (paid.money.state, paid.money.paid) == (State.PAID, Money("KES", 110_000))
    assert await till.order_events(order) == [("created", 0), ("part_paid", 40_000), ("paid", 110_000)]
    assert await till.balances(UNALLOCATED) == [0]
    assert (await till.balances(PREFUND)) == [200_000 + 1100]


async def test_what_comes_after_an_order_was_paid_or_had_expired_waits_for_a_person(till: Till) -> None:
    paid, expired = await till.order(shillings=10), await till.order(shillings=10, minutes=1)
    await till.take(reference=paid.reference, shillings=10)
    till.shop.clock.advance(seconds=61)

    again = await till.take(reference=paid.reference, shillings=10)
    late = await till.take(reference=expired.reference, shillings=10)

    assert await till.holdings(again) == await till.holdings(late) == Holdings(0, suspended=1000)
    assert [reason.partition(": ")[2] for _, reason in await till.cases()] == [
        "the order is PAID",
        "the order had expired when it was paid",
    ]


async def test_money_paid_before_an_order_expired_counts_when_it_is_told_afterwards(till: Till) -> None:
    order = await till.order(shillings=10, minutes=1)
    paid = till.paid(reference=order.reference, shillings=10)
    till.shop.clock.advance(seconds=90)

    await till.tell(paid)

    assert (await till.read_order(order)).money.state is State.PAID


async def test_two_payments_of_one_order_in_one_set_are_judged_one_after_another(till: Till) -> None:
    order = await till.order(shillings=10)

    await till.tell(*(till.paid(reference=order.reference, shillings=10) for _ in range(2)))

    assert (await till.read_order(order)).money.paid == Money("KES", 1000)
    assert [queue for queue, _ in await till.cases()] == ["receipt-unallocated"]


async def test_the_same_order_request_makes_one_order_and_another_under_its_id_is_refused(till: Till) -> None:
    first, before = await till.request_order(key="k1", reference="A1")
    again, repeated = await till.request_order(key="k1", reference="A1")

    assert (before, repeated, first) == (False, True, again)
    with pytest.raises(IdempotencyKeyReused):
        await till.request_order(key="k1", reference="A2")


async def test_a_reference_belongs_to_one_target(till: Till) -> None:
    await till.order(reference="SHOES 12")

    with pytest.raises(ReferenceTaken):
        await till.order(reference="shoes-12")


async def test_a_clock_ahead_of_ours_dates_nothing_in_the_future(till: Till) -> None:
    ahead = till.shop.now() + timedelta(hours=3)

    receipt_id = await till.take(completed_at=ahead)

    assert (await till.receipt(receipt_id)).completed_at == till.shop.now()
