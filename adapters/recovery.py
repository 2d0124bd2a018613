"""Calls about money that comes in, on nobody's behalf: where it is to be told, and what no callback told of. Each is
written down before it is made, as whatever opens the vault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.collecting import CollectionRail, Page, Registration, RegistrationAnswer
from adapters.dispatch import hash_token
from adapters.grants import granted
from adapters.receiving import CONFIRMATION, VALIDATION
from ledger.collections import shortcodes
from ledger.collections.booking import Booked, Told
from ledger.collections.shortcodes import Path, Shortcode
from ledger.database import driver, run
from ledger.errors import RailNotFound
from ledger.ids import IdSource
from ledger.journal.books import Ledger, find_ledgers
from ledger.msisdn import Msisdn
from ledger.outbox.collecting import Channel, Received
from ledger.receiving import RACING_CONSTRAINTS, ReceiptRecorder
from ledger.vault import Grant

log = structlog.get_logger(__name__)

ACTOR = "daftari.recovery"
# Daraja's Pull page: what came in within the last 48 hours can be asked for.
REACH = timedelta(hours=48)
# What a provider lists late, or we asked for while it was still at work, is asked for again.
OVERLAP = timedelta(minutes=30)
PAGES_MAX = 200


class Recovery:
    """Registers callback addresses, and lists what came in once per `interval` for each shortcode."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        rails: Mapping[str, CollectionRail],
        recorder: ReceiptRecorder,
        ids: IdSource,
        tokens: Callable[[], str],
        now: Callable[[], datetime],
        public_url: str,
        interval: timedelta,
    ) -> None:
        self._engine = engine
        self._rails = rails
        self._recorder = recorder
        self._ids = ids
        self._tokens = tokens
        self._now = now
        self._public_url = public_url
        self._interval = interval

    async def register(
        self, ledger: Ledger, shortcode: Shortcode, *, nominated: Msisdn | None = None
    ) -> RegistrationAnswer:
        """Gives the provider fresh addresses for a shortcode. Those given before stay good: it may keep the first. With
        the number it knows us by, what came in can be listed from then on. Raises RailNotFound."""
        if shortcode.provider not in self._rails:
            raise RailNotFound(
                f"this process does not run {shortcode.provider}: give it the rail's settings, as a worker has them",
                field="provider",
            )
        tokens = {kind: self._tokens() for kind in (CONFIRMATION, VALIDATION)}
        await run(self._engine, partial(self._keep_paths, ledger_id=ledger.id, shortcode=shortcode, tokens=tokens))
        place = f"{self._public_url}/callbacks/{ledger.id}/{shortcode.provider}"
        registration = Registration(
            shortcode=shortcode.shortcode,
            confirmation_url=f"{place}/{CONFIRMATION}/{tokens[CONFIRMATION]}",
            validation_url=f"{place}/{VALIDATION}/{tokens[VALIDATION]}",
            accepts_unanswered=shortcode.accepts_unanswered,
            nominated=nominated,
        )
        with granted(await self._grant(ledger.id, shortcode, "register")):
            answer = await self._rails[shortcode.provider].register_collections(registration)
        log.info("collections.registered", shortcode=shortcode.shortcode, answer=type(answer).__name__)
        return answer

    async def step(self) -> int:
        """Asks about the shortcodes that are due; returns how many receipts no callback had told of."""
        recovered = 0
        for ledger_id, shortcode, asked_at in await run(self._engine, self._find_due):
            reach = self._now() - REACH
            since = reach if asked_at is None else max(reach, asked_at - OVERLAP)
            with granted(await self._grant(ledger_id, shortcode, shortcodes.LIST)):
                received = await self._list(shortcode, since)
            recovered += await self._record(ledger_id, shortcode, received)
        return recovered

    async def _list(self, shortcode: Shortcode, since: datetime) -> list[Received]:
        """All pages, as far as they could be had: the rest is asked for next time."""
        rail, until, offset = self._rails[shortcode.provider], self._now(), 0
        received: list[Received] = []
        for _ in range(PAGES_MAX):
            page = await rail.list_received(shortcode.shortcode, since=since, until=until, offset=offset)
            if not isinstance(page, Page):
                log.warning("collections.not_listed", shortcode=shortcode.shortcode, answer=type(page).__name__)
                break
            received += page.received
            if page.next_offset is None:
                break
            offset = page.next_offset
        return received

    async def _record(self, ledger_id: int, shortcode: Shortcode, received: list[Received]) -> int:
        told = [Told(shortcode.provider, one, Channel.PULL, ACTOR) for one in received]

        async def record(connection: AsyncConnection) -> int:
            ledgers = await find_ledgers(connection, ids={ledger_id})
            results = await self._recorder.record(
                await driver(connection), ledger=ledgers[ledger_id], told=told, now=self._now()
            )
            return sum(isinstance(result, Booked) for result in results)

        return await run(self._engine, record, again_on=RACING_CONSTRAINTS) if told else 0

    async def _find_due(self, connection: AsyncConnection) -> list[tuple[int, Shortcode, datetime | None]]:
        return await shortcodes.find_due(
            await driver(connection), providers=list(self._rails), asked_before=self._now() - self._interval
        )

    async def _grant(self, ledger_id: int, shortcode: Shortcode, purpose: str) -> Grant:
        """Written down and committed, so that the vault opens for the call."""
        token_hash = hash_token(self._tokens())
        await run(
            self._engine,
            partial(self._write_call, ledger_id=ledger_id, shortcode=shortcode, purpose=purpose, token_hash=token_hash),
        )
        return Grant(ledger_id, token_hash, f"{purpose} {shortcode.shortcode}")

    async def _write_call(
        self, connection: AsyncConnection, *, ledger_id: int, shortcode: Shortcode, purpose: str, token_hash: bytes
    ) -> None:
        await shortcodes.write_call(
            await driver(connection),
            ledger_id=ledger_id,
            shortcode=shortcode,
            purpose=purpose,
            token_hash=token_hash,
            ids=self._ids,
            now=self._now(),
        )

    async def _keep_paths(
        self, connection: AsyncConnection, *, ledger_id: int, shortcode: Shortcode, tokens: Mapping[str, str]
    ) -> None:
        session = await driver(connection)
        for kind, token in tokens.items():
            path = Path(shortcode.provider, shortcode.shortcode, kind)
            await shortcodes.add_path(
                session, ledger_id=ledger_id, token_hash=hash_token(token), path=path, now=self._now()
            )
