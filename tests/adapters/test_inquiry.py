"""Asking what became of a payout: when, how often, whom afterwards; and that a question's path answers nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest

from adapters.dispatch import Dispatcher, DispatchSettings, Errand, fresh_token
from adapters.inquiry import Inquiry
from adapters.provider import CallbackUrls, Capabilities, PayoutRail
from api.settings import Settings
from ledger.outbox import queue
from ledger.outbox.instruction import (
    Acknowledged,
    Failed,
    NotSent,
    OutcomeUnknown,
    PayoutInquiry,
    QueryAnswer,
    Settled,
)
from ledger.outcomes import OutcomeRecorder
from ledger.payouts.payout import State
from tests.adapters.daraja.examples import example
from tests.journeys.messages import failure, result
from tests.journeys.rig import Rig
from tests.ledger.payouts.roads import FAILED, road_to, settled
from tests.ledger.payouts.shop import LIMITS, UNKNOWN

SCHEDULE = [timedelta(seconds=seconds) for seconds in Settings().query_schedule_seconds]
PATIENCE = timedelta(seconds=Settings().query_patience_seconds)
QUERY_RESULT = "transaction-status-result-completed.json"


@dataclass
class AnsweringRail:
    """A provider that answers questions at once, by script; the last answer is for all that follow."""

    capabilities = Capabilities("daraja", LIMITS["daraja"])
    answers: list[QueryAnswer | Exception]
    asked: list[tuple[PayoutInquiry, CallbackUrls]] = field(default_factory=list)

    async def query_payout(self, inquiry: PayoutInquiry, callback_urls: CallbackUrls) -> QueryAnswer:
        """Keeps the question."""
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append((inquiry, callback_urls))
        if isinstance(answer, Exception):
            raise answer
        return answer


def asker(rig: Rig, rail: AnsweringRail, *, name: str = "daraja") -> Dispatcher:
    """A worker that asks this rail; what waits to be sent stays."""
    inquiry = Inquiry(
        rails={name: cast(PayoutRail, rail)},
        recorder=OutcomeRecorder(directory=rig.directory, ids=rig.ids),
        ids=rig.ids,
        now=rig.now,
        schedule=SCHEDULE,
        patience=PATIENCE,
    )
    errands: Mapping[str, Errand] = {queue.QUERY: inquiry}
    settings = DispatchSettings(
        public_url="http://127.0.0.1:9", lease=timedelta(seconds=180), calls_max=8, rails=("daraja",)
    )
    return Dispatcher(
        engine=rig.engine, errands=errands, ids=rig.ids, tokens=fresh_token, now=rig.now, settings=settings
    )


async def unknown_payout(rig: Rig) -> int:
    """A payout of unknown outcome that nobody has asked about."""
    payout_id = await rig.request()
    await rig.record(*road_to(State.UNKNOWN, payout_id))
    return payout_id


async def watch(rig: Rig, worker: Dispatcher, rail: AnsweringRail, *, minutes: int) -> list[int]:
    """Steps every minute; at which minutes the rail was asked."""
    times = []
    for minute in range(1, minutes + 1):
        rig.clock.advance(seconds=60)
        before = len(rail.asked)
        await worker.step()
        times += [minute] * (len(rail.asked) - before)
    return times


async def open_cases(rig: Rig) -> list[tuple[str, int | None]]:
    """The open cases."""
    found = await rig.rows(
        "SELECT queue, payout_id FROM reviews AS r WHERE ledger_id = :ledger AND NOT EXISTS (SELECT FROM "
        "review_resolutions AS d WHERE d.ledger_id = r.ledger_id AND d.review_id = r.id) ORDER BY id"
    )
    return [(name, payout_id) for name, payout_id in found]


async def test_a_payout_of_unknown_outcome_is_asked_about_on_the_schedule_and_then_a_person_is(rig: Rig) -> None:
    payout_id, rail = await unknown_payout(rig), AnsweringRail([Acknowledged()])
    worker = asker(rig, rail)

    times = await watch(rig, worker, rail, minutes=129)
    before = await open_cases(rig)
    later = await watch(rig, worker, rail, minutes=200)

    assert times == [1, 5, 30, 120]
    assert before == []
    assert later == []
    assert await open_cases(rig) == [("submit-unknown", payout_id)]
    assert await rig.state(payout_id) == "UNKNOWN"
    assert await rig.balance(UNKNOWN) == 150_000


async def test_each_question_carries_our_reference_and_a_path_of_its_own(rig: Rig) -> None:
    payout_id, rail = await unknown_payout(rig), AnsweringRail([Acknowledged()])

    await watch(rig, asker(rig, rail), rail, minutes=120)

    payout = await rig.payout(payout_id)
    assert {(one.provider_reference, one.amount, one.receipt) for one, _ in rail.asked} == {
        (payout.provider_reference, payout.amount, None)
    }
    assert len({path for _, urls in rail.asked for path in (urls.result_url, urls.timeout_url)}) == 8
    stored = await rig.rows("SELECT count(DISTINCT token_hash) FROM attempts WHERE ledger_id = :ledger")
    assert stored == [(4,)]


@pytest.mark.parametrize("word", ["settled", "failed"])
async def test_an_answer_at_once_ends_the_asking(rig: Rig, word: str) -> None:
    payout_id = await unknown_payout(rig)
    proof: Settled | Failed = settled(payout_id) if word == "settled" else FAILED
    rail = AnsweringRail([OutcomeUnknown("not known yet"), proof])

    times = await watch(rig, asker(rig, rail), rail, minutes=200)

    assert times == [1, 5]
    assert await rig.state(payout_id) == ("SETTLED" if word == "settled" else "RELEASED")
    assert await rig.balance(UNKNOWN) == 0
    assert await open_cases(rig) == []
    source = "SELECT source FROM journal_entries WHERE ledger_id = :ledger AND subject_id = :subject ORDER BY id DESC"
    assert (await rig.rows(source, subject=(await rig.payout(payout_id)).public_id))[0] == ("query",)


@pytest.mark.parametrize(
    "answer",
    [NotSent("429"), OutcomeUnknown("500.001.1001"), Acknowledged(), ValueError("a bug")],
    ids=["not sent", "unclear", "acknowledged", "a bug"],
)
async def test_nothing_but_proof_ends_it(rig: Rig, answer: QueryAnswer | Exception) -> None:
    payout_id, rail = await unknown_payout(rig), AnsweringRail([answer])

    await watch(rig, asker(rig, rail), rail, minutes=131)

    assert len(rail.asked) == 4
    assert await rig.state(payout_id) == "UNKNOWN"
    assert await open_cases(rig) == [("submit-unknown", payout_id)]


async def test_a_success_with_another_amount_is_for_a_person_and_posts_nothing(rig: Rig) -> None:
    payout_id = await unknown_payout(rig)
    rail = AnsweringRail([settled(payout_id, shillings=1)])

    await watch(rig, asker(rig, rail), rail, minutes=2)

    assert await rig.state(payout_id) == "UNKNOWN"
    assert ("provider-conflict", payout_id) in await open_cases(rig)


async def test_a_payout_in_any_other_state_is_never_asked_about(rig: Rig) -> None:
    """Whichever way it left the unknown, or came there never."""
    rail, states = AnsweringRail([Acknowledged()]), {}
    for state in [one for one in State if one is not State.UNKNOWN]:
        payout_id = await rig.request()
        if state in (State.SETTLED, State.RELEASED, State.CONFLICTED):
            await rig.record(*road_to(State.UNKNOWN, payout_id))
            await rig.record(*((payout_id, outcome) for _, outcome in road_to(state, payout_id)[1:]))
        else:
            await rig.record(*road_to(state, payout_id))
        states[payout_id] = state.value

    await watch(rig, asker(rig, rail), rail, minutes=10)

    assert {payout_id: await rig.state(payout_id) for payout_id in states} == states
    assert rail.asked == []
    waiting = "SELECT FROM instructions WHERE ledger_id = :ledger AND kind = 'payout.query' AND done_at IS NULL"
    assert await rig.rows(waiting) == []


async def test_an_instruction_left_behind_by_a_payout_that_moved_on_is_ended_without_a_question(rig: Rig) -> None:
    payout_id, rail = await unknown_payout(rig), AnsweringRail([Acknowledged()])
    await rig.record((payout_id, settled(payout_id)))

    await watch(rig, asker(rig, rail), rail, minutes=2)

    assert rail.asked == []
    assert await rig.rows("SELECT FROM instructions WHERE ledger_id = :ledger AND done_at IS NULL") == []


async def test_a_callback_between_two_questions_ends_the_asking_and_answers_the_case(rig: Rig) -> None:
    payout_id, rail = await unknown_payout(rig), AnsweringRail([Acknowledged()])
    worker = asker(rig, rail)
    await watch(rig, worker, rail, minutes=131)
    waiting = await open_cases(rig)

    await rig.record((payout_id, settled(payout_id)))

    assert waiting == [("submit-unknown", payout_id)]
    assert await open_cases(rig) == []
    assert await watch(rig, worker, rail, minutes=10) == []


async def test_a_worker_that_does_not_run_the_rail_asks_nothing_and_proves_nothing(rig: Rig) -> None:
    payout_id, rail = await unknown_payout(rig), AnsweringRail([settled(0)])

    times = await watch(rig, asker(rig, rail, name="another"), rail, minutes=2)

    assert times == []
    assert await rig.state(payout_id) == "UNKNOWN"
    answers = await rig.rows("SELECT answer, detail FROM attempts WHERE ledger_id = :ledger")
    assert [tuple(row) for row in answers] == [("NotSent", "this process does not run daraja")]


def query_result(payout: Any, *, status: str = "Completed") -> bytes:
    """The provider's answer to a question about this very payment."""
    answer = json.loads(example(QUERY_RESULT))
    values = {
        "OriginatorConversationID": payout.provider_reference,
        "Amount": payout.amount.minor_units // 100,
        "CreditPartyName": "254712345678 - TESTER",
        "TransactionStatus": status,
    }
    for item in answer["Result"]["ResultParameters"]["ResultParameter"]:
        item["Value"] = values.get(item["Key"], item.get("Value"))
    return json.dumps(answer).encode()


