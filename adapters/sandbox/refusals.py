"""Daraja's synchronous error answers as data: HTTP status, errorCode, errorMessage. Decides on none of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastapi import Response

from adapters.sandbox import wire
from adapters.sandbox.apis import TokenError
from adapters.sandbox.behaviours import Answer


@dataclass(frozen=True, slots=True)
class Refusal:
    """One documented error answer. The message is not shown in `repr`: some echo a token."""

    status: int
    code: str
    message: str = field(repr=False)

    @property
    def is_fault(self) -> bool:
        """Whether it is worded by the gateway product itself (Apigee), whose codes have no numbers."""
        return not self.code[0].isdigit()

    def response(self, request_id: str) -> Response:
        """The answer with the gateway's request id."""
        body: wire.Document = {"requestId": request_id, "errorCode": self.code, "errorMessage": self.message}
        if self.is_fault:
            body = {"fault": {"faultstring": self.message, "detail": {"errorcode": self.code}}}
        return json_response(body, self.status)


class Refused(Exception):
    """Raised while a request is read, to be answered with its refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


# Daraja error tables; HTTP statuses as documented there.
INVALID_AUTHENTICATION = Refusal(400, "400.008.01", "Invalid Authentication passed")
INVALID_GRANT_TYPE = Refusal(400, "400.008.02", "Invalid grant type passed")
INVALID_PAYLOAD = Refusal(400, "400.002.05", "Invalid Request Payload")
INVALID_AUTHENTICATION_HEADER = Refusal(404, "404.001.04", "Invalid Authentication Header")
RESOURCE_NOT_FOUND = Refusal(404, "404.003.01", "Resource not found")
NOT_AUTHORISED = Refusal(403, "403.002.1001", "You are not authorized to initiate this transaction")
NO_API_PRODUCT = Refusal(401, "401.003.01", "Invalid API call as no apiproduct match found")
# The next three share a code and mean opposite things: only the text tells them apart.
DUPLICATE_ORIGINATOR = Refusal(500, "500.002.1001", "Duplicate OriginatorConversationID.")
MAINTENANCE = Refusal(500, "500.002.1001", "Service is currently under maintenance. Please try again later.")
SYSTEM_INTERNAL_ERROR = Refusal(500, "500.002.1001", "System internal error.")
INTERNAL_SERVER_ERROR = Refusal(500, "500.003.1001", "Internal Server Error")
# As above: 500.001.1001 says that a prompt is refused, that it is still open, or that nothing is known.
UNKNOWN_MERCHANT = Refusal(500, "500.001.1001", "Merchant does not exist")
WRONG_CREDENTIALS = Refusal(500, "500.001.1001", "[MerchantValidate] - Wrong credentials")
SUBSCRIBER_LOCKED = Refusal(
    500, "500.001.1001", "Unable to lock subscriber, a transaction is already in process for the current subscriber"
)
BEING_PROCESSED = Refusal(500, "500.001.1001", "The transaction is being processed")
URLS_ALREADY_REGISTERED = Refusal(500, "500.003.1001", "Urls are already registered.")
SPIKE_ARREST = Refusal(500, "500.003.02", "Error Occurred: Spike Arrest Violation")
SYSTEM_BUSY = Refusal(500, "500.003.02", "System is busy. Please try again in few minutes.")
QUOTA_VIOLATION = Refusal(500, "500.003.03", "Error Occurred: Quota Violation")

SERVICE_UNAVAILABLE_HTML = "<html><body><b>Http/1.1 Service Unavailable</b></body></html>"
APIGEE_SPIKE_ARREST = Refusal(
    429,
    "policies.ratelimit.SpikeArrestViolation",
    "Spike arrest violation. Allowed rate : MessageRate{messagesPerPeriod=5, periodInMicroseconds=60000000, "
    "maxBurstMessageCount=1.0}",
)
APIGEE_INVALID_TOKEN = Refusal(401, "keymanagement.service.invalid_access_token", "Invalid access token")

# How Daraja words the answers that are one of its documented errors.
ERROR_ANSWERS = {
    Answer.INTERNAL_SERVER_ERROR: INTERNAL_SERVER_ERROR,
    Answer.SYSTEM_INTERNAL_ERROR: SYSTEM_INTERNAL_ERROR,
    Answer.RATE_LIMITED: APIGEE_SPIKE_ARREST,
    Answer.SPIKE_ARREST: SPIKE_ARREST,
    Answer.SYSTEM_BUSY: SYSTEM_BUSY,
    Answer.QUOTA_VIOLATION: QUOTA_VIOLATION,
    Answer.MAINTENANCE: MAINTENANCE,
    Answer.NOT_AUTHORISED: NOT_AUTHORISED,
    Answer.NO_API_PRODUCT: NO_API_PRODUCT,
    Answer.SUBSCRIBER_LOCKED: SUBSCRIBER_LOCKED,
}


def invalid_field(name: str) -> Refusal:
    """400.002.02 naming the field at fault."""
    return Refusal(400, "400.002.02", f"Bad Request - Invalid {name}")


def invalid_access_token(form: TokenError, token: str) -> Refusal:
    """How a token not in force is answered; as in production, two of the forms repeat the token."""
    echoing = f"Error Occurred - Invalid Access Token - {token}"
    return {
        TokenError.NOT_FOUND: Refusal(404, "404.001.03", "Invalid Access Token"),
        TokenError.BAD_REQUEST: Refusal(400, "400.003.01", echoing),
        TokenError.UNAUTHORISED: Refusal(401, "401.002.01", echoing),
        TokenError.APIGEE: APIGEE_INVALID_TOKEN,
    }[form]


def method_not_allowed(method: str) -> Refusal:
    """405.001 naming the method used."""
    return Refusal(405, "405.001", f"{method} Method Not Allowed")


def json_response(document: wire.Document, status: int = 200) -> Response:
    """A document as an HTTP answer."""
    return Response(wire.encode(document), status, media_type="application/json")
