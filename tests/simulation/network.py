"""The network of a history: between our processes and the provider, and to the partners' receivers.

Every exchange passes the points before and after it leaves and when its answer is there; what befalls it is drawn from
the history's troubles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

from adapters.egress import Answered, CallResult, Unanswered
from tests.simulation import daraja_messages as messages
from tests.simulation.actors import AFTER_RECEIVE, AFTER_SEND, BEFORE_SEND, Stage
from tests.simulation.clock import Clock
from tests.simulation.daraja import Daraja

Troubled = Callable[[str, float], bool]


class ProviderLine(httpx.AsyncBaseTransport):
    """What an adapter's HTTP client speaks into."""

    def __init__(self, daraja: Daraja, *, stage: Stage, troubled: Troubled) -> None:
        self._daraja = daraja
        self._stage = stage
        self._troubled = troubled

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange."""
        if request.url.path == "/oauth/v1/generate":
            return _response(200, self._daraja.grant())
        await self._stage.point(BEFORE_SEND)
        early = self._fails_before(request)
        if early is not None:
            return early
        bearer = request.headers.get("authorization", "")
        status, body = self._daraja.answer(request.url.path, bearer, json.loads(request.content))
        await self._stage.point(AFTER_SEND)
        if self._troubled("answer-lost", 0.1):
            raise httpx.ReadTimeout("no answer", request=request)
        if self._troubled("error-after", 0.08):
            status, body = 500, messages.refused("500.003.1001", "Internal Server Error")
        await self._stage.point(AFTER_RECEIVE)
        return _response(status, body)

    def _fails_before(self, request: httpx.Request) -> httpx.Response | None:
        """What ends the exchange before the provider sees it."""
        if self._troubled("request-lost", 0.1):
            raise httpx.ReadTimeout("no answer", request=request)
        if self._troubled("error-before", 0.08):
            return _response(503, b"<html><body>Service Unavailable</body></html>")
        if self._troubled("throttled", 0.1):
            return _response(429, messages.throttled())
        return None


@dataclass(slots=True)
class Receiver:
    """A partner's backend: verifies, keeps what it was told by event id, and may be away or forgetful."""

    secret: str
    clock: Clock
    troubled: Troubled
    away_until: datetime | None = None
    bodies: dict[str, bytes] = field(default_factory=dict)
    arrivals: int = 0
    contradicted: list[str] = field(default_factory=list)

    def take(self, headers: Mapping[str, str], body: bytes) -> int | None:
        """The HTTP status it answers; None for no answer."""
        if self.away_until is not None and self.clock.now() < self.away_until:
            return None
        # Its own clock is nobody's matter here: the signature is verified, and its age is not.
        verified = Webhook(self.secret).sign(
            headers["webhook-id"], _moment(headers["webhook-timestamp"]), body.decode()
        )
        if verified not in headers["webhook-signature"].split():
            return 401
        event_id = headers["webhook-id"]
        if self.bodies.setdefault(event_id, body) != body or json.loads(body)["id"] != event_id:
            self.contradicted.append(event_id)
        self.arrivals += 1
        return 500 if self.troubled("receiver-forgets", 0.15) else 200


class ReceiverLine:
    """What stands for adapters.egress.Egress: the way to the receivers, by URL."""

    def __init__(self, receivers: Mapping[str, Receiver], *, stage: Stage) -> None:
        self._receivers = receivers
        self._stage = stage

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> CallResult:
        """One try."""
        await self._stage.point(BEFORE_SEND)
        status = self._receivers[url].take(headers, body)
        await self._stage.point(AFTER_SEND)
        return Unanswered("no answer in time") if status is None else Answered(status)

    async def close(self) -> None:
        """Nothing is open."""


def _response(status: int, body: bytes) -> httpx.Response:
    return httpx.Response(status, stream=httpx.ByteStream(body))


def _moment(timestamp: str) -> datetime:
    return datetime.fromtimestamp(int(timestamp), tz=UTC)
