"""The demonstration's partner backend: takes webhooks over real HTTP and believes only what is signed."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fastapi import FastAPI, Request, Response
from standardwebhooks import Webhook

from adapters.listener import Listener

# How old or new a signature may be. Source: Standard Webhooks.
_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Told:
    """A webhook whose signature is right."""

    id: str
    type: str
    disbursement_id: str


class Receiver:
    """Listens on loopback; `told` holds what was verified, once per webhook-id. `now` is the clock of the story, which
    is why the library's own verification, by the wall clock, is not used."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._listener = Listener(host="127.0.0.1", port=0, grace_seconds=1)
        self._secret = ""
        self.told: dict[str, Told] = {}
        self.refused = 0
        self._news = asyncio.Event()

    async def start(self) -> str:
        """The URL to give Daftari."""
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        app.add_api_route("/webhooks", self._receive, methods=["POST"])
        return f"{await self._listener.start(app)}/webhooks"

    def believe(self, secret: str) -> None:
        """The secret that signatures are checked with from now on."""
        self._secret = secret

    async def wait_for(self, disbursement_ids: set[str], *, seconds_max: float) -> bool:
        """Whether each of the payouts was told of in time."""
        try:
            async with asyncio.timeout(seconds_max):
                while not disbursement_ids <= {one.disbursement_id for one in self.told.values()}:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Frees the port."""
        await self._listener.stop()

    async def _receive(self, request: Request) -> Response:
        body = await request.body()
        if not self._is_genuine(request.headers, body):
            self.refused += 1
            return Response(status_code=400)
        document = json.loads(body)
        payout = document.get("data", document)
        told = Told(request.headers["webhook-id"], document["type"], payout.get("disbursement_id", ""))
        self.told[told.id] = told
        self._news.set()
        return Response(status_code=204)

    def _is_genuine(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the secret signed just this, lately."""
        try:
            signed_at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
            expected = Webhook(self._secret).sign(headers["webhook-id"], signed_at, body.decode())
        except (KeyError, ValueError, OverflowError):
            return False
        signatures = headers.get("webhook-signature", "").split(" ")
        is_signed = any(hmac.compare_digest(expected.encode(), one.encode()) for one in signatures)
        return is_signed and abs(self._now() - signed_at) <= _TOLERANCE
