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
        for ledger_id, shortcode, listed_until in await run(self._engine, self._find_due):
            reach, until = self._now() - REACH, self._now()
            since = reach if listed_until is None else max(reach, listed_until - OVERLAP)
            with granted(await self._grant(ledger_id, shortcode, shortcodes.LIST)):
                received, whole = await self._list(shortcode, since, until)
            recovered += await self._record(ledger_id, shortcode, received, until if whole else None)
        return recovered

    async def _list(self, shortcode: Shortcode, since: datetime, until: datetime) -> tuple[list[Received], bool]:
        """All pages, as far as they could be had, and whether that was to the end: else the same is asked for again."""
        rail, offset = self._rails[shortcode.provider], 0
        received: list[Received] = []
        for _ in range(PAGES_MAX):
            page = await rail.list_received(shortcode.shortcode, since=since, until=until, offset=offset)
            if not isinstance(page, Page):
                log.warning("collections.not_listed", shortcode=shortcode.shortcode, answer=type(page).__name__)
                return received, False
            received += page.received
            if page.next_offset is None:
                return received, True
            offset = page.next_offset
        return received, False

    async def _record(
        self, ledger_id: int, shortcode: Shortcode, received: list[Received], whole_until: datetime | None
    ) -> int:
        """Books what was listed; in the same transaction, where it was listed to its end, until when."""
        told = [Told(shortcode.provider, one, Channel.PULL, ACTOR) for one in received]

        async def record(connection: AsyncConnection) -> int:
            session, now = await driver(connection), self._now()
            ledgers = await find_ledgers(connection, ids={ledger_id})
            results = await self._recorder.record(session, ledger=ledgers[ledger_id], told=told, now=now)
            if whole_until is not None:
                await shortcodes.write_listing(
                    session, ledger_id=ledger_id, shortcode=shortcode, until=whole_until, ids=self._ids, now=now
                )
            return sum(isinstance(result, Booked) for result in results)

        return await run(self._engine, record, again_on=RACING_CONSTRAINTS | {"collection_listings_pkey"})

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
