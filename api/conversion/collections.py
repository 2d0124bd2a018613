"""Money in across the wire: shortcodes, receipts, allocations and payment orders."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from daftari.v1 import collections_pb2 as pb

from api.conversion.entries import entry_id_text
from api.conversion.fields import located
from api.conversion.loan_terms import loan_id_of
from api.conversion.money import money_message, money_of
from api.conversion.payouts import payout_id_of
from api.conversion.times import moment_of, timestamp_of
from ledger.collections.allocation import Target, TargetKind
from ledger.collections.directory import Near
from ledger.collections.order import State
from ledger.collections.ordering import PREFIX as ORDER_PREFIX
from ledger.collections.ordering import Order, OrderRequest
from ledger.collections.queries import AllocationView, OrderEvent, Receipt, ReceiptEvent
from ledger.collections.receipt import Place
from ledger.collections.shortcodes import Shortcode
from ledger.errors import ChoiceInvalid, LedgerError, OrderNotFound, ReceiptNotFound
from ledger.idempotency import KeyClaim, claim
from ledger.ids import decode, encode
from ledger.loans.writing import PREFIX as LOAN_PREFIX
from ledger.money import Money
from ledger.partners import Partner

RECEIPT_PREFIX = "rcp"
CREATE_METHOD = "CreateOrder"
_SEPARATOR = "\x1f"  # check_text lets no text hold it
_FORMS = {
    "plain": pb.Receipt.PAYER_FORM_PLAIN,
    "masked": pb.Receipt.PAYER_FORM_MASKED,
    "hashed": pb.Receipt.PAYER_FORM_HASHED,
}
_PLACES = {
    pb.ListReceiptsRequest.WAITING_UNALLOCATED: Place.UNALLOCATED,
    pb.ListReceiptsRequest.WAITING_SUSPENDED: Place.SUSPENDED,
}
_STATES = {state: pb.PaymentOrder.State.Value(f"STATE_{state.value}") for state in State}
_STATES_BY_NUMBER = {number: state for state, number in _STATES.items()}


def receipt_id_of(text: str) -> int:
    """Raises ReceiptNotFound for what no receipt's id looks like, just as for an id that none has."""
    receipt_id = decode(RECEIPT_PREFIX, text)
    if receipt_id is None:
        raise ReceiptNotFound("no such receipt in this ledger", field="receipt_id")
    return receipt_id


def order_id_of(text: str, *, field: str = "order_id") -> int:
    """Raises OrderNotFound for what no order's id looks like, just as for an id that none has."""
    order_id = decode(ORDER_PREFIX, text)
    if order_id is None:
        raise OrderNotFound("no such order among yours", field=field)
    return order_id


def shortcode_of(message: pb.CollectionShortcode) -> Shortcode:
    """What is to be opened."""
    return Shortcode(
        message.provider,
        message.shortcode,
        message.currency,
        message.landing_account,
        message.accepts_unanswered,
        message.refuses_unknown,
    )


def shortcode_message(shortcode: Shortcode) -> pb.CollectionShortcode:
    """A shortcode that takes money in."""
    return pb.CollectionShortcode(
        provider=shortcode.provider,
        shortcode=shortcode.shortcode,
        currency=shortcode.currency,
        landing_account=shortcode.landing,
        accepts_unanswered=shortcode.accepts_unanswered,
        refuses_unknown=shortcode.refuses_unknown,
    )


def target_of(message: pb.AllocationTarget) -> Target:
    """Whom money is to go to. Raises ChoiceInvalid, OrderNotFound, LoanNotFound, PayoutNotFound."""
    match message.WhichOneof("target"):
        case "account":
            return Target(TargetKind.ACCOUNT, message.account)
        case "order_id":
            return Target(TargetKind.ORDER, str(order_id_of(message.order_id, field="target.order_id")))
        case "loan_id":
            return Target(TargetKind.LOAN, str(loan_id_of(message.loan_id, field="target.loan_id")))
        case "payout_id":
            return Target(TargetKind.PAYOUT, str(payout_id_of(message.payout_id)))
        case _:
            raise ChoiceInvalid("say whom the money goes to", field="target")


def target_message(target: Target) -> pb.AllocationTarget:
    """Whom money went to."""
    if target.kind is TargetKind.ORDER:
        return pb.AllocationTarget(order_id=encode(ORDER_PREFIX, int(target.id)))
    if target.kind is TargetKind.LOAN:
        return pb.AllocationTarget(loan_id=encode(LOAN_PREFIX, int(target.id)))
    if target.kind is TargetKind.PAYOUT:
        return pb.AllocationTarget(payout_id=encode("pay", int(target.id)))
    return pb.AllocationTarget(account=target.id)


