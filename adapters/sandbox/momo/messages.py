"""MoMo's documents as the provider writes and reads them: errors, statuses, and what a request must hold."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from adapters.sandbox.momo.settings import MomoSandboxSettings
from adapters.sandbox.momo.world import FAILED, SUCCESSFUL, Transaction

NOTE_LENGTH_MAX = 160
MESSAGES = {
    "RESOURCE_NOT_FOUND": "Requested resource was not found.",
    "RESOURCE_ALREADY_EXIST": "Duplicated reference id. Creation of resource failed.",
    "NOT_ALLOWED": "Authorization failed. Insufficient permissions.",
    "NOT_ALLOWED_TARGET_ENVIRONMENT": "Access to target environment is forbidden.",
    "INVALID_CALLBACK_URL_HOST": "Callback URL with different host set.",
    "INVALID_CURRENCY": "Currency not supported.",
    "SERVICE_UNAVAILABLE": "Service temporarily unavailable, try again later.",
    "INTERNAL_PROCESSING_ERROR": "An internal error occurred while processing.",
}
SUBSCRIPTION_REFUSED = {
    "statusCode": 401,
    "message": "Access denied due to invalid subscription key. Make sure to provide a valid key for an active "
    "subscription.",
}
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,4})?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a creation asks for. `amount` is minor units, None where it is not one of the currency."""

    msisdn: str = field(repr=False)
    amount: int | None
    currency: str
    external_id: str
    payer_message: str = field(repr=False)
    payee_note: str = field(repr=False)


def wallet_error(code: str) -> dict[str, object]:
    """The wallet platform's envelope."""
    return {"message": MESSAGES.get(code, f"{code.replace('_', ' ').capitalize()}."), "code": code}


def read_creation(body: bytes, *, party: str, exponent: int) -> Wanted | None:
    """None for whatever is answered with an empty 400: not JSON, a member missing, an apostrophe, too long a note."""
    try:
        document: Any = json.loads(body)
        who = document[party]
        words = [document["payerMessage"], document["payeeNote"], document["externalId"]]
        amount, currency, kind, msisdn = document["amount"], document["currency"], who["partyIdType"], who["partyId"]
    except (ValueError, KeyError, TypeError):
        return None
    texts = [*words, amount, currency, kind, msisdn]
    if not all(isinstance(one, str) for one in texts) or kind != "MSISDN" or not msisdn.isdigit():
        return None
    if any("'" in one or len(one) > NOTE_LENGTH_MAX for one in words) or not _AMOUNT.fullmatch(amount):
        return None
    return Wanted(msisdn, _minor_units(amount, exponent), currency, words[2], words[0], words[1])


def status_document(transaction: Transaction, settings: MomoSandboxSettings) -> dict[str, object]:
    """What a status read tells, and a callback."""
    party = "payer" if transaction.collects else "payee"
    document: dict[str, object] = {
        "amount": amount_text(transaction.amount, settings.exponent),
        "currency": settings.currency,
        "externalId": transaction.external_id,
        party: {"partyIdType": "MSISDN", "partyId": transaction.msisdn},
        "payerMessage": transaction.payer_message,
        "payeeNote": transaction.payee_note,
        "status": transaction.status,
    }
    if transaction.status == SUCCESSFUL:
        document["financialTransactionId"] = transaction.receipt
    if transaction.status == FAILED:
        code = transaction.reason
        document["reason"] = (
            {"code": code, "message": wallet_error(code)["message"]} if settings.reason_as_object else code
        )
    return document


def callback_document(transaction: Transaction, settings: MomoSandboxSettings) -> dict[str, object]:
    """The truth, or the lie that its behaviour tells."""
    document = status_document(transaction, settings)
    if transaction.behaviour.lie == "amount":
        document["amount"] = amount_text(transaction.amount + 1, settings.exponent)
    if transaction.behaviour.lie == "status" and transaction.status == SUCCESSFUL:
        del document["financialTransactionId"]
        document |= {"status": FAILED, "reason": "PAYEE_NOT_FOUND"}
    elif transaction.behaviour.lie == "status":
        del document["reason"]
        document |= {"status": SUCCESSFUL, "financialTransactionId": "1"}
    return document


def amount_text(minor_units: int, exponent: int) -> str:
    """1500 with no decimals is "1500", with two "15.00"."""
    sign, digits = ("-" if minor_units < 0 else ""), str(abs(minor_units)).rjust(exponent + 1, "0")
    return f"{sign}{digits}" if exponent == 0 else f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"


def _minor_units(text: str, exponent: int) -> int | None:
    whole, _, part = text.partition(".")
    if part[exponent:].strip("0"):
        return None
    return int(whole + part[:exponent].ljust(exponent, "0"))
