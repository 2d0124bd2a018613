"""The system behind the payment APIs: queues a payment, decides it by rules of its own, readies its callbacks.

Queues and decides in one step, so the truth is settled and written down before any answer leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from adapters.sandbox import b2b_results, b2c_results, identifiers, magic, payment_request, tariff
from adapters.sandbox.apis import B2C, Api
from adapters.sandbox.behaviours import Behaviour, Core, Notice
from adapters.sandbox.envelope import FALSE_FAILURE_CODE, Conversation
from adapters.sandbox.faults import Target
from adapters.sandbox.fields import Fields
from adapters.sandbox.intake import Intake, Received
from adapters.sandbox.payment_request import PaymentRequest
from adapters.sandbox.refusals import DUPLICATE_ORIGINATOR, Refused
from adapters.sandbox.settings import ParameterOrder
from adapters.sandbox.simulation import Simulation
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Declined, Fate, Movement, Order, Payment, SeenRequest

# A wrong initiator comes back from B2C with what looks like a receipt; other failures with the day's placeholder.
LOOKS_LIKE_A_RECEIPT = frozenset({(api, "2001") for api in B2C})


class PaymentCore:
    """B2C, B2B and tax alike: what differs is data in their products and words in their results."""

    def __init__(self, simulation: Simulation, intake: Intake) -> None:
        self._simulation = simulation
        self._intake = intake

    def read(self, fields: Fields, body: bytes, api: Api) -> PaymentRequest:
        """The payment asked for. Raises Refused naming the first bad field."""
        read = payment_request.read_b2c if api in B2C else payment_request.read_b2b
        return read(fields, body, api=api, settings=self._simulation.settings)

    def receive(self, request: PaymentRequest, api: Api, now: datetime) -> Received:
        """Queues the request under new ids, unless its behaviour keeps it from arriving. Raises Refused when its
        OriginatorConversationID was ever queued before."""
        world = self._simulation.world
        behaviour = self._behaviour(request, api)
        seen = self._seen(request, self._intake.seen(api, behaviour, now))
        if behaviour.core is Core.NOT_REACHED:
            world.note_request(seen)
            return Received(behaviour, None)
        if request.originator_conversation_id and world.has_seen(request.originator_conversation_id):
            world.note_request(replace(seen, answer=DUPLICATE_ORIGINATOR.code, fate=Fate.REFUSED))
            raise Refused(DUPLICATE_ORIGINATOR)
        conversation = self._intake.open(request.body, originator=request.originator_conversation_id, now=now)
        order = self._order(request, behaviour, conversation, api)
        world.note_order(order)
        world.note_request(_with_outcome(seen, order))
        return self._intake.ready(
            conversation,
            behaviour,
            api=api,
            tell=self._tell(conversation, order, api),
            addresses=request.addresses,
            number=seen.number,
        )

    def _behaviour(self, request: PaymentRequest, api: Api) -> Behaviour:
        by_number = magic.behaviour_of(msisdn=request.msisdn, shortcode=request.shortcode)
        target = Target(api, msisdn=request.msisdn, shortcode=request.shortcode)
        return self._simulation.faults.choose(target, by_number)

    def _seen(self, request: PaymentRequest, seen: SeenRequest) -> SeenRequest:
        return replace(
            seen,
            originator_conversation_id=request.originator_conversation_id or "",
            msisdn=request.msisdn,
            shortcode=request.shortcode,
            amount_cents=request.shillings * 100,
        )

    def _order(self, request: PaymentRequest, behaviour: Behaviour, conversation: Conversation, api: Api) -> Order:
        payment = Payment(
            product=request.product,
            originator_conversation_id=conversation.originator_conversation_id,
            conversation_id=conversation.conversation_id,
            msisdn=request.msisdn,
            shortcode=request.shortcode,
            amount_cents=request.shillings * 100,
            charge_cents=tariff.charge_cents(request.product.bands, request.shillings),
            reference=request.occasion,
            account=request.account,
        )
        now = conversation.opened_at
        if behaviour.core is Core.FORGETS:
            return Order(payment, behaviour, now, None)
        code = next(self._objections(request, behaviour, payment, now), "0")
        if code != "0":
            return Order(payment, behaviour, now, self._declined(api, code, now))
        receipt = self._simulation.identifiers.receipt(now)
        return Order(payment, behaviour, now, self._simulation.world.pay(payment, receipt=receipt, now=now))

    def _objections(
        self, request: PaymentRequest, behaviour: Behaviour, payment: Payment, now: datetime
    ) -> Iterator[str]:
        """Result codes against paying, gravest first; only the first is looked for."""
        simulation = self._simulation
        yield from simulation.initiator.objections(request.security_credential)
        if behaviour.result_code != "0":
            yield behaviour.result_code
        if request.objection != "0":
            yield request.objection
        if request.shillings < payment.product.shillings_min:
            yield "2"
        if request.shillings > payment.product.shillings_max:
            yield "3"
        window_seconds = simulation.settings.same_amount_window_seconds
        if simulation.world.paid_alike_within(window_seconds=window_seconds, payment=payment, now=now):
            yield "17"
        if not simulation.world.can_pay(payment):
            yield "1"

    def _declined(self, api: Api, code: str, now: datetime) -> Declined:
        if (api, code) in LOOKS_LIKE_A_RECEIPT:
            return Declined(code, self._simulation.identifiers.receipt(now))
        return Declined(code, identifiers.placeholder_transaction_id(now))

    def _tell(self, conversation: Conversation, order: Order, api: Api) -> Callable[[Notice], Document]:
        document = b2c_results.document if api in B2C else b2b_results.document
        of_2017 = self._simulation.settings.parameter_order is ParameterOrder.YEAR_2017

        def tell(notice: Notice) -> Document:
            assert order.outcome is not None
            if notice is Notice.FALSE_FAILURE:
                placeholder = identifiers.placeholder_transaction_id(order.opened_at)
                return document(Notice.RESULT, conversation, Declined(FALSE_FAILURE_CODE, placeholder))
            in_form = Notice.RESULT_2017_ORDER if notice is Notice.RESULT and of_2017 else notice
            return document(in_form, conversation, order.outcome)

        return tell


def _with_outcome(seen: SeenRequest, order: Order) -> SeenRequest:
    match order.outcome:
        case Movement():
            fate, result_code = Fate.PAID, "0"
        case Declined(result_code=result_code):
            fate = Fate.FAILED
        case None:
            fate, result_code = Fate.FORGOTTEN, ""
    return replace(
        seen,
        fate=fate,
        result_code=result_code,
        originator_conversation_id=order.payment.originator_conversation_id,
        conversation_id=order.payment.conversation_id,
    )
