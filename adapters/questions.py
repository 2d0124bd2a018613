"""The question before a payment: kept as it came, answered within the provider's patience, from what the books say
now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.collecting import DeclaredCollections
from adapters.dispatch import hash_token
from adapters.provider import CallbackUnreadable
from adapters.receiving import VALIDATION
from ledger.collections.reference import ReceiptKeys
from ledger.collections.shortcodes import find_paths, find_shortcodes
from ledger.database import driver, run
from ledger.outbox.collecting import Received, Refusal
from ledger.receiving import refusal_of

log = structlog.get_logger(__name__)

# Daraja's C2B page: about eight seconds are waited for an answer. Without one, what was registered decides.
PATIENCE_SECONDS = 5.0


class Questions:
    """Answers questions on the paths that providers were given for them."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        rails: Mapping[str, DeclaredCollections],
        keys: ReceiptKeys,
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._rails = rails
        self._keys = keys
        self._now = now

    async def answer(self, *, ledger_id: int, rail: str, token: str, raw: bytes) -> bytes | None:
        """The answer in the provider's form; None on a path that is none of ours. What cannot be read is refused.
        Raises TimeoutError, and what the database raises: then the provider goes by what was registered."""
        if rail not in self._rails:
            return None
        read = self._rails[rail].read_validation(raw)

        async def judge(connection: AsyncConnection) -> tuple[bool, Refusal | None]:
            return await self._judge(connection, ledger_id, rail, hash_token(token), read)

        async with asyncio.timeout(PATIENCE_SECONDS):
            ours, refusal = await run(self._engine, judge)
        if not ours:
            return None
        log.info("collection.asked", rail=rail, refusal=refusal.value if refusal else None)
        return self._rails[rail].answer_validation(refusal)

    async def _judge(
        self,
        connection: AsyncConnection,
        ledger_id: int,
        rail: str,
        token_hash: bytes,
        read: Received | CallbackUnreadable,
    ) -> tuple[bool, Refusal | None]:
        session = await driver(connection)
        path = (await find_paths(session, ledger_id=ledger_id, token_hashes=[token_hash])).get(token_hash)
        if path is None or (path.provider, path.kind) != (rail, VALIDATION):
            return False, None
        if isinstance(read, CallbackUnreadable):
            return True, Refusal.OTHER
        names = [(path.provider, path.shortcode)]
        shortcode = (await find_shortcodes(session, ledger_id=ledger_id, names=names))[names[0]]
        refusal = await refusal_of(
            session, ledger_id=ledger_id, shortcode=shortcode, asked=read, keys=self._keys, now=self._now()
        )
        return True, refusal
