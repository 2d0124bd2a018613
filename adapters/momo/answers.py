"""What the answer that comes back at once proves, to a request and to a question. Pure; never raises.

MoMo speaks in three envelopes (wallet, gateway, token), in HTML, and often in none. The HTTP status alone decides
nothing: a refusal may be a 500. What is not documented proves nothing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from adapters import documents, transport
from adapters.momo import reasons

_SUBSCRIPTION_TEXT = "subscription key"
_FORBIDDEN_TEXTS = ("forbidden ip", "forbidden_ip", "application-gateway", "application gateway")

THROTTLED_SECONDS = 30.0
# What fails until somebody changes the set-up is asked again this much later.
REFUSED_ACCESS_SECONDS = 300.0


class Meaning(enum.Enum):
    """What an answer says about the call it answers."""

    TAKEN_IN = "taken in; nothing is known of the money"
    TOLD = "a document that tells what was asked for"
    BEARER_REFUSED = "the access token is not in force; nothing was done"
    ACCESS_REFUSED = "the gateway refused us; the wallet platform saw nothing"
    THROTTLED = "refused for its rate; nothing was done"
    REFUSED = "refused as documented; nothing was created"
    REFUSED_ON_500 = "a business refusal in the dress of an error: nothing was created if it cannot be read back"
    DUPLICATE = "the reference exists, which says that it was taken in before, and nothing of the money"
    MISSING = "nothing here has this reference"
    UNPROVEN = "anything may have happened"


# By HTTP status and code together: one without the other says something else.
_DOCUMENTED = {
    (404, "RESOURCE_NOT_FOUND"): Meaning.MISSING,
    (409, "RESOURCE_ALREADY_EXIST"): Meaning.DUPLICATE,
    **{(500, code): Meaning.REFUSED_ON_500 for code in reasons.REFUSALS},
}


@dataclass(frozen=True, slots=True)
class MomoAnswer:
    """An answer of MoMo: `code` as it came or "", `description` redacted, `document` empty where there is none."""

    status: int
    meaning: Meaning
    code: str
    description: str
    document: dict[str, object]

    def __str__(self) -> str:
        return " ".join(part for part in (f"HTTP {self.status}", self.code, self.description) if part)


def read_answer(status: int, body: bytes) -> MomoAnswer:
    """Any answer of a product's API."""
    try:
        document = documents.parse_document(body) if body.strip() else {}
        readable = True
    except documents.Unreadable:
        document, readable = {}, False
    code = documents.code(document.get("code")) or ""
    text = documents.text(document.get("message")) or documents.text(document.get("error")) or ""
    # HTML and the like is looked through for the gateway's own words, and never quoted.
    words = text if readable else body[:2000].decode("latin-1")
    meaning = _meaning(status, code, words.casefold(), readable=readable, empty=not body.strip())
    return MomoAnswer(status, meaning, code, transport.redact(text), document)


def _meaning(status: int, code: str, words: str, *, readable: bool, empty: bool) -> Meaning:
    if 200 <= status < 300:
        return _success(status, readable=readable, empty=empty)
    if status in (401, 403):
        return _refused_access(status, code, words, readable=readable)
    if status == 429:
        return Meaning.THROTTLED
    # Documented with and without a body. What is neither may come from anywhere on the way.
    if status == 400 and readable:
        return Meaning.REFUSED
    return _DOCUMENTED.get((status, code), Meaning.UNPROVEN)


def _success(status: int, *, readable: bool, empty: bool) -> Meaning:
    if status == 202:
        return Meaning.TAKEN_IN
    return Meaning.TOLD if status == 200 and readable and not empty else Meaning.UNPROVEN


def _refused_access(status: int, code: str, words: str, *, readable: bool) -> Meaning:
    if status == 401:
        # By the gateway's own words it is the key; otherwise it is the token, of which one may be had anew.
        return Meaning.ACCESS_REFUSED if _SUBSCRIPTION_TEXT in words else Meaning.BEARER_REFUSED
    if code or any(text in words for text in _FORBIDDEN_TEXTS) or (readable and "forbidden" in words):
        return Meaning.ACCESS_REFUSED
    return Meaning.UNPROVEN
