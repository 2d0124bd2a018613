"""Webhook endpoints and deliveries across the wire. A secret crosses it once, in the answer that made it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from daftari.v1 import webhooks_pb2 as pb

from api.conversion.times import timestamp_of
from ledger.errors import ChoiceInvalid, WebhookNotFound
from ledger.ids import decode, encode
from ledger.outbox.announcements import EVENT_PREFIX, SubjectKind
from ledger.webhooks.endpoints import ENDPOINT_PREFIX, Endpoint
from ledger.webhooks.history import Delivery, DeliveryState

OVERLAP_SECONDS_DEFAULT = 86_400
OVERLAP_SECONDS_MAX = 2_592_000
_STATES = {state: pb.WebhookDelivery.State.Value(f"STATE_{state.value}") for state in DeliveryState}
_STATES_BY_NUMBER = {int(number): state for state, number in _STATES.items()}


def endpoint_id_of(text: str) -> int:
    """Raises WebhookNotFound for what no endpoint's id looks like, just as for an id that none has."""
    endpoint_id = decode(ENDPOINT_PREFIX, text)
    if endpoint_id is None:
        raise WebhookNotFound("no such endpoint among yours", field="endpoint_id")
    return endpoint_id


def delivery_id_of(text: str) -> int:
    """Raises WebhookNotFound for what no delivery's id looks like, just as for an id that none has."""
    delivery_id = decode(EVENT_PREFIX, text)
    if delivery_id is None:
        raise WebhookNotFound("no such delivery among yours", field="delivery_id")
    return delivery_id


def overlap_of(seconds: int) -> timedelta:
    """How long the secret before signs on. Raises ChoiceInvalid."""
    if not 0 <= seconds <= OVERLAP_SECONDS_MAX:
        raise ChoiceInvalid(
            f"overlap_seconds is 1 to {OVERLAP_SECONDS_MAX}, or 0 for {OVERLAP_SECONDS_DEFAULT}",
            field="overlap_seconds",
        )
    return timedelta(seconds=seconds or OVERLAP_SECONDS_DEFAULT)


def delivery_states_of(numbers: Sequence[int]) -> list[DeliveryState]:
    """The states a list is asked for. Raises ChoiceInvalid."""
    try:
        return [_STATES_BY_NUMBER[number] for number in numbers]
    except KeyError:
        raise ChoiceInvalid("name one of the states", field="states") from None


def endpoint_message(endpoint: Endpoint) -> pb.WebhookEndpoint:
    """An endpoint as it stands."""
    message = pb.WebhookEndpoint(
        id=encode(ENDPOINT_PREFIX, endpoint.id),
        partner=endpoint.partner,
        url=endpoint.url,
        create_time=timestamp_of(endpoint.created_at),
        disable_reason=endpoint.disabled_why or "",
    )
    if endpoint.failing_since is not None:
        message.failing_since_time.CopyFrom(timestamp_of(endpoint.failing_since))
    if endpoint.disabled_at is not None:
        message.disable_time.CopyFrom(timestamp_of(endpoint.disabled_at))
    return message


def delivery_message(delivery: Delivery) -> pb.WebhookDelivery:
    """A delivery as it stands."""
    subject, version = delivery.subject, delivery.version or 0
    payout = subject if subject is not None and subject.kind is SubjectKind.PAYOUT else None
    message = pb.WebhookDelivery(
        id=delivery.event_id,
        endpoint_id=encode(ENDPOINT_PREFIX, delivery.endpoint_id),
        payout_id=payout.public_id if payout else "",
        payout_version=version if payout else 0,
        subject_id=subject.public_id if subject else "",
        subject_version=version,
        type=delivery.event,
        state=_STATES[delivery.state],
        create_time=timestamp_of(delivery.created_at),
        due_time=timestamp_of(delivery.due_at),
        tries=delivery.tries,
        answer=delivery.answer or "",
    )
    if delivery.tried_at is not None:
        message.try_time.CopyFrom(timestamp_of(delivery.tried_at))
    return message
