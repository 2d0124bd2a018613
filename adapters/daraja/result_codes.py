"""Which result codes prove that no money moved, a table for each API; any code not listed for it proves nothing.

The same number means other things in other APIs; B2C and B2B alone share the core's own. Source: Daraja's pages, and
codes seen in production by its integrators; see tests/examples/daraja/README.md.
"""

from __future__ import annotations

from ledger.outbox.instruction import Blame

# B2C and B2B.
# Left out on purpose, so that they count as unknown:
# 15, duplicate detected: the id was seen before, and the earlier payment may have paid;
# 17, which one page calls a limit rule and others an internal error, after which anything may be true;
# codes that only other APIs' pages or a single client library tell of (7, 14, 18 to 25, 29, 1005, 2029, 2033, R002...).
DEFINITE_FAILURES: dict[str, str] = {
    "1": "the account that pays holds too little",
    "2": "below the smallest amount",
    "3": "above the largest amount",
    "4": "the recipient's daily limit",
    "8": "the recipient's largest balance",
    "11": "the debit party is in an invalid state",
    "21": "the initiator may not do this",
    "26": "system busy, the request is rejected",
    "2001": "the initiator's credentials are wrong",
    "2006": "an account rule forbids it",
    "2028": "the product is not assigned to the shortcode",
    "2040": "the recipient's kind of customer is not supported",
    "8006": "the initiator's credential is locked",
    "SFC_IC0003": "no such operator: the number is not on the network",
    "TP40153": "the operator may not use this API",
}

# Every payment fails with these until somebody mends our access, and trying on locks it: the API page tells of the lock
# after failed credentials.
ACCESS_REFUSED = frozenset({"2001", "8006"})

# STK push. Left out on purpose: 4999, still under processing, and whatever nobody documents: the success may follow.
PROMPT_FAILURES: dict[str, str] = {
    "1": "the payer holds too little",
    "2": "below the smallest amount",
    "3": "above the largest amount",
    "4": "the payer's daily limit",
    "8": "the receiver's largest balance",
    "17": "the same amount from the same payer within two minutes",
    "26": "system busy, the request is rejected",
    "1001": "the payer is in the middle of another transaction",
    "1019": "the prompt expired",
    "1025": "the prompt could not be sent",
    "1031": "cancelled by the payer",
    "1032": "cancelled by the payer",
    "1036": "the payer's phone did not acknowledge the prompt",
    "1037": "the payer's phone cannot be reached",
    "2001": "the payer's PIN was wrong",
    "2028": "the product is not assigned: the receiver does not fit the kind of transaction",
    "8006": "the security credential is locked",
    "9999": "the prompt could not be sent",
    "SFC_IC0003": "no such operator: the receiver does not fit the kind of transaction",
}

# What fails every prompt alike until somebody mends our set-up. A 2001 is no fault of ours here.
PROMPT_ACCESS_REFUSED = frozenset({"2028", "8006", "SFC_IC0003"})

# The reversal that had been made before, perhaps by a person in the portal.
REVERSED_BEFORE = "R000001"

# Reversal.
REVERSAL_FAILURES: dict[str, str] = {
    "1": "the account that pays back holds too little",
    "11": "the debit party is in an invalid state",
    "21": "the initiator may not do this",
    "2001": "the initiator's credentials are wrong",
    "2006": "an account rule forbids it",
    "2028": "the product is not assigned to the shortcode",
    "8006": "the initiator's credential is locked",
    REVERSED_BEFORE: "reversed before",
    "R000002": "no such transaction",
}


def blame_for_prompt(code: str) -> Blame:
    """Where the fault of a prompt's failure lies."""
    return Blame.ACCESS if code in PROMPT_ACCESS_REFUSED else Blame.PAYMENT


def blame_for_payment(code: str) -> Blame:
    """Where the fault of the failure of a payment or a reversal lies."""
    return Blame.ACCESS if code in ACCESS_REFUSED else Blame.PAYMENT
