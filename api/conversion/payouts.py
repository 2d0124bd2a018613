"""Payouts across the wire: a draft becomes a request of the ledger, a payout in the books becomes a message."""

from __future__ import annotations

from daftari.v1 import payouts_pb2 as pb

from api.conversion.entries import entry_id_text
from api.conversion.fields import located
from api.conversion.money import money_message, money_of
from api.conversion.times import timestamp_of
from ledger.errors import ChoiceInvalid, CursorInvalid, LedgerError, PayoutNotFound
from ledger.idempotency import claim
from ledger.ids import decode
from ledger.msisdn import parse_msisdn
from ledger.parties import PartyKeys
from ledger.partners import Partner
from ledger.payee import BusinessKind, BusinessPayee, Payee
from ledger.payouts.payout import State
from ledger.payouts.queries import START, Cursor, Payout, PayoutEvent
from ledger.payouts.request import PayoutRequest

REQUEST_METHOD = "RequestPayout"
_SEPARATOR = "\x1f"  # check_text lets no text hold it
_CONTENT_VERSION = "1"
_BUSINESS_KINDS = {
    pb.BusinessPayee.KIND_PAYBILL: BusinessKind.PAYBILL,
    pb.BusinessPayee.KIND_TILL: BusinessKind.TILL,
    pb.BusinessPayee.KIND_TAX: BusinessKind.TAX,
}
_STATES = {state: pb.Payout.State.Value(f"STATE_{state.value}") for state in State}
_STATES_BY_NUMBER = {number: state for state, number in _STATES.items()}


def request_of(
    draft: pb.PayoutDraft, *, partner: Partner, client_id: int, actor: str, party_keys: PartyKeys, field: str
) -> PayoutRequest:
    """The request to make for a partner. Raises what makes it impossible, with the field's path inside `field`."""
    try:
        amount = money_of(draft.amount, field="amount")
        payee = _payee_of(draft)
        purpose = draft.purpose or "business"
        # The keyed index stands for the number: a plain hash of a known request would give an MSISDN away by trial.
        payee_index = party_keys.index(payee, ledger_id=partner.ledger_id).hex()
        content = (
            _CONTENT_VERSION, partner.code, draft.partner_reference, payee_index, amount.currency,
            str(amount.minor_units), purpose, draft.remarks, draft.shortcode,
        )  # fmt: skip
        key = claim(
            client_id=client_id,
            key=draft.request_id,
            method=REQUEST_METHOD,
            content=_SEPARATOR.join(content).encode("utf-8", "surrogatepass"),
        )
        return PayoutRequest(
            key=key,
            actor=actor,
            partner=partner,
            partner_reference=draft.partner_reference,
            payee=payee,
            amount=amount,
            purpose=purpose,
            remarks=draft.remarks,
            shortcode=draft.shortcode,
        )
    except LedgerError as error:
        raise located(error, within=field) from None


def _payee_of(draft: pb.PayoutDraft) -> Payee:
    if not draft.HasField("business"):
        return parse_msisdn(draft.msisdn)
    if draft.msisdn:
        raise ChoiceInvalid("name a person or a business, not both", field="msisdn")
    if draft.business.kind not in _BUSINESS_KINDS:
        raise ChoiceInvalid("name the kind of business account", field="business.kind")
    business = draft.business
    return BusinessPayee(_BUSINESS_KINDS[business.kind], business.shortcode, business.account_reference)


def payout_id_of(text: str) -> int:
    """Raises PayoutNotFound for what no payout's id looks like, just as for an id that no payout has."""
    payout_id = decode("pay", text)
    if payout_id is None:
        raise PayoutNotFound("no such payout among yours", field="payout_id")
    return payout_id


def states_of(numbers: list[pb.Payout.State.ValueType]) -> list[State]:
    """The states a list is narrowed to; unspecified ones do not narrow it."""
    return [_STATES_BY_NUMBER[number] for number in numbers if number in _STATES_BY_NUMBER]


def payout_message(payout: Payout) -> pb.Payout:
    """A payout as it stands."""
    message = pb.Payout(
        id=payout.public_id,
        partner=payout.partner,
        partner_reference=payout.partner_reference,
        msisdn=payout.payee_masked,
        amount=money_message(payout.amount.currency, payout.amount.minor_units),
        fee=money_message(payout.fee.currency, payout.fee.minor_units),
        purpose=payout.purpose,
        rail=payout.rail,
        shortcode=payout.shortcode,
        provider_reference=payout.provider_reference,
        state=_STATES[payout.state],
        version=payout.version,
        receipt=payout.receipt or "",
        failure_code=payout.failure_code or "",
        failure_text=payout.failure_text or "",
        create_time=timestamp_of(payout.created_at),
        update_time=timestamp_of(payout.updated_at),
    )
    if payout.completed_at is not None:
        message.complete_time.CopyFrom(timestamp_of(payout.completed_at))
    return message


def event_message(event: PayoutEvent) -> pb.PayoutEvent:
    """One change of a payout."""
    return pb.PayoutEvent(
        version=event.version,
        state=_STATES[event.state],
        event=event.event,
        entry_id=entry_id_text(event.entry_id) if event.entry_id is not None else "",
        detail=event.detail or "",
        record_time=timestamp_of(event.recorded_at),
    )


def cursor_text(cursor: Cursor) -> str:
    """A cursor as the caller keeps it."""
    return f"{cursor.xid}.{cursor.payout_id}.{cursor.version}"


def cursor_of(text: str) -> Cursor:
    """Raises CursorInvalid for anything cursor_text would not have made; "start" is before everything."""
    if text == "start":
        return START
    parts = text.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) <= 19 for part in parts):
        raise CursorInvalid("not a cursor of this service; start again with an empty one", field="cursor")
    xid, payout_id, version = (int(part) for part in parts)
    if xid >= 2**63 or payout_id >= 2**63 or version >= 2**31:
        raise CursorInvalid("not a cursor of this service; start again with an empty one", field="cursor")
    return Cursor(str(xid), payout_id, version)
