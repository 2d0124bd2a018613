"""The system behind C2B: registers addresses, and takes what customers pay of their own accord.

A payment is asked about first where external validation is on; otherwise it is booked before any answer leaves.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import datetime

from adapters.sandbox import c2b_request, collecting, confirmations, magic
from adapters.sandbox.apis import Api
from adapters.sandbox.behaviours import Behaviour, Core
from adapters.sandbox.c2b_request import CustomerPayment
from adapters.sandbox.c2b_setup import Registration, ResponseType
from adapters.sandbox.confirmations import Telling
from adapters.sandbox.courier import Dispatch, Parcel
from adapters.sandbox.faults import Target
from adapters.sandbox.fields import Fields
from adapters.sandbox.intake import Intake, Received, Taken
from adapters.sandbox.money_in import SHILLINGS_MAX, Collection
from adapters.sandbox.refusals import URLS_ALREADY_REGISTERED, Refused
from adapters.sandbox.simulation import Simulation
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Fate, Movement, SeenRequest

CUSTOMER_PATH = "a customer's phone"
"""The path that the diary has for payments made without an API."""

ABOVE_MAXIMUM_CODE = "3"
UNANSWERED_CODE = "unanswered"
MALFORMED_CODE = "C2B00016"  # "other": what a refusal without a code counts as


@dataclass(slots=True)
class Attempt:
    """A customer's attempt to pay. `fate` is PENDING until it is decided; `code` says why it failed: a result code, the
    code that a validation was refused with, or "unanswered"."""

    receipt: str
    collection: Collection
    behaviour: Behaviour
    number: int
    fate: Fate = Fate.PENDING
    code: str = ""
    movement: Movement | None = None
    third_party_id: str = ""
    decided: asyncio.Event = field(default_factory=asyncio.Event)


class RegisterCore:
    """C2B addresses: freely replaced, or registered once, as the habit is."""

    def __init__(self, simulation: Simulation, intake: Intake) -> None:
        self._simulation = simulation
        self._intake = intake

    def read(self, fields: Fields, _body: bytes, api: Api) -> Registration:
        """The addresses to register. Raises Refused naming the first bad field, or for a second registration where
        there may be only one."""
        registration = c2b_request.read_registration(fields, api=api, settings=self._simulation.settings)
        if not self._simulation.c2b.may_register(registration.shortcode):
            raise Refused(URLS_ALREADY_REGISTERED)
        return registration

    def receive(self, request: Registration, api: Api, now: datetime) -> Received:
        """Keeps the addresses, unless its behaviour keeps the request from arriving."""
        behaviour = self._simulation.faults.choose(Target(api), magic.SUCCESS)
        if behaviour.core is Core.NOT_REACHED:
            return self._intake.lost(api, behaviour, now)
        self._simulation.c2b.register(request)
        return self._intake.answered(api, behaviour, now, _accepted(self._simulation, "Success"))


class PaybillCore:
    """What customers pay, pretended at the provider's own path or by the control API."""

    def __init__(self, simulation: Simulation, intake: Intake) -> None:
        self._simulation = simulation
        self._intake = intake

    def read(self, fields: Fields, _body: bytes, _api: Api) -> CustomerPayment:
        """The payment to pretend. Raises Refused naming the first bad field."""
        return c2b_request.read_simulation(fields, self._simulation.settings)

    def receive(self, request: CustomerPayment, api: Api, now: datetime) -> Received:
        """Lets the customer pay, unless the behaviour keeps the request from arriving."""
        behaviour = self._choose(request, api)
        seen = _about(self._intake.seen(api, behaviour, now), request)
        if behaviour.core is Core.NOT_REACHED:
            self._simulation.world.note_request(seen)
            return Received(behaviour, None)
        _, dispatch = self._begin(request, behaviour, seen, now)
        accepted = _accepted(self._simulation, "Accept the service request successfully.")
        return Received(behaviour, Taken(accepted, dispatch))

    def pay(self, request: CustomerPayment, *, behaviour_name: str | None, now: datetime) -> tuple[Attempt, Dispatch]:
        """A customer pays as the behaviour of this name has it, or as script, number and rates have it."""
        api = Api.C2B_SIMULATE_V2
        chosen = self._choose(request, api) if behaviour_name is None else magic.BEHAVIOURS[behaviour_name]
        behaviour = chosen if chosen.suits(api) else magic.SUCCESS
        seen = SeenRequest(
            number=self._simulation.world.next_request_number(),
            received_at=now,
            path=CUSTOMER_PATH,
            answer="",
            fate=Fate.PENDING,
            behaviour=behaviour.name,
        )
        return self._begin(request, behaviour, _about(seen, request), now)

    def _choose(self, request: CustomerPayment, api: Api) -> Behaviour:
        by_number = magic.behaviour_of(msisdn=request.msisdn)
        return self._simulation.faults.choose(Target(api, msisdn=request.msisdn), by_number)

    def _begin(
        self, request: CustomerPayment, behaviour: Behaviour, seen: SeenRequest, now: datetime
    ) -> tuple[Attempt, Dispatch]:
        simulation, customer = self._simulation, behaviour.customer
        simulation.world.note_request(replace(seen, fate=Fate.PENDING))
        attempt = Attempt(
            receipt=simulation.identifiers.receipt(now),
            collection=collecting.collection(
                simulation,
                command=request.command,
                msisdn=request.msisdn,
                shortcode=request.shortcode,
                reference=confirmations.typed(request.reference, customer.typing),
                amount_cents=request.amount_cents + customer.added_cents,
                initiated_at=now,
            ),
            behaviour=behaviour,
            number=seen.number,
        )
        registration = simulation.c2b.registrations.get(request.shortcode)
        code = _objection(attempt)
        if code or registration is None or not simulation.c2b.external_validation:
            self._decide(attempt, code)
            return attempt, collecting.ready(simulation, self._confirmations(attempt), attempt.movement, customer)
        dispatch = simulation.courier.undertake(lambda: self._validated(attempt, registration))
        assert dispatch.task is not None
        # A reset drops the work even before it began, and nobody may wait for ever.
        dispatch.task.add_done_callback(lambda _: attempt.decided.set())
        return attempt, dispatch

    async def _validated(self, attempt: Attempt, registration: Registration) -> None:
        """Asks, decides, and tells."""
        answer = await self._simulation.courier.ask(
            self._question(attempt, registration),
            patience_seconds=self._simulation.c2b.validation_patience_seconds,
        )
        attempt.third_party_id, code = _judged(answer, registration.response_type)
        self._decide(attempt, code)
        parcels, customer = self._confirmations(attempt), attempt.behaviour.customer
        await collecting.tell(self._simulation, parcels, attempt.movement, customer)

    def _question(self, attempt: Attempt, registration: Registration) -> Parcel:
        telling = Telling(
            receipt=attempt.receipt,
            collection=attempt.collection,
            customer=attempt.behaviour.customer,
            payer_form=self._simulation.c2b.payer_form,
        )
        body = confirmations.validation_body(telling)
        return Parcel(attempt.number, "validation", registration.validation_url, body)

    def _decide(self, attempt: Attempt, code: str) -> None:
        attempt.code = code
        attempt.fate = Fate.FAILED if code else Fate.PAID
        if attempt.behaviour.core is not Core.DECIDES:
            attempt.fate = Fate.FORGOTTEN
        if attempt.fate is Fate.PAID:
            attempt.movement = collecting.collect(
                self._simulation, attempt.collection, behaviour=attempt.behaviour, receipt=attempt.receipt
            )
        result_code = "0" if attempt.fate is Fate.PAID else code
        self._simulation.world.settle_request(attempt.number, fate=attempt.fate, result_code=result_code)
        attempt.decided.set()

    def _confirmations(self, attempt: Attempt) -> list[Parcel]:
        if attempt.movement is None:
            return []
        return collecting.confirmed(
            self._simulation,
            attempt.movement,
            customer=attempt.behaviour.customer,
            notices=attempt.behaviour.notices,
            number=attempt.number,
            third_party_id=attempt.third_party_id,
        )


