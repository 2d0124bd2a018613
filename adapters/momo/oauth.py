"""MoMo's access tokens as documents: one per product and platform, asked for without a body. Pure.

Source: MTN's API pages; token_type is literally "access_token". A user id of the new platform is base64 and ends in
"=": it is sent as it is, for URL-encoding it first is answered with HTTP 500.
"""

from __future__ import annotations

import base64
import re

from adapters import documents
from adapters.momo.answers import read_answer
from adapters.momo.credentials import Product
from adapters.transport import Secret, TokenGrant, TokenUnavailable

LIFETIME_SECONDS_MAX = 3_600

_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
_SECONDS = re.compile(r"[0-9]{1,9}")


def token_path(product: Product) -> str:
    """With a slash at its end, which the gateway insists on."""
    return f"/{product.value}/token/"


def authorization(credential: Secret) -> str:
    """The Basic header's value of USER:KEY."""
    return f"Basic {base64.b64encode(credential.reveal().encode()).decode('ascii')}"


def read_token_answer(status: int, body: bytes) -> TokenGrant | TokenUnavailable:
    """The grant, or why there is none. Never raises."""
    answer = read_answer(status, body)
    token = documents.text(answer.document.get("access_token"))
    if status != 200:
        return TokenUnavailable(f"no token: {answer}")
    # Checked before it becomes a header, where a line break would be an injection.
    if token is None or not _TOKEN.fullmatch(token):
        return TokenUnavailable("no token: HTTP 200 without an access token")
    told = documents.text(answer.document.get("expires_in"))
    lifetime = int(told) if told is not None and _SECONDS.fullmatch(told) else LIFETIME_SECONDS_MAX
    return TokenGrant(Secret(token), min(lifetime, LIFETIME_SECONDS_MAX))
