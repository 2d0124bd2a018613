"""Keys to callers, with a short memory so that a busy key costs no query per call. Keeps hashes of keys, never keys."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from api.caller import Caller
from ledger.errors import NotAuthenticated

# A revoked key works for at most this long; the promise is five seconds.
REMEMBERED_SECONDS = 2.0
_REMEMBERED_MAX = 10_000
_BEARER = "bearer "

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]


class Authenticator:
    """Asks `authenticate` (which raises NotAuthenticated) at most once at a time per key, and remembers its yes."""

    def __init__(self, authenticate: Callable[[str], Awaitable[Caller]], *, monotonic: Callable[[], float]) -> None:
        self._authenticate = authenticate
        self._monotonic = monotonic
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self._asking: dict[bytes, asyncio.Future[Caller]] = {}

    async def caller_of(self, key: str) -> Caller:
        """Whom the key speaks for. Raises NotAuthenticated, alike for every reason."""
        if not key:
            raise NotAuthenticated("the API key is missing or not valid; send `authorization: Bearer dft_...`")
        digest = hashlib.sha256(key.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._monotonic() < known[1]:
            return known[0]
        asking = self._asking.get(digest)
        if asking is None:
            asking = asyncio.ensure_future(self._ask(digest, key))
            self._asking[digest] = asking
            asking.add_done_callback(lambda asked: self._forget(digest, asked))
        # Shielded: a caller who leaves must not take the answer from the others who wait for it.
        return await asyncio.shield(asking)

    async def _ask(self, digest: bytes, key: str) -> Caller:
        asked_at = self._monotonic()
        self._known.pop(digest, None)
        caller = await self._authenticate(key)
        if len(self._known) >= _REMEMBERED_MAX:
            self._known.clear()
        self._known[digest] = (caller, asked_at + REMEMBERED_SECONDS)
        return caller

    def _forget(self, digest: bytes, asked: asyncio.Future[Caller]) -> None:
        del self._asking[digest]
        if not asked.cancelled():
            asked.exception()  # looked at, so that a refusal nobody waits for any more is not reported as lost


def key_in(metadata: Metadata) -> str:
    """The API key that a call's metadata carries, in `authorization: Bearer` or `x-api-key`; "" for none."""
    for name, value in metadata:
        if name == "authorization" and isinstance(value, str) and value[: len(_BEARER)].lower() == _BEARER:
            return value[len(_BEARER) :].strip()
        if name == "x-api-key" and isinstance(value, str):
            return value
    return ""
