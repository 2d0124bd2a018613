"""Alerts operators: looks at what is committed, and posts what was not told yet to one hook. No transaction is open
during a call. Several may run, in several processes: one looks at a time, and each notice is one's alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.alert_messages import Format
from adapters.egress import WayOut
from adapters.webhooks import verdict_of
from ledger.alerts import keeping
from ledger.alerts.conditions import AlertRules
from ledger.alerts.keeping import Notice, TellingRules
from ledger.database import driver, run
from ledger.ids import IdSource
from ledger.webhooks.deliveries import Taken

log = structlog.get_logger(__name__)

POSTED_MAX = 20
# After the last the notice is given up, and the alert is told again with its next repeat.
RESTS = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Where alerts are posted, and how they are written. The URL may hold a secret, so no repr shows it."""

    url: str
    write: Format
    egress: WayOut
    lease: timedelta
    repeat: timedelta

    def __repr__(self) -> str:
        return "Hook"


class AlertWatch:
    """Looks, and tells by the hook, if there is one; without one alerts stand in `daftari status` and the metrics."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        rules: AlertRules,
        hook: Hook | None,
        ids: IdSource,
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._rules = rules
        self._hook = hook
        self._ids = ids
        self._now = now

    async def step(self) -> int:
        """Looks once and posts what is due; returns how many notices were posted."""
        await run(self._engine, self._look)
        return 0 if self._hook is None else await self._tell(self._hook)

    async def close(self) -> None:
        """Closes the way out."""
        if self._hook is not None:
            await self._hook.egress.close()

    async def _look(self, connection: AsyncConnection) -> None:
        await keeping.look(await driver(connection), rules=self._rules, ids=self._ids, now=self._now())

    async def _tell(self, hook: Hook) -> int:
        async def claim(connection: AsyncConnection) -> list[Notice]:
            session = await driver(connection)
            return await keeping.claim_notices(session, lease=hook.lease, limit=POSTED_MAX, now=self._now())

        claimed = await run(self._engine, claim)
        tried = await asyncio.gather(*(self._post(hook, one) for one in claimed))
        await run(self._engine, partial(self._record, hook, tried))
        return len(tried)

    async def _post(self, hook: Hook, notice: Notice) -> tuple[Notice, bool]:
        posting = hook.write(notice, self._now())
        verdict = verdict_of(await hook.egress.post(hook.url, headers=posting.headers, body=posting.body))
        is_taken = isinstance(verdict, Taken)
        log.info("alert.posted", alert=notice.notice_id, kind=notice.kind.value, taken=is_taken)
        return notice, is_taken

    async def _record(self, hook: Hook, tried: list[tuple[Notice, bool]], connection: AsyncConnection) -> None:
        rules = TellingRules(rests=RESTS, repeat=hook.repeat)
        await keeping.record_notices(await driver(connection), tried=tried, rules=rules, now=self._now())
