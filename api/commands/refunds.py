"""`daftari refund`: what payees send back by a way that no provider tells of. One person asks, another approves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated, TypeAlias

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import run
from api.conversion.payouts import payout_id_of
from api.conversion.refunds import refund_id_of
from api.tables import console, table
from api.wiring import Application
from ledger.database import Driver, driver, transaction
from ledger.database import run as run_transaction
from ledger.ids import encode
from ledger.journal.books import Ledger, find_ledger
from ledger.money import format_minor_units, parse_decimal
from ledger.refunds import (
    PREFIX,
    RACING_CONSTRAINTS,
    Approval,
    Refund,
    RefundDesk,
    RefundRequest,
    list_refunds,
)

app = typer.Typer(help="What payees send back, by one person's evidence and another's approval.", no_args_is_help=True)

LedgerCode = Annotated[str, typer.Argument(help="Ledger code")]
RefundId = Annotated[str, typer.Argument(help="rfd_ and 13 characters")]
Actor = Annotated[str, typer.Option(help="Who says so")]
_ID_MAX = 2**63 - 1
_Command: TypeAlias = Callable[[Application, Driver, Ledger], Awaitable[tuple[Refund, bool]]]


@app.command("request")
def request_command(
    ledger: LedgerCode,
    payout: Annotated[str, typer.Argument(help="pay_ and 13 characters")],
    *,
    amount: Annotated[str, typer.Option(help="How much, such as 150.00")],
    receipt: Annotated[str, typer.Option(help="What the bank, or the cash book, calls it")],
    evidence: Annotated[str, typer.Option(help="What that rests on")],
    actor: Actor,
    place: Annotated[
        str, typer.Option(help="Where the money is, as `daftari collections open` named it: provider/shortcode")
    ],
    came: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="When it came, in the ledger's zone; else now"),
    ] = None,
) -> None:
    """Says that money of a payout came back; nothing moves until another person approves it."""

    provider, _, shortcode = place.partition("/")

    async def command(application: Application, session: Driver, books: Ledger) -> tuple[Refund, bool]:
        now = application.now()
        wanted = RefundRequest(
            key=None,
            payout_id=payout_id_of(payout),
            provider=provider,
            shortcode=shortcode,
            receipt=receipt,
            amount=parse_decimal(amount, books.base_currency),
            completed_at=now if came is None else came.replace(tzinfo=books.zone),
            evidence=evidence,
            actor=actor,
        )
        return await RefundDesk(application.receipt_recorder).request(session, ledger=books, request=wanted, now=now)

    refund = _run(ledger, command)
    console().print(f"{encode(PREFIX, refund.id)}: {refund.amount} of {payout} waits for another person's approval")


@app.command("approve")
def approve_command(ledger: LedgerCode, refund: RefundId, actor: Actor) -> None:
    """Books the money and gives it to whoever funded the payout; repeating it changes nothing."""

    async def command(application: Application, session: Driver, books: Ledger) -> tuple[Refund, bool]:
        approval = Approval(refund_id_of(refund), actor)
        desk = RefundDesk(application.receipt_recorder)
        return await desk.approve(session, ledger=books, approval=approval, now=application.now())

    done = _run(ledger, command)
    console().print(f"{done.amount} is back from {encode('pay', done.payout_id)}, under receipt {done.receipt}")


@app.command("reject")
def reject_command(
    ledger: LedgerCode, refund: RefundId, reason: Annotated[str, typer.Option(help="Why")], actor: Actor
) -> None:
    """Turns a refund down; repeating it changes nothing."""

    async def command(application: Application, session: Driver, books: Ledger) -> tuple[Refund, bool]:
        approval = Approval(refund_id_of(refund), actor, reason)
        desk = RefundDesk(application.receipt_recorder)
        return await desk.reject(session, ledger=books, approval=approval, now=application.now())

    _run(ledger, command)
    console().print(f"{refund} is rejected")


@app.command("list")
def list_command(
    ledger: LedgerCode,
    waiting: Annotated[bool, typer.Option(help="Only those that wait for another person")] = False,
    limit: Annotated[int, typer.Option(help="How many, newest first", min=1, max=500)] = 50,
) -> None:
    """Lists refunds: who asked, who decided."""

    async def command(application: Application) -> list[Refund]:
        async with transaction(application.engine) as connection:
            books = await find_ledger(connection, code=ledger)
            return await list_refunds(
                await driver(connection),
                ledger_id=books.id,
                payout_id=None,
                only_open=waiting,
                before=_ID_MAX,
                limit=limit,
            )

    rows = [
        (
            encode(PREFIX, one.id), encode("pay", one.payout_id), one.receipt,
            format_minor_units(one.amount.minor_units, one.amount.currency), one.state.value, one.requested_by,
            one.decided_by or "",
        )
        for one in run(command)
    ]  # fmt: skip
    columns = ("id", "of payout", "receipt", ">amount", "state", "asked by", "decided by")
    console().print(table(f"{len(rows)} refunds", columns, rows))


def _run(ledger: str, command: _Command) -> Refund:
    async def whole(application: Application) -> Refund:
        async with transaction(application.engine) as connection:
            books = await find_ledger(connection, code=ledger)
        once = partial(_once, application=application, command=command, books=books)
        return await run_transaction(application.engine, once, again_on=RACING_CONSTRAINTS)

    return run(whole)


async def _once(connection: AsyncConnection, *, application: Application, command: _Command, books: Ledger) -> Refund:
    refund, _ = await command(application, await driver(connection), books)
    return refund
