"""Outbound HTTP as every rail uses it: one client, one bounded exchange, a shared token, redaction of what returns.

Never follows a redirect, never takes a proxy from the environment, never repeats a request, and never raises for what
the network or the other side does: that is a value which says whether anything can have been sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

import httpx

from adapters.connections import KeepLimits, KeptConnections
from ledger.errors import LedgerError

# Some gateways refuse a library's default name with HTML, so every request carries our own.
USER_AGENT = "daftari/0.1"

# A token is renewed this long before the provider says it ends, so that none expires on its way.
TOKEN_MARGIN_SECONDS = 60.0

_URL = re.compile(r"[A-Za-z]+://\S+")
_OPAQUE = re.compile(r"(?=[A-Za-z+/=_-]*[0-9])[A-Za-z0-9+/=_-]{20,}")
_LONG_NUMBER = re.compile(r"\+?[0-9](?:[ -]?[0-9]){8,}")


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A text that goes on the wire and nowhere else: `repr` and `str` are masked, `reveal` is the text itself."""

    text: str

    def reveal(self) -> str:
        """The text, for building a request only."""
        return self.text

    def __repr__(self) -> str:
        return "Secret(****)"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one exchange may take. `exchange_seconds` bounds the whole of it, against a peer that drips bytes; it must
    exceed pool plus connect seconds, so that its passing never hides a connection that was not made."""

    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    write_seconds: float = 10.0
    pool_seconds: float = 5.0
    exchange_seconds: float = 50.0
    connections_max: int = 64
    body_bytes_max: int = 65_536


DEFAULT_LIMITS = HttpLimits()


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete answer: the status and the raw body, which no repr shows because it may echo secrets."""

    status: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NeverSent:
    """No connection was made, so not one byte of the request left this machine."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The request may have arrived, and no complete answer came back."""

    reason: str


Exchange: TypeAlias = HttpAnswer | NeverSent | NoAnswer


def http_client(*, base_url: str, limits: HttpLimits) -> httpx.AsyncClient:
    """A client for one provider, to be reused for its life and closed by its owner."""
    return httpx.AsyncClient(
        base_url=base_url,
        # Identity, so that the bound on the body bounds memory too: nothing is ever unpacked.
        headers={"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"},
        timeout=httpx.Timeout(
            connect=limits.connect_seconds,
            read=limits.read_seconds,
            write=limits.write_seconds,
            pool=limits.pool_seconds,
        ),
        # Idle connections are dropped well before a gateway drops them: a POST written into a connection that is
        # being closed has an unknown outcome.
        transport=KeptConnections(
            limits=KeepLimits(connections_max=limits.connections_max, idle_seconds=15.0), tls=httpx.create_ssl_context()
        ),
        follow_redirects=False,
        trust_env=False,
    )


async def exchange(client: httpx.AsyncClient, request: httpx.Request, *, limits: HttpLimits) -> Exchange:
    """Sends once and reads the bounded body. Reasons name the kind of failure and never quote the request."""
    try:
        async with asyncio.timeout(limits.exchange_seconds):
            return await _send_and_read(client, request, body_bytes_max=limits.body_bytes_max)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        return NeverSent(type(error).__name__)
    except (httpx.HTTPError, OSError) as error:
        # OSError covers the deadline above and what TLS raises in mid-stream.
        return NoAnswer(type(error).__name__)


async def _send_and_read(client: httpx.AsyncClient, request: httpx.Request, *, body_bytes_max: int) -> Exchange:
    response = await client.send(request, stream=True)
    try:
        body = bytearray()
        async for part in response.aiter_raw():
            body += part
            if len(body) > body_bytes_max:
                return NoAnswer("BodyTooLong")
        return HttpAnswer(response.status_code, bytes(body))
    finally:
        await response.aclose()


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """An access token and how long it lives from the moment it was asked for."""

    token: Secret
    lifetime_seconds: int


@dataclass(frozen=True, slots=True)
class SharedToken:
    """An access token as several processes share it. `usable_until` is when a new one is to be asked for, aware UTC:
    the margin before its end is already taken off."""

    token: Secret
    usable_until: datetime


