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
}

B2C = frozenset({Api.B2C_V1, Api.B2C_V3})
B2B = frozenset({Api.B2B, Api.TAX})
PAYMENTS = B2C | B2B
"""The APIs that move money; the others but OAuth ask questions."""
