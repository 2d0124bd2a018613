"""The review queues over gRPC: listing, inspecting and closing cases, and who may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import pytest
from daftari.v1 import reviews_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.conversion.times import timestamp_of
from ledger.database import driver, run
from ledger.ids import encode
from ledger.payouts import reviews
from ledger.payouts.payout import State
from tests.api.office import Office, open_office
from tests.ledger.payouts.roads import road_to, settled
from tests.ledger.payouts.shop import PREFUND, open_shop
from tests.wire import refusal

EVIDENCE = "the organisation's portal shows it"
SETTLE, RELEASE = pb.ResolveReviewRequest.VERB_SETTLE, pb.ResolveReviewRequest.VERB_RELEASE
CHARGE, CLAW_BACK = pb.ResolveReviewRequest.VERB_CHARGE, pb.ResolveReviewRequest.VERB_CLAW_BACK
REFUTE = pb.ResolveReviewRequest.VERB_REFUTE
DISMISS = pb.ResolveReviewRequest.VERB_DISMISS


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop."""
    async with open_office(engine) as opened:
        yield opened


async def put(office: Office, queue: str, payout_id: int | None, reason: str = "a person decides") -> None:
    """A case."""

    async def command(connection: AsyncConnection) -> None:
        await reviews.open_reviews(
            await driver(connection),
            ledger_id=office.shop.ledger.id,
            queue=queue,
            cases=[reviews.Case(payout_id, reason)],
            ids=office.shop.ids,
            now=office.shop.now(),
        )

    await run(office.shop.engine, command)


async def payout_in(office: Office, state: State, *, queue: str = "") -> int:
    """A payout in the state, with a case in the queue if one is named."""
    payout_id = await office.shop.request()
    await office.shop.record(*road_to(state, payout_id))
    if queue:
        await put(office, queue, payout_id)
    return payout_id


async def listed(office: Office, *, queue: str = "", **page: object) -> list[pb.Review]:
    """The open cases."""
    request = pb.ListReviewsRequest(ledger=office.ledger, queue=queue, **page)  # type: ignore[arg-type]  # page fields
    return list((await office.review_queries().ListReviews(request)).reviews)


def decision(office: Office, case: str, kind: int, **changes: object) -> pb.ResolveReviewRequest:
    """A decision with evidence, and a receipt where the verb takes one."""
    request = pb.ResolveReviewRequest(
        ledger=office.ledger,
        review_id=case,
        verb=kind,  # type: ignore[arg-type]  # any number, as callers send it
        evidence=EVIDENCE,
        receipt="QKJ7MANUAL" if kind == SETTLE else "",
    )
    for name, value in changes.items():
        setattr(request, name, value)
    return request


async def test_a_case_is_listed_inspected_and_closed(office: Office) -> None:
    payout_id = await payout_in(office, State.UNKNOWN, queue="submit-unknown")
    (case,) = await listed(office)
    get = pb.GetReviewRequest(ledger=office.ledger, review_id=case.id)

    before = (await office.review_queries().GetReview(get)).review
    closed = (await office.review_commands().ResolveReview(decision(office, case.id, RELEASE))).review
    after = (await office.review_queries().GetReview(get)).review

    assert before == case
    assert (case.queue, case.payout_id, case.reason, case.verb) == (
        "submit-unknown", encode("pay", payout_id), "a person decides", "",
    )  # fmt: skip
    assert not case.HasField("resolve_time")
    assert after == closed
    assert (closed.verb, closed.evidence) == ("release", EVIDENCE)
    assert closed.actor.startswith("operator-")
    assert closed.entry_id.startswith("ent_")
    assert await listed(office) == []
    assert await office.shop.balance(PREFUND) == office.shop.prefunded


@pytest.mark.parametrize(
    ("verb", "state", "word"),
    [
        (SETTLE, State.UNKNOWN, "settle"),
        (RELEASE, State.UNKNOWN, "release"),
        (CHARGE, State.CONFLICTED, "charge"),
        (CLAW_BACK, State.CONFLICTED, "claw-back"),
        (REFUTE, State.CONFLICTED, "refute"),
        (DISMISS, State.SETTLED, "dismiss"),
    ],
)
async def test_each_verb_has_its_number(office: Office, verb: int, state: State, word: str) -> None:
    await payout_in(office, state, queue="amount-mismatch")
    (case,) = await listed(office, queue="provider-conflict" if state is State.CONFLICTED else "amount-mismatch")

    closed = (await office.review_commands().ResolveReview(decision(office, case.id, verb))).review

    assert closed.verb == word
    assert bool(closed.entry_id) == (verb != DISMISS)
    assert bool(closed.held_entry_id) == (state is State.CONFLICTED)


async def test_every_number_but_nothing_is_a_verb() -> None:
    assert set(pb.ResolveReviewRequest.Verb.values()) == {0, SETTLE, RELEASE, CHARGE, CLAW_BACK, DISMISS, REFUTE}


async def test_a_settlement_takes_the_providers_time(office: Office) -> None:
    payout_id = await payout_in(office, State.UNKNOWN, queue="submit-unknown")
    (case,) = await listed(office)
    request = decision(office, case.id, SETTLE)
    earlier = office.shop.now() - timedelta(hours=3)
    request.complete_time.CopyFrom(timestamp_of(earlier))

    await office.review_commands().ResolveReview(request)

    assert (await office.shop.payout(payout_id)).completed_at == earlier