def token_of(urls: CallbackUrls) -> str:
    """The secret of the path."""
    return urls.result_url.rpartition("/")[2]


async def asked_payout(rig: Rig) -> tuple[int, str]:
    """A payout of unknown outcome and the path of the question about it."""
    payout_id, rail = await unknown_payout(rig), AnsweringRail([Acknowledged()])
    await watch(rig, asker(rig, rail), rail, minutes=1)
    return payout_id, token_of(rail.asked[0][1])


async def test_the_answer_to_a_question_settles_by_its_path(rig: Rig) -> None:
    payout_id, token = await asked_payout(rig)

    await rig.receive(token, query_result(await rig.payout(payout_id)))
    await rig.inbound.step(limit=10)

    assert await rig.state(payout_id) == "SETTLED"
    assert (await rig.payout(payout_id)).receipt == "UI1YOXP20E"


async def test_a_payments_result_on_a_questions_path_moves_nothing(rig: Rig) -> None:
    for code in (0, 2040):
        payout_id, token = await asked_payout(rig)

        reference = (await rig.payout(payout_id)).provider_reference
        await rig.receive(token, result(reference) if code == 0 else failure(reference, code=code))
        await rig.inbound.step(limit=10)

        assert await rig.state(payout_id) == "UNKNOWN"


