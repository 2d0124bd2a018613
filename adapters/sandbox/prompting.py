"""The system behind STK push: sends prompts, lets customers act on them, answers queries about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from adapters.sandbox import collecting, identifiers, magic, prompt_request, prompt_results, wire
from adapters.sandbox.apis import Api
from adapters.sandbox.behaviours import Behaviour, Confirming, Core, Notice, PromptFinding, Timing
from adapters.sandbox.courier import Dispatch, Parcel
from adapters.sandbox.envelope import UNREADABLE_BODY
from adapters.sandbox.faults import Target
from adapters.sandbox.fields import Fields
from adapters.sandbox.intake import Intake, Received, Taken
from adapters.sandbox.prompt_request import PushRequest
from adapters.sandbox.prompts import Prompt
from adapters.sandbox.refusals import BEING_PROCESSED, Refused, invalid_field
from adapters.sandbox.simulation import Simulation
from adapters.sandbox.world import Declined, Fate, Movement


class PromptCore:
    """Queues a prompt and lets the customer act in one step, but for customers who wait for queries."""

    def __init__(self, simulation: Simulation, intake: Intake) -> None:
        self._simulation = simulation
        self._intake = intake

    def read(self, fields: Fields, _body: bytes, _api: Api) -> PushRequest:
        """The prompt asked for. Raises Refused naming the first bad field."""
        return prompt_request.read_push(fields, self._simulation.settings)

    def receive(self, request: PushRequest, api: Api, now: datetime) -> Received:
        """Sends the prompt, unless its behaviour keeps it from arriving."""
        world, by_number = self._simulation.world, magic.behaviour_of(msisdn=request.msisdn)
        behaviour = self._simulation.faults.choose(Target(api, msisdn=request.msisdn), by_number)
        seen = self._intake.seen(api, behaviour, now)
        seen = replace(seen, msisdn=request.msisdn, shortcode=request.shortcode, amount_cents=request.shillings * 100)
        if behaviour.core is Core.NOT_REACHED:
            world.note_request(seen)
            return Received(behaviour, None)
        prompt = self._open(request, behaviour, seen.number, now)
        world.note_request(replace(seen, fate=Fate.PENDING, originator_conversation_id=prompt.merchant_request_id))
        dispatch = self._simulation.courier.prepare([]) if prompt.is_waiting else self.act(prompt)
        return Received(behaviour, Taken(prompt_results.acknowledgement(prompt), dispatch))

    def act(self, prompt: Prompt) -> Dispatch:
        """The customer acts, or never will. Returns the news of it, to be released."""
        prompt.is_waiting = False
        prompt.outcome = self._outcome(prompt)
        fate, code = _fate(prompt.outcome)
        self._simulation.world.settle_request(prompt.request_number, fate=fate, result_code=code)
        movement = prompt.outcome if isinstance(prompt.outcome, Movement) else None
        parcels = self._parcels(prompt, movement)
        return collecting.ready(self._simulation, parcels, movement, prompt.behaviour.customer)

    def _open(self, request: PushRequest, behaviour: Behaviour, number: int, now: datetime) -> Prompt:
        issued = self._simulation.identifiers
        prompt = Prompt(
            merchant_request_id=issued.request_id(),
            checkout_request_id=issued.checkout_request_id(now, request.msisdn),
            command=request.command,
            msisdn=request.msisdn,
            shortcode=request.shortcode,
            reference=request.reference,
            amount_cents=request.shillings * 100,
            objection=request.objection,
            callback_url=request.callback_url,
            behaviour=behaviour,
            opened_at=now,
            request_number=number,
            is_waiting=behaviour.timing is Timing.AFTER_QUERIES,
        )
        self._simulation.prompts.open(prompt)
        return prompt

    def _outcome(self, prompt: Prompt) -> Movement | Declined | None:
        if prompt.behaviour.core is Core.FORGETS:
            return None
        code = prompt.behaviour.result_code if prompt.behaviour.result_code != "0" else prompt.objection
        now = self._simulation.clock()
        if code != "0":
            return Declined(code, identifiers.placeholder_transaction_id(now))
        paid = collecting.collection(
            self._simulation,
            command=prompt.command,
            msisdn=prompt.msisdn,
            shortcode=prompt.shortcode,
            reference=prompt.reference,
            amount_cents=prompt.amount_cents,
            initiated_at=now,
            checkout_request_id=prompt.checkout_request_id,
        )
        receipt = self._simulation.identifiers.receipt(now)
        return collecting.collect(self._simulation, paid, behaviour=prompt.behaviour, receipt=receipt)

    def _parcels(self, prompt: Prompt, movement: Movement | None) -> list[Parcel]:
        confirming = prompt.behaviour.customer.confirming
        told = [] if prompt.outcome is None or confirming is Confirming.ALONE else self._callbacks(prompt)
        if movement is None or confirming is Confirming.NEVER:
            return told
        unaccompanied = not told and confirming is Confirming.AFTER
        notices: Sequence[Notice] = () if unaccompanied else (Notice.RESULT,)
        confirmed = collecting.confirmed(
            self._simulation,
            movement,
            customer=prompt.behaviour.customer,
            notices=notices,
            number=prompt.request_number,
        )
        return [*confirmed, *told] if confirming is Confirming.FIRST else [*told, *confirmed]

    def _callbacks(self, prompt: Prompt) -> list[Parcel]:
        assert prompt.outcome is not None
        bodies = [
            UNREADABLE_BODY
            if notice is Notice.UNREADABLE
            else wire.encode(prompt_results.callback(notice, prompt, prompt.outcome))
            for notice in prompt.behaviour.notices
        ]
        return [Parcel(prompt.request_number, "result", prompt.callback_url, body) for body in bodies]


@dataclass(frozen=True, slots=True)
class PromptQuestion:
    """A query about a prompt that is known."""

    prompt: Prompt


class PromptQueryCore:
    """Answers STK queries at once: with the truth, or with what the prompt's behaviour has them find first."""

    def __init__(self, simulation: Simulation, intake: Intake, prompting: PromptCore) -> None:
        self._simulation = simulation
        self._intake = intake
        self._prompting = prompting

    def read(self, fields: Fields, _body: bytes, _api: Api) -> PromptQuestion:
        """The question asked. Raises Refused naming the first bad field; no document says how an id that was never
        issued is answered, and here it is a bad field."""
        checkout_request_id = prompt_request.read_query(fields, self._simulation.settings)
        prompt = self._simulation.prompts.find(checkout_request_id)
        if prompt is None:
            raise Refused(invalid_field("CheckoutRequestID"))
        return PromptQuestion(prompt)

    def receive(self, request: PromptQuestion, api: Api, now: datetime) -> Received:
        """Answers, and lets a customer act who waited for this query. Raises Refused, having noted it, where the answer
        is the older form of "not yet"."""
        prompt = request.prompt
        by_prompt = magic.BEHAVIOURS[prompt.behaviour.queried_as]
        behaviour = self._simulation.faults.choose(Target(api), by_prompt)
        if behaviour.core is Core.NOT_REACHED:
            return self._intake.lost(api, behaviour, now)
        found = prompt.found_next()
        if found is PromptFinding.BEING_PROCESSED:
            self._intake.answered(api, behaviour, now, None)
            raise Refused(BEING_PROCESSED)
        code = _truth(prompt.outcome) if found is PromptFinding.TRUTH else str(found.value)
        answer = prompt_results.query_answer(prompt, code)
        received = self._intake.answered(api, behaviour, now, answer)
        if not prompt.is_due:
            return received
        return Received(behaviour, Taken(answer, self._prompting.act(prompt)))


def _truth(outcome: Movement | Declined | None) -> str:
    return prompt_results.EXPIRED_CODE if outcome is None else _fate(outcome)[1]


def _fate(outcome: Movement | Declined | None) -> tuple[Fate, str]:
    match outcome:
        case Movement():
            return Fate.PAID, "0"
        case Declined(result_code=code):
            return Fate.FAILED, code
        case None:
            return Fate.FORGOTTEN, ""