async def test_cases_come_by_queue_and_in_pages_oldest_first(office: Office) -> None:
    for number in range(5):
        await put(office, "callback-orphan", None, f"case {number}")
        office.shop.clock.advance(seconds=1)
    await put(office, "poison-message", None)

    seen, token = [], ""
    for _ in range(3):
        request = pb.ListReviewsRequest(ledger=office.ledger, queue="callback-orphan", page_size=2, page_token=token)
        page = await office.review_queries().ListReviews(request)
        seen += [one.reason for one in page.reviews]
        token = page.next_page_token

    assert seen == [f"case {number}" for number in range(5)]
    assert token == ""
    assert len(await listed(office)) == 6
    assert await listed(office, queue="no-such-queue") == []


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"verb": 0}, grpc.StatusCode.INVALID_ARGUMENT, "verb"),
        ({"verb": 99}, grpc.StatusCode.INVALID_ARGUMENT, "verb"),
        ({"evidence": ""}, grpc.StatusCode.INVALID_ARGUMENT, "evidence"),
        ({"evidence": "x" * 1001}, grpc.StatusCode.INVALID_ARGUMENT, "evidence"),
        ({"receipt": "QKJ7MANUAL"}, grpc.StatusCode.INVALID_ARGUMENT, "receipt"),
        ({"verb": SETTLE}, grpc.StatusCode.INVALID_ARGUMENT, "receipt"),
        ({"review_id": "rev_"}, grpc.StatusCode.NOT_FOUND, "review_id"),
        ({"review_id": encode("rev", 1)}, grpc.StatusCode.NOT_FOUND, "review_id"),
        ({"verb": CHARGE}, grpc.StatusCode.FAILED_PRECONDITION, "verb"),
        ({"verb": DISMISS}, grpc.StatusCode.FAILED_PRECONDITION, "verb"),
    ],
)
async def test_a_decision_that_cannot_be_is_refused_and_leaves_the_case_open(
    office: Office, changes: dict[str, object], code: grpc.StatusCode, field: str
) -> None:
    payout_id = await payout_in(office, State.UNKNOWN, queue="submit-unknown")
    before, (case,) = await office.shop.payout(payout_id), await listed(office)

    told = await refusal(office.review_commands().ResolveReview(decision(office, case.id, RELEASE, **changes)))

    assert (told.code, told.field) == (code, field)
    assert await listed(office) == [case]
    assert await office.shop.payout(payout_id) == before


async def test_a_second_decision_is_told_about_the_first(office: Office) -> None:
    await payout_in(office, State.UNKNOWN, queue="submit-unknown")
    (case,) = await listed(office)
    await office.review_commands().ResolveReview(decision(office, case.id, RELEASE))

    told = await refusal(office.review_commands().ResolveReview(decision(office, case.id, SETTLE)))

    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REVIEW_NOT_RESOLVABLE")
    assert told.metadata == {"verb": "release"}


async def test_a_receipt_of_another_payout_is_refused(office: Office) -> None:
    taken = await office.shop.request()
    await office.shop.record((taken, settled(taken, receipt="QKJ7MANUAL")))
    await payout_in(office, State.UNKNOWN, queue="submit-unknown")
    (case,) = await listed(office)

    told = await refusal(office.review_commands().ResolveReview(decision(office, case.id, SETTLE)))

    assert told.reason == "REVIEW_NOT_RESOLVABLE"
    assert await listed(office) == [case]


async def test_a_partner_without_money_cannot_be_charged(engine: AsyncEngine) -> None:
    async with open_office(engine, prefunded=150_000) as office:
        await payout_in(office, State.CONFLICTED)
        await office.shop.request(shillings=100)
        (case,) = await listed(office)

        told = await refusal(office.review_commands().ResolveReview(decision(office, case.id, CHARGE)))

        assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FLOOR_WOULD_BREAK")
        assert await listed(office) == [case]


async def test_a_partners_key_sees_and_closes_no_case(office: Office) -> None:
    await put(office, "callback-orphan", None)
    (case,) = await listed(office)
    key = await office.partner_key()

    told = [
        await refusal(office.review_queries(key).ListReviews(pb.ListReviewsRequest(ledger=office.ledger))),
        await refusal(
            office.review_queries(key).GetReview(pb.GetReviewRequest(ledger=office.ledger, review_id=case.id))
        ),
        await refusal(office.review_commands(key).ResolveReview(decision(office, case.id, DISMISS))),
    ]

    assert {one.code for one in told} == {grpc.StatusCode.PERMISSION_DENIED}


async def test_a_reader_of_cases_closes_none(office: Office) -> None:
    await put(office, "callback-orphan", None)
    (case,) = await listed(office)
    reader = await office.operator_key(permissions=frozenset({"reviews.read"}))

    await office.review_queries(reader).GetReview(pb.GetReviewRequest(ledger=office.ledger, review_id=case.id))
    told = await refusal(office.review_commands(reader).ResolveReview(decision(office, case.id, DISMISS)))

    assert told.code == grpc.StatusCode.PERMISSION_DENIED


async def test_a_case_of_another_ledger_is_not_found_under_ones_own(office: Office) -> None:
    await put(office, "callback-orphan", None)
    (case,) = await listed(office)
    async with open_shop(office.shop.engine) as neighbour:
        stranger = await office.operator_key(ledger_id=neighbour.ledger.id)
        elsewhere = decision(office, case.id, DISMISS, ledger=neighbour.ledger.code)

        foreign = await refusal(office.review_commands(stranger).ResolveReview(decision(office, case.id, DISMISS)))
        own = await refusal(office.review_commands(stranger).ResolveReview(elsewhere))

    assert (foreign.code, foreign.reason) == (grpc.StatusCode.NOT_FOUND, "LEDGER_NOT_FOUND")
    assert (own.code, own.reason) == (grpc.StatusCode.NOT_FOUND, "REVIEW_NOT_FOUND")
    assert await listed(office) == [case]
