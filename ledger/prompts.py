"""The door for what became of prompts: asking for one, and recording what was answered, called back or found out.

A success books its receipt by the door for receipts first, and only then are prompts locked: whoever is told of money
otherwise takes the locks in the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from ledger.collections import ordering, prompting
from ledger.collections.booking import Booked, BookResult, Contradiction, NotOurs, Told, ToldBefore
from ledger.collections.directory import check_reference
from ledger.collections.order import State as OrderState
from ledger.collections.prompt import Event, Standing, State, payer_hash, transition
from ledger.collections.prompting import Change, NewPrompt, Prompt
from ledger.collections.reference import ReceiptKeys
from ledger.collections.shortcodes import get_shortcode
from ledger.database import Driver
from ledger.errors import AmountInvalid, CurrencyMismatch, OrderNotFound, OrderNotOpen, RailNotFound, TextInvalid
from ledger.idempotency import KeyClaim, find_keys, key_reused, store_key
from ledger.ids import IdSource
from ledger.journal.books import Ledger
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox import queue
from ledger.outbox.collecting import Channel, PromptAnswer, Prompted, PromptFailed, PromptPaid
from ledger.outbox.instruction import Blame, NotSent, OutcomeUnknown, Rejected
from ledger.parties import PartyKeys, find_or_add
from ledger.partners import Partner
from ledger.payouts import reviews, switches
from ledger.payouts.limits import RailLimits, check_payable
from ledger.payouts.reviews import Case
from ledger.receiving import RACING_CONSTRAINTS as RECEIVING_RACES
from ledger.receiving import ReceiptRecorder
from ledger.text import check_text

RACING_CONSTRAINTS = RECEIVING_RACES | {
    "prompts_pkey", "instructions_pkey", "rail_stops_pkey", "prompts_are_paid_by_one_receipt_each",
}  # fmt: skip
CONFLICT_QUEUE = "provider-conflict"
BREAKER = "daftari.breaker"
# A prompt that did not leave by then is not sent any more: the payer stands at the counter, or is gone.
LIFE = timedelta(minutes=5)
QUERY_AFTER = timedelta(seconds=15)
DESCRIPTION_LENGTH_MAX = 100
DIGITS_OF_A_NUMBER = 9


@dataclass(frozen=True, slots=True)
class PromptRules:
    """What a rail can ask a phone for, by currency, and how long its account reference may be."""

    limits: Mapping[str, RailLimits]
    reference_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRequest:
    """A prompt to make: towards an order, or under a reference; `amount` is None for all that the order misses.
    `partner` is None for one of the house's own."""

    key: KeyClaim
    actor: str
    partner: Partner | None
    rail: str
    shortcode: str
    payer: Msisdn
    amount: Money | None
    order_id: int | None
    reference: str
    description: str


@dataclass(frozen=True, slots=True)
class Started:
    """The prompt is about to be sent."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A message on the prompt's own path names an id to ask by, and proves nothing else."""

    checkout: str


Outcome: TypeAlias = Started | PromptAnswer | PromptPaid | PromptFailed | Learned
_EVENTS: Mapping[type, Event] = {
    Started: Event.STARTED,
    Prompted: Event.TAKEN_IN,
    NotSent: Event.NOT_SENT,
    OutcomeUnknown: Event.LOST,
    Learned: Event.LEARNED,
    Rejected: Event.FAILED,
    PromptFailed: Event.FAILED,
}