async def test_a_questions_answer_on_a_payments_path_moves_nothing(rig: Rig) -> None:
    for status in ("Completed", "Failed"):
        payout_id = await rig.request(msisdn="254700000201")
        await rig.dispatcher.step()
        token = token_of(await rig.urls(payout_id))

        await rig.receive(token, query_result(await rig.payout(payout_id), status=status))
        await rig.inbound.step(limit=10)

        assert await rig.state(payout_id) in ("SUBMITTED", "UNKNOWN")
        assert [
            kind for kind in await rig.entries(payout_id) if kind not in ("payout.reserved", "payout.unknown")
        ] == []


async def test_a_question_with_result_zero_about_a_payment_that_is_pending_leaves_it_unknown(rig: Rig) -> None:
    payout_id, token = await asked_payout(rig)

    await rig.receive(token, query_result(await rig.payout(payout_id), status="Pending"))
    await rig.inbound.step(limit=10)

    assert await rig.state(payout_id) == "UNKNOWN"


def test_the_schedule_is_the_promised_one() -> None:
    assert [timedelta(minutes=minutes) for minutes in (1, 5, 30, 120)] == SCHEDULE


async def test_an_id_learned_after_the_last_question_is_asked_by_once_more(rig: Rig) -> None:
    rail, payout_id = AnsweringRail([Acknowledged()]), await unknown_payout(rig)
    dispatcher = asker(rig, rail)
    await watch(rig, dispatcher, rail, minutes=180)
    asked_before, cases = len(rail.asked), await open_cases(rig)

    await rig.record(
        (payout_id, OutcomeUnknown("it says an id", (("daraja.originator_conversation_id", "29115-1-1"),)))
    )
    await watch(rig, dispatcher, rail, minutes=180)
    asked_after = len(rail.asked)
    await rig.record((payout_id, OutcomeUnknown("and again", (("daraja.originator_conversation_id", "29115-1-1"),))))
    await watch(rig, dispatcher, rail, minutes=180)

    assert asked_before == len(SCHEDULE)
    assert cases == [("submit-unknown", payout_id)]
    assert asked_after == asked_before + 1 == len(rail.asked)
    assert ("daraja.originator_conversation_id", "29115-1-1") in rail.asked[-1][0].references
    assert await open_cases(rig) == cases
