"""What an error answer of Daraja's gateway proves, whichever API it guards. Pure.

Source: Daraja's error tables and the gateway faults seen in practice; tests/examples/daraja/README.md names them. The
rule: a documented 4xx refused the request before the core saw it; every other error proves nothing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from adapters import documents, transport


class Meaning(enum.Enum):
    """What an error answer says about the request it answers."""

    ACCESS_REFUSED = "the gateway refused the access token; the core saw nothing"
    THROTTLED = "the gateway refused the call for its rate; the core saw nothing"
    BUSY = "refused for the load, in words that do not say by the gateway"
    REFUSED = "the request was refused as documented; nothing is queued"
    DUPLICATE = "this OriginatorConversationID was seen before, which does not say that it paid"
    UNPROVEN = "anything may have happened"


@dataclass(frozen=True, slots=True)
class GatewayError:
    """An error answer: `code` as documented or "" if it has none, `description` redacted, since some texts echo the
    token they refuse; `retry_after_seconds` counts where the meaning is THROTTLED or BUSY."""

    status: int
    meaning: Meaning
    code: str
    description: str
    retry_after_seconds: float

    def __str__(self) -> str:
        return " ".join(part for part in (f"HTTP {self.status}", self.code, self.description) if part)


# The same refusal wears a different code in each API family, and HTTP 400, 401 or 404 to go with it. The names with
# words are Apigee's, the gateway product itself.
_TOKEN_CODES = frozenset({
    "400.003.01",
    "401.002.01",
    "404.001.03",
    "keymanagement.service.invalid_access_token",
    "keymanagement.service.access_token_expired",
    "keymanagement.service.access_token_not_approved",
    "oauth.v2.InvalidAccessToken",
    "steps.oauth.v2.InvalidAccessToken",
})  # fmt: skip

# Seconds to wait: a spike is over within the minute, a quota counts over a longer period that is published nowhere.
_THROTTLE_SECONDS = {
    "500.003.02": 30.0,
    "500.003.03": 300.0,
    "policies.ratelimit.SpikeArrestViolation": 30.0,
    "policies.ratelimit.QuotaViolation": 300.0,
}

_REFUSAL_CODES = frozenset({
    "400.002.02",  # Bad Request - Invalid <field>
    "400.002.05",  # Invalid Request Payload
    "400.003.02",  # Bad Request
    "403.002.1001",  # not authorised to initiate: v3 is not enabled for the app
    "404.001.01",  # Resource not found, in three families
    "404.002.01",
    "404.003.01",
    "404.001.04",  # Invalid Authentication Header
    "405.001",  # Method Not Allowed
    "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound",
})  # fmt: skip

# Daraja documents this refusal by its text alone: the product is not enabled on the app.
_NO_PRODUCT_TEXT = "no apiproduct match found"

# The same code also says "System is busy. Please try again in few minutes.", which more than the gateway may say.
_BUSY_CODE = "500.003.02"
_SPIKE_TEXT = "spike arrest"

# One code for "duplicate", "system internal error" and "maintenance": only the text tells them apart.
_OVERLOADED_CODE = "500.002.1001"
_DUPLICATE_TEXT = "duplicate originatorconversationid"


def read_error(status: int, document: dict[str, object]) -> GatewayError:
    """Reads an answer whose HTTP status is not 2xx: Daraja's {errorCode, errorMessage} or Apigee's {fault}."""
    code, description = _code_and_description(document)
    meaning = _meaning(status, code, description.casefold())
    return GatewayError(status, meaning, code, transport.redact(description), _THROTTLE_SECONDS.get(code, 30.0))


def _code_and_description(document: dict[str, object]) -> tuple[str, str]:
    fault = document.get("fault")
    if isinstance(fault, dict):
        detail = fault.get("detail")
        code = detail.get("errorcode") if isinstance(detail, dict) else None
        return documents.code(code) or "", documents.text(fault.get("faultstring")) or ""
    return documents.code(document.get("errorCode")) or "", documents.text(document.get("errorMessage")) or ""


def _meaning(status: int, code: str, description: str) -> Meaning:
    # The duplicate is documented with HTTP 500 and was seen with 400.
    if code == _OVERLOADED_CODE and description.startswith(_DUPLICATE_TEXT):
        return Meaning.DUPLICATE
    if code in _THROTTLE_SECONDS and (status == 429 or status >= 500):
        return Meaning.BUSY if code == _BUSY_CODE and _SPIKE_TEXT not in description else Meaning.THROTTLED
    if 400 <= status < 500 and code in _TOKEN_CODES:
        return Meaning.ACCESS_REFUSED
    if 400 <= status < 500 and (code in _REFUSAL_CODES or (status == 401 and _NO_PRODUCT_TEXT in description)):
        return Meaning.REFUSED
    return Meaning.UNPROVEN