def _objection(attempt: Attempt) -> str:
    """The result code that keeps the customer from paying; empty for none."""
    if attempt.behaviour.result_code != "0":
        return attempt.behaviour.result_code
    return ABOVE_MAXIMUM_CODE if attempt.collection.amount_cents > SHILLINGS_MAX * 100 else ""


def _judged(answer: bytes | None, response_type: ResponseType) -> tuple[str, str]:
    """The ThirdPartyTransID to repeat, and the code that speaks against the payment, empty for none. Only an answer
    that can be read and names a code decides; without one the ResponseType does."""
    try:
        document = json.loads(answer or b"")
    except (ValueError, RecursionError):
        document = None
    code = document.get("ResultCode") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(code, int | str):
        return "", "" if response_type is ResponseType.COMPLETED else UNANSWERED_CODE
    third_party_id = document.get("ThirdPartyTransID")
    accepted = str(code) == "0"
    return third_party_id if isinstance(third_party_id, str) else "", "" if accepted else str(code) or MALFORMED_CODE


def _about(seen: SeenRequest, request: CustomerPayment) -> SeenRequest:
    return replace(seen, msisdn=request.msisdn, shortcode=request.shortcode, amount_cents=request.amount_cents)


def _accepted(simulation: Simulation, description: str) -> Document:
    """C2B's acknowledgement, with the provider's spelling of the id."""
    return {
        "OriginatorCoversationID": simulation.identifiers.request_id(),
        "ResponseCode": "0",
        "ResponseDescription": description,
    }
