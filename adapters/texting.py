"""The errand of text messages: each is sent once, after the commit that told of its event, and never again on a guess.

What certainly was not sent goes to the ledger's other provider, or waits for its next try."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import assert_never

from adapters.dispatch import ACTOR, Call, Done, Errand
from adapters.errands import backoff, describe, find_rail, finish_lost
from adapters.judging import verdict_on
from adapters.provider import CallbackUnreadable
from adapters.sms import DeclaredMessenger, Delivery, DeliveryReport, Messenger, Wish
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.journal.poster import Poster
from ledger.msisdn import Msisdn
from ledger.outbox import queue
from ledger.outbox.inbox import Message as Received
from ledger.outbox.inbox import Verdict
from ledger.outbox.instruction import NotSent, OutcomeUnknown
from ledger.outbox.queue import Claimed
from ledger.parties import PartyKeys, read_payees
from ledger.payouts import reviews
from ledger.payouts.reviews import Case
from ledger.sms import costs, desk
from ledger.sms.message import Accepted, Event, Refused, SmsAnswer, Text
from ledger.sms.writing import Message, Step, find_messages, lock_messages, take_steps

INBOUND = "daftari.inbound"
COST_QUEUE = "sms-cost"
# With the rests between them, about an hour and a half: what was not sent by then is no news any more.
TRIES_MAX = 10


class Texting(Errand):
    """Sends messages of the providers given."""

    def __init__(
        self,
        *,
        messengers: Mapping[str, Messenger],
        party_keys: PartyKeys,
        poster: Poster,
        now: Callable[[], datetime],
    ) -> None:
        self._messengers = messengers
        self._party_keys = party_keys
        self._poster = poster
        self._now = now

    async def start(
        self, session: Driver, ledger: Ledger, claimed: Sequence[Claimed]
    ) -> list[tuple[Claimed, str, tuple[Message, Text]]]:
        """The messages that may leave now; what was lost is given up, what nobody wants is withheld."""
        now = self._now()
        lost = {one.id for one in await finish_lost(session, ledger, claimed, reason="no answer was stored", now=now)}
        found = await lock_messages(session, ledger_id=ledger.id, sms_ids=[one.subject_id for one in claimed])
        ended: list[Step] = []
        leaving: list[Claimed] = []
        for one in claimed:
            message = found[one.subject_id]
            if one.id in lost:
                ended.append(Step(message=message, event=Event.LOST, code="interrupted"))
            elif message.is_unwanted:
                ended.append(Step(message=message, event=Event.WITHHELD, code="opted-out"))
            else:
                leaving.append(one)
        await take_steps(session, ledger_id=ledger.id, steps=ended, actor=ACTOR, now=now)
        over = [one.id for one in claimed if one not in leaving]
        await queue.complete_these(session, ledger_id=ledger.id, ids=over, now=now)
        parties = [found[one.subject_id].party_id for one in leaving]
        payees = await read_payees(session, ledger_id=ledger.id, party_ids=parties, keys=self._party_keys)
        calls: list[tuple[Claimed, str, tuple[Message, Text]]] = []
        for one in leaving:
            message = found[one.subject_id]
            to = payees[message.party_id]
            assert isinstance(to, Msisdn), "only people are told"
            text = Text(message.provider, message.sender, to, message.body)
            calls.append((one, message.provider, (message, text)))
        return calls

    async def carry_out(self, call: Call) -> SmsAnswer:
        """One call to the provider."""
        text: Text = call.content[1]
        messenger = find_rail(self._messengers, text.provider)
        return messenger if isinstance(messenger, NotSent) else await messenger.send(text)

    async def finish(self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, SmsAnswer]]) -> list[Done]:
        """Records the answers and books what the messages cost."""
        now = self._now()
        ids = [call.claimed.subject_id for call, _ in results]
        found = await lock_messages(session, ledger_id=ledger.id, sms_ids=ids)
        told = [(found[call.claimed.subject_id], answer) for call, answer in results]
        misnamed = await _find_misnamed(session, ledger, told)
        judged = [
            Step(message=message, event=Event.LOST, code="id-repeated")
            if message.id in misnamed
            else self._judge(message, call.claimed.attempt, answer)
            for (message, answer), (call, _) in zip(told, results, strict=True)
        ]
        steps = [one for one in judged if one is not None]
        taken = await take_steps(session, ledger_id=ledger.id, steps=steps, actor=ACTOR, now=now)
        unbooked = await costs.post_costs(session, ledger=ledger, steps=taken, poster=self._poster, now=now)
        cases = [Case(None, f"{one.message.public_id} cost {_words(one)}: open the accounts") for one in unbooked]
        await reviews.open_reviews(
            session, ledger_id=ledger.id, queue=COST_QUEUE, cases=cases, ids=self._poster.ids, now=now
        )
        over = [
            call.claimed.id
            for (call, _), step in zip(results, judged, strict=True)
            if step is not None and step.event is not Event.REROUTED
        ]
        await queue.complete_these(session, ledger_id=ledger.id, ids=over, now=now)
        return [
            Done(type(answer).__name__, describe(answer), _again_at(call, answer, step, now))
            for (call, answer), step in zip(results, judged, strict=True)
        ]

    def _judge(self, message: Message, attempt: int, answer: SmsAnswer) -> Step | None:
        """What an answer does to its message; None where it waits for another try over the same provider."""
        match answer:
            case Accepted(message_id, cost):
                return Step(message=message, event=Event.SENT, message_id=message_id, cost=cost)
            case OutcomeUnknown():
                return Step(message=message, event=Event.LOST, code="unknown")
            case Refused() if answer.elsewhere and self._another(message):
                return Step(message=message, event=Event.REROUTED, provider=message.fallback, code=answer.code)
            case Refused(code):
                return Step(message=message, event=Event.REFUSED, code=code)
            case NotSent() if self._another(message):
                return Step(message=message, event=Event.REROUTED, provider=message.fallback, code="not-sent")
            case NotSent():
                is_old = attempt >= TRIES_MAX
                return Step(message=message, event=Event.REFUSED, code="not-sent") if is_old else None
            case _:
                assert_never(answer)

    def _another(self, message: Message) -> bool:
        """Whether the other provider has not been tried yet, and is run here."""
        return message.fallback in self._messengers and message.provider != message.fallback


class SmsJudge:
    """Judges what providers of messages call back, on the path that a ledger's were given."""

    def __init__(self, *, messengers: Mapping[str, DeclaredMessenger], party_keys: PartyKeys) -> None:
        self._messengers = messengers
        self._party_keys = party_keys

    async def judge(
        self, session: Driver, ledger: Ledger, messages: Sequence[Received], *, now: datetime
    ) -> list[tuple[Received, Verdict]]:
        """Reports that name a message move it; one that names none yet waits. Wishes count at once."""
        ours = [one for one in messages if one.rail in self._messengers]
        if not ours:
            return []
        paths = await desk.find_paths(session, ledger_id=ledger.id, token_hashes=[one.token_hash for one in ours])
        verdicts: list[tuple[Received, Verdict]] = []
        reports: dict[str, list[tuple[Received, DeliveryReport]]] = {}
        wishes: list[Wish] = []
        for one in ours:
            if one.rail not in paths.get(one.token_hash, ()):
                continue
            read = self._messengers[one.rail].read_callback(one.kind, one.raw)
            match read:
                case CallbackUnreadable(reason):
                    verdicts.append((one, verdict_on(one, "unreadable", reason, None)))
                case DeliveryReport():
                    reports.setdefault(one.rail, []).append((one, read))
                case Wish():
                    wishes.append(read)
                    verdicts.append((one, verdict_on(one, "applied", _wish_words(read), None)))
        await self._keep(session, ledger, wishes, now)
        for provider, told in reports.items():  # two at most
            verdicts += await _record(session, ledger, provider, told, now)
        return verdicts

    async def _keep(self, session: Driver, ledger: Ledger, wishes: Sequence[Wish], now: datetime) -> None:
        """The last wish of a phone is its wish."""
        last = {one.phone: one.wants_messages for one in wishes if one.wants_messages is not None}
        for wants, change in ((False, desk.stop), (True, desk.start)):
            phones = [phone for phone, wanted in last.items() if wanted is wants]
            if phones:
                await change(
                    session, ledger_id=ledger.id, phones=phones, source="provider", keys=self._party_keys, now=now
                )


