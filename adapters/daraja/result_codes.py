"""Which result codes of a B2C or B2B payment prove that no money moved; any code not listed here proves nothing.

The same number means other things in other APIs; these two share the core's own. Source: Daraja's B2C page, and codes
seen in production by its integrators; see tests/examples/daraja/README.md.
"""

from __future__ import annotations

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
