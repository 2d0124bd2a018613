"""`daftari collections receipts|orders|prompts|returns`: what came in, what is expected, asked for and given back, as
tables for people. Payers are shown with the middle of their numbers hidden."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, TypeAlias, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import run
from api.conversion.collections import RECEIPT_PREFIX
from api.tables import console, table
from api.wiring import Application
from ledger.collections import listing, queries
from ledger.collections.ordering import Order
from ledger.collections.prompting import PREFIX as PROMPT_PREFIX
from ledger.collections.prompting import Prompt
from ledger.collections.receipt import Place
from ledger.collections.returning import PREFIX as RETURN_PREFIX
from ledger.collections.returning import Return
from ledger.database import transaction
from ledger.ids import encode
from ledger.journal.books import find_ledger
from ledger.money import Money, format_minor_units

_ID_MAX = 2**63 - 1
Row = TypeVar("Row")
_Read: TypeAlias = Callable[[AsyncConnection, int], Awaitable[Sequence[Row]]]

LedgerCode = Annotated[str, typer.Argument(help="Ledger code")]
Limit = Annotated[int, typer.Option(help="How many, newest first", min=1, max=500)]


class Waiting(enum.Enum):
    """Where money of receipts waits."""

    UNALLOCATED = "unallocated"
    SUSPENDED = "suspended"


_PLACES = {Waiting.UNALLOCATED: Place.UNALLOCATED, Waiting.SUSPENDED: Place.SUSPENDED}


def receipts_command(
    ledger: LedgerCode,
    waiting: Annotated[
        Waiting | None, typer.Option(help="Only those of which money waits: for its reference, or for a person")
    ] = None,
    limit: Limit = 50,
) -> None:
    """Lists receipts: who paid what under which reference, and where the money is."""
    place = _PLACES[waiting] if waiting is not None else None

    async def read(connection: AsyncConnection, ledger_id: int) -> Sequence[queries.Receipt]:
        return await queries.list_receipts(
            connection, ledger_id=ledger_id, waiting_at=place, before=_ID_MAX, limit=limit
        )

    rows = [
        (
            encode(RECEIPT_PREFIX, one.id), one.receipt, _minute(one.completed_at), _amount(one.amount),
            one.payer_shown, one.reference_shown, _where(one),
        )
        for one in _found(ledger, read)
    ]  # fmt: skip
    columns = ("id", "receipt", "paid", ">amount", "payer", "reference", "where it is")
    console().print(table(f"{len(rows)} receipts", columns, rows))


def orders_command(ledger: LedgerCode, limit: Limit = 50) -> None:
    """Lists payment orders: what is expected, and what was paid."""

    async def read(connection: AsyncConnection, ledger_id: int) -> Sequence[Order]:
        return await queries.list_orders(
            connection, ledger_id=ledger_id, partner_id=None, states=[], before=_ID_MAX, limit=limit
        )

    rows = [
        (
            one.public_id, one.partner, one.reference, _amount(one.money.amount), _amount(one.money.paid),
            _state(one.money.state), _minute(one.money.expires_at),
        )
        for one in _found(ledger, read)
    ]  # fmt: skip
    columns = ("id", "partner", "reference", ">amount", ">paid", "state", "expires")
    console().print(table(f"{len(rows)} orders", columns, rows))


def prompts_command(ledger: LedgerCode, limit: Limit = 50) -> None:
    """Lists prompts: whose phones were asked, and what came of it."""

    async def read(connection: AsyncConnection, ledger_id: int) -> Sequence[Prompt]:
        return await listing.list_prompts(
            connection, ledger_id=ledger_id, partner_id=None, states=[], id_from=0, id_before=_ID_MAX, limit=limit
        )

    rows = [
        (
            encode(PROMPT_PREFIX, one.id), _minute(one.created_at), one.payer_shown, _amount(one.amount), one.reference,
            _state(one.state), encode(RECEIPT_PREFIX, one.receipt_id) if one.receipt_id is not None else "",
            one.failure_text or "",
        )
        for one in _found(ledger, read)
    ]  # fmt: skip
    columns = ("id", "asked", "payer", ">amount", "reference", "state", "receipt", "failure")
    console().print(table(f"{len(rows)} prompts", columns, rows))


def returns_command(ledger: LedgerCode, limit: Limit = 50) -> None:
    """Lists returns: what goes back to payers, why, and how far it is."""

    async def read(connection: AsyncConnection, ledger_id: int) -> Sequence[Return]:
        return await listing.list_returns(
            connection, ledger_id=ledger_id, receipt_id=None, states=[], id_from=0, id_before=_ID_MAX, limit=limit
        )

    rows = [
        (
            encode(RETURN_PREFIX, one.id), _minute(one.created_at), one.receipt, _amount(one.amount), _state(one.state),
            one.return_receipt or "", one.reason,
        )
        for one in _found(ledger, read)
    ]  # fmt: skip
    columns = ("id", "asked", "of receipt", ">amount", "state", "its receipt", "why")
    console().print(table(f"{len(rows)} returns", columns, rows))


def _found(ledger: str, read: _Read[Row]) -> Sequence[Row]:
    async def command(application: Application) -> Sequence[Row]:
        async with transaction(application.engine) as connection:
            return await read(connection, (await find_ledger(connection, code=ledger)).id)

    return run(command)


def _where(receipt: queries.Receipt) -> str:
    """The places that hold some of it; with how much, where they are several."""
    held = receipt.holdings
    places = {
        "unallocated": held.unallocated,
        "suspended": held.suspended,
        "allocated": held.allocated,
        "returning": held.returning,
        "returned": held.returned,
    }
    some = {name: amount for name, amount in places.items() if amount}
    if len(some) == 1:
        return next(iter(some))
    return ", ".join(f"{name} {format_minor_units(amount, receipt.amount.currency)}" for name, amount in some.items())


def _amount(money: Money) -> str:
    return format_minor_units(money.minor_units, money.currency)


def _state(state: enum.Enum) -> str:
    return str(state.value).lower().replace("_", " ")


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
