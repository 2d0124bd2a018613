"""A shop's statements: files taken in, whole, as `daftari statement import` does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.daraja.statement import COLUMNS
from adapters.daraja.wire import EAST_AFRICA_TIME
from adapters.statements import read_statement
from ledger.database import driver, run
from ledger.outcomes import OutcomeRecorder
from ledger.reconciliation.importing import Imported, Importer, StatementAccount, find_statement_account
from ledger.reconciliation.queries import RecordedDecision, list_decisions
from ledger.reconciliation.reading import Days
from ledger.reconciliation.run import Reconciler, Run
from ledger.reconciliation.statement import StatementRefused
from ledger.sealing import Sealer
from tests.ledger.collections.till import SHORTCODE, Till
from tests.ledger.payouts.shop import SECRET

ACTOR = "fin.viewer"
HEADINGS = [
    "Receipt No", "Completion Time", "Details", "Transaction Status", "Paid In (KSHs)", "Withdrawn (KSHs)",
    "Balance (KSHs)",
]  # fmt: skip


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
                size=len(content), sha256=sha256(content).digest(), actor=ACTOR, now=shop.now(),
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

    async def reconcile(self, *, sub_account: str = "utility", days: Days | None = None) -> Run:
        """A run over the days of the newest statement, unless some are named."""
        shop, account = self.till.shop, await self.account(sub_account)
        reconciler = Reconciler(recorder=OutcomeRecorder(directory=shop.directory, ids=shop.ids), ids=shop.ids)

        async def command(connection: AsyncConnection) -> Run:
            return await reconciler.reconcile(
                await driver(connection), ledger=shop.ledger, account=account, days=days, actor=ACTOR, now=shop.now()
            )

        return await run(shop.engine, command)

    async def decisions(self, made: Run) -> list[RecordedDecision]:
        """What the run decided, as it was recorded."""
        return await self._recorded(made, only_breaks=False)

    async def breaks(self, made: Run) -> list[RecordedDecision]:
        """Those of them that need somebody."""
        return await self._recorded(made, only_breaks=True)

    async def _recorded(self, made: Run, *, only_breaks: bool) -> list[RecordedDecision]:
        async def query(connection: AsyncConnection) -> list[RecordedDecision]:
            return await list_decisions(
                await driver(connection), ledger_id=self.till.shop.ledger.id, run_id=made.id, only_breaks=only_breaks,
                after=0, limit=1_000,
            )  # fmt: skip

        return await run(self.till.shop.engine, query)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query with one place for the ledger's id finds."""

        async def command(connection: AsyncConnection) -> list[tuple[Any, ...]]:
            cursor = await (await driver(connection)).execute(query.encode(), (self.till.shop.ledger.id,))
            return await cursor.fetchall()

        return await run(self.till.shop.engine, command)


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def statement_rows(opening: int, *moves: tuple[str, datetime, str, int], status: str = "Completed") -> list[list[str]]:
    """A statement of the newer template: (receipt, when, details, cents) oldest first, from an opening balance."""
    rows, balance = [], opening
    for receipt, at, details, cents in moves:
        balance += cents if status == "Completed" else 0
        local = f"{at.astimezone(EAST_AFRICA_TIME):%d/%m/%Y %H:%M:%S}"
        paid_in, withdrawn = (f"{cents / 100:.2f}", "0.00") if cents > 0 else ("0.00", f"{cents / 100:.2f}")
        rows.append([receipt, local, details, status, paid_in, withdrawn, f"{balance / 100:.2f}"])
    return [HEADINGS, *reversed(rows)]
