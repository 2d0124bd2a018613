"""`daftari review`: the named queues of cases a person must look at; list, show, resolve."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from api.commands.opening import run
from api.conversion.reviews import REVIEW_PREFIX, review_id_of
from api.reports import entries_table
from api.tables import console, table
from api.wiring import Application
from ledger import resolutions
from ledger.collections import returning
from ledger.database import driver, transaction
from ledger.database import run as run_transaction
from ledger.ids import encode
from ledger.journal import books
from ledger.journal.entries import get_entry, list_entries
from ledger.journal.entry_search import EntryFilter
from ledger.outcomes import RACING_CONSTRAINTS
from ledger.payouts import queries, reviews
from ledger.payouts.reviews import Review
from ledger.resolutions import Resolution, Verb
from ledger.returns import RACING_CONSTRAINTS as RETURNS_RACES

_EVENT_COLUMNS = ("time (UTC)", "event", "state after it", "detail")
app = typer.Typer(help="Review queues: what a person must look at.", no_args_is_help=True)
_COLUMNS = ("case", "queue", "opened", "about", "why")


@app.command("list")
def list_command(
    ledger: Annotated[str, typer.Argument(help="Ledger code")],
    queue: Annotated[str, typer.Option(help="Only this queue")] = "",
) -> None:
    """Lists the open cases, oldest first."""

    async def command(application: Application) -> list[Review]:
        async with transaction(application.engine) as connection:
            found = await books.find_ledger(connection, code=ledger)
            return await reviews.list_open(connection, ledger_id=found.id, queue=queue, after=0, limit=500)

    rows = [
        (encode(REVIEW_PREFIX, one.id), one.queue, f"{one.opened_at:%Y-%m-%d %H:%M}", _about(one), one.reason)
        for one in run(command)
    ]
    console().print(table(f"{len(rows)} open cases", _COLUMNS, rows))


@app.command("show")
def show_command(
    ledger: Annotated[str, typer.Argument(help="Ledger code")],
    case: Annotated[str, typer.Argument(help="rev_ and 13 characters")],
) -> None:
    """Shows a case with its payout's life and entries."""

    async def command(application: Application) -> None:
        out = console()
        async with transaction(application.engine) as connection:
            found = await books.find_ledger(connection, code=ledger)
            one = await reviews.get_review(connection, ledger_id=found.id, review_id=review_id_of(case))
            out.print(f"{case} in {one.queue}, opened {one.opened_at:%Y-%m-%d %H:%M:%S}: {one.reason}")
            if one.verb is not None:
                out.print(f"closed by {one.actor} with {one.verb}: {one.evidence}")
            if one.return_id is not None:
                told = await returning.list_events(
                    await driver(connection), ledger_id=found.id, return_id=one.return_id
                )
                changes = [(f"{e.recorded_at:%Y-%m-%d %H:%M:%S}", e.event, e.state.value, e.detail or "") for e in told]
                out.print(table(f"Return {_about(one)}", _EVENT_COLUMNS, changes))
            if one.payout_id is None:
                return
            events = await queries.list_events(connection, ledger_id=found.id, payout_id=one.payout_id)
            about = EntryFilter(subject_kind="payout", subject_id=encode("pay", one.payout_id))
            page = await list_entries(connection, ledger_id=found.id, matching=about, before=0, limit=50)
            held = [
                await get_entry(connection, ledger_id=found.id, entry_id=entry_id)
                for entry_id in (one.held_entry_id,)
                if entry_id is not None
            ]
        rows = [(f"{e.recorded_at:%Y-%m-%d %H:%M:%S}", e.event, e.state.value, e.detail or "") for e in events]
        out.print(table(f"Payout {_about(one)}", _EVENT_COLUMNS, rows))
        out.print(entries_table("Its entries", reversed(page.entries), zone=found.zone))
        if held:
            out.print(entries_table("In suspense until this case is closed", held, zone=found.zone))

    run(command)


@app.command("resolve")
def resolve_command(
    ledger: Annotated[str, typer.Argument(help="Ledger code")],
    case: Annotated[str, typer.Argument(help="rev_ and 13 characters")],
    verb: Annotated[Verb, typer.Argument(help="What to do")],
    evidence: Annotated[str, typer.Option(help="What the decision rests on")],
    actor: Annotated[str, typer.Option(help="Who decides")],
    receipt: Annotated[str, typer.Option(help="The provider's receipt, to settle")] = "",
) -> None:
    """Closes a case: posts the entry its verb stands for."""
    decision = Resolution(verb=verb, evidence=evidence, receipt=receipt)

    async def command(application: Application) -> Review:
        async with transaction(application.engine) as connection:
            found = await books.find_ledger(connection, code=ledger)
        resolve = partial(
            resolutions.resolve_review,
            ledger=found,
            review_id=review_id_of(case),
            resolution=decision,
            actor=actor,
            recorder=application.recorder,
            returns=application.return_recorder,
            now=application.now(),
        )
        return await run_transaction(application.engine, resolve, again_on=RACING_CONSTRAINTS | RETURNS_RACES)

    closed = run(command)
    entry = encode("ent", closed.entry_id) if closed.entry_id is not None else "nothing to post"
    console().print(f"{case} is closed with {closed.verb}: {entry}")


def _about(review: Review) -> str:
    """The payout, return or receipt; "" for none."""
    subjects = (("pay", review.payout_id), (returning.PREFIX, review.return_id), ("rcp", review.receipt_id))
    return next((encode(prefix, number) for prefix, number in subjects if number is not None), "")
