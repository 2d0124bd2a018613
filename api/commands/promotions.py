"""`daftari promo`: campaigns and batches of codes, their export for the printer, and a campaign in figures."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.progress import Progress as Bar
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import run
from api.promotion_reports import batches_table, export_header, export_lines, figures_tables
from api.tables import console
from api.wiring import Application
from ledger.database import Driver, driver
from ledger.database import run as run_transaction
from ledger.idempotency import KeyClaim, claim
from ledger.ids import encode
from ledger.journal.books import Ledger, find_ledger
from ledger.journal.post import business_date
from ledger.money import parse_decimal
from ledger.promotions import campaigns, queries
from ledger.promotions.batch import Event, Funding
from ledger.promotions.campaigns import NewCampaign
from ledger.promotions.desk import RACING_CONSTRAINTS, BatchRequest, Order
from ledger.promotions.issuing import PrintedCode, Progress, open_export, read_sheet
from ledger.promotions.report import campaign_report
from ledger.promotions.writing import Batch

app = typer.Typer(help="Promotions: codes worth money to the first phone that redeems them.", no_args_is_help=True)

LedgerCode = Annotated[str, typer.Argument(help="Ledger code")]
BatchCode = Annotated[str, typer.Argument(help="Batch code")]
Actor = Annotated[str, typer.Option(help="Who does it, for the record")]
Reason = Annotated[str, typer.Option(help="Why, for the record")]
Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="A date in the ledger's time zone")]
Result = TypeVar("Result")
# Request ids of people at a terminal: each run of a command is a request of its own.
_CLIENT = 0


class _Hands:
    """What the commands do on one ledger."""

    def __init__(self, application: Application, ledger: Ledger) -> None:
        self.application = application
        self.ledger = ledger

    async def tell(self, command: Callable[[Driver], Awaitable[Result]]) -> Result:
        """One transaction on the driver."""

        async def on_connection(connection: AsyncConnection) -> Result:
            return await command(await driver(connection))

        return await run_transaction(self.application.engine, on_connection, again_on=RACING_CONSTRAINTS)

    def key(self, method: str) -> KeyClaim:
        """A request id that nobody had."""
        name = encode("cli", self.application.ids.next(self.application.now()))
        return claim(client_id=_CLIENT, key=name, method=method, content=b"")

    async def batch(self, code: str) -> Batch:
        """Raises BatchNotFound."""
        return await self.tell(lambda driver: queries.find_batch(driver, ledger_id=self.ledger.id, code=code))

    async def order(self, code: str, *, actor: str, reason: str) -> Order:
        """A command about a batch."""
        return Order(self.key("promo"), (await self.batch(code)).id, actor, reason)

    async def generate(self, batch: Batch, *, actor: str) -> Progress:
        """The next part of its codes."""
        return await self.tell(
            lambda driver: self.application.promotions.mint.generate(
                driver, ledger=self.ledger, batch_id=batch.id, actor=actor, now=self.application.now()
            )
        )

    async def sheet(self, batch: Batch, first: int) -> list[PrintedCode]:
        """The sheet that begins at a number or after it."""
        keys = self.application.promotions.keys
        return await self.tell(
            lambda driver: read_sheet(driver, ledger=self.ledger, batch_id=batch.id, first_number=first, keys=keys)
        )


def _with_hands(ledger: str, command: Callable[[_Hands], Awaitable[Result]]) -> Result:
    async def opened(application: Application) -> Result:
        found = await run_transaction(application.engine, lambda connection: find_ledger(connection, code=ledger))
        return await command(_Hands(application, found))

    return run(opened)


@app.command("campaign")
def campaign_command(
    ledger: LedgerCode,
    code: Annotated[str, typer.Argument(help="Campaign code")],
    actor: Actor,
    name: Annotated[str, typer.Option(help="Its name for people")] = "",
    per_phone: Annotated[int, typer.Option(help="Codes one phone may redeem; 0 for any number")] = 0,
    per_phone_a_day: Annotated[int, typer.Option(help="Codes one phone may redeem a day; 0 for any number")] = 0,
) -> None:
    """Makes a campaign: what batches belong to."""

    async def command(hands: _Hands) -> str:
        new = NewCampaign(
            key=hands.key("campaign"),
            actor=actor,
            code=code,
            name=name or code,
            per_msisdn_max=per_phone or None,
            per_msisdn_day_max=per_phone_a_day or None,
        )
        made, _ = await hands.tell(
            lambda driver: campaigns.create_campaign(
                driver,
                ledger_id=hands.ledger.id,
                campaign=new,
                ids=hands.application.ids,
                now=hands.application.now(),
            )
        )
        return made.code

    console().print(f"campaign {_with_hands(ledger, command)} is there; `daftari promo create` makes batches of it")


@app.command("create")
def create_command(
    ledger: LedgerCode,
    code: BatchCode,
    *,
    campaign: Annotated[str, typer.Option(help="Campaign code")],
    partner: Annotated[str, typer.Option(help="In whose name codes are paid")],
    amount: Annotated[str, typer.Option(help="What one code is worth, such as 50")],
    count: Annotated[int, typer.Option(help="How many codes")],
    last_day: Day,
    actor: Actor,
    currency: Annotated[str, typer.Option(help="ISO 4217 code; the ledger's own if empty")] = "",
    funding: Annotated[Funding, typer.Option(help="Who pays: the partner's prefund, or our own budget")] = (
        Funding.PREFUND
    ),
    shortcode: Annotated[str, typer.Option(help="The shortcode that pays, where several could")] = "",
    assignee: Annotated[str, typer.Option(help="Who gives the codes out")] = "",
    one_person: Annotated[bool, typer.Option(help="Who creates it may activate it too")] = False,
) -> None:
    """Makes a batch with all of its codes, as a draft. Run again with `promo generate` if it is broken off."""

    wanted = partial(
        BatchRequest,
        actor=actor,
        code=code,
        campaign=campaign,
        count=count,
        funding=funding,
        partner=partner,
        shortcode=shortcode,
        assignee=assignee,
        second_person=not one_person,
    )
    _show(ledger, lambda hands: _create(hands, wanted, amount=amount, currency=currency, last_day=last_day))


@app.command("generate")
def generate_command(ledger: LedgerCode, code: BatchCode, actor: Actor) -> None:
    """Makes the codes that a draft still misses."""
    _show(ledger, lambda hands: _generate(hands, code, actor))


@app.command("activate")
def activate_command(ledger: LedgerCode, code: BatchCode, actor: Actor, reason: Reason = "") -> None:
    """Makes the codes worth their money: from now on it is owed."""
    _show(ledger, lambda hands: _switch(hands, "activate", code, actor, reason))


@app.command("pause")
def pause_command(ledger: LedgerCode, code: BatchCode, actor: Actor, reason: Reason = "") -> None:
    """Stops redemption for a while."""
    _show(ledger, lambda hands: _switch(hands, "pause", code, actor, reason))


@app.command("resume")
def resume_command(ledger: LedgerCode, code: BatchCode, actor: Actor, reason: Reason = "") -> None:
    """Lets redemption go on."""
    _show(ledger, lambda hands: _switch(hands, "resume", code, actor, reason))


@app.command("cancel")
def cancel_command(ledger: LedgerCode, code: BatchCode, actor: Actor, reason: Reason = "") -> None:
    """Ends a batch; what was redeemed is paid all the same."""
    _show(ledger, lambda hands: _switch(hands, "cancel", code, actor, reason))


@app.command("stolen")
def stolen_command(
    ledger: LedgerCode,
    code: BatchCode,
    number: Annotated[int, typer.Argument(help="The code's number in the batch")],
    actor: Actor,
    reason: Reason = "",
) -> None:
    """Takes a code out that was stolen."""

    async def command(hands: _Hands) -> Batch:
        order, application = await hands.order(code, actor=actor, reason=reason), hands.application
        await hands.tell(
            lambda driver: application.promotions.desk.take_code(
                driver, ledger=hands.ledger, order=order, event=Event.STOLEN, number=number, now=application.now()
            )
        )
        return await hands.batch(code)

    _show(ledger, command)


@app.command("void")
def void_command(
    ledger: LedgerCode,
    code: BatchCode,
    first: Annotated[int, typer.Argument(help="The first number taken out")],
    last: Annotated[int, typer.Argument(help="The last number taken out")],
    actor: Actor,
    reason: Reason = "",
) -> None:
    """Takes the live codes of a range of numbers out."""

    async def command(hands: _Hands) -> Batch:
        order, application = await hands.order(code, actor=actor, reason=reason), hands.application
        await hands.tell(
            lambda driver: application.promotions.desk.void_range(
                driver, ledger=hands.ledger, order=order, numbers=(first, last), now=application.now()
            )
        )
        return await hands.batch(code)

    _show(ledger, command)


@app.command("export")
def export_command(
    ledger: LedgerCode,
    code: BatchCode,
    actor: Actor,
    reason: Reason,
    out: Annotated[Path, typer.Option(help="A file that is not there yet; only its owner may read it")],
) -> None:
    """Writes all codes into a CSV file for the printer. Recorded, and possible once."""

    async def command(hands: _Hands) -> int:
        order, batch = await hands.order(code, actor=actor, reason=reason), await hands.batch(code)
        # The file is opened first: an export that is recorded and has nowhere to go would be lost.
        with os.fdopen(
            os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline=""
        ) as file:
            await hands.tell(
                lambda driver: open_export(driver, ledger=hands.ledger, order=order, now=hands.application.now())
            )
            file.write(export_header())
            return await _write_sheets(hands, batch, file.write)

    console().print(f"{_with_hands(ledger, command):,} codes of {code} are in {out}")


@app.command("list")
def list_command(
    ledger: LedgerCode, campaign: Annotated[str, typer.Option(help="Only batches of this campaign")] = ""
) -> None:
    """Lists batches, newest first, with what each owes."""

    async def command(hands: _Hands) -> None:
        found = await hands.tell(
            lambda driver: queries.list_batches(
                driver, ledger_id=hands.ledger.id, campaign=campaign, states=(), before=2**63 - 1, limit=500
            )
        )
        console().print(batches_table(found, zone=hands.ledger.zone))

    _with_hands(ledger, command)


@app.command("report")
def report_command(
    ledger: LedgerCode,
    campaign: Annotated[str, typer.Argument(help="Campaign code")],
    days: Annotated[int, typer.Option(help="How many days back, today included")] = 31,
) -> None:
    """Prints a campaign in figures: issued, live, redeemed, paid, failed and expired, by batch and by day."""

    async def command(hands: _Hands) -> None:
        end = business_date(hands.application.now(), hands.ledger.zone) + timedelta(days=1)
        report = await hands.tell(
            lambda driver: campaign_report(
                driver, ledger=hands.ledger, code=campaign, start=end - timedelta(days=days), end=end
            )
        )
        for drawn in figures_tables(report):
            console().print(drawn)

    _with_hands(ledger, command)


async def _switch(hands: _Hands, verb: str, code: str, actor: str, reason: str) -> Batch:
    order, application = await hands.order(code, actor=actor, reason=reason), hands.application
    desk = application.promotions.desk
    command = {"activate": desk.activate, "pause": desk.pause, "resume": desk.resume, "cancel": desk.cancel}[verb]
    await hands.tell(lambda driver: command(driver, ledger=hands.ledger, order=order, now=application.now()))
    return await hands.batch(code)


async def _create(
    hands: _Hands, wanted: Callable[..., BatchRequest], *, amount: str, currency: str, last_day: datetime
) -> Batch:
    application = hands.application
    request = wanted(
        key=hands.key("create"),
        amount=parse_decimal(amount, currency or hands.ledger.base_currency),
        expires_at=(last_day + timedelta(days=1)).replace(tzinfo=hands.ledger.zone),
    )
    await run_transaction(
        application.engine,
        lambda connection: application.promotions.desk.create(
            connection, ledger=hands.ledger, request=request, now=application.now()
        ),
        again_on=RACING_CONSTRAINTS,
    )
    return await _generate(hands, request.code, request.actor)


async def _generate(hands: _Hands, code: str, actor: str) -> Batch:
    batch = await hands.batch(code)
    with Bar(console=console(), transient=True) as bar:
        task = bar.add_task("making codes", total=batch.count, completed=batch.issued)
        issued = batch.issued
        while issued < batch.count:
            issued = (await hands.generate(batch, actor=actor)).issued
            bar.update(task, completed=issued)
    return await hands.batch(code)


async def _write_sheets(hands: _Hands, batch: Batch, write: Callable[[str], object]) -> int:
    written = 0
    while sheet := await hands.sheet(batch, written + 1):
        write(export_lines(batch, sheet, zone=hands.ledger.zone))
        written = sheet[-1].number
    return written


def _show(ledger: str, command: Callable[[_Hands], Awaitable[Batch]]) -> None:
    """What the command made of a batch, in a table."""

    async def shown(hands: _Hands) -> None:
        console().print(batches_table([await command(hands)], zone=hands.ledger.zone))

    _with_hands(ledger, shown)
