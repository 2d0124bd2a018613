"""An API user and its key in MTN's sandbox, which alone lets them be made by API; in production the portal makes them.

Source: MTN's page on provisioning. The user's id is ours to choose, a UUID of version 4; its key is told once.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import httpx

from adapters import documents, transport
from adapters.momo.answers import read_answer
from adapters.transport import HttpAnswer, HttpLimits, Secret
from ledger.errors import TextInvalid

_HOST = re.compile(r"(?=.{1,253}\Z)(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}")
_CREATED = 201


@dataclass(frozen=True, slots=True)
class NotProvisioned:
    """There is no user, or one whose key nobody knows: make another. The reason is safe to show."""

    reason: str


async def provision(
    *,
    base_url: str,
    subscription_key: Secret,
    user_id: str,
    callback_host: str,
    limits: HttpLimits = transport.DEFAULT_LIMITS,
) -> Secret | NotProvisioned:
    """Makes the user `user_id` for callbacks to `callback_host` (a name, without scheme, port or path) and its key;
    returns USER:KEY. Raises TextInvalid for a host that is none."""
    if not _HOST.fullmatch(callback_host):
        raise TextInvalid("the callback host is a name alone, such as pay.example.com", field="callback_host")
    body = json.dumps({"providerCallbackHost": callback_host}).encode()
    async with transport.http_client(base_url=base_url, limits=limits) as client:
        headers = {"Ocp-Apim-Subscription-Key": subscription_key.reveal()}
        user = client.build_request(
            "POST",
            "/v1_0/apiuser",
            content=body,
            headers=headers | {"X-Reference-Id": user_id, "Content-Type": "application/json"},
        )
        made = await _created(client, user, limits)
        if isinstance(made, NotProvisioned):
            return made
        key = client.build_request("POST", f"/v1_0/apiuser/{user_id}/apikey", headers=headers)
        answer = await _created(client, key, limits)
    if isinstance(answer, NotProvisioned):
        return answer
    told = documents.identifier(read_answer(answer.status, answer.body).document.get("apiKey"))
    return NotProvisioned("a key was made and not told") if told is None else Secret(f"{user_id}:{told}")


async def _created(
    client: httpx.AsyncClient, request: httpx.Request, limits: HttpLimits
) -> HttpAnswer | NotProvisioned:
    answer = await transport.exchange(client, request, limits=limits)
    if not isinstance(answer, HttpAnswer):
        return NotProvisioned(f"no answer: {answer.reason}")
    if answer.status != _CREATED:
        return NotProvisioned(str(read_answer(answer.status, answer.body)))
    return answer