class TokenStore(Protocol):
    """Where the processes that use one app's token keep it, for providers that end a token by granting the next. Used
    around a refresh only, and inside `lock`. What it raises is a LedgerError with a message safe to show."""

    def lock(self) -> AbstractAsyncContextManager[object]:
        """Held by one process at a time, for as long as the provider takes to grant a token; ends with its holder."""

    def now(self) -> datetime:
        """The clock that `usable_until` is told by, the same for all who share the store; aware UTC."""

    async def load(self) -> SharedToken | None:
        """What was saved last, by anyone; None if nothing was."""

    async def save(self, shared: SharedToken) -> None:
        """Replaces what was saved. The token is a secret at rest too."""


@dataclass(frozen=True, slots=True)
class TokenUnavailable:
    """No token could be had; the reason is safe to show."""

    reason: str


class TokenCache:
    """One access token shared by all callers of one process: whoever finds none starts the one refresh, the others wait
    for its result, good or bad. `fetch` asks the provider and never raises; `monotonic` tells seconds. With a `store`,
    a refresh first takes what another process has fetched meanwhile, so that there is one request among them all."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[TokenGrant | TokenUnavailable]],
        *,
        monotonic: Callable[[], float],
        store: TokenStore | None = None,
    ) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._store = store
        self._token: Secret | None = None
        self._refused: Secret | None = None
        self._stale_at = 0.0
        self._refresh: asyncio.Task[Secret | TokenUnavailable] | None = None

    async def current(self) -> Secret | TokenUnavailable:
        """The token in use, or the result of the one refresh in progress."""
        if self._token is not None and self._monotonic() < self._stale_at:
            return self._token
        if self._refresh is None:
            self._refresh = asyncio.create_task(self._refresh_once())
        # Shielded: a caller that gives up must not take the token away from the others.
        return await asyncio.shield(self._refresh)

    def forget(self, token: Secret) -> None:
        """Drops a `token` that was refused if it is still the current one; a late report about an older token changes
        nothing. It is not taken from the store again."""
        if self._token is not None and self._token == token:
            self._token, self._refused = None, token

    async def close(self) -> None:
        """Abandons a refresh that nobody waits for any more."""
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.wait([self._refresh])
            self._refresh = None

    async def _refresh_once(self) -> Secret | TokenUnavailable:
        try:
            return await (self._fetch_and_keep() if self._store is None else self._refresh_shared(self._store))
        except LedgerError as error:
            return TokenUnavailable(f"the token store failed: {error.message}")
        finally:
            self._refresh = None

    async def _fetch_and_keep(self) -> Secret | TokenUnavailable:
        asked_at = self._monotonic()
        answer = await self._fetch()
        if isinstance(answer, TokenUnavailable):
            return answer
        self._stale_at = asked_at + _usable_seconds(answer.lifetime_seconds)
        self._token = answer.token
        return answer.token

    async def _refresh_shared(self, store: TokenStore) -> Secret | TokenUnavailable:
        async with store.lock():
            shared = await store.load()
            if shared is not None and shared.token != self._refused and store.now() < shared.usable_until:
                return self._keep(shared, store.now())
            answer = await self._fetch_and_keep()
            if isinstance(answer, Secret):
                left = timedelta(seconds=self._stale_at - self._monotonic())
                await store.save(SharedToken(answer, store.now() + left))
            return answer

    def _keep(self, shared: SharedToken, now: datetime) -> Secret:
        self._stale_at = self._monotonic() + (shared.usable_until - now).total_seconds()
        self._token = shared.token
        return shared.token


def _usable_seconds(lifetime_seconds: int) -> float:
    # A life shorter than the margin twice over is used for half of it, or every call would fetch a new token.
    return max(lifetime_seconds - TOKEN_MARGIN_SECONDS, lifetime_seconds / 2)


def redact(text: str) -> str:
    """A provider's free text made fit to keep: at most 200 printable characters, with addresses, long numbers (MSISDNs)
    and long opaque words (tokens, credentials) replaced. Some gateways echo the token they refuse."""
    printable = "".join(character if character.isprintable() else " " for character in text[:1000])
    without_urls = _URL.sub("[address]", printable)
    return _LONG_NUMBER.sub("[number]", _OPAQUE.sub("[redacted]", without_urls))[:200]
