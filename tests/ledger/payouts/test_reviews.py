"""The review queues: what opens a case, what is the same case, what closes it without a person, and how they list."""

from __future__ import annotations

from collections import Counter

import pytest
from psycopg.errors import CheckViolation
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver, run, transaction
from ledger.errors import ReviewNotFound
from ledger.payouts import reviews
from ledger.payouts.payout import State
from ledger.payouts.reviews import QUEUES, Review
from tests.ledger.payouts.roads import FAILED, STARTED, UNCLEAR, road_to, settled
from tests.ledger.payouts.shop import Shop

UNKNOWN_QUEUE, CONFLICTS = "submit-unknown", "provider-conflict"


async def put(shop: Shop, queue: str, *cases: tuple[int | None, str], inbox_id: int | None = None) -> None:
    """Puts cases into a queue."""

    async def command(connection: AsyncConnection) -> None:
        await reviews.open_reviews(
            await driver(connection),
            ledger_id=shop.ledger.id,
            queue=queue,
            cases=[reviews.Case(payout_id, reason, inbox_id) for payout_id, reason in cases],
            ids=shop.ids,
            now=shop.now(),
        )

    await run(shop.engine, command)


async def close(shop: Shop, review_id: int, *, verb: str = "dismiss") -> bool:
    """Closes a case; whether it was open."""

    async def command(connection: AsyncConnection) -> bool:
        return await reviews.write_resolution(
            await driver(connection),
            ledger_id=shop.ledger.id,
            review_id=review_id,
            verb=verb,
            evidence="seen",
            actor="amina",
            entry_id=None,
            now=shop.now(),
        )

    return await run(shop.engine, command)


async def open_cases(shop: Shop, *, queue: str = "", after: int = 0, limit: int = 100) -> list[Review]:
    """The open cases."""
    async with transaction(shop.engine) as connection:
        return await reviews.list_open(connection, ledger_id=shop.ledger.id, queue=queue, after=after, limit=limit)


@pytest.mark.parametrize("queue", QUEUES)
async def test_every_named_queue_takes_cases_with_and_without_a_payout(shop: Shop, queue: str) -> None:
    payout_id = await shop.request()

    await put(shop, queue, (payout_id, "about a payout"), (None, "about nothing"), (None, "about nothing"))

    found = Counter((one.queue, one.payout_id, one.reason) for one in await open_cases(shop))
    # Anyone can send an orphan, every answer shows that money is missing, a delivery may be given up again: one open
    # case says so.
    alike = 1 if queue in {"callback-orphan", "unledgered-movement", "webhook-dead"} else 2
    assert found == {(queue, payout_id, "about a payout"): 1, (queue, None, "about nothing"): alike}


async def test_there_is_no_other_queue(shop: Shop) -> None:
    with pytest.raises(CheckViolation, match="reviews_queue"):
        await put(shop, "somewhere", (None, "lost"))


async def test_what_an_open_case_says_already_is_not_opened_again(shop: Shop) -> None:
    payout_id, other = await shop.request_many(2)

    await put(shop, CONFLICTS, (payout_id, "it says so"), (payout_id, "it says so"), (payout_id, "it says more"))
    await put(shop, CONFLICTS, (payout_id, "it says so"), (other, "it says so"))
    await put(shop, "amount-mismatch", (payout_id, "it says so"))

    found = {(one.queue, one.payout_id, one.reason) for one in await open_cases(shop)}
    assert len(await open_cases(shop)) == len(found) == 4


async def test_a_closed_case_is_opened_anew_when_it_happens_again(shop: Shop) -> None:
    payout_id = await shop.request()
    await put(shop, CONFLICTS, (payout_id, "it says so"))
    (first,) = await open_cases(shop)
    await close(shop, first.id)

    await put(shop, CONFLICTS, (payout_id, "it says so"))

    (second,) = await open_cases(shop)
    assert second.id > first.id


async def test_a_case_is_closed_once(shop: Shop) -> None:
    await put(shop, "callback-orphan", (None, "no attempt has this path"), inbox_id=7)
    (case,) = await open_cases(shop)

    assert await close(shop, case.id)
    assert not await close(shop, case.id)
    assert await open_cases(shop) == []
    async with transaction(shop.engine) as connection:
        found = await reviews.get_review(connection, ledger_id=shop.ledger.id, review_id=case.id)
    assert (found.inbox_id, found.verb, found.evidence, found.actor) == (7, "dismiss", "seen", "amina")
    assert found.resolved_at == shop.now()


