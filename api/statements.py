"""Statements, as every door works with them: bytes kept and committed first, then every line or none; and runs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.daraja import statement as daraja
from adapters.sheets import BYTES_MAX
from adapters.statements import Columns, read_columns, read_statement
from ledger.database import driver, run
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger, find_ledger
from ledger.outcomes import RACING_CONSTRAINTS as OUTCOME_RACES
from ledger.reconciliation.importing import (
    CHUNK_BYTES,
    RACING_CONSTRAINTS,
    Imported,
    Importer,
    Say,
    StatementAccount,
    find_statement_account,
)
from ledger.reconciliation.reading import Days
from ledger.reconciliation.run import Reconciler, Run
from ledger.reconciliation.statement import StatementRefused, refused

COLUMNS: Mapping[str, Columns] = MappingProxyType({"daraja": daraja.COLUMNS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """The sub-account of a provider's shortcode, in a ledger named by its code; `currency` empty for the ledger's."""

    ledger: str
    provider: str
    shortcode: str
    sub_account: str
    currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementFile:
    """A file to import, under the name it is known by; `declared` is the JSON document with its columns, None for the
    provider's own template."""

    path: Path
    name: str
    declared: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementDesk:
    """What never changes in a process."""

    engine: AsyncEngine
    directory: AccountDirectory
    importer: Importer
    reconciler: Reconciler
    now: Callable[[], datetime]

    async def take_in(
        self, whose: Whose, file: StatementFile, *, actor: str, say: Say = lambda count: None
    ) -> tuple[Ledger, StatementAccount, Imported]:
        """Raises StatementRefused, after recording it, when anything about the file is wrong; nothing of it is in
        then."""
        columns, now = _columns_of(whose, file), self.now()
        digest = await asyncio.to_thread(_digest, file.path)

        async def keep(connection: AsyncConnection) -> tuple[Ledger, StatementAccount, int]:
            ledger, account = await self._find(connection, whose)
            file_id = await self.importer.keep(
                await driver(connection), ledger=ledger, account=account, name=file.name, chunks=_chunks(file.path),
                size=file.path.stat().st_size, sha256=digest, actor=actor, now=now,
            )  # fmt: skip
            return ledger, account, file_id

        ledger, account, file_id = await run(self.engine, keep, again_on=RACING_CONSTRAINTS)

        async def take_in(connection: AsyncConnection) -> Imported:
            statement = read_statement(file.path, columns, currency=account.currency)
            return await self.importer.take_in(
                await driver(connection), ledger=ledger, account=account, file_id=file_id, heading=statement.heading,
                lines=statement.lines, actor=actor, now=now, say=say,
            )  # fmt: skip

        try:
            return ledger, account, await run(self.engine, take_in, again_on=RACING_CONSTRAINTS)
        except StatementRefused as error:
            await self._refuse(ledger, file_id, error.message, actor, now)
            raise

    async def reconcile(self, whose: Whose, *, days: Days | None, actor: str) -> tuple[Ledger, StatementAccount, Run]:
        """A run over the days, or those of the newest statement. Raises StatementMissing."""

        async def reconcile(connection: AsyncConnection) -> tuple[Ledger, StatementAccount, Run]:
            ledger, account = await self._find(connection, whose)
            made = await self.reconciler.reconcile(
                await driver(connection), ledger=ledger, account=account, days=days, actor=actor, now=self.now()
            )
            return ledger, account, made

        return await run(self.engine, reconcile, again_on=OUTCOME_RACES)

    async def _find(self, connection: AsyncConnection, whose: Whose) -> tuple[Ledger, StatementAccount]:
        ledger = await find_ledger(connection, code=whose.ledger)
        account = await find_statement_account(
            await driver(connection), ledger=ledger, directory=self.directory, provider=whose.provider,
            shortcode=whose.shortcode, sub_account=whose.sub_account, currency=whose.currency or ledger.base_currency,
        )  # fmt: skip
        return ledger, account

    async def _refuse(self, ledger: Ledger, file_id: int, reason: str, actor: str, now: datetime) -> None:
        async def refuse(connection: AsyncConnection) -> None:
            await self.importer.refuse(
                await driver(connection), ledger=ledger, file_id=file_id, reason=reason, actor=actor, now=now
            )

        await run(self.engine, refuse)


def _columns_of(whose: Whose, file: StatementFile) -> Columns:
    if file.declared is not None:
        return read_columns(file.declared)
    if whose.provider not in COLUMNS:
        raise refused(f"no template of {whose.provider!r:.40} is known; declare its columns with --columns FILE")
    return COLUMNS[whose.provider]


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _digest(path: Path) -> bytes:
    if not path.is_file():
        raise refused(f"no file {path.name!r:.80}")
    if path.stat().st_size > BYTES_MAX:
        raise refused(f"the file is larger than {BYTES_MAX // 2**20} MiB; export a shorter period")
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.digest()