def amount_of(request: pb.AllocateReceiptRequest) -> Money | None:
    """How much of a receipt; None for all that waits."""
    return money_of(request.amount, field="amount") if request.HasField("amount") else None


def allocation_key_of(request: pb.AllocateReceiptRequest | pb.ReallocateReceiptRequest, *, client_id: int) -> KeyClaim:
    """The request id of a decision, with a hash of all that was decided."""
    bare = deepcopy(request)
    bare.ClearField("request_id")
    method = request.DESCRIPTOR.name.removesuffix("Request")
    content = bare.SerializeToString(deterministic=True)
    return claim(client_id=client_id, key=request.request_id, method=method, content=content)


def place_of(number: int) -> Place | None:
    """Where the receipts of a list wait; None for anywhere."""
    return _PLACES.get(pb.ListReceiptsRequest.Waiting.ValueType(number))


def order_request_of(request: pb.CreateOrderRequest, *, partner: Partner, client_id: int) -> OrderRequest:
    """The order to make. Raises what makes it impossible, with its field."""
    try:
        amount = money_of(request.amount, field="amount")
        expires_at = moment_of(request.expire_time, field="expire_time")
        content = (partner.code, request.reference, amount.currency, str(amount.minor_units), expires_at.isoformat())
        key = claim(
            client_id=client_id,
            key=request.request_id,
            method=CREATE_METHOD,
            content=_SEPARATOR.join(content).encode("utf-8", "surrogatepass"),
        )
    except LedgerError as error:
        raise located(error, within="") from None
    return OrderRequest(key=key, partner=partner, reference=request.reference, amount=amount, expires_at=expires_at)


def states_of(numbers: Sequence[int]) -> list[State]:
    """The states a list is narrowed to; unspecified ones do not narrow it."""
    by_number: dict[int, State] = {int(number): state for number, state in _STATES_BY_NUMBER.items()}
    return [by_number[number] for number in numbers if number in by_number]


def receipt_message(receipt: Receipt) -> pb.Receipt:
    """A receipt as it stands."""
    return pb.Receipt(
        id=encode(RECEIPT_PREFIX, receipt.id),
        provider=receipt.provider,
        shortcode=receipt.shortcode,
        receipt=receipt.receipt,
        amount=money_message(receipt.amount.currency, receipt.amount.minor_units),
        payer_form=_FORMS.get(receipt.payer_form or "", pb.Receipt.PAYER_FORM_UNSPECIFIED),
        payer=receipt.payer_shown,
        reference=receipt.reference_shown,
        complete_time=timestamp_of(receipt.completed_at),
        unallocated_minor_units=receipt.holdings.unallocated,
        suspended_minor_units=receipt.holdings.suspended,
        allocated_minor_units=receipt.holdings.allocated,
        returning_minor_units=receipt.holdings.returning,
        returned_minor_units=receipt.holdings.returned,
        version=receipt.version,
        create_time=timestamp_of(receipt.created_at),
    )


def receipt_event_message(event: ReceiptEvent) -> pb.ReceiptEvent:
    """One move of a receipt's money."""
    return pb.ReceiptEvent(
        version=event.version,
        event=event.event,
        entry_id=entry_id_text(event.entry_id),
        minor_units=event.amount,
        detail=event.detail or "",
        actor=event.actor,
        record_time=timestamp_of(event.recorded_at),
    )


def allocation_message(allocation: AllocationView) -> pb.ReceiptAllocation:
    """A part of a receipt that went to one target."""
    return pb.ReceiptAllocation(
        target=target_message(allocation.target),
        minor_units=allocation.amount,
        entry_id=entry_id_text(allocation.entry_id),
        actor=allocation.actor,
        create_time=timestamp_of(allocation.created_at),
        undone=allocation.undone,
    )


def near_message(near: Near) -> pb.NearReference:
    """A hint."""
    return pb.NearReference(reference=near.shown, target=target_message(near.target))


def order_message(order: Order) -> pb.PaymentOrder:
    """An order as it stands."""
    money = order.money
    return pb.PaymentOrder(
        id=order.public_id,
        partner=order.partner,
        reference=order.reference,
        amount=money_message(money.amount.currency, money.amount.minor_units),
        paid=money_message(money.paid.currency, money.paid.minor_units),
        state=_STATES[money.state],
        expire_time=timestamp_of(money.expires_at),
        version=order.version,
        create_time=timestamp_of(order.created_at),
        update_time=timestamp_of(order.updated_at),
    )


def order_event_message(event: OrderEvent) -> pb.OrderEvent:
    """One turn of an order."""
    return pb.OrderEvent(
        version=event.version,
        state=_STATES[event.state],
        event=event.event,
        receipt_id=encode(RECEIPT_PREFIX, event.receipt_id) if event.receipt_id is not None else "",
        paid_minor_units=event.paid,
        record_time=timestamp_of(event.recorded_at),
    )
