"""What C2B says about a payment: the question before, the confirmation after, in all forms of payers. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from adapters.sandbox import identifiers, names, wire
from adapters.sandbox.behaviours import Customer, Naming, Notice, PayerForm, Typing
from adapters.sandbox.envelope import UNREADABLE_BODY, WRONG_AMOUNT_ADDED_CENTS
from adapters.sandbox.money_in import Collection, Command
from adapters.sandbox.wire import Document

REFERENCE_LENGTH_MAX = 20
_TRANSACTION_TYPES = {Command.PAY_BILL: "Pay Bill", Command.BUY_GOODS: "Buy Goods"}


@dataclass(frozen=True, slots=True)
class Telling:
    """What is to be told of a payment. `balance_cents` is that of the account it landed on, None before it is made."""

    receipt: str
    collection: Collection
    customer: Customer
    payer_form: PayerForm
    balance_cents: int | None = None
    third_party_id: str = ""


def validation_body(telling: Telling) -> bytes:
    """The question whether a payment is welcome."""
    return wire.encode(_document(telling, telling.collection.amount_cents))


def confirmation_body(notice: Notice, telling: Telling) -> bytes:
    """The news of a payment that was made; forms that C2B does not know are told plainly."""
    if notice is Notice.UNREADABLE:
        return UNREADABLE_BODY
    added_cents = WRONG_AMOUNT_ADDED_CENTS if notice is Notice.RESULT_WRONG_AMOUNT else 0
    return wire.encode(_document(telling, telling.collection.amount_cents + added_cents))


def payer_text(msisdn: str, form: PayerForm) -> str:
    """The payer's number as C2B writes it."""
    return {
        PayerForm.PLAIN: msisdn,
        PayerForm.MASKED: f"{msisdn[:4]} ***** {msisdn[-3:]}",
        PayerForm.MASKED_COMPACT: f"{msisdn[:5]}****{msisdn[-3:]}",
        PayerForm.HASHED: hashlib.sha256(msisdn.encode()).hexdigest(),
    }[form]


def typed(reference: str, typing: Typing) -> str:
    """The account number as it was typed, cut to what the field takes."""
    match typing:
        case Typing.AS_TOLD:
            made = reference
        case Typing.SPACED:
            made = f" {reference[:2]} {reference[2:]} "
        case Typing.LOWER_CASE:
            made = reference.lower()
        case Typing.MISTYPED:
            made = _mistyped(reference)
        case Typing.NOTHING:
            made = ""
    return made[:REFERENCE_LENGTH_MAX]


def _mistyped(reference: str) -> str:
    """With the last two neighbours swapped that differ; where there are none, with a character too many."""
    for index in range(len(reference) - 1, 0, -1):
        before, after = reference[index - 1], reference[index]
        if before != after:
            return reference[: index - 1] + after + before + reference[index + 1 :]
    return reference + "1"


def _document(telling: Telling, amount_cents: int) -> Document:
    collection, form = telling.collection, telling.customer.payer_form or telling.payer_form
    first, middle, last = _names(collection.msisdn, telling.customer.naming, form)
    balance = "" if telling.balance_cents is None else wire.exact_text(telling.balance_cents)
    return {
        "TransactionType": "" if telling.customer.without_type else _TRANSACTION_TYPES[collection.command],
        "TransID": telling.receipt,
        "TransTime": str(identifiers.compact_time(collection.initiated_at)),
        "TransAmount": wire.exact_text(amount_cents),
        "BusinessShortCode": collection.shortcode,
        "BillRefNumber": collection.reference,
        "InvoiceNumber": "",
        "OrgAccountBalance": balance,
        "ThirdPartyTransID": telling.third_party_id,
        "MSISDN": payer_text(collection.msisdn, form),
        "FirstName": first,
        "MiddleName": middle,
        "LastName": last,
    }


def _names(msisdn: str, naming: Naming, form: PayerForm) -> tuple[str | None, str | None, str | None]:
    first, middle, last = names.parts(msisdn)
    match naming:
        case Naming.EMPTY:
            return "", "", ""
        case Naming.NULL:
            return None, None, None
        case Naming.FULL:
            return first, middle, last
        case Naming.USUAL:
            return (first, middle, last) if form is PayerForm.PLAIN else (first, "", "")
