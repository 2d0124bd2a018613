"""Text messages across the wire."""

from __future__ import annotations

from daftari.v1 import text_messages_pb2 as pb

from api.conversion.times import timestamp_of
from ledger.errors import ChoiceInvalid
from ledger.ids import decode
from ledger.sms.message import PREFIX, State
from ledger.sms.refusals import MessageNotFound
from ledger.sms.writing import Message, MessageEvent

_STATES = {state: pb.TextMessage.State.Value(f"STATE_{state.value}") for state in State}
_STATES_BY_NUMBER = {int(number): state for state, number in _STATES.items()}


def message_id_of(text: str) -> int:
    """Raises MessageNotFound for what no message's id looks like, just as for an id that none has."""
    sms_id = decode(PREFIX, text)
    if sms_id is None:
        raise MessageNotFound("no such message in this ledger; see ListTextMessages", field="message_id")
    return sms_id


def state_of(number: int) -> State | None:
    """None where it is unspecified. Raises ChoiceInvalid."""
    if number == pb.TextMessage.STATE_UNSPECIFIED:
        return None
    state = _STATES_BY_NUMBER.get(number)
    if state is None:
        raise ChoiceInvalid("name one of the states, or none for all", field="state")
    return state


def text_message(shown: Message) -> pb.TextMessage:
    """A message as it stands."""
    return pb.TextMessage(
        id=shown.public_id,
        event=shown.told.value,
        subject_id=shown.about.public_id,
        recipient=shown.to_masked,
        language=shown.language.value,
        text=shown.body,
        provider=shown.provider,
        state=_STATES[shown.state],
        failure_code=shown.failure_code or "",
        version=shown.version,
        create_time=timestamp_of(shown.created_at),
        update_time=timestamp_of(shown.updated_at),
    )


def text_message_event(shown: MessageEvent) -> pb.TextMessageEvent:
    """What happened to one."""
    return pb.TextMessageEvent(
        version=shown.version,
        state=_STATES[shown.state],
        event=shown.event,
        detail=shown.detail or "",
        cost_micros=shown.cost.micros if shown.cost else 0,
        cost_currency=shown.cost.currency if shown.cost else "",
        actor=shown.actor,
        record_time=timestamp_of(shown.recorded_at),
    )
