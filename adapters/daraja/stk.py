"""The STK push documents: a prompt on a payer's phone, and the question what became of it. Pure: builds, sends nothing.

Source: Daraja's M-Pesa Express pages; the wire forms are in tests/examples/daraja.
"""

from __future__ import annotations

import base64
from datetime import datetime

from adapters import documents
from adapters.daraja import request, wire
from adapters.daraja.request import Request
from adapters.transport import Secret
from ledger.errors import TextInvalid
from ledger.outbox.collecting import PromptInquiry, PromptInstruction
from ledger.payouts.limits import RailLimits

# Minor units of KES. Whole shillings, 1 to 250,000 a prompt: Daraja's M-Pesa Express page.
PROMPT_LIMITS = {wire.CURRENCY: RailLimits(step=100, minimum=100, maximum=25_000_000)}

ACCOUNT_REFERENCE_LENGTH_MAX = 12
DESCRIPTION_LENGTH_MAX = 13

_DESCRIPTION_WHEN_EMPTY = "Payment"


def prompt(instruction: PromptInstruction, *, passkey: Secret, callback_url: str, now: datetime) -> Request:
    """The request, in the order documented. Raises AmountNotPayable or TextInvalid for what the API cannot carry: an
    amount is not rounded, and an account reference is not shortened, since it would name another account."""
    timestamp = _timestamp(now)
    document: dict[str, str | int] = {
        "BusinessShortCode": _number(instruction.shortcode),
        "Password": _password(instruction.shortcode, passkey, timestamp),
        "Timestamp": timestamp,
        "TransactionType": "CustomerBuyGoodsOnline" if instruction.till else "CustomerPayBillOnline",
        "Amount": request.whole_shillings(instruction.amount, limits=PROMPT_LIMITS),
        "PartyA": instruction.payer.digits,
        # The till below the store that the shortcode is of, or the shortcode itself.
        "PartyB": instruction.till or instruction.shortcode,
        "PhoneNumber": instruction.payer.digits,
        "CallBackURL": callback_url,
        "AccountReference": _account_reference(instruction.account_reference),
        "TransactionDesc": _description(instruction.description),
    }
    return Request("/mpesa/stkpush/v1/processrequest", document, sent_under=None)


def prompt_query(inquiry: PromptInquiry, *, passkey: Secret, now: datetime) -> Request:
    """Asks what became of a prompt; answered at once."""
    timestamp = _timestamp(now)
    document = {
        "BusinessShortCode": inquiry.shortcode,
        "Password": _password(inquiry.shortcode, passkey, timestamp),
        "Timestamp": timestamp,
        "CheckoutRequestID": inquiry.checkout,
    }
    return Request("/mpesa/stkpushquery/v1/query", document, sent_under=None)


def _number(shortcode: str) -> int:
    if not (shortcode.isascii() and shortcode.isdigit()):
        raise TextInvalid("the shortcode of a prompt is a number", field="shortcode")
    return int(shortcode)


def _timestamp(now: datetime) -> str:
    """Of an aware time, in East Africa Time as everything at Daraja; it must only be the same as in the password."""
    return now.astimezone(wire.EAST_AFRICA_TIME).strftime("%Y%m%d%H%M%S")


def _password(shortcode: str, passkey: Secret, timestamp: str) -> str:
    return base64.b64encode(f"{shortcode}{passkey.reveal()}{timestamp}".encode()).decode("ascii")


def _account_reference(text: str) -> str:
    if not 1 <= len(text) <= ACCOUNT_REFERENCE_LENGTH_MAX or not text.isprintable():
        raise TextInvalid(
            f"an account reference has 1 to {ACCOUNT_REFERENCE_LENGTH_MAX} printable characters on this rail",
            field="account_reference",
        )
    return text


def _description(text: str) -> str:
    """Words for a person, so they are fitted rather than refused. Never left out, which the documents allow and the
    gateway refuses."""
    return documents.printable(text)[:DESCRIPTION_LENGTH_MAX].strip() or _DESCRIPTION_WHEN_EMPTY
