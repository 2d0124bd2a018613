"""Daraja's OAuth as documents: the header that asks for an access token, and what the answer grants. Pure."""

from __future__ import annotations

import base64
import re

from adapters import documents
from adapters.daraja import gateway
from adapters.daraja.credentials import DarajaSecrets
from adapters.transport import Secret, TokenGrant, TokenUnavailable

GRANT_PATH = "/oauth/v1/generate?grant_type=client_credentials"

# Daraja's tokens live an hour; one that claims longer, or does not say, is believed for that long.
LIFETIME_SECONDS_MAX = 3_600

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
_SECONDS = re.compile(r"[0-9]{1,9}")


def authorization(secrets: DarajaSecrets) -> str:
    """The Basic header's value of the app's consumer key and secret."""
    pair = f"{secrets.consumer_key.reveal()}:{secrets.consumer_secret.reveal()}"
    return f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"


def read_token_answer(status: int, body: bytes) -> TokenGrant | TokenUnavailable:
    """The grant, or why there is none. A wrong key or secret is often HTTP 400 with an empty body. Never raises."""
    try:
        document = documents.parse_document(body)
    except documents.Unreadable as error:
        return TokenUnavailable(f"OAuth answered HTTP {status}: {error.reason}")
    if status != 200:
        return TokenUnavailable(f"OAuth answered {gateway.read_error(status, document)}")
    token = documents.text(document.get("access_token"))
    # Checked before it becomes a header, where a line break would be an injection.
    if token is None or not _TOKEN.fullmatch(token):
        return TokenUnavailable("OAuth answered HTTP 200 without an access token")
    return TokenGrant(Secret(token), _lifetime_seconds(document.get("expires_in")))


def _lifetime_seconds(expires_in: object) -> int:
    """`expires_in` as a string or a number ("3599", 3599); the usual hour if it is missing or no whole number."""
    told = documents.text(expires_in)
    if told is None or not _SECONDS.fullmatch(told):
        return LIFETIME_SECONDS_MAX
    return min(int(told), LIFETIME_SECONDS_MAX)
