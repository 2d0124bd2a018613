"""The APIs of Daraja that are simulated, as data: path, the field named for a body that is no JSON, token errors."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Api(enum.Enum):
    """One API, by the name that the control API knows it by."""

    OAUTH = "oauth"
    B2C_V1 = "b2c-v1"
    B2C_V3 = "b2c-v3"
    B2B = "b2b"
    TAX = "tax"
    STATUS = "status"
    BALANCE = "balance"
    STK = "stk"
    STK_QUERY = "stk-query"
    C2B_REGISTER_V1 = "c2b-register-v1"
    C2B_REGISTER_V2 = "c2b-register-v2"
    C2B_SIMULATE_V1 = "c2b-simulate-v1"
    C2B_SIMULATE_V2 = "c2b-simulate-v2"
    REVERSAL = "reversal"
    PULL_REGISTER = "pull-register"
    PULL_QUERY = "pull-query"


class TokenError(enum.Enum):
    """How an API answers a token that is not in force; it differs per family, and captures of one family differ."""

    NOT_FOUND = "404.001.03"
    BAD_REQUEST = "400.003.01"
    UNAUTHORISED = "401.002.01"
    APIGEE = "apigee"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an API is and how its gateway speaks. `first_field` is what 400.002.02 names when no JSON came."""

    path: str
    first_field: str
    token_error: TokenError


# Daraja's API pages and its error tables: which family answers which token error.
ENDPOINTS = {
    Api.OAUTH: Endpoint("/oauth/v1/generate", "", TokenError.UNAUTHORISED),
    Api.B2C_V1: Endpoint("/mpesa/b2c/v1/paymentrequest", "InitiatorName", TokenError.UNAUTHORISED),
    Api.B2C_V3: Endpoint("/mpesa/b2c/v3/paymentrequest", "OriginatorConversationID", TokenError.UNAUTHORISED),
    Api.B2B: Endpoint("/mpesa/b2b/v1/paymentrequest", "Initiator", TokenError.BAD_REQUEST),
    Api.TAX: Endpoint("/mpesa/b2b/v1/remittax", "Initiator", TokenError.BAD_REQUEST),
    Api.STATUS: Endpoint("/mpesa/transactionstatus/v1/query", "Initiator", TokenError.BAD_REQUEST),
    Api.BALANCE: Endpoint("/mpesa/accountbalance/v1/query", "Initiator", TokenError.UNAUTHORISED),
    Api.STK: Endpoint("/mpesa/stkpush/v1/processrequest", "BusinessShortCode", TokenError.NOT_FOUND),
    Api.STK_QUERY: Endpoint("/mpesa/stkpushquery/v1/query", "BusinessShortCode", TokenError.NOT_FOUND),
    Api.C2B_REGISTER_V1: Endpoint("/mpesa/c2b/v1/registerurl", "ShortCode", TokenError.BAD_REQUEST),
    Api.C2B_REGISTER_V2: Endpoint("/mpesa/c2b/v2/registerurl", "ShortCode", TokenError.BAD_REQUEST),
    Api.C2B_SIMULATE_V1: Endpoint("/mpesa/c2b/v1/simulate", "ShortCode", TokenError.BAD_REQUEST),
    Api.C2B_SIMULATE_V2: Endpoint("/mpesa/c2b/v2/simulate", "ShortCode", TokenError.BAD_REQUEST),
    Api.REVERSAL: Endpoint("/mpesa/reversal/v1/request", "Initiator", TokenError.NOT_FOUND),
    # No document says which family Pull belongs to; it recovers C2B, and is held to be of C2B's.
    Api.PULL_REGISTER: Endpoint("/pulltransactions/v1/register", "ShortCode", TokenError.BAD_REQUEST),
    Api.PULL_QUERY: Endpoint("/pulltransactions/v1/query", "ShortCode", TokenError.BAD_REQUEST),
}

B2C = frozenset({Api.B2C_V1, Api.B2C_V3})
B2B = frozenset({Api.B2B, Api.TAX})
PAYMENTS = B2C | B2B
"""The APIs that pay out."""

STK = frozenset({Api.STK})
PAYBILL = frozenset({Api.C2B_SIMULATE_V1, Api.C2B_SIMULATE_V2})
"""Where a customer pays a shortcode or till: what pretends it at the provider's path, and the control API's own."""
COLLECTING = STK | PAYBILL
MOVING_OUT = PAYMENTS | {Api.REVERSAL}
"""The APIs that take money out of the accounts; what is neither this nor collecting asks or settles something."""
WITH_TIMEOUT_ADDRESS = MOVING_OUT | {Api.STATUS, Api.BALANCE}
"""The APIs whose requests name an address for queue-timeout notices, and whose results are envelopes of one form."""