@dataclass(frozen=True, slots=True)
class Report:
    """What is told of a prompt."""

    prompt_id: int
    outcome: Outcome
    actor: str
    inbox_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRecorder:
    """Records what became of prompts, with what never changes in a process."""

    receipts: ReceiptRecorder
    keys: ReceiptKeys
    party_keys: PartyKeys
    ids: IdSource

    async def request(
        self,
        driver: Driver,
        *,
        ledger: Ledger,
        request: PromptRequest,
        rules: Mapping[str, PromptRules],
        now: datetime,
    ) -> tuple[Prompt, bool]:
        """Writes a prompt and its instruction, and whether the same request had made it before. Raises
        ShortcodeNotFound, RailNotFound, AmountNotPayable, CurrencyMismatch, OrderNotFound, OrderNotOpen, TextInvalid,
        IdempotencyKeyReused."""
        stored = (await find_keys(driver, ledger_id=ledger.id, claims=[request.key])).get(request.key.identity)
        if stored is not None:
            if not stored.matches(request.key):
                raise key_reused(request.key)
            return await self._read(driver, ledger, stored.result_id), True
        await get_shortcode(driver, ledger_id=ledger.id, provider=request.rail, shortcode=request.shortcode)
        if request.rail not in rules:
            raise RailNotFound("this process runs no such rail", field="provider")
        amount, reference = await self._wanted(driver, ledger, request, now)
        _check(amount, reference, request, rules[request.rail])
        prompt_id = await self._add(driver, ledger, request, amount, reference, now)
        await store_key(driver, ledger_id=ledger.id, claim=request.key, result_id=prompt_id, now=now)
        return await self._read(driver, ledger, prompt_id), False

    async def _add(
        self, driver: Driver, ledger: Ledger, request: PromptRequest, amount: Money, reference: str, now: datetime
    ) -> int:
        parties = await find_or_add(
            driver, ledger_id=ledger.id, payees=[request.payer], keys=self.party_keys, ids=self.ids, now=now
        )
        prompt = NewPrompt(
            partner_id=request.partner.id if request.partner else None,
            order_id=request.order_id,
            rail=request.rail,
            shortcode=request.shortcode,
            party_id=parties[request.payer],
            payer_hash=payer_hash(request.payer) or "",
            payer_shown=request.payer.masked,
            amount=amount,
            reference=reference,
            description=request.description,
            expires_at=now + LIFE,
            actor=request.actor,
        )
        return await prompting.add_prompt(driver, ledger=ledger, prompt=prompt, keys=self.keys, ids=self.ids, now=now)

    async def record(
        self, driver: Driver, *, ledger: Ledger, reports: Sequence[Report], now: datetime
    ) -> list[State | Standing]:
        """Records outcomes in order, inside the caller's transaction: the state each led to, or why it led to none.
        Several of one prompt are recorded one after another, those of different ones as a set."""
        results: dict[int, State | Standing] = {}
        for wave in _waves(reports):
            results |= await self._record_wave(driver, ledger, wave, now)
        return [results[index] for index in range(len(reports))]

    async def _read(self, driver: Driver, ledger: Ledger, prompt_id: int) -> Prompt:
        return (await prompting.read_prompts(driver, ledger_id=ledger.id, prompt_ids=[prompt_id]))[prompt_id]

    async def _wanted(self, driver: Driver, ledger: Ledger, request: PromptRequest, now: datetime) -> tuple[Money, str]:
        """How much under which reference: the order's, or the request's own."""
        if request.order_id is None:
            if request.amount is None:
                raise AmountInvalid("say how much is asked for", field="amount")
            return request.amount, request.reference
        order = await ordering.find_order(driver, ledger_id=ledger.id, order_id=request.order_id)
        if order is None or (request.partner is not None and order.partner_id != request.partner.id):
            raise OrderNotFound("no such order among yours", field="order_id")
        if order.money.state is not OrderState.OPEN or now >= order.money.expires_at:
            raise OrderNotOpen("the order takes no money any more", field="order_id")
        amount = request.amount or Money(order.money.amount.currency, order.money.missing)
        if amount.currency != order.money.amount.currency:
            raise CurrencyMismatch(f"the order is in {order.money.amount.currency}", field="amount")
        return amount, order.reference

    async def _record_wave(
        self, driver: Driver, ledger: Ledger, wave: Sequence[tuple[int, Report]], now: datetime
    ) -> dict[int, State | Standing]:
        ids = {report.prompt_id for _, report in wave}
        asked = await prompting.read_prompts(driver, ledger_id=ledger.id, prompt_ids=ids)
        booked = await self._book(driver, ledger, [report for _, report in wave], asked, now)
        owners = await prompting.find_owners(driver, ledger_id=ledger.id, receipt_ids=booked.values())
        locked = await prompting.lock_prompts(driver, ledger_id=ledger.id, prompt_ids=ids)
        results: dict[int, State | Standing] = {}
        changes: list[Change] = []
        conflicts: list[Case] = []
        for index, report in wave:
            prompt, event = locked[report.prompt_id], event_of(report.outcome)
            results[index] = _judge(report, prompt, booked, owners)
            state = results[index]
            if isinstance(state, State):
                changes.append(_change(report, prompt, event, state, booked.get(prompt.id)))
            elif state is Standing.CONFLICT:
                reason = f"a prompt that is {prompt.state.value} is told to be {event.value}"
                case = Case(None, reason, inbox_id=report.inbox_id, receipt_id=booked.get(prompt.id))
                conflicts.append(case)
        await prompting.write_changes(
            driver, ledger_id=ledger.id, changes=changes, keys=self.keys, ids=self.ids, now=now
        )
        await reviews.open_reviews(
            driver, ledger_id=ledger.id, queue=CONFLICT_QUEUE, cases=conflicts, ids=self.ids, now=now
        )
        await self._follow_up(driver, ledger, changes, now)
        await self._break_circuit(driver, ledger, [report for _, report in wave], asked, now)
        return results

    async def _book(
        self,
        driver: Driver,
        ledger: Ledger,
        reports: Sequence[Report],
        asked: Mapping[int, Prompt],
        now: datetime,
    ) -> dict[int, int]:
        """Books the receipts that are named, as receipts of each prompt's shortcode and reference; by prompt, those
        that are in the books as they were told."""
        named = [(one, one.outcome.received) for one in reports if isinstance(one.outcome, PromptPaid)]
        told: list[tuple[int, Told]] = []
        for report, received in named:
            if received is not None:
                prompt = asked[report.prompt_id]
                whole = replace(received, shortcode=prompt.shortcode, reference=prompt.reference)
                # What no message told was answered to a question of ours.
                channel = Channel.QUERY if report.inbox_id is None else Channel.PROMPT
                told.append((prompt.id, Told(prompt.rail, whole, channel, report.actor, report.inbox_id)))
        results = await self.receipts.record(driver, ledger=ledger, told=[one for _, one in told], now=now)
        return {
            prompt_id: receipt_id
            for (prompt_id, _), result in zip(told, results, strict=True)
            if (receipt_id := _receipt_of(result)) is not None
        }

    async def _follow_up(self, driver: Driver, ledger: Ledger, changes: Sequence[Change], now: datetime) -> None:
        """What was taken in is asked about soon; what is told to be paid may be in the books already."""
        soon = [one.prompt.id for one in changes if one.event is Event.TAKEN_IN]
        at_once = [one.prompt.id for one in changes if one.event is Event.LEARNED]
        for prompt_ids, due_at in ((soon, now + QUERY_AFTER), (at_once, now)):
            await queue.renew(
                driver,
                ledger_id=ledger.id,
                kind=queue.PROMPT_QUERY,
                subject_ids=prompt_ids,
                ids=self.ids,
                now=now,
                due_at=due_at,
            )
        told_paid = [one.prompt.id for one in changes if one.event is Event.TOLD_PAID]
        if told_paid:
            await self._claim_receipts(driver, ledger, told_paid, now)

    async def _claim_receipts(self, driver: Driver, ledger: Ledger, prompt_ids: Sequence[int], now: datetime) -> None:
        found = await prompting.find_unclaimed(driver, ledger_id=ledger.id, prompt_ids=prompt_ids)
        locked = await prompting.lock_prompts(driver, ledger_id=ledger.id, prompt_ids=found)
        claimed: dict[int, Change] = {}
        for prompt in locked.values():
            receipt_id = found[prompt.id]
            claimed.setdefault(
                receipt_id,
                Change(
                    prompt=prompt, event=Event.PAID, state=State.PAID, actor=prompting.MATCHING, receipt_id=receipt_id
                ),
            )
        await prompting.write_changes(
            driver, ledger_id=ledger.id, changes=list(claimed.values()), keys=self.keys, ids=self.ids, now=now
        )

    async def _break_circuit(
        self, driver: Driver, ledger: Ledger, reports: Sequence[Report], asked: Mapping[int, Prompt], now: datetime
    ) -> None:
        """A provider that refuses our access refuses every prompt: nothing more leaves until a person resumes."""
        refused = {
            asked[one.prompt_id].rail: f"the provider refuses our access: {one.outcome.code} {one.outcome.description}"
            for one in reports
            if isinstance(one.outcome, Rejected | PromptFailed) and one.outcome.blame is Blame.ACCESS
        }
        for rail, reason in sorted(refused.items()):
            with suppress(RailNotFound):  # a ledger that pays nothing out over it has no switch for it
                await switches.stop_rail(
                    driver, ledger_id=ledger.id, rail=rail, reason=reason[:500], actor=BREAKER, ids=self.ids, now=now
                )


