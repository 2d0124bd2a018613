"""The system behind transaction reversal: takes back what a customer paid, and tells of it. Never a payout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from adapters.sandbox import collecting, identifiers, magic, reversal_results
from adapters.sandbox import fields as read
from adapters.sandbox.apis import Api
from adapters.sandbox.behaviours import Behaviour, Core, Notice
from adapters.sandbox.envelope import FALSE_FAILURE_CODE, Conversation
from adapters.sandbox.faults import Target
from adapters.sandbox.fields import Addresses, Fields
from adapters.sandbox.intake import Intake, Received
from adapters.sandbox.money_in import Reversal, ReversedBy
from adapters.sandbox.simulation import Simulation
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Declined, Fate, Movement, ReversalOrder, SeenRequest

COMMAND = "TransactionReversal"
SHORTCODE_TYPE = "11"
RECEIPT_LENGTH_MAX = 100
ALREADY_REVERSED, INVALID_ORIGINAL, FUNDS_SHORT = "R000001", "R000002", "1"


@dataclass(frozen=True, slots=True)
class ReversalRequest:
    """A reversal that passed the gateway."""

    security_credential: str = field(repr=False)
    original_receipt: str
    shillings: int
    occasion: str
    addresses: Addresses
    body: bytes = field(repr=False)


class ReversalCore:
    """Queues a reversal and decides it in one step."""

    def __init__(self, simulation: Simulation, intake: Intake) -> None:
        self._simulation = simulation
        self._intake = intake

    def read(self, fields: Fields, body: bytes, _api: Api) -> ReversalRequest:
        """The reversal asked for. Raises Refused naming the first bad field."""
        settings = self._simulation.settings
        read.initiator(fields, "Initiator", settings)
        credential = read.text(fields, "SecurityCredential", 4096)
        read.one_of(fields, "CommandID", {COMMAND})
        receipt = read.text(fields, "TransactionID", RECEIPT_LENGTH_MAX)
        shillings = read.shillings(fields)
        read.one_of(fields, "ReceiverParty", {settings.shortcode})
        read.one_of(fields, "RecieverIdentifierType", {SHORTCODE_TYPE})
        addresses = read.addresses(fields, settings)
        read.remarks(fields)
        occasion = read.optional_text(fields, "Occasion", length_max=read.OCCASION_LENGTH_MAX)
        return ReversalRequest(credential, receipt, shillings, occasion, addresses, body)

    def receive(self, request: ReversalRequest, api: Api, now: datetime) -> Received:
        """Queues the request under new ids, unless its behaviour keeps it from arriving."""
        world = self._simulation.world
        payer = collecting.payer_of(self._simulation, request.original_receipt)
        behaviour = self._behaviour(request, payer, api)
        seen = replace(self._intake.seen(api, behaviour, now), msisdn=payer, amount_cents=request.shillings * 100)
        if behaviour.core is Core.NOT_REACHED:
            world.note_request(seen)
            return Received(behaviour, None)
        conversation = self._intake.open(request.body, originator=None, now=now)
        order = self._order(request, behaviour, conversation, payer)
        world.note_reversal(order)
        world.note_request(_with_outcome(seen, order))
        return self._intake.ready(
            conversation,
            behaviour,
            api=api,
            tell=self._tell(conversation, order),
            addresses=request.addresses,
            number=seen.number,
        )

    def _behaviour(self, request: ReversalRequest, payer: str, api: Api) -> Behaviour:
        original = self._simulation.world.movement(request.original_receipt)
        by_payer = magic.SUCCESS
        if original is not None and original.collection is not None:
            paid_as = self._simulation.world.customer_behaviour(original.receipt)
            by_payer = magic.BEHAVIOURS[paid_as.reversed_as]
        return self._simulation.faults.choose(Target(api, msisdn=payer), by_payer)

    def _order(
        self, request: ReversalRequest, behaviour: Behaviour, conversation: Conversation, payer: str
    ) -> ReversalOrder:
        simulation, now, amount_cents = self._simulation, conversation.opened_at, request.shillings * 100
        reversal = Reversal(
            original_receipt=request.original_receipt,
            amount_cents=amount_cents,
            charge_cents=collecting.charge_given_back(simulation, request.original_receipt, amount_cents),
            by=ReversedBy.ORGANISATION,
            operator=simulation.settings.initiator_name,
            occasion=request.occasion,
            originator_conversation_id=conversation.originator_conversation_id,
            conversation_id=conversation.conversation_id,
        )
        if behaviour.core is Core.FORGETS:
            return ReversalOrder(reversal, payer, behaviour, now, None)
        code = next(self._objections(request, behaviour, reversal), "0")
        if code != "0":
            declined = Declined(code, identifiers.placeholder_transaction_id(now))
            return ReversalOrder(reversal, payer, behaviour, now, declined)
        receipt = simulation.identifiers.receipt(now)
        moved = simulation.world.reverse(reversal, receipt=receipt, now=now)
        return ReversalOrder(reversal, payer, behaviour, now, moved)

    def _objections(self, request: ReversalRequest, behaviour: Behaviour, reversal: Reversal) -> Iterator[str]:
        """Result codes against reversing, gravest first; only the first is looked for."""
        world = self._simulation.world
        yield from self._simulation.initiator.objections(request.security_credential)
        if behaviour.result_code != "0":
            yield behaviour.result_code
        original = world.movement(request.original_receipt)
        if original is None or original.collection is None:
            yield INVALID_ORIGINAL
        left_cents = world.reversible_cents(request.original_receipt)
        if left_cents == 0:
            yield ALREADY_REVERSED
        # No document has a code for more than is left; of those listed this one says it best.
        if reversal.amount_cents > left_cents:
            yield INVALID_ORIGINAL
        if not world.can_reverse(reversal):
            yield FUNDS_SHORT

    def _tell(self, conversation: Conversation, order: ReversalOrder) -> Callable[[Notice], Document]:
        shortcode = self._simulation.settings.shortcode

        def tell(notice: Notice) -> Document:
            assert order.outcome is not None
            if notice is Notice.FALSE_FAILURE:
                placeholder = identifiers.placeholder_transaction_id(order.opened_at)
                return reversal_results.failure(conversation, Declined(FALSE_FAILURE_CODE, placeholder))
            return reversal_results.document(notice, conversation, order, shortcode)

        return tell


def _with_outcome(seen: SeenRequest, order: ReversalOrder) -> SeenRequest:
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
        originator_conversation_id=order.reversal.originator_conversation_id,
        conversation_id=order.reversal.conversation_id,
    )