@pytest.mark.parametrize("verb", ["settle", "release", "charge", "claw-back"])
async def test_the_database_closes_no_case_by_a_verb_that_moves_money_without_its_entry(shop: Shop, verb: str) -> None:
    await put(shop, "callback-orphan", (None, "no attempt has this path"))
    (case,) = await open_cases(shop)

    with pytest.raises(CheckViolation, match="review_resolutions_that_move_money_post"):
        await close(shop, case.id, verb=verb)


async def test_cases_list_by_queue_and_by_page_oldest_first(shop: Shop) -> None:
    for number in range(5):
        await put(shop, QUEUES[number % 2], (None, f"case {number}"))
        shop.clock.advance(seconds=1)

    everything = await open_cases(shop)
    page = await open_cases(shop, limit=2)
    rest = await open_cases(shop, after=page[-1].id, limit=10)
    of_one = await open_cases(shop, queue=QUEUES[1])

    assert [one.reason for one in everything] == [f"case {number}" for number in range(5)]
    assert page + rest == everything
    assert [one.reason for one in of_one] == ["case 1", "case 3"]


async def test_a_case_of_another_ledger_is_not_found(shop: Shop) -> None:
    await put(shop, CONFLICTS, (None, "ours"))
    (case,) = await open_cases(shop)

    async with transaction(shop.engine) as connection:
        with pytest.raises(ReviewNotFound):
            await reviews.get_review(connection, ledger_id=shop.ledger.id + 1_000_000, review_id=case.id)
        with pytest.raises(ReviewNotFound):
            await reviews.get_review(connection, ledger_id=shop.ledger.id, review_id=case.id + 1)


@pytest.mark.parametrize("word", ["settled", "failed"])
async def test_evidence_that_arrives_answers_the_case_that_waited_for_it(shop: Shop, word: str) -> None:
    payout_id, other = await shop.request_many(2)
    await shop.record(*road_to(State.UNKNOWN, payout_id), *road_to(State.UNKNOWN, other))
    await put(shop, UNKNOWN_QUEUE, (payout_id, "no answer"), (other, "no answer"))
    await put(shop, "amount-mismatch", (payout_id, "it says KES 5"))
    waiting = {one.id: one for one in await open_cases(shop, queue=UNKNOWN_QUEUE)}

    await shop.record((payout_id, settled(payout_id) if word == "settled" else FAILED))

    left = {(one.queue, one.payout_id) for one in await open_cases(shop)}
    assert left == {(UNKNOWN_QUEUE, other), ("amount-mismatch", payout_id)}
    (answered,) = [one for one in waiting.values() if one.payout_id == payout_id]
    async with transaction(shop.engine) as connection:
        found = await reviews.get_review(connection, ledger_id=shop.ledger.id, review_id=answered.id)
    assert (found.verb, found.actor, found.entry_id) == ("answered", "daftari", None)


async def test_a_repeat_answers_no_case(shop: Shop) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(State.UNKNOWN, payout_id))
    await put(shop, UNKNOWN_QUEUE, (payout_id, "no answer"))

    await shop.record((payout_id, UNCLEAR), (payout_id, STARTED))

    assert len(await open_cases(shop)) == 1


async def test_each_contradicting_receipt_is_a_case_of_its_own_and_opens_once(shop: Shop) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(State.SETTLED, payout_id))

    for receipt in ("SECOND", "SECOND", "THIRD"):
        await shop.record((payout_id, settled(payout_id, receipt=receipt)))
    await shop.record((payout_id, FAILED), (payout_id, FAILED))

    reasons = [one.reason for one in await open_cases(shop, queue=CONFLICTS)]
    assert [sum(word in reason for reason in reasons) for word in ("SECOND", "THIRD", "failed")] == [1, 1, 1]
    assert len(reasons) == 3


async def test_a_late_success_opens_one_case_with_the_money_in_suspense(shop: Shop) -> None:
    payout_id = await shop.request()

    await shop.record(*road_to(State.CONFLICTED, payout_id))
    await shop.record((payout_id, settled(payout_id)))

    (case,) = await open_cases(shop)
    assert (case.queue, case.payout_id, case.reason) == (
        CONFLICTS,
        payout_id,
        f"settled with KES 1,500.00 under receipt R{payout_id} while RELEASED",
    )
