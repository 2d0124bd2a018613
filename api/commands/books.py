"""`daftari books`: open a ledger with the shipped chart, list ledgers, print statements and journal entries."""

from __future__ import annotations

from typing import Annotated

import typer

from api.administration import open_books
from api.commands import book_export, book_statements
from api.commands.opening import run
from api.reports import entries_table
from api.tables import console, table
from api.wiring import Application
from ledger.database import transaction
from ledger.errors import TextInvalid
from ledger.journal import books
from ledger.journal.books import Ledger
from ledger.journal.entries import list_entries
from ledger.journal.entry_search import EntryFilter

app = typer.Typer(help="Ledgers: open, list, read.", no_args_is_help=True)

app.command("trial-balance")(book_statements.trial_balance_command)
app.command("balance-sheet")(book_statements.balance_sheet_command)
app.command("income-statement")(book_statements.income_statement_command)
app.command("general-ledger")(book_statements.general_ledger_command)
app.command("ageing")(book_statements.ageing_command)
app.command("floats")(book_statements.floats_command)
app.command("daily")(book_statements.daily_command)
app.command("partner-statement")(book_statements.partner_statement_command)
app.command("export")(book_export.export_command)


@app.command("open")
def open_command(
    code: Annotated[str, typer.Argument(help="2 to 32 of a-z, 0-9, dash")],
    name: Annotated[str, typer.Option(help="For people")] = "",
    currency: Annotated[str, typer.Option(help="ISO 4217 code")] = "KES",
    zone: Annotated[str, typer.Option(help="IANA time zone of business dates")] = "Africa/Nairobi",
    shortcode: Annotated[list[str] | None, typer.Option(help="PROVIDER:SHORTCODE that pays out; repeatable")] = None,
) -> None:
    """Opens a ledger with the shipped mobile-money chart; repeating it adds what is missing."""
    pairs = [parse_shortcode(text) for text in shortcode or []]

    async def command(application: Application) -> tuple[Ledger, int]:
        return await open_books(
            application, code=code, name=name or code, currency=currency, zone=zone, shortcodes=pairs
        )

    ledger, count = run(command)
    console().print(
        f"ledger {ledger.code} ({ledger.base_currency}, {ledger.zone.key}) has {count} accounts of the chart"
    )


@app.command("list")
def list_command() -> None:
    """Lists the ledgers."""

    async def command(application: Application) -> list[Ledger]:
        async with transaction(application.engine) as connection:
            return await books.list_ledgers(connection, after_code="", limit=500)

    rows = [(one.code, one.name, one.base_currency, one.zone.key, f"{one.created_at:%Y-%m-%d}") for one in run(command)]
    console().print(table("Ledgers", ("code", "name", "currency", "zone", "opened"), rows))


@app.command("entries")
def entries_command(
    code: Annotated[str, typer.Argument(help="Ledger")],
    account: Annotated[str, typer.Option(help="Only entries on this account path")] = "",
    subject: Annotated[str, typer.Option(help="Only entries about this, as KIND:ID, or KIND:")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
) -> None:
    """Prints the newest journal entries as a journal."""
    kind, subject_id = parse_subject(subject) if subject else ("", "")

    async def command(application: Application) -> None:
        async with transaction(application.engine) as connection:
            ledger = await books.find_ledger(connection, code=code)
            matching = EntryFilter(
                account=account or None,
                currency=ledger.base_currency if account else None,
                subject_kind=kind or None,
                subject_id=subject_id or None,
            )
            page = await list_entries(connection, ledger_id=ledger.id, matching=matching, before=0, limit=limit)
        console().print(entries_table("Journal, newest first", page.entries, zone=ledger.zone))

    run(command)


def parse_subject(text: str) -> tuple[str, str]:
    """("payout", "pay_...") from "payout:pay_...", and ("payout", "") from "payout:". Raises TextInvalid."""
    kind, colon, subject_id = text.partition(":")
    if not kind or not colon:
        raise TextInvalid("write a subject as KIND:ID, or as KIND: for all of a kind", field="subject")
    return kind, subject_id


def parse_shortcode(text: str) -> tuple[str, str]:
    """("daraja", "600584") from "daraja:600584". Raises TextInvalid."""
    provider, _, shortcode = text.partition(":")
    if not provider.isidentifier() or not shortcode.isascii() or not shortcode.isalnum():
        raise TextInvalid("write a shortcode as PROVIDER:SHORTCODE, such as daraja:600584", field="shortcode")
    return provider, shortcode
