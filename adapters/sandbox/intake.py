"""What every API does with a request it takes in: gives it ids, writes it down, readies its callbacks. Decides nothing.

Works on requests already read; knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from adapters.sandbox import envelope, wire
from adapters.sandbox.apis import B2C, ENDPOINTS, Api
from adapters.sandbox.behaviours import TIMEOUT_NOTICES, Behaviour, Notice
from adapters.sandbox.courier import Dispatch, Parcel
from adapters.sandbox.envelope import UNREADABLE_BODY, Conversation
from adapters.sandbox.fields import Addresses
from adapters.sandbox.refusals import Refusal
from adapters.sandbox.simulation import Simulation
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Fate, SeenRequest

Tell = Callable[[Notice], Document]
"""Words one callback about what became of the request."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that was taken in: the document it is answered with, and its callbacks waiting to be released."""

    answer: Document
    dispatch: Dispatch


@dataclass(frozen=True, slots=True)
class Received:
    """What happens to a request that passed the gateway; `taken` is None where it got no further."""

    behaviour: Behaviour
    taken: Taken | None


class Intake:
    """The desk in front of the cores."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def seen(self, api: Api, behaviour: Behaviour, now: datetime) -> SeenRequest:
        """The request's row in the diary as far as it is known by now; to be noted by the caller."""
        return SeenRequest(
            number=self._simulation.world.next_request_number(),
            received_at=now,
            path=ENDPOINTS[api].path,
            answer=behaviour.answer.value,
            fate=Fate.NOT_REACHED,
            behaviour=behaviour.name,
        )

    def note_refusal(self, api: Api, refusal: Refusal) -> None:
        """Writes down a request that the gateway sent away unread."""
        world = self._simulation.world
        number, path = world.next_request_number(), ENDPOINTS[api].path
        world.note_request(SeenRequest(number, self._simulation.clock(), path, refusal.code, Fate.REFUSED))

    def open(self, body: bytes, *, originator: str | None, now: datetime) -> Conversation:
        """New ids for a request, under the client's own where it has one."""
        issued = self._simulation.identifiers
        gateway_id = issued.gateway_originator_id()
        return Conversation(
            originator_conversation_id=originator or gateway_id,
            conversation_id=issued.conversation_id(now),
            gateway_id=gateway_id,
            opened_at=now,
            request_body=body,
        )

    def ready(
        self,
        conversation: Conversation,
        behaviour: Behaviour,
        *,
        api: Api,
        tell: Tell,
        addresses: Addresses,
        number: int,
    ) -> Received:
        """Words the callbacks and hands them to the courier; they leave when the dispatch is released."""
        parcels = [
            Parcel(
                request_number=number,
                kind="timeout" if notice in TIMEOUT_NOTICES else "result",
                url=addresses.timeout_url if notice in TIMEOUT_NOTICES else addresses.result_url,
                body=_body(notice, conversation, tell),
            )
            for notice in behaviour.notices
        ]
        answer = envelope.acknowledgement(conversation, own_id_first=api in B2C)
        return Received(behaviour, Taken(answer, self._simulation.courier.prepare(parcels)))

    def answered(self, api: Api, behaviour: Behaviour, now: datetime, answer: Document) -> Received:
        """Notes a request that is answered at once and calls nobody back."""
        self._simulation.world.note_request(
            replace(self.seen(api, behaviour, now), fate=Fate.ANSWERED, result_code="0")
        )
        return Received(behaviour, Taken(answer, self._simulation.courier.prepare([])))

    def lost(self, api: Api, behaviour: Behaviour, now: datetime) -> Received:
        """Notes a request that its behaviour kept from arriving."""
        self._simulation.world.note_request(self.seen(api, behaviour, now))
        return Received(behaviour, None)


def _body(notice: Notice, conversation: Conversation, tell: Tell) -> bytes:
    match notice:
        case Notice.UNREADABLE:
            return UNREADABLE_BODY
        case Notice.TIMEOUT_ECHO:
            # As Safaricom's staff describe it, the notice is the request itself, credential and all.
            return conversation.request_body
        case Notice.TIMEOUT_ENVELOPE:
            return wire.encode(envelope.timeout_document(conversation))
        case Notice.INTERIM:
            return wire.encode(envelope.interim_document(conversation))
        case _:
            return wire.encode(tell(notice))