async def _record(
    session: Driver,
    ledger: Ledger,
    provider: str,
    told: Sequence[tuple[Received, DeliveryReport]],
    now: datetime,
) -> list[tuple[Received, Verdict]]:
    ids = [report.message_id for _, report in told]
    known = await find_messages(session, ledger_id=ledger.id, provider=provider, message_ids=ids)
    locked = await lock_messages(session, ledger_id=ledger.id, sms_ids=known.values())
    steps: dict[int, Step] = {}
    verdicts: list[tuple[Received, Verdict]] = []
    for received, report in told:
        sms_id = known.get(report.message_id)
        if sms_id is None:
            continue  # its answer may not be stored yet
        step = _step_of(locked[sms_id], report)
        changes = step is not None and sms_id not in steps and step.after is not None
        if step is not None and changes:
            steps[sms_id] = step
        verdicts.append((received, verdict_on(received, "applied" if changes else "repeated", report.reason, None)))
    await take_steps(session, ledger_id=ledger.id, steps=list(steps.values()), actor=INBOUND, now=now)
    return verdicts


async def _find_misnamed(session: Driver, ledger: Ledger, told: Sequence[tuple[Message, SmsAnswer]]) -> set[int]:
    """The messages whose answer names them by the id of another: what reports on that id are about, nobody knows."""
    misnamed: set[int] = set()
    named: dict[str, dict[str, int]] = {}
    for message, answer in told:
        if isinstance(answer, Accepted):
            first = named.setdefault(message.provider, {}).setdefault(answer.message_id, message.id)
            misnamed |= {message.id} - {first}
    for provider, by_id in named.items():  # two at most
        known = await find_messages(session, ledger_id=ledger.id, provider=provider, message_ids=by_id)
        misnamed |= {sms_id for one, sms_id in by_id.items() if known.get(one, sms_id) != sms_id}
    return misnamed


def _step_of(message: Message, report: DeliveryReport) -> Step | None:
    if report.delivery is Delivery.DELIVERED:
        return Step(message=message, event=Event.DELIVERED)
    if report.delivery is Delivery.FAILED:
        return Step(message=message, event=Event.UNDELIVERED, code=report.reason or "undelivered")
    return None


def _again_at(call: Call, answer: SmsAnswer, step: Step | None, now: datetime) -> datetime | None:
    if step is not None and step.event is Event.REROUTED:
        return now
    return now + backoff(call.claimed.attempt, answer) if step is None and isinstance(answer, NotSent) else None


def _words(step: Step) -> str:
    assert step.cost is not None
    return f"{step.cost.micros} millionths of {step.cost.currency}, which has no account for what it is owed"


def _wish_words(wish: Wish) -> str:
    return "nothing we know" if wish.wants_messages is None else "starts" if wish.wants_messages else "stops"
