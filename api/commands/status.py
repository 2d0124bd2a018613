"""`daftari status`: queues, payouts under way, unknowns by age, the float beside the provider's own word, the clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from rich.console import Console

from api.commands.opening import run as run_command
from api.tables import console, table
from api.wiring import Application
from ledger import floats, operations
from ledger.clock import ClockReading, in_words, read_clock
from ledger.database import transaction
from ledger.floats import FloatPosition
from ledger.journal import books
from ledger.journal.books import Ledger
from ledger.money import format_minor_units
from ledger.operations import OperationsStatus


def run() -> None:
    """Prints what an operator must know."""

    async def command(application: Application) -> None:
        now = application.now()
        async with transaction(application.engine) as connection:
            clock = await read_clock(connection, now=application.now)
            status = await operations.operations_status(connection, now=now)
            named = await books.find_ledgers(connection, ids=status.ledger_ids)
            ledgers = await books.list_ledgers(connection, after_code="", limit=500)
            # A loop over ledgers, of which there are few, for people.
            positions = [await floats.float_positions(connection, ledger_id=ledger.id) for ledger in ledgers]
        codes = {ledger_id: ledger.code for ledger_id, ledger in named.items()}
        print_status(console(), ledgers, codes, status, positions, now=now)
        print_clock(console(), clock, bound=application.clock_bound)

    run_command(command)


def print_status(
    out: Console,
    ledgers: list[Ledger],
    codes: Mapping[int, str],
    status: OperationsStatus,
    positions: list[list[FloatPosition]],
    *,
    now: datetime,
) -> None:
    """Four tables; an empty one says that nothing waits. `codes` name the ledgers of `status`, `ledgers` are those of
    `positions`."""
    queues = [(codes[q.ledger_id], q.name, f"{q.count:,}", _age(now - q.oldest)) for q in status.queues]
    out.print(table("Queues", ("ledger", "queue", ">waiting", ">oldest"), queues))
    under_way = [
        (codes[p.ledger_id], p.state, p.currency, f"{p.count:,}", _amount(p.amount, p.currency), _age(now - p.oldest))
        for p in status.open_payouts
    ]
    out.print(table("Payouts under way", ("ledger", "state", "currency", ">count", ">amount", ">oldest"), under_way))
    unknown = [
        (codes[u.ledger_id], u.age, u.currency, f"{u.count:,}", _amount(u.amount, u.currency)) for u in status.unknown
    ]
    out.print(table("Unknown outcomes by age", ("ledger", "age", "currency", ">count", ">amount"), unknown))
    rows = [
        _float_row(ledger, position, now=now)
        for ledger, found in zip(ledgers, positions, strict=True)
        for position in found
    ]
    columns = ("ledger", "shortcode", "sub-account", ">ledger says", ">in flight", ">provider says", ">drift", ">told")
    out.print(table("Float", columns, rows))


def print_clock(out: Console, reading: ClockReading, *, bound: timedelta) -> None:
    """How far this host's clock is from the database's. A host further off starts no command, this one included."""
    allowed = f"{bound.total_seconds():g} s are allowed"
    out.print(f"The clock of this host is {in_words(reading.ahead)} of the database's; {allowed}.", soft_wrap=True)


def _float_row(ledger: Ledger, position: FloatPosition, *, now: datetime) -> tuple[str, ...]:
    currency, drift = position.currency, position.drift
    return (
        ledger.code,
        f"{position.provider} {position.shortcode}",
        position.sub_account,
        _amount(position.balance, currency),
        _amount(position.in_flight, currency),
        _amount(position.asserted, currency) if position.asserted is not None else "never",
        _amount(drift, currency) if drift is not None else "",
        f"{_age(now - position.asserted_at)} ago" if position.asserted_at is not None else "",
    )


def _amount(minor_units: int, currency: str) -> str:
    return format_minor_units(minor_units, currency)


def _age(age: timedelta) -> str:
    seconds = max(int(age.total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
