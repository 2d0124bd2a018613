"""What a transaction is to those who ask about it: payments, collections and reversals in one form. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from adapters.sandbox import names, wire
from adapters.sandbox.behaviours import Behaviour
from adapters.sandbox.money_in import Collection
from adapters.sandbox.products import Account
from adapters.sandbox.world import Declined, Movement, Order, Payment, ReversalOrder, World

REVERSAL_REASON = "Pay Utility Reversal"
COLLECTION_CHARGE = "Pay Bill Charge"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction. `name` is what it is counted by; `is_reversed` says that all of it was taken back. `outcome` is
    None where it was never carried out."""

    name: str
    debit_party: str
    credit_party: str
    account: Account
    charge_text: str
    reason_type: str
    amount_cents: int
    originator_conversation_id: str
    conversation_id: str
    opened_at: datetime
    outcome: Movement | Declined | None
    behaviour: Behaviour
    is_reversed: bool


def find(world: World, *, receipt: str, originator_conversation_id: str, shortcode: str) -> Transaction | None:
    """The transaction with this receipt where one is given, else with this originator's id. `shortcode` is ours."""
    order = world.order(originator_conversation_id=originator_conversation_id, receipt=receipt)
    if order is not None:
        return _of_payment(order, shortcode, world)
    reversal = world.reversal_order(receipt or originator_conversation_id)
    if reversal is not None:
        return _of_reversal(reversal, shortcode)
    movement = world.movement(receipt)
    if movement is None or movement.collection is None:
        return None
    return _of_collection(movement, movement.collection, world)


def payment_charge_text(payment: Payment) -> str:
    """`DebitPartyCharges`: name, currency and amount, or nothing for a payment that cost nothing."""
    return _charge_text(payment.product.charge_name, payment.charge_cents)


def _charge_text(name: str, cents: int) -> str:
    return f"{name}|{wire.CURRENCY}|{wire.exact_text(cents)}" if cents else ""


def _of_payment(order: Order, shortcode: str, world: World) -> Transaction:
    payment, outcome = order.payment, order.outcome
    return Transaction(
        name=payment.conversation_id,
        debit_party=names.organisation(shortcode),
        credit_party=names.receiver(msisdn=payment.msisdn, shortcode=payment.shortcode),
        account=payment.product.debits,
        charge_text=payment_charge_text(payment),
        reason_type=payment.product.reason_type,
        amount_cents=payment.amount_cents,
        originator_conversation_id=payment.originator_conversation_id,
        conversation_id=payment.conversation_id,
        opened_at=order.opened_at,
        outcome=outcome,
        behaviour=order.behaviour,
        is_reversed=isinstance(outcome, Movement) and world.reversible_cents(outcome.receipt) == 0,
    )


def _of_collection(movement: Movement, collection: Collection, world: World) -> Transaction:
    return Transaction(
        name=movement.receipt,
        debit_party=names.person(collection.msisdn),
        credit_party=names.organisation(collection.shortcode),
        account=movement.account,
        charge_text=_charge_text(COLLECTION_CHARGE, movement.charge_cents),
        reason_type=collection.reason_type,
        amount_cents=movement.amount_cents,
        originator_conversation_id="",
        conversation_id="",
        opened_at=movement.initiated_at,
        outcome=movement,
        behaviour=world.customer_behaviour(movement.receipt),
        is_reversed=world.reversible_cents(movement.receipt) == 0,
    )


def _of_reversal(order: ReversalOrder, shortcode: str) -> Transaction:
    reversal, outcome = order.reversal, order.outcome
    return Transaction(
        name=outcome.receipt if isinstance(outcome, Movement) else reversal.conversation_id,
        debit_party=names.organisation(shortcode),
        credit_party=names.person(order.msisdn) if order.msisdn else "",
        account=outcome.account if isinstance(outcome, Movement) else Account.UTILITY,
        charge_text="",
        reason_type=REVERSAL_REASON,
        amount_cents=reversal.amount_cents,
        originator_conversation_id=reversal.originator_conversation_id,
        conversation_id=reversal.conversation_id,
        opened_at=order.opened_at,
        outcome=outcome,
        behaviour=order.behaviour,
        is_reversed=False,
    )