def event_of(outcome: Outcome) -> Event:
    """What an outcome is to the state table."""
    if isinstance(outcome, PromptPaid):
        return Event.TOLD_PAID if outcome.received is None else Event.PAID
    return _EVENTS[type(outcome)]


def _judge(report: Report, prompt: Prompt, booked: Mapping[int, int], owners: Mapping[int, int]) -> State | Standing:
    event, receipt_id = event_of(report.outcome), booked.get(prompt.id)
    if event is Event.PAID:
        if receipt_id is None or owners.get(receipt_id, prompt.id) != prompt.id:
            return Standing.CONFLICT
        if prompt.receipt_id not in (None, receipt_id):
            return Standing.CONFLICT
    return transition(event, prompt.state, told_paid=prompt.told_paid_at is not None)


def _change(report: Report, prompt: Prompt, event: Event, state: State, receipt_id: int | None) -> Change:
    outcome = report.outcome
    failure = (outcome.code, outcome.description) if isinstance(outcome, Rejected | PromptFailed) else None
    reason = outcome.reason if isinstance(outcome, NotSent | OutcomeUnknown) else None
    return Change(
        prompt=prompt,
        event=event,
        state=state,
        actor=report.actor,
        detail=reason or (f"{failure[0]} {failure[1]}".strip() if failure else None),
        checkout=outcome.checkout if isinstance(outcome, Prompted | Learned) else None,
        receipt_id=receipt_id if event is Event.PAID else None,
        failure=failure,
    )


