"""Importing a provider's statement: the bytes are kept and committed first, then every line is taken in, or none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.daraja import statement as daraja
from adapters.sheets import BYTES_MAX
from adapters.statements import Columns, read_columns, read_statement
from api.wiring import Application
from ledger.database import driver, run
from ledger.journal.books import Ledger, find_ledger
from ledger.reconciliation.importing import (
    CHUNK_BYTES,
    PURPOSE,
    RACING_CONSTRAINTS,
    Imported,
    Importer,
    Say,
    StatementAccount,
    find_statement_account,
)
from ledger.reconciliation.statement import StatementRefused, refused
from ledger.sealing import Sealer

COLUMNS: Mapping[str, Columns] = MappingProxyType({"daraja": daraja.COLUMNS})


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementOrder:
    """A file to import, for which sub-account of whom; `declared` is the JSON document with its columns, None for the
    provider's own template."""

    path: Path
    ledger: str
    provider: str
    shortcode: str
    sub_account: str
    actor: str
    currency: str = ""
    declared: bytes | None = None


async def import_statement(
    application: Application, order: StatementOrder, *, say: Say = lambda count: None
) -> tuple[Ledger, StatementAccount, Imported]:
    """Raises StatementRefused, after recording it, when anything about the file is wrong; nothing of it is in then."""
    columns = _columns_of(order)
    digest = _digest(order.path)
    importer = Importer(
        sealer=Sealer(application.profile.secret, purpose=PURPOSE),
        ids=application.ids,
    )
    now = application.now()

    async def keep(connection: AsyncConnection) -> tuple[Ledger, StatementAccount, int]:
        ledger = await find_ledger(connection, code=order.ledger)
        session = await driver(connection)
        account = await find_statement_account(
            session, ledger=ledger, directory=application.directory, provider=order.provider,
            shortcode=order.shortcode, sub_account=order.sub_account, currency=order.currency or ledger.base_currency,
        )  # fmt: skip
        file_id = await importer.keep(
            session, ledger=ledger, account=account, name=order.path.name, chunks=_chunks(order.path),
            size=order.path.stat().st_size, sha256=digest, actor=order.actor, now=now,
        )  # fmt: skip
        return ledger, account, file_id

    ledger, account, file_id = await run(application.engine, keep, again_on=RACING_CONSTRAINTS)

    async def take_in(connection: AsyncConnection) -> Imported:
        statement = read_statement(order.path, columns, currency=account.currency)
        return await importer.take_in(
            await driver(connection), ledger=ledger, account=account, file_id=file_id, heading=statement.heading,
            lines=statement.lines, actor=order.actor, now=now, say=say,
        )  # fmt: skip

    try:
        return ledger, account, await run(application.engine, take_in, again_on=RACING_CONSTRAINTS)
    except StatementRefused as error:
        await _refuse(application, importer, ledger, file_id, error, order.actor, now)
        raise


async def _refuse(
    application: Application, importer: Importer, ledger: Ledger, file_id: int, error: StatementRefused, actor: str,
    now: datetime,
) -> None:  # fmt: skip
    async def refuse(connection: AsyncConnection) -> None:
        session = await driver(connection)
        await importer.refuse(session, ledger=ledger, file_id=file_id, reason=error.message, actor=actor, now=now)

    await run(application.engine, refuse)


def _columns_of(order: StatementOrder) -> Columns:
    if order.declared is not None:
        return read_columns(order.declared)
    if order.provider not in COLUMNS:
        raise refused(f"no template of {order.provider!r:.40} is known; declare its columns with --columns FILE")
    return COLUMNS[order.provider]


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
