"""The system behind the B2C gateway: queues a request, decides it by rules of its own, readies its callbacks.

Works on requests already read; knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from adapters.sandbox import b2c_results, identifiers, tariff
from adapters.sandbox.b2c_request import B2CRequest
from adapters.sandbox.b2c_results import RESULT_TEXTS, Conversation, Declined
from adapters.sandbox.courier import Dispatch, Parcel
from adapters.sandbox.magic import TIMEOUT_NOTICES, Behaviour, Core, Notice
from adapters.sandbox.refusals import DUPLICATE_ORIGINATOR, Refusal, Refused
from adapters.sandbox.settings import ParameterOrder
from adapters.sandbox.simulation import Simulation
from adapters.sandbox.world import Fate, Movement, Payment, SeenRequest

# Safaricom's limits for one B2C transaction, in whole shillings.
SHILLINGS_MIN = 10
SHILLINGS_MAX = 250_000


@dataclass(frozen=True, slots=True)
class Taken:
    """A request the core has queued: its ids, and its callbacks waiting to be released."""

    originator_conversation_id: str
    conversation_id: str
    dispatch: Dispatch


class B2CCore:
    """Queues and decides in one step, so the truth is settled and written down before any answer leaves."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def take(self, request: B2CRequest, behaviour: Behaviour, *, path: str, now: datetime) -> Taken | None:
        """Queues the request under new ids; None when the behaviour keeps it from arriving. Raises Refused when its
        OriginatorConversationID was ever queued before."""
        seen = self._seen(request, behaviour, path, now)
        if behaviour.core is Core.NOT_REACHED:
            self._simulation.world.note_request(seen)
            return None
        if request.originator_conversation_id and self._simulation.world.has_seen(request.originator_conversation_id):
            self._simulation.world.note_request(replace(seen, answer=DUPLICATE_ORIGINATOR.code, fate=Fate.REFUSED))
            raise Refused(DUPLICATE_ORIGINATOR)
        conversation = self._open(request, behaviour, now)
        self._simulation.world.note_request(_with_outcome(seen, conversation))
        parcels = [self._parcel(notice, request, conversation, seen.number) for notice in behaviour.notices]
        return Taken(
            originator_conversation_id=conversation.originator_conversation_id,
            conversation_id=conversation.conversation_id,
            dispatch=self._simulation.courier.prepare(parcels),
        )

    def note_refusal(self, path: str, refusal: Refusal) -> None:
        """Writes down a request that the gateway sent away unread."""
        world = self._simulation.world
        number = world.next_request_number()
        world.note_request(SeenRequest(number, self._simulation.clock(), path, refusal.code, Fate.REFUSED))

    def _seen(self, request: B2CRequest, behaviour: Behaviour, path: str, now: datetime) -> SeenRequest:
        return SeenRequest(
            number=self._simulation.world.next_request_number(),
            received_at=now,
            path=path,
            answer=behaviour.answer.value,
            fate=Fate.NOT_REACHED,
            behaviour=behaviour.name,
            originator_conversation_id=request.originator_conversation_id or "",
            msisdn=request.msisdn,
            amount_cents=request.shillings * 100,
        )

    def _open(self, request: B2CRequest, behaviour: Behaviour, now: datetime) -> Conversation:
        issued = self._simulation.identifiers
        gateway_id = issued.gateway_originator_id()
        originator = request.originator_conversation_id or gateway_id
        self._simulation.world.remember(originator)
        conversation_id = issued.conversation_id(now)
        return Conversation(
            originator_conversation_id=originator,
            conversation_id=conversation_id,
            gateway_id=gateway_id,
            outcome=self._outcome(request, behaviour, originator, conversation_id, now),
            opened_at=now,
            request_body=request.body,
        )

    def _outcome(
        self, request: B2CRequest, behaviour: Behaviour, originator: str, conversation_id: str, now: datetime
    ) -> Movement | Declined | None:
        if behaviour.core is Core.FORGETS:
            return None
        code = next(self._objections(request, behaviour, now), "0")
        if code != "0":
            return self._declined(code, now)
        payment = Payment(
            originator_conversation_id=originator,
            conversation_id=conversation_id,
            msisdn=request.msisdn,
            amount_cents=request.shillings * 100,
            charge_cents=tariff.b2c_charge_cents(request.shillings),
            reference=request.occasion,
        )
        return self._simulation.world.pay(payment, receipt=self._simulation.identifiers.receipt(now), now=now)

    def _objections(self, request: B2CRequest, behaviour: Behaviour, now: datetime) -> Iterator[str]:
        """Result codes against paying, gravest first; only the first is looked for."""
        simulation = self._simulation
        amount_cents = request.shillings * 100
        if simulation.initiator.is_locked:
            yield "8006"
        if not simulation.initiator.admits(request.security_credential):
            yield "2001"
        if behaviour.result_code != "0":
            yield behaviour.result_code
        if request.shillings < SHILLINGS_MIN:
            yield "2"
        if request.shillings > SHILLINGS_MAX:
            yield "3"
        window_seconds = simulation.settings.same_amount_window_seconds
        if simulation.world.paid_alike_within(
            window_seconds=window_seconds, msisdn=request.msisdn, amount_cents=amount_cents, now=now
        ):
            yield "17"
        if not simulation.world.can_pay(amount_cents):
            yield "1"

    def _declined(self, code: str, now: datetime) -> Declined:
        # A wrong initiator comes back with what looks like a receipt; every other failure with the day's placeholder.
        looks_real = code == "2001"
        transaction_id = (
            self._simulation.identifiers.receipt(now) if looks_real else identifiers.placeholder_transaction_id(now)
        )
        return Declined(code, RESULT_TEXTS[code], transaction_id)

    def _parcel(self, notice: Notice, request: B2CRequest, conversation: Conversation, request_number: int) -> Parcel:
        if notice is Notice.RESULT and self._simulation.settings.parameter_order is ParameterOrder.YEAR_2017:
            notice = Notice.RESULT_2017_ORDER
        to_timeout_url = notice in TIMEOUT_NOTICES
        return Parcel(
            request_number=request_number,
            kind="timeout" if to_timeout_url else "result",
            url=request.timeout_url if to_timeout_url else request.result_url,
            body=b2c_results.render(notice, conversation),
        )


def _with_outcome(seen: SeenRequest, conversation: Conversation) -> SeenRequest:
    match conversation.outcome:
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
        originator_conversation_id=conversation.originator_conversation_id,
        conversation_id=conversation.conversation_id,
    )
