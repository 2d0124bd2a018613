"""A shop's statements: files taken in, whole, as `daftari statement import` does."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.daraja.statement import COLUMNS
from adapters.statements import read_statement
from ledger.database import driver, run
from ledger.reconciliation.importing import Imported, Importer, StatementAccount, find_statement_account
from ledger.reconciliation.statement import StatementRefused
from ledger.sealing import Sealer
from tests.ledger.collections.till import SHORTCODE, Till
from tests.ledger.payouts.shop import SECRET

ACTOR = "fin.viewer"


@dataclass
class Desk:
    """The statements of one shop's shortcode."""

    till: Till

    @property
    def importer(self) -> Importer:
        """Takes statements in."""
        return Importer(sealer=Sealer(SECRET, purpose="statements"), ids=self.till.shop.ids)

    async def account(self, sub_account: str = "utility") -> StatementAccount:
        """What stands for a sub-account in the books."""

        async def command(connection: AsyncConnection) -> StatementAccount:
            return await find_statement_account(
                await driver(connection), ledger=self.till.shop.ledger, directory=self.till.shop.directory,
                provider="daraja", shortcode=SHORTCODE, sub_account=sub_account, currency="KES",
            )  # fmt: skip

        return await run(self.till.shop.engine, command)

    async def take_in(self, path: Path, *, sub_account: str = "utility") -> Imported:
        """Keeps a file and takes it in. Raises StatementRefused, after recording that."""
        shop = self.till.shop
        account, content = await self.account(sub_account), _bytes(path)

        async def keep(connection: AsyncConnection) -> int:
            return await self.importer.keep(
                await driver(connection), ledger=shop.ledger, account=account, name=path.name, chunks=[content],
                sha256=sha256(content).digest(), actor=ACTOR, now=shop.now(),
            )  # fmt: skip

        file_id = await run(shop.engine, keep)

        async def take_in(connection: AsyncConnection) -> Imported:
            statement = read_statement(path, COLUMNS, currency="KES")
            return await self.importer.take_in(
                await driver(connection), ledger=shop.ledger, account=account, file_id=file_id,
                heading=statement.heading, lines=statement.lines, actor=ACTOR, now=shop.now(),
            )  # fmt: skip

        async def refuse(connection: AsyncConnection) -> None:
            await self.importer.refuse(
                await driver(connection), ledger=shop.ledger, file_id=file_id, reason="it was refused", actor=ACTOR,
                now=shop.now(),
            )  # fmt: skip

        try:
            return await run(shop.engine, take_in)
        except StatementRefused:
            await run(shop.engine, refuse)
            raise

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query with one place for the ledger's id finds."""

        async def command(connection: AsyncConnection) -> list[tuple[Any, ...]]:
            cursor = await (await driver(connection)).execute(query.encode(), (self.till.shop.ledger.id,))
            return await cursor.fetchall()

        return await run(self.till.shop.engine, command)


def _bytes(path: Path) -> bytes:
    return path.read_bytes()
