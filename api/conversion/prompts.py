"""Prompts across the wire."""

from __future__ import annotations

from collections.abc import Sequence

from daftari.v1 import prompts_pb2 as pb

from api.conversion.fields import request_fields
from api.conversion.money import money_message, money_of
from api.conversion.times import timestamp_of
from ledger.collections.ordering import PREFIX as ORDER_PREFIX
from ledger.collections.prompt import State
from ledger.collections.prompting import PREFIX, Prompt, PromptEvent
from ledger.collections.refusals import PromptNotFound
from ledger.errors import ChoiceInvalid, OrderNotFound
from ledger.idempotency import claim
from ledger.ids import decode, encode
from ledger.msisdn import parse_msisdn
from ledger.parties import PartyKeys
from ledger.partners import Partner
from ledger.prompts import PromptRequest

REQUEST_METHOD = "RequestPrompt"
_RECEIPT_PREFIX = "rcp"
_SEPARATOR = "\x1f"  # check_text lets no text hold it
_STATES = {state: pb.Prompt.State.Value(f"STATE_{state.value}") for state in State}
_STATES_BY_NUMBER = {int(number): state for state, number in _STATES.items()}


def prompt_id_of(text: str) -> int:
    """Raises PromptNotFound for what no prompt's id looks like, just as for an id that none has."""
    prompt_id = decode(PREFIX, text)
    if prompt_id is None:
        raise PromptNotFound("no such prompt among yours", field="prompt_id")
    return prompt_id


def prompt_request_of(
    request: pb.RequestPromptRequest,
    *,
    ledger_id: int,
    partner: Partner | None,
    client_id: int,
    actor: str,
    party_keys: PartyKeys,
) -> PromptRequest:
    """The prompt to make. Raises what makes it impossible, with its field."""
    with request_fields():
        payer = parse_msisdn(request.msisdn)
        amount = money_of(request.amount, field="amount") if request.HasField("amount") else None
        order_id = _order_id_of(request)
        # The keyed index stands for the number: a plain hash of a known request would give it away by trial.
        content = (
            request.provider, request.shortcode, party_keys.index(payer, ledger_id=ledger_id).hex(),
            request.order_id, request.reference, str(amount), request.description,
        )  # fmt: skip
        key = claim(
            client_id=client_id,
            key=request.request_id,
            method=REQUEST_METHOD,
            content=_SEPARATOR.join(content).encode("utf-8", "surrogatepass"),
        )
    return PromptRequest(
        key=key,
        actor=actor,
        partner=partner,
        rail=request.provider,
        shortcode=request.shortcode,
        payer=payer,
        amount=amount,
        order_id=order_id,
        reference=request.reference,
        description=request.description,
    )


def _order_id_of(request: pb.RequestPromptRequest) -> int | None:
    if not request.order_id:
        return None
    if request.reference:
        raise ChoiceInvalid("name an order or a reference, not both", field="reference")
    order_id = decode(ORDER_PREFIX, request.order_id)
    if order_id is None:
        raise OrderNotFound("no such order among yours", field="order_id")
    return order_id


def states_of(numbers: Sequence[int]) -> list[State]:
    """The states a list is narrowed to; unspecified ones do not narrow it."""
    return [_STATES_BY_NUMBER[number] for number in numbers if number in _STATES_BY_NUMBER]


def prompt_message(prompt: Prompt) -> pb.Prompt:
    """A prompt as it stands."""
    return pb.Prompt(
        id=encode(PREFIX, prompt.id),
        provider=prompt.rail,
        shortcode=prompt.shortcode,
        order_id=encode(ORDER_PREFIX, prompt.order_id) if prompt.order_id is not None else "",
        reference=prompt.reference,
        amount=money_message(prompt.amount.currency, prompt.amount.minor_units),
        payer=prompt.payer_shown,
        state=_STATES[prompt.state],
        receipt_id=encode(_RECEIPT_PREFIX, prompt.receipt_id) if prompt.receipt_id is not None else "",
        failure_code=prompt.failure_code or "",
        failure_text=prompt.failure_text or "",
        expire_time=timestamp_of(prompt.expires_at),
        version=prompt.version,
        create_time=timestamp_of(prompt.created_at),
        update_time=timestamp_of(prompt.updated_at),
    )


def prompt_event_message(event: PromptEvent) -> pb.PromptEvent:
    """One change of a prompt."""
    return pb.PromptEvent(
        version=event.version,
        state=_STATES[event.state],
        event=event.event,
        detail=event.detail or "",
        record_time=timestamp_of(event.recorded_at),
    )
