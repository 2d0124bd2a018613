"""`daftari sms`: how a ledger's messages are sent, what became of them, who wants none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import run
from api.messaging import ACTOR, open_sms
from api.tables import console
from api.wiring import Application
from ledger.database import Driver, driver
from ledger.database import run as transact
from ledger.errors import TextInvalid
from ledger.ids import decode
from ledger.journal.books import Ledger, find_ledger
from ledger.msisdn import parse_msisdn
from ledger.sms import desk
from ledger.sms.desk import SmsSettings
from ledger.sms.message import MICROS, PREFIX, State
from ledger.sms.templates import Language, StopCovers, Told
from ledger.sms.writing import Message, MessageEvent, get_message, list_events, list_messages

app = typer.Typer(help="Text messages: open, list, show, resend, stop, start.", no_args_is_help=True)
_NEWEST = 2**63 - 1
_Result = TypeVar("_Result")


@app.command("open")
def open_command(
    ledger: str,
    *,
    provider: Annotated[str, typer.Option(help="africastalking or pindo")] = "africastalking",
    fallback: Annotated[str, typer.Option(help="The other, for what the first certainly did not send")] = "",
    sender: Annotated[str, typer.Option(help="What phones show as the sender")] = "",
    brand: Annotated[str, typer.Option(help="What texts begin with")] = "Daftari",
    language: Annotated[Language, typer.Option(help="For countries without one of ours")] = Language.ENGLISH,
    event: Annotated[list[Told] | None, typer.Option(help="Repeatable; all if none is named")] = None,
    stop_covers: Annotated[
        StopCovers, typer.Option(help="What is withheld from those who sent STOP")
    ] = StopCovers.ALL_BUT_ESSENTIAL,
    currency: Annotated[list[str] | None, typer.Option(help="Repeatable: what providers charge in")] = None,
) -> None:
    """Has a ledger's messages sent from now on, and prints the addresses to register with the providers, once."""

    async def open_it(application: Application) -> dict[str, dict[str, str]]:
        for name in filter(None, (provider, fallback)):
            if name not in application.messengers:
                raise TextInvalid(f"set DAFTARI_{name.upper()}_BASE_URL, or name another provider", field="provider")
        wanted = SmsSettings(
            provider=provider,
            fallback=fallback or None,
            sender=sender,
            brand=brand,
            language=language,
            events=tuple(event or Told),
            stop_covers=stop_covers,
        )
        return await open_sms(
            application,
            ledger_code=ledger,
            wanted=wanted,
            currencies=currency or ["KES", "USD"],
            public_url=application.settings.public_url,
        )

    for kind, addresses in run(open_it).items():
        for name, address in addresses.items():
            console().print(f"{name} {kind}: {address}", soft_wrap=True)


@app.command("list")
def list_command(ledger: str, state: Annotated[State | None, typer.Option()] = None, limit: int = 50) -> None:
    """The newest messages and what became of them; numbers are masked."""

    async def read(session: Driver, books: Ledger, _application: Application) -> list[Message]:
        return await list_messages(
            session, ledger_id=books.id, state=state, before=_NEWEST, limit=max(1, min(limit, 500))
        )

    table = Table("message", "tells", "to", "over", "state", "why")
    for one in _in_ledger(ledger, read):
        table.add_row(
            one.public_id, one.told.value, one.to_masked, one.provider, one.state.value, one.failure_code or ""
        )
    console().print(table)


@app.command("show")
def show_command(ledger: str, message: str) -> None:
    """One message, and everything that happened to it."""
    sms_id = _id_of(message)

    async def read(session: Driver, books: Ledger, _application: Application) -> tuple[Message, list[MessageEvent]]:
        found = await get_message(session, ledger_id=books.id, sms_id=sms_id)
        return found, await list_events(session, ledger_id=books.id, sms_id=sms_id)

    shown, events = _in_ledger(ledger, read)
    console().print(f"{shown.public_id} tells {shown.to_masked} of {shown.about.public_id}: {shown.told.value}")
    console().print(shown.body, markup=False, soft_wrap=True)
    table = Table("when", "what", "state", "why", "cost", "by")
    for one in events:
        when, why = f"{one.recorded_at:%Y-%m-%d %H:%M:%S}", one.detail or ""
        table.add_row(when, one.event, one.state.value, why, _cost(one), one.actor)
    console().print(table)


@app.command("resend")
def resend_command(ledger: str, message: str) -> None:
    """Sends a failed message once more. What may have arrived is not sent again."""
    sms_id = _id_of(message)

    async def again(session: Driver, books: Ledger, application: Application) -> list[int]:
        return await desk.resend(
            session, ledger_id=books.id, sms_ids=[sms_id], actor=ACTOR, ids=application.ids, now=application.now()
        )

    if not _in_ledger(ledger, again):
        raise TextInvalid("only a message that FAILED is sent again; see `daftari sms list`", field="message")
    console().print("queued")


@app.command("stop")
def stop_command(ledger: str, msisdn: str) -> None:
    """A number wants no messages from now on."""
    _wish(ledger, msisdn, wants=False)


@app.command("start")
def start_command(ledger: str, msisdn: str) -> None:
    """A number wants messages again."""
    _wish(ledger, msisdn, wants=True)


@app.command("stopped")
def stopped_command(ledger: str, msisdn: str) -> None:
    """Says whether a number wants none."""
    phone = parse_msisdn(msisdn)

    async def ask(session: Driver, books: Ledger, application: Application) -> bool:
        return await desk.is_stopped(session, ledger_id=books.id, phone=phone, keys=application.party_keys)

    console().print("wants no messages" if _in_ledger(ledger, ask) else "is sent messages")


def _cost(event: MessageEvent) -> str:
    if event.cost is None:
        return ""
    return f"{event.cost.currency} {event.cost.micros // MICROS}.{event.cost.micros % MICROS:06}"


def _id_of(message: str) -> int:
    sms_id = decode(PREFIX, message)
    if sms_id is None:
        raise TextInvalid("write the message as `daftari sms list` does: sms_...", field="message")
    return sms_id


def _wish(ledger: str, msisdn: str, *, wants: bool) -> None:
    phone = parse_msisdn(msisdn)
    change = desk.start if wants else desk.stop

    async def set_it(session: Driver, books: Ledger, application: Application) -> None:
        await change(
            session,
            ledger_id=books.id,
            phones=[phone],
            source=ACTOR,
            keys=application.party_keys,
            now=application.now(),
        )

    _in_ledger(ledger, set_it)
    console().print("is sent messages" if wants else "wants no messages")


def _in_ledger(ledger: str, command: Callable[[Driver, Ledger, Application], Awaitable[_Result]]) -> _Result:
    """A command inside one transaction on a ledger's books."""

    async def opened(application: Application) -> _Result:
        async def on(connection: AsyncConnection) -> _Result:
            books = await find_ledger(connection, code=ledger)
            return await command(await driver(connection), books, application)

        return await transact(application.engine, on)

    return run(opened)
