"""Which reasons of a FAILED transaction prove that no money moved; any reason not listed proves nothing. Pure.

Source: MTN's pages on common errors and failure reasons; tests/examples/momo/README.md names them. Left out on purpose,
so that they count as unknown beside FAILED: ONGOING, DELAYED, PAYER_DELAYED and PAYEE_DELAYED, which say that it goes
on; TRANSACTION_NOT_FOUND, which says that it was not looked at; and TIMEOUT, which older pages show without a meaning.
"""

from __future__ import annotations

from ledger.outbox.instruction import Blame

FAILURES: dict[str, str] = {
    "APPROVAL_REJECTED": "the payer declined",
    "COULD_NOT_PERFORM_TRANSACTION": "no PIN was entered in time",
    "EXPIRED": "the payer did not answer in time",
    "INTERNAL_PROCESSING_ERROR": "the wallet platform failed it, often for want of funds",
    "INVALID_CALLBACK_URL_HOST": "the callback's host is not the one registered",
    "INVALID_CURRENCY": "the target environment moves another currency",
    "NOT_ALLOWED": "our wallet may not do this",
    "NOT_ALLOWED_TARGET_ENVIRONMENT": "we may not use the target environment",
    "NOT_ENOUGH_FUNDS": "the payer holds too little, or the receiver would hold too much",
    "PAYEE_NOT_ALLOWED_TO_RECEIVE": "the receiver may not receive",
    "PAYEE_NOT_FOUND": "no such receiver",
    "PAYER_LIMIT_REACHED": "a limit of the payer",
    "PAYER_NOT_FOUND": "no such payer",
    "PAYMENT_NOT_APPROVED": "the payer did not approve",
    "REJECTED": "the payer declined",
    "SENDER_ACCOUNT_NOT_ACTIVE": "the payer's wallet is not active",
    "SERVICE_UNAVAILABLE": "the service was not available",
    "TRANSACTION_CANCELED": "cancelled",
    "TRANSACTION_CANCELLED": "cancelled",
    "TRANSFER_TYPE_UNKNOWN": "no such kind of transfer",
}

# Documented with HTTP 500 in answer to a request, and yet refusals: nothing was created if it cannot be read back.
REFUSALS = frozenset({
    "INVALID_CALLBACK_URL_HOST",
    "INVALID_CURRENCY",
    "NOT_ALLOWED",
    "NOT_ALLOWED_TARGET_ENVIRONMENT",
    "NOT_ENOUGH_FUNDS",
    "PAYEE_NOT_ALLOWED_TO_RECEIVE",
    "PAYEE_NOT_FOUND",
    "PAYER_LIMIT_REACHED",
    "PAYER_NOT_FOUND",
})  # fmt: skip

# Whatever we ask for fails with these until somebody mends our set-up.
_ACCESS_REFUSED = frozenset({
    "INVALID_CALLBACK_URL_HOST",
    "INVALID_CURRENCY",
    "NOT_ALLOWED",
    "NOT_ALLOWED_TARGET_ENVIRONMENT",
})  # fmt: skip


def blame_for(code: str) -> Blame:
    """Where the fault of a failure lies. NOT_ENOUGH_FUNDS does not prove that our wallet is empty: MTN tells of a
    receiver over a limit so."""
    return Blame.ACCESS if code in _ACCESS_REFUSED else Blame.PAYMENT
