"""`daftari collections`: let shortcodes take money in, tell the provider where to tell of it, and look at what came."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.collecting import Registered, RegistrationAnswer
from api.administration import add_collection_tariff
from api.commands import collection_views
from api.commands.opening import run
from api.conversion.collections import receipt_id_of
from api.rails import float_names
from api.roles import Role
from api.tables import console, table
from api.wiring import Application, WorkerApplication
from ledger.collections import shortcodes
from ledger.collections.return_asking import TakenBack
from ledger.collections.returning import PREFIX, Return
from ledger.collections.shortcodes import Shortcode
from ledger.database import driver, transaction
from ledger.database import run as run_transaction
from ledger.errors import TextInvalid
from ledger.ids import encode
from ledger.journal.books import find_ledger
from ledger.journal.chart import landing_path
from ledger.journal.entry import Source
from ledger.money import format_minor_units, parse_decimal
from ledger.msisdn import parse_msisdn
from ledger.returns import RACING_CONSTRAINTS as RETURNS_RACES
from ledger.tariffs import Band

app = typer.Typer(
    help="Money in: the shortcodes that collect, what came in, and what became of it.", no_args_is_help=True
)

app.command("receipts")(collection_views.receipts_command)
app.command("orders")(collection_views.orders_command)
app.command("prompts")(collection_views.prompts_command)
app.command("returns")(collection_views.returns_command)

LedgerCode = Annotated[str, typer.Argument(help="Ledger code")]
ShortcodeOption = Annotated[str, typer.Option(help="The shortcode, such as 600584")]
ProviderOption = Annotated[str, typer.Option(help="The rail, such as daraja")]
_PAIR = 2


@app.command("open")
def open_command(
    ledger: LedgerCode,
    shortcode: ShortcodeOption,
    landing: Annotated[
        str, typer.Option(help="The account the provider puts the money into; empty for the usual one")
    ] = "",
    provider: ProviderOption = "daraja",
    accept_unanswered: Annotated[
        bool, typer.Option(help="Whether money is taken in although our answer to the question before it fails")
    ] = True,
    refuse_unknown: Annotated[
        bool, typer.Option(help="Refuse references that mean nothing here, where the provider asks before a payment")
    ] = False,
) -> None:
    """Lets a shortcode take money in; repeating it changes nothing."""

    async def command(application: Application) -> Shortcode:
        async with transaction(application.engine) as connection:
            books = await find_ledger(connection, code=ledger)
        wanted = Shortcode(
            provider,
            shortcode,
            books.base_currency,
            landing or landing_path(provider=provider, shortcode=shortcode, floats=float_names(provider)),
            accept_unanswered,
            refuse_unknown,
        )
        return await run_transaction(
            application.engine,
            lambda connection: shortcodes.open_shortcode(
                connection, ledger=books, shortcode=wanted, ids=application.ids, now=application.now()
            ),
        )

    opened = run(command)
    console().print(f"shortcode {opened.shortcode} takes {opened.currency} in, into {opened.landing}")


@app.command("tariff")
def tariff_command(
    ledger: LedgerCode,
    bands: Annotated[str, typer.Option(help="Last amount and charge of each band: 100:0,500:5,250000:48")],
    valid_from: Annotated[str, typer.Option(help="The first day it counts for, such as 2026-12-01")],
    shortcode: Annotated[str, typer.Option(help="The shortcode it is for; every one of the provider's if empty")] = "",
    provider: ProviderOption = "daraja",
) -> None:
    """What the provider takes from us for a payment that comes in: booked with each receipt from that day on."""

    async def command(application: Application) -> list[Band]:
        async with transaction(application.engine) as connection:
            currency = (await find_ledger(connection, code=ledger)).base_currency
        return await add_collection_tariff(
            application,
            ledger_code=ledger,
            provider=provider,
            shortcode=shortcode,
            valid_from=_day(valid_from),
            steps=_steps(bands, currency),
        )

    added = run(command)
    rows = [
        (format_minor_units(one.from_amount, one.currency), format_minor_units(one.to_amount, one.currency),
         format_minor_units(one.charge, one.currency))
        for one in added
    ]  # fmt: skip
    console().print(table(f"Charges from {valid_from}, {added[0].service}", (">from", ">to", ">charge"), rows))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise TextInvalid("a day is written 2026-12-01", field="valid_from") from None


def _steps(text: str, currency: str) -> list[tuple[int, int]]:
    """The last amount of each band and its charge, in minor units."""
    steps = [step.split(":") for step in text.split(",")]
    if any(len(step) != _PAIR for step in steps):
        raise TextInvalid("bands are written 100:0,500:5", field="bands")
    return [
        (parse_decimal(last, currency).minor_units, parse_decimal(charge, currency).minor_units)
        for last, charge in steps
    ]


@app.command("register")
def register_command(
    ledger: LedgerCode,
    shortcode: ShortcodeOption,
    public_url: Annotated[
        str, typer.Option(help="Where providers reach our callback edge, such as https://pay.example.com")
    ],
    provider: ProviderOption = "daraja",
    nominated: Annotated[
        str, typer.Option(help="The number the provider knows us by: then what came in can be listed as well")
    ] = "",
) -> None:
    """Tells the provider where to tell of money that comes in, under fresh secret paths. Needs the rail's credentials,
    as a worker does."""
    number = parse_msisdn(nominated) if nominated else None

    async def command(application: Application) -> RegistrationAnswer:
        assert isinstance(application, WorkerApplication), "opened with the worker's role"
        async with transaction(application.engine) as connection:
            books = await find_ledger(connection, code=ledger)
            found = await shortcodes.get_shortcode(
                await driver(connection), ledger_id=books.id, provider=provider, shortcode=shortcode
            )
        return await application.recovery(public_url=public_url).register(books, found, nominated=number)

    answer = run(command, roles=(Role.WORKER,))
    out = console()
    if isinstance(answer, Registered):
        out.print(
            "registered" if not answer.before else "addresses had been registered before; the provider keeps those"
        )
        return
    out.print(f"not registered: {answer}", soft_wrap=True)
    raise typer.Exit(1)


@app.command("check")
def check_command(ledger: LedgerCode, receipt: Annotated[str, typer.Argument(help="rcp_ and 13 characters")]) -> None:
    """Has the provider asked what became of a receipt; where it was reversed, that is booked once the answer comes."""

    async def command(application: Application) -> None:
        async with transaction(application.engine) as connection:
            books = await find_ledger(connection, code=ledger)

        async def ask(connection: AsyncConnection) -> None:
            await application.return_recorder.check(
                await driver(connection), ledger=books, receipt_id=receipt_id_of(receipt), now=application.now()
            )

        await run_transaction(application.engine, ask, again_on=RETURNS_RACES)

    run(command)
    console().print(f"the provider is asked about {receipt} by the worker")


@app.command("take-back")
def take_back_command(
    ledger: LedgerCode,
    receipt: Annotated[str, typer.Argument(help="rcp_ and 13 characters")],
    return_receipt: Annotated[str, typer.Option(help="The provider's receipt of the reversal")],
    evidence: Annotated[str, typer.Option(help="What that rests on")],
    actor: Annotated[str, typer.Option(help="Who says so")],
    amount: Annotated[str, typer.Option(help="How much, such as 150.00; all that is still here if empty")] = "",
) -> None:
    """Books what the provider took back of a receipt of its own accord; repeating it changes nothing."""

    async def command(application: Application) -> Return:
        now = application.now()
        async with transaction(application.engine) as connection:
            books = await find_ledger(connection, code=ledger)
        taken = TakenBack(
            receipt_id=receipt_id_of(receipt),
            amount=parse_decimal(amount, books.base_currency) if amount else None,
            return_receipt=return_receipt,
            completed_at=now,
            reason=evidence,
            actor=actor,
            source=Source.MANUAL,
        )

        async def book(connection: AsyncConnection) -> Return:
            booked, _ = await application.return_recorder.take_back(
                await driver(connection), ledger=books, taken=taken, now=now
            )
            return booked

        return await run_transaction(application.engine, book, again_on=RETURNS_RACES)

    booked = run(command)
    console().print(f"{booked.amount} of {receipt} is booked as taken back: {encode(PREFIX, booked.id)}")