def _receipt_of(result: BookResult) -> int | None:
    match result:
        case Booked(receipt_id=receipt_id) | ToldBefore(receipt_id=receipt_id):
            return receipt_id
        case Contradiction() | NotOurs():
            return None


def _waves(reports: Sequence[Report]) -> list[list[tuple[int, Report]]]:
    """The n-th report of every prompt together."""
    waves: list[list[tuple[int, Report]]] = []
    seen: dict[int, int] = {}
    for index, report in enumerate(reports):
        depth = seen[report.prompt_id] = seen.get(report.prompt_id, -1) + 1
        if depth == len(waves):
            waves.append([])
        waves[depth].append((index, report))
    return waves


def _check(amount: Money, reference: str, request: PromptRequest, rules: PromptRules) -> None:
    if amount.currency not in rules.limits:
        raise CurrencyMismatch(f"{request.rail} takes nothing in in {amount.currency}", field="amount")
    check_payable(amount, rules.limits[amount.currency], rail=request.rail)
    check_reference(reference)
    if len(reference) > rules.reference_max:
        raise TextInvalid(
            f"{request.rail} carries references of at most {rules.reference_max} characters", field="reference"
        )
    if sum(map(str.isdigit, reference)) >= DIGITS_OF_A_NUMBER:
        raise TextInvalid("a reference that looks like a phone number would be taken for one", field="reference")
    if request.description:
        check_text(request.description, field="description", length_max=DESCRIPTION_LENGTH_MAX)
