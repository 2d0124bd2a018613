"""What may happen to a transfer or a request to pay, and which numbers ask for it: MTN's own, then the sandbox's.

MTN's table of test numbers shifts by one row between transfers and the rest. Source: MTN's sandbox page.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

PREFIX = "46733123"
PLAIN = "paid"


class Answer(enum.Enum):
    """What the sender of a request hears."""

    TAKEN_IN = "202"
    DROPPED = "dropped"
    ERROR = "500"


class Fate(enum.Enum):
    """What becomes of it in truth."""

    PAID = "SUCCESSFUL"
    FAILED = "FAILED"
    PENDING = "PENDING"
    ONGOING = "ongoing"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`code` is the reason of a failure, or of a refusal with its HTTP `status`. `callbacks` copies of the callback
    leave, `first` before the answer; `lie` is what they say instead of the truth: "status" or "amount". The first
    `unseen` status reads find nothing."""

    name: str
    summary: str
    fate: Fate = Fate.PAID
    code: str = ""
    status: int = 500
    answer: Answer = Answer.TAKEN_IN
    callbacks: int = 1
    first: bool = False
    lie: str = ""
    unseen: int = 0


def _refused(code: str, *, status: int = 500) -> Behaviour:
    name = code.lower().replace("_", "-")
    return Behaviour(name, f"HTTP {status} {code}; nothing created", Fate.REFUSED, code, status, callbacks=0)


def _failed(name: str, code: str) -> Behaviour:
    return Behaviour(name, f"FAILED: {code}, called back", Fate.FAILED, code)


_PLAIN = Behaviour(PLAIN, "SUCCESSFUL, called back")
_FAILED = _failed("failed", "INTERNAL_PROCESSING_ERROR")
_REJECTED, _EXPIRED = _failed("rejected", "APPROVAL_REJECTED"), _failed("expired", "EXPIRED")
_ONGOING = Behaviour("ongoing", "PENDING, SUCCESSFUL half a minute later, never called back", Fate.ONGOING, callbacks=0)
_DELAYED = Behaviour("delayed", "PENDING for ever", Fate.PENDING, callbacks=0)
_UNKNOWN_TYPE = _failed("transfer-type-unknown", "TRANSFER_TYPE_UNKNOWN")
_CODES = {
    code: _refused(code)
    for code in (
        "PAYER_NOT_FOUND", "PAYEE_NOT_FOUND", "PAYEE_NOT_ALLOWED_TO_RECEIVE", "PAYER_LIMIT_REACHED", "NOT_ENOUGH_FUNDS",
        "NOT_ALLOWED", "NOT_ALLOWED_TARGET_ENVIRONMENT", "INVALID_CALLBACK_URL_HOST", "INVALID_CURRENCY",
        "INTERNAL_PROCESSING_ERROR", "COULD_NOT_PERFORM_TRANSACTION",
    )
} | {"SERVICE_UNAVAILABLE": _refused("SERVICE_UNAVAILABLE", status=503)}  # fmt: skip

_STATES = {"450": _FAILED, "451": _REJECTED, "452": _EXPIRED, "453": _ONGOING, "454": _DELAYED}
_SHARED_CODES = (
    "NOT_ALLOWED", "NOT_ALLOWED_TARGET_ENVIRONMENT", "INVALID_CALLBACK_URL_HOST", "INVALID_CURRENCY",
    "INTERNAL_PROCESSING_ERROR", "SERVICE_UNAVAILABLE",
)  # fmt: skip


def _numbered(codes: tuple[str, ...]) -> dict[str, Behaviour]:
    return {str(455 + index): _CODES[code] for index, code in enumerate(codes)}


# What MTN's page prints, in its order.
TRANSFER_NUMBERS = (
    _STATES
    | _numbered(("NOT_ENOUGH_FUNDS", "PAYER_LIMIT_REACHED", "PAYEE_NOT_FOUND", *_SHARED_CODES))
    | {"464": _UNKNOWN_TYPE}
)
REQUEST_NUMBERS = (
    _STATES
    | _numbered(("PAYER_NOT_FOUND", "PAYEE_NOT_ALLOWED_TO_RECEIVE", *_SHARED_CODES, "COULD_NOT_PERFORM_TRANSACTION"))
    | {"464": _UNKNOWN_TYPE}
)

# The sandbox's own: what networks, gateways and callbacks do.
FAULT_NUMBERS = {
    "500": Behaviour("silent", "taken in, then PENDING for ever, never called back", Fate.PENDING, callbacks=0),
    "501": Behaviour("never-arrived", "the connection is cut before it was read", Fate.REFUSED, answer=Answer.DROPPED),
    "502": Behaviour("answer-lost", "paid; the connection is cut, no answer", answer=Answer.DROPPED, callbacks=0),
    "503": Behaviour("error-yet-paid", "HTTP 500, yet paid; silence", answer=Answer.ERROR, callbacks=0,
                     code="INTERNAL_PROCESSING_ERROR"),
    "504": Behaviour("refused-yet-paid", "HTTP 500 NOT_ENOUGH_FUNDS, yet paid", answer=Answer.ERROR,
                     code="NOT_ENOUGH_FUNDS"),
    "505": Behaviour("callback-lost", "paid, never called back", callbacks=0),
    "506": Behaviour("callback-first", "called back before the answer", first=True),
    "507": Behaviour("callback-often", "paid, called back twenty times", callbacks=20),
    "508": Behaviour("callback-contradicts", "paid, and the callback says FAILED", lie="status"),
    "509": Behaviour("callback-other-amount", "paid, and the callback names another amount", lie="amount"),
    "510": Behaviour("failed-callback-paid", "FAILED, and the callback says SUCCESSFUL", Fate.FAILED,
                     "PAYEE_NOT_ALLOWED_TO_RECEIVE", lie="status"),
    "511": Behaviour("appears-late", "paid; the first status read finds nothing", callbacks=0, unseen=1),
    "512": Behaviour("new-reason", "FAILED for a reason that nobody documents", Fate.FAILED, "MOON_PHASE"),
}  # fmt: skip

BEHAVIOURS = {
    one.name: one for one in (_PLAIN, *TRANSFER_NUMBERS.values(), *REQUEST_NUMBERS.values(), *FAULT_NUMBERS.values())
}

# What the question about an account holder hears; any other number has an active wallet.
HOLDER_NUMBERS = {
    "450": (404, "RESOURCE_NOT_FOUND"),
    "451": (200, "inactive"),
    "452": (500, "NOT_ALLOWED"),
    "453": (500, "NOT_ALLOWED_TARGET_ENVIRONMENT"),
    "454": (500, "INTERNAL_PROCESSING_ERROR"),
    "455": (503, "SERVICE_UNAVAILABLE"),
}


def by_number(msisdn: str, *, collects: bool) -> Behaviour:
    """What a number asks for."""
    suffix = msisdn.removeprefix(PREFIX) if msisdn.startswith(PREFIX) else ""
    numbers = REQUEST_NUMBERS if collects else TRANSFER_NUMBERS
    return numbers.get(suffix) or FAULT_NUMBERS.get(suffix) or _PLAIN


def number_of(name: str, *, collects: bool = False) -> str:
    """The number that asks for a behaviour."""
    numbers = (REQUEST_NUMBERS if collects else TRANSFER_NUMBERS) | FAULT_NUMBERS
    return PREFIX + next(suffix for suffix, one in numbers.items() if one.name == name)
