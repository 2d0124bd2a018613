"""`daftari books export`: all entries of a ledger as plain-text accounting, for hledger or beancount."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import run
from api.plain_text import FORMATS
from api.tables import console
from api.wiring import Application
from ledger import tables
from ledger.database import transaction
from ledger.errors import ChoiceInvalid
from ledger.journal import books
from ledger.journal.entries import entries_after
from ledger.journal.trial_balance import trial_balance

_PAGE = 1000


def export_command(
    code: Annotated[str, typer.Argument(help="Ledger")],
    *,
    out: Annotated[Path, typer.Option(help="Where to write it; must not exist")],
    format_name: Annotated[str, typer.Option("--format", help="hledger or beancount")],
) -> None:
    """Writes all entries of a ledger, and the balances they come to, which the tool checks when it reads the file."""
    if format_name not in FORMATS:
        raise ChoiceInvalid(f"the format is one of {', '.join(sorted(FORMATS))}", field="format")

    async def command(application: Application) -> int:
        written = 0
        async with transaction(application.engine) as connection:
            with out.open("x", encoding="utf-8") as file:
                async for part in exported(connection, code=code, format_name=format_name):
                    file.write(part)
                    written += 1
        return written - 2

    console().print(f"{run(command):,} entries in {out}", soft_wrap=True)


async def exported(connection: AsyncConnection, *, code: str, format_name: str) -> AsyncIterator[str]:
    """The file in parts: what comes first, each entry, what comes last. To be the first in its transaction: everything
    is of one snapshot, a page of entries in memory."""
    await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    await connection.execute(text("SET LOCAL statement_timeout = '3600s'"))
    ledger = await books.find_ledger(connection, code=code)
    accounts = (await trial_balance(connection, ledger_id=ledger.id)).lines
    plain_text = FORMATS[format_name](accounts)
    days = select(func.min(tables.account_days.c.business_date), func.max(tables.account_days.c.business_date))
    first, last = (await connection.execute(days.where(tables.account_days.c.ledger_id == ledger.id))).one()
    fallback = ledger.created_at.astimezone(ledger.zone).date()
    yield plain_text.head(ledger, accounts, first=first or fallback)
    after = 0
    while page := await entries_after(connection, ledger_id=ledger.id, after=after, limit=_PAGE):
        for entry in page:
            yield plain_text.entry(entry)
        after = page[-1].id
    yield plain_text.tail(accounts, after=(last or fallback) + timedelta(days=1))
