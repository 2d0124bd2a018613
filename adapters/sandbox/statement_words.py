"""What the organisation's statement says of a movement: details, reason type, the other party. Pure.

The forms of collections are those of captured statements; those of payouts and reversals are held to be like them.
"""

from __future__ import annotations

from adapters.sandbox import names
from adapters.sandbox.money_in import Collection, Command
from adapters.sandbox.products import MovementKind
from adapters.sandbox.transactions import REVERSAL_REASON
from adapters.sandbox.world import Movement, Payment

RETURN_REASON = "Business Payment to Customer Reversal"


def details(movement: Movement, shortcode: str) -> str:
    """The text of the row; `shortcode` is ours."""
    if movement.collection is not None:
        return _collection_details(movement.collection)
    if movement.payment is not None:
        return _payment_details(movement.payment)
    if movement.reversal is not None:
        organisation = names.organisation(shortcode).partition(" - ")[2]
        return f"{reason_type(movement)} by {organisation}\\{movement.reversal.operator}"
    return reason_type(movement)


def reason_type(movement: Movement) -> str:
    """The provider's word for what it was."""
    if movement.collection is not None:
        return movement.collection.reason_type
    if movement.payment is not None:
        return movement.payment.product.reason_type
    if movement.reversal is not None:
        return RETURN_REASON if movement.kind is MovementKind.RETURN else REVERSAL_REASON
    return "Business Transfer of Funds from MMF to Utility Account"


def masked_person(msisdn: str) -> str:
    """A person as statements write one: 25470****017 - WANJIRU ACHIENG TESTER."""
    return f"{msisdn[:5]}****{msisdn[-3:]} - {' '.join(names.parts(msisdn))}"


def _collection_details(collection: Collection) -> str:
    payer = masked_person(collection.msisdn)
    if collection.command is Command.BUY_GOODS:
        return f"Merchant Payment from {payer}"
    prefix = "Pay Bill Online" if collection.is_prompted else "Pay Bill"
    return f"{prefix} from {payer} Acc. {collection.reference}"


def _payment_details(payment: Payment) -> str:
    receiver = masked_person(payment.msisdn) if payment.msisdn else names.business(payment.shortcode)
    tail = f". Original conversation ID is {payment.originator_conversation_id}." if payment.msisdn else ""
    return f"{payment.product.reason_type} to {receiver}{tail}"
