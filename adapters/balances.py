"""Asking providers what they hold, on a schedule. The question is stored before the call; the answer comes by
callback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.dispatch import callback_urls, hash_token
from adapters.grants import granted
from adapters.provider import PayoutRail
from ledger import floats
from ledger.database import driver, run
from ledger.ids import IdSource
from ledger.vault import Grant

log = structlog.get_logger(__name__)


class BalanceWatch:
    """Asks for every shortcode's balances once per interval."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        rails: Mapping[str, PayoutRail],
        ids: IdSource,
        tokens: Callable[[], str],
        now: Callable[[], datetime],
        public_url: str,
        interval: timedelta,
    ) -> None:
        self._engine = engine
        self._rails = rails
        self._ids = ids
        self._tokens = tokens
        self._now = now
        self._public_url = public_url
        self._interval = interval

    async def step(self) -> int:
        """Asks what is due; returns how many questions were asked. An unanswered question is simply asked again."""
        due = await run(self._engine, self._find_due)
        for ledger_id, provider, shortcode in due:
            token = self._tokens()
            store = partial(self._store, ledger_id=ledger_id, provider=provider, shortcode=shortcode, token=token)
            await run(self._engine, store)
            urls = callback_urls(self._public_url, ledger_id=ledger_id, rail=provider, token=token)
            with granted(Grant(ledger_id, hash_token(token), f"balance {shortcode}")):
                answer = await self._rails[provider].query_balance(shortcode, urls)
            log.info("balance.asked", ledger_id=ledger_id, shortcode=shortcode, answer=type(answer).__name__)
        return len(due)

    async def _find_due(self, connection: AsyncConnection) -> list[tuple[int, str, str]]:
        asked_before = self._now() - self._interval
        return await floats.find_due(await driver(connection), providers=list(self._rails), asked_before=asked_before)

    async def _store(
        self, connection: AsyncConnection, *, ledger_id: int, provider: str, shortcode: str, token: str
    ) -> None:
        await floats.write_query(
            await driver(connection),
            ledger_id=ledger_id,
            provider=provider,
            shortcode=shortcode,
            token_hash=hash_token(token),
            ids=self._ids,
            now=self._now(),
        )
