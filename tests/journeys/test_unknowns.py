"""Payouts of unknown outcome, resolved by evidence: status queries over real HTTP on a schedule, then a person."""

from __future__ import annotations

import json

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import run
from ledger.payouts import reviews
from ledger.payouts.reviews import Review
from ledger.resolutions import Resolution, Verb, resolve_review
from tests.journeys.rig import Rig

FIRST, REST = 61, (240, 1500, 5400)


@pytest.mark.parametrize(
    ("last_digits", "ends"),
    [
        ("302", "SETTLED"),  # the answer lost, paid, silence: Completed
        ("509", "SETTLED"),  # answered with strings for numbers
        ("515", "SETTLED"),  # answered with the keys of 2017
        ("502", "SETTLED"),  # answered twice
        ("518", "SETTLED"),  # answered before its acknowledgement
        ("511", "RELEASED"),  # Cancelled
        ("512", "RELEASED"),  # Declined
        ("513", "RELEASED"),  # Expired
        ("510", "UNKNOWN"),  # answered with one single parameter: no receipt, no proof
        ("501", "UNKNOWN"),  # never answered
        ("503", "UNKNOWN"),  # pending
        ("505", "UNKNOWN"),  # the query is declined with 25: says nothing of the payment
        ("506", "UNKNOWN"),  # the query is declined with 2001
        ("516", "UNKNOWN"),  # Completed, but of another amount
        ("517", "UNKNOWN"),  # the query's own queue timeout
        ("519", "UNKNOWN"),  # the query is refused
        ("520", "UNKNOWN"),  # bytes that are not JSON
        ("202", "UNKNOWN"),  # not found: proves nothing
    ],
)
async def test_the_first_status_query_resolves_what_it_can_prove(rig: Rig, last_digits: str, ends: str) -> None:
    """The fate is TransactionStatus, never the query's own ResultCode; what proves nothing leaves the money where it
    is."""
    payout_id = await _unknown(rig, last_digits)

    rig.clock.advance(seconds=FIRST)
    await rig.work_until_quiet()

    payout = await rig.payout(payout_id)
    assert payout.state.value == ends
    held = 150_000 if ends == "UNKNOWN" else 0
    assert await rig.balance("liab.payout.unknown.daraja.600584") == held
    assert len(await rig.seen(payout_id)) == 1, "asking is no second sending"


async def test_a_pending_payment_is_asked_about_until_it_is_completed(rig: Rig) -> None:
    """Row 504 is pending for two questions and completed at the third."""
    payout_id = await _unknown(rig, "504")

    for seconds in (FIRST, *REST[:2]):
        rig.clock.advance(seconds=seconds)
        await rig.work_until_quiet()

    assert (await rig.payout(payout_id)).state.value == "SETTLED"


async def test_what_nobody_answers_comes_before_a_person_who_settles_it(rig: Rig) -> None:
    """Four questions, a last wait, a case; settling it needs the receipt and posts the settlement."""
    payout_id = await _unknown(rig, "501")
    for seconds in (FIRST, *REST, 601):
        rig.clock.advance(seconds=seconds)
        await rig.work_until_quiet()
    (case,) = await _open_cases(rig)
    decision = Resolution(verb=Verb.SETTLE, evidence="statement of the day", receipt="UKL0000001")

    closed = await _resolve(rig, case.id, decision)

    assert (case.queue, case.payout_id) == ("submit-unknown", payout_id)
    assert closed.entry_id is not None
    assert (await rig.payout(payout_id)).state.value == "SETTLED"
    assert await rig.balance("liab.payout.unknown.daraja.600584") == 0
    assert await _open_cases(rig) == []


async def test_a_status_answer_cannot_be_fed_to_a_payment_path(rig: Rig) -> None:
    """The path's token says what was asked: a payment's path takes no status report, however right it is."""
    payout_id = await _unknown(rig, "501")
    parameters = [{"Key": "TransactionStatus", "Value": "Completed"}, {"Key": "ReceiptNo", "Value": "UKL0000001"}]
    result = {"ResultType": 0, "ResultCode": 0, "ResultParameters": {"ResultParameter": parameters}}
    report = json.dumps({"Result": result}).encode()

    await rig.call_back(payout_id, report)
    await rig.work_until_quiet()

    assert (await rig.payout(payout_id)).state.value == "UNKNOWN"


async def _unknown(rig: Rig, last_digits: str) -> int:
    """A payout that nobody heard of for longer than its deadline."""
    payout_id = await rig.request(msisdn=f"254700000{last_digits}", shillings=1500)
    await rig.work_until_quiet()
    if (await rig.payout(payout_id)).state.value == "SUBMITTED":
        await rig.fall_silent()
    assert (await rig.payout(payout_id)).state.value == "UNKNOWN"
    return payout_id


async def _open_cases(rig: Rig) -> list[Review]:
    async with rig.engine.connect() as connection:
        return await reviews.list_open(connection, ledger_id=rig.ledger.id, queue="submit-unknown", after=0, limit=10)


async def _resolve(rig: Rig, review_id: int, decision: Resolution) -> Review:
    async def command(connection: AsyncConnection) -> Review:
        return await resolve_review(
            connection,
            ledger=rig.ledger,
            review_id=review_id,
            resolution=decision,
            actor="wanjiru",
            recorder=rig.application.recorder,
            now=rig.now(),
        )

    return await run(rig.engine, command)
