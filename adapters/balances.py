"""Asking providers what they hold, on a schedule, and keeping what they say. The question is stored before the call;
the answer comes by callback, or at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.dispatch import callback_urls, hash_token
from adapters.grants import granted
from adapters.provider import BalanceReport, PayoutRail
from ledger import floats
from ledger.collections import checking
from ledger.database import Driver, driver, run
from ledger.floats import Assertion, Unexplained
from ledger.ids import IdSource
from ledger.outbox import queue
from ledger.payouts import reviews
from ledger.payouts.reviews import Case
from ledger.vault import Grant

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceReports:
    """Keeps what providers say they hold, and compares it with the books. `asked` are the rails that can be asked what
    became of a receipt."""

    ids: IdSource
    now: Callable[[], datetime]
    asked: Collection[str] = ()

    async def keep(
        self,
        session: Driver,
        ledger_id: int,
        provider: str,
        shortcode: str,
        report: BalanceReport,
        *,
        inbox_id: int | None = None,
    ) -> int:
        """Keeps a report as assertions; how many. Money that left and that nothing in the books explains is a case: the
        known thief pays past the books. Or the provider took receipts back: those that it may be are asked about."""
        told = [
            Assertion(
                provider=provider,
                shortcode=shortcode,
                sub_account=balance.sub_account,
                available=balance.available,
                currency=balance.currency,
                asserted_at=report.asserted_at or self.now(),
                source="query",
            )
            for balance in report.balances
        ]
        await floats.write_assertions(session, ledger_id=ledger_id, assertions=told, ids=self.ids, now=self.now())
        missing = await floats.find_unexplained(session, ledger_id=ledger_id, provider=provider, shortcode=shortcode)
        for one in missing:
            log.error("float.unexplained", ledger_id=ledger_id, account=one.account, missing=one.missing)
        reason = "{} holds less than the books and everything in flight explain; see `daftari status`"
        cases = [Case(None, reason.format(one.account), inbox_id=inbox_id) for one in missing]
        await reviews.open_reviews(
            session, ledger_id=ledger_id, queue="unledgered-movement", cases=cases, ids=self.ids, now=self.now()
        )
        if missing and provider in self.asked:
            await self._ask(session, ledger_id, (provider, shortcode), missing)
        return len(told)

    async def _ask(
        self, session: Driver, ledger_id: int, place: tuple[str, str], missing: Sequence[Unexplained]
    ) -> None:
        lacking, now = [(one.account, one.missing) for one in missing], self.now()
        suspects = await checking.find_suspects(session, ledger_id=ledger_id, place=place, missing=lacking, now=now)
        log.info("float.asked_about", ledger_id=ledger_id, receipts=len(suspects))
        await queue.renew(
            session,
            ledger_id=ledger_id,
            kind=queue.RECEIPT_QUERY,
            subject_ids=suspects,
            ids=self.ids,
            now=now,
            due_at=now,
        )


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
            if isinstance(answer, BalanceReport):
                await run(
                    self._engine,
                    partial(self._keep, ledger_id=ledger_id, provider=provider, shortcode=shortcode, report=answer),
                )
            log.info("balance.asked", ledger_id=ledger_id, shortcode=shortcode, answer=type(answer).__name__)
        return len(due)

    async def _keep(
        self, connection: AsyncConnection, *, ledger_id: int, provider: str, shortcode: str, report: BalanceReport
    ) -> None:
        reports = BalanceReports(ids=self._ids, now=self._now)
        await reports.keep(await driver(connection), ledger_id, provider, shortcode, report)

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
