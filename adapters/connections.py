"""HTTP connections spread over several of httpx's pools: a transport below httpx that costs a third of one large pool.

httpx walks through all connections of a pool at each call, so its cost grows with the calls under way. Here each pool
holds a few, and a call goes to the one that is least busy."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import cast

import httpx

# How many connections one pool holds: few enough to walk through, enough to share.
PER_POOL = 4
# Where connections are not counted, calls are spread over this many pools.
POOLS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepLimits:
    """`connections_max` at once (None for any number), each dropped when it was idle for `idle_seconds`; 0 keeps
    none."""

    connections_max: int | None
    idle_seconds: float


class SpreadConnections(httpx.AsyncBaseTransport):
    """Raises httpx's own errors: ConnectError, ConnectTimeout and PoolTimeout where not a byte was sent."""

    def __init__(self, *, limits: KeepLimits, tls: ssl.SSLContext) -> None:
        self._pools = [
            httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=_limits_of(size, limits.idle_seconds))
            for size in _sizes(limits.connections_max)
        ]
        self._under_way = [0] * len(self._pools)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends once, over the pool with the fewest calls under way: the first of them, so that few are kept warm."""
        chosen = min(range(len(self._pools)), key=self._under_way.__getitem__)
        self._under_way[chosen] += 1
        try:
            response = await self._pools[chosen].handle_async_request(request)
        except BaseException:
            self._under_way[chosen] -= 1
            raise
        body = cast(httpx.AsyncByteStream, response.stream)
        stream = _Body(body, lambda: self._leave(chosen))
        return httpx.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Closes all pools."""
        for pool in self._pools:
            await pool.aclose()

    def _leave(self, chosen: int) -> None:
        self._under_way[chosen] -= 1


def _sizes(connections_max: int | None) -> list[int | None]:
    """How many connections each pool may hold; together no more than are allowed."""
    if connections_max is None:
        return [None] * POOLS
    whole, rest = divmod(connections_max, PER_POOL)
    return [*([PER_POOL] * whole), *([rest] if rest else [])]


def _limits_of(size: int | None, idle_seconds: float) -> httpx.Limits:
    kept = PER_POOL if idle_seconds else 0
    return httpx.Limits(max_connections=size, max_keepalive_connections=kept, keepalive_expiry=idle_seconds)


class _Body(httpx.AsyncByteStream):
    """A response's body; `left` is called once, when its connection is free again."""

    def __init__(self, body: httpx.AsyncByteStream, left: Callable[[], None]) -> None:
        self._body = body
        self._left: Callable[[], None] | None = left

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            yield part

    async def aclose(self) -> None:
        """Gives the connection back."""
        await self._body.aclose()
        if self._left is not None:
            self._left()
            self._left = None
