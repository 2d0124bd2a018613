"""`daftari adjustment`: what breaks of a run come to. One person proposes, another approves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, TypeAlias, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.commands.opening import run as run_command
from api.conversion.reconciliation import run_id_of
from api.statement_desk import adjustment_desk
from api.tables import console, table
from api.wiring import Application
from ledger.database import Driver, driver
from ledger.database import run as run_transaction
from ledger.ids import decode, encode
from ledger.journal.books import Ledger, find_ledger
from ledger.journal.entries import ENTRY_PREFIX
from ledger.journal.entry import Posting, Side
from ledger.money import format_minor_units
from ledger.reconciliation.adjusting import RACING_CONSTRAINTS, Wanted
from ledger.reconciliation.adjustment import AdjustmentNotFound, Break, Way
from ledger.reconciliation.proposals import Adjustment, list_adjustments, read_adjusted_breaks, read_adjustment
from ledger.reconciliation.queries import read_run
from ledger.reconciliation.reading import ADJUSTMENT_PREFIX
from ledger.reconciliation.run import PREFIX as RUN_PREFIX

app = typer.Typer(help="What breaks come to, by one person's word and another's approval.", no_args_is_help=True)

LedgerCode = Annotated[str, typer.Argument(help="Ledger code")]
AdjustmentId = Annotated[str, typer.Argument(help="adj_ and 13 characters")]
Actor = Annotated[str, typer.Option(help="Who says so")]
_ID_MAX = 2**63 - 1
_SHOWN_MAX = 200
_Result = TypeVar("_Result")
_Command: TypeAlias = Callable[[Application, Driver, Ledger], Awaitable[_Result]]


@app.command("propose")
def propose_command(
    ledger: LedgerCode,
    run: Annotated[str, typer.Argument(help="rec_ and 13 characters, as `daftari reconcile run` prints it")],
    *,
    actor: Actor,
    breaks: Annotated[
        list[int] | None, typer.Option("--break", help="A break's number; several are explained together")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for breaks that are named")] = "",
    against: Annotated[
        str, typer.Option(help="The other account of the entry; empty for where what nobody can explain waits")
    ] = "",
    as_it_is: Annotated[
        bool, typer.Option("--as-it-is", help="Post nothing: the breaks named belong together, or stay")
    ] = False,
) -> None:
    """Proposes what rules are certain of, charges and payments that the statement alone shows, or what is said of the
    breaks named; nothing moves until another person approves it."""

    async def command(application: Application, session: Driver, books: Ledger) -> list[Adjustment]:
        desk, now = adjustment_desk(application), application.now()
        run_id = run_id_of(run)
        if not breaks:
            return await desk.propose_certain(session, ledger=books, run_id=run_id, actor=actor, now=now)
        wanted = Wanted(numbers=breaks, reason=reason, against=None if as_it_is else against)
        return [await desk.propose(session, ledger=books, run_id=run_id, wanted=wanted, actor=actor, now=now)]

    made = _run(ledger, command)
    console().print(_table(made, f"{len(made)} proposed; another person's approval posts them"))


@app.command("approve")
def approve_command(
    ledger: LedgerCode,
    adjustments: Annotated[list[str], typer.Argument(help="adj_ and 13 characters each")],
    *,
    actor: Actor,
) -> None:
    """Posts what was proposed, each once; repeating it changes nothing."""
    for one in adjustments:
        command = partial(_approve, adjustment=one, actor=actor)
        done = _run(ledger, command)
        posted = "nothing to post" if done.entry_id is None else f"posted as {encode(ENTRY_PREFIX, done.entry_id)}"
        console().print(f"{one} is approved: {posted}", soft_wrap=True)


@app.command("reject")
def reject_command(
    ledger: LedgerCode, adjustment: AdjustmentId, reason: Annotated[str, typer.Option(help="Why")], actor: Actor
) -> None:
    """Turns an adjustment down; repeating it changes nothing."""

    async def command(application: Application, session: Driver, books: Ledger) -> Adjustment:
        done, _ = await adjustment_desk(application).reject(
            session, ledger=books, adjustment_id=_id_of(adjustment), reason=reason, actor=actor, now=application.now()
        )
        return done

    _run(ledger, command)
    console().print(f"{adjustment} is rejected")


@app.command("list")
def list_command(
    ledger: LedgerCode,
    run: Annotated[str, typer.Option(help="Only those about breaks of this run: rec_ and 13 characters")] = "",
    waiting: Annotated[bool, typer.Option(help="Only those that wait for another person")] = False,
    limit: Annotated[int, typer.Option(help="How many, newest first", min=1, max=500)] = 50,
) -> None:
    """Lists adjustments: what they post, who proposed, who decided."""

    async def command(application: Application, session: Driver, books: Ledger) -> list[Adjustment]:
        run_id = run_id_of(run) if run else None
        if run_id is not None:
            await read_run(session, ledger_id=books.id, run_id=run_id)
        return await list_adjustments(
            session, ledger_id=books.id, run_id=run_id, only_open=waiting, before=_ID_MAX, limit=limit
        )

    made = _run(ledger, command)
    console().print(_table(made, f"{len(made)} adjustments"))


@app.command("show")
def show_command(ledger: LedgerCode, adjustment: AdjustmentId) -> None:
    """Shows an adjustment, and line by line what it explains."""

    async def command(
        application: Application, session: Driver, books: Ledger
    ) -> tuple[Adjustment, list[Break], Ledger]:
        one = await read_adjustment(session, ledger_id=books.id, adjustment_id=_id_of(adjustment))
        return one, await read_adjusted_breaks(session, ledger=books, adjustment=one), books

    one, breaks, books = _run(ledger, command)
    console().print(_table([one], one.reason))
    if one.postings:
        sides = [(line.account, *_sides(line)) for line in one.postings]
        console().print(table("The entry", ("account", ">debit", ">credit"), sides))
    rows = [
        (f"{each.number:,}", f"{each.at.astimezone(books.zone):%Y-%m-%d %H:%M:%S}", each.receipt, each.state.value,
         format_minor_units(each.difference, one.currency))
        for each in breaks[:_SHOWN_MAX]
    ]  # fmt: skip
    title = f"{len(rows):,} of {len(breaks):,} it explains, of {encode(RUN_PREFIX, one.run_id)}"
    console().print(table(title, (">break", "when", "receipt", "state", ">difference"), rows))


async def _approve(
    application: Application, session: Driver, books: Ledger, *, adjustment: str, actor: str
) -> Adjustment:
    done, _ = await adjustment_desk(application).approve(
        session, ledger=books, adjustment_id=_id_of(adjustment), actor=actor, now=application.now()
    )
    return done


def _table(made: Sequence[Adjustment], title: str) -> object:
    columns = ("id", "of account", ">breaks", ">difference", "against", "state", "proposed by", "decided by")
    return table(title, columns, [_row(one) for one in made])


def _row(one: Adjustment) -> tuple[str, ...]:
    others = ", ".join(line.account for line in one.postings if line.account != one.account)
    what = {Way.ENTRY: others, Way.RECEIPT: f"receipt {one.receipt}", Way.MATCH: "nothing"}[one.way]
    state = {None: "PROPOSED", True: "APPROVED", False: "REJECTED"}[one.approved]
    difference = format_minor_units(one.difference, one.currency)
    return (one.public_id, one.account, f"{len(one.numbers):,}", difference, what, state, one.proposed_by,
            one.decided_by or "")  # fmt: skip


def _sides(line: Posting) -> tuple[str, str]:
    amount = format_minor_units(line.money.minor_units, line.money.currency)
    return (amount, "") if line.side is Side.DEBIT else ("", amount)


def _id_of(text: str) -> int:
    return _decoded(ADJUSTMENT_PREFIX, text, AdjustmentNotFound("no such adjustment in this ledger", field="id"))


def _decoded(prefix: str, text: str, missing: Exception) -> int:
    found = decode(prefix, text)
    if found is None:
        raise missing
    return found


def _run(ledger: str, command: _Command[_Result]) -> _Result:
    async def whole(application: Application) -> _Result:
        async def once(connection: AsyncConnection) -> _Result:
            return await command(application, await driver(connection), await find_ledger(connection, code=ledger))

        return await run_transaction(application.engine, once, again_on=RACING_CONSTRAINTS)

    return run_command(whole)
