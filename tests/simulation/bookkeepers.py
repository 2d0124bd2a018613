"""The people who hold statements against the books: they take files in, reconcile, propose and approve adjustments, and
close days. Each step is one that a command takes; the process that carries it out may die in it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, LiteralString, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from api.statements import StatementDesk, StatementFile, Whose
from ledger.collections.refusals import ApproverNeeded
from ledger.database import Driver, driver, run
from ledger.errors import InvalidInput, LedgerError
from ledger.ids import IdSource
from ledger.journal.poster import Poster
from ledger.reconciliation.adjusting import RACING_CONSTRAINTS as ADJUSTING_RACES
from ledger.reconciliation.adjusting import AdjustmentDesk, Wanted
from ledger.reconciliation.closing import RACING_CONSTRAINTS as CLOSING_RACES
from ledger.reconciliation.closing import CloseDesk
from ledger.reconciliation.importing import PURPOSE, Importer
from ledger.reconciliation.reading import Days
from ledger.reconciliation.run import Reconciler, StatementMissing
from ledger.reconciliation.statement import StatementRefused
from ledger.sealing import Sealer
from tests.simulation.account import THEFT
from tests.simulation.books import SECRET, Opened
from tests.simulation.daraja import SHORTCODE
from tests.simulation.processes import Process
from tests.simulation.statement_files import Exported, day_of, export, torn

if TYPE_CHECKING:
    from tests.simulation.history_of_statements import StatementHistory

Answer = TypeVar("Answer")
PROPOSER, APPROVER = "amina", "brian"
REASON = "nobody here can explain it"
_NEWEST: LiteralString = """
SELECT DISTINCT ON (r.account_id) r.id FROM reconciliation_runs AS r
WHERE r.breaks > 0 OR EXISTS (SELECT FROM reconciliation_decisions AS d WHERE d.run_id = r.id AND d.rule = 'charge')
ORDER BY r.account_id, r.id DESC
"""
_BREAKS: LiteralString = """
SELECT number, receipt, difference FROM reconciliation_decisions
WHERE run_id = %s AND state NOT IN ('matched', 'no_movement', 'awaited', 'accepted') ORDER BY number
"""
_OPEN: LiteralString = """
SELECT a.id FROM adjustments AS a WHERE NOT EXISTS (
    SELECT FROM adjustment_decisions AS d WHERE d.ledger_id = a.ledger_id AND d.adjustment_id = a.id) ORDER BY a.id
"""
_STEP: LiteralString = "SELECT step FROM closings ORDER BY id DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Break:
    """A decision of a run that leaves something open."""

    number: int
    receipt: str
    difference: int


# Statements.


def fetch(history: StatementHistory, account: str, since: date) -> Exported | None:
    """Somebody exports a statement; None where there is nothing in it."""
    found = export(
        history.daraja.account.rows, account, number=len(history.files), since=since, now=history.clock.now()
    )
    if found is None:
        return None
    if len(found.rows) > 1 and history.troubled("file-torn", 0.2):
        found = torn(found)
    shuffled = history.chance if history.troubled("rows-shuffled", 0.3) else None
    found.write(history.folder, shuffled=shuffled)
    history.files[found.name] = found
    history.note(f"{found.name} with {len(found.rows)} rows, {'whole' if found.is_whole else 'torn'}")
    return found


async def take_in(history: StatementHistory, file: Exported, *others: Process) -> None:
    """One person, or several at once, each with a process."""
    process = history.processes["api"]
    work = _take_in(history, process, file) if not others else _all_at_once(history, (process, *others), file)
    await history.act("api", f"import {file.name}", work)


async def _all_at_once(history: StatementHistory, whose: Sequence[Process], file: Exported) -> None:
    # Ids of their own: how often each draws is a matter of who is faster.
    sources = [IdSource(random.Random(f"{file.name} {number}")) for number in range(len(whose))]
    await asyncio.gather(*(_take_in(history, one, file, ids=ids) for one, ids in zip(whose, sources, strict=True)))


async def _take_in(history: StatementHistory, process: Process, file: Exported, *, ids: IdSource | None = None) -> None:
    given = StatementFile(path=history.folder / file.name, name=file.name)
    try:
        await statement_desk(process, ids=ids or process.ids).take_in(_whose(file.account), given, actor=PROPOSER)
    except StatementRefused as error:
        if file.is_whole:
            history.violations.append(f"S1 {file.name} is whole and was refused: {error.message}")
    else:
        if not file.is_whole:
            history.violations.append(f"S1 {file.name} lacks a row and was taken in")


async def reconcile(history: StatementHistory, account: str, days: Days | None) -> None:
    """A run, which is looked at before anything else happens."""
    process = history.processes["api"]

    async def work() -> None:
        try:
            await statement_desk(process, ids=process.ids).reconcile(_whose(account), days=days, actor=PROPOSER)
        except StatementMissing:
            return

    span = f"{days.first} to {days.last}" if days else "of the newest statement"
    await history.act("api", f"reconcile {account} {span}", work())
    history.look_at_runs()


# Adjustments.


async def propose_certain(history: StatementHistory, opened: Opened, run_id: int) -> None:
    """What rules are certain of."""
    process = history.processes["api"]

    async def command(session: Driver) -> object:
        return await adjustment_desk(process).propose_certain(
            session, ledger=opened.ledger, run_id=run_id, actor=PROPOSER, now=process.clock.now()
        )

    await history.act("api", "propose what is certain", _tried(process, command, ADJUSTING_RACES))


async def propose(
    history: StatementHistory, opened: Opened, run_id: int, breaks: Sequence[Break], *, as_they_are: bool = False
) -> None:
    """What a person says about breaks: an entry, or that they belong together as they are."""
    process, numbers = history.processes["api"], [one.number for one in breaks]
    wanted = Wanted(numbers=numbers, reason=REASON, against=None if as_they_are else "")

    async def command(session: Driver) -> object:
        return await adjustment_desk(process).propose(
            session, ledger=opened.ledger, run_id=run_id, wanted=wanted, actor=PROPOSER, now=process.clock.now()
        )

    name = f"propose {' '.join(one.receipt for one in breaks)} as {'they are' if as_they_are else 'an entry'}"
    await history.act("api", name, _tried(process, command, ADJUSTING_RACES))


async def approve(history: StatementHistory, opened: Opened, adjustment_id: int, *, actor: str = APPROVER) -> None:
    """By another, or wrongly by who proposed it."""
    process = history.processes["api"]

    async def command(session: Driver) -> object:
        return await adjustment_desk(process).approve(
            session, ledger=opened.ledger, adjustment_id=adjustment_id, actor=actor, now=process.clock.now()
        )

    async def work() -> None:
        refused = await _tried(process, command, ADJUSTING_RACES)
        if actor == PROPOSER and not isinstance(refused, ApproverNeeded) and await _is_fresh(history, adjustment_id):
            history.violations.append(f"S5 {adjustment_id} was approved by who proposed it: {refused}")

    await history.act("api", f"approve by {actor}", work())


async def _is_fresh(history: StatementHistory, adjustment_id: int) -> bool:
    query = "SELECT FROM adjustment_decisions WHERE adjustment_id = %s AND actor = %s AND approved"
    return bool(history.arena.ground.session.execute(query, (adjustment_id, PROPOSER)).rowcount)


async def reject(history: StatementHistory, opened: Opened, adjustment_id: int) -> None:
    """Turns a proposal down."""
    process = history.processes["api"]

    async def command(session: Driver) -> object:
        return await adjustment_desk(process).reject(
            session, ledger=opened.ledger, adjustment_id=adjustment_id, reason="not so", actor=APPROVER,
            now=process.clock.now(),
        )  # fmt: skip

    await history.act("api", "reject", _tried(process, command, ADJUSTING_RACES))


async def adjust(history: StatementHistory, opened: Opened) -> None:
    """What somebody does about breaks next, amid everything else."""
    chance, session = history.chance, history.arena.ground.session
    waiting = [row[0] for row in session.execute(_OPEN).fetchall()]
    if waiting and chance.random() < 0.6:
        adjustment_id = chance.choice(waiting)
        if history.troubled("careless", 0.3):
            if chance.random() < 0.5:
                await reject(history, opened, adjustment_id)
            else:
                await approve(history, opened, adjustment_id, actor=PROPOSER)
        else:
            await approve(history, opened, adjustment_id)
        return
    runs = [row[0] for row in session.execute(_NEWEST).fetchall()]
    if not runs:
        return
    run_id = chance.choice(runs)
    stolen = {one.receipt for one in history.daraja.account.rows if one.kind == THEFT}
    found = [one for one in breaks_of(history, run_id) if one.receipt in stolen]
    if found and chance.random() < 0.5:
        await propose(history, opened, run_id, [chance.choice(found)])
    else:
        await propose_certain(history, opened, run_id)


def breaks_of(history: StatementHistory, run_id: int) -> list[Break]:
    """What a run left open."""
    return [Break(*row) for row in history.arena.ground.session.execute(_BREAKS, (run_id,)).fetchall()]


def waiting_adjustments(history: StatementHistory) -> list[int]:
    """Those that nobody has decided."""
    return [row[0] for row in history.arena.ground.session.execute(_OPEN).fetchall()]


# Closes.


async def close(history: StatementHistory, opened: Opened) -> None:
    """The next step of closing everything up to yesterday, or of giving that up."""
    session, process = history.arena.ground.session, history.processes["api"]
    row = session.execute(_STEP).fetchone()
    begun = row is not None and row[0] == "begun"
    desk, ledger = CloseDesk(process.ids), opened.ledger
    yesterday = day_of(history.clock.now()) - timedelta(days=1)
    gives_up = history.chance.random() < 0.2
    if history.files and history.chance.random() < 0.4:  # what is to be signed is held against the statement
        days = Days(min(history.watch.first, yesterday), yesterday)
        await reconcile(history, history.chance.choice(history.accounts), days)
        return

    async def command(session: Driver) -> object:
        now = process.clock.now()
        if not begun:
            return await desk.begin(session, ledger=ledger, last=yesterday, actor=PROPOSER, now=now)
        if gives_up:
            return await desk.reopen(session, ledger=ledger, reason="not yet", actor=APPROVER, now=now)
        return await desk.sign(session, ledger=ledger, accept="known", actor=APPROVER, now=now)

    history.troubles["closer"] += 1
    await history.act("api", "close", _tried(process, command, CLOSING_RACES))
    history.look_at_closes()


# What they work with.


def statement_desk(process: Process, *, ids: IdSource) -> StatementDesk:
    """Takes statements in, and holds them against the books."""
    return StatementDesk(
        engine=process.engine,
        directory=process.directory,
        importer=Importer(sealer=Sealer(SECRET, purpose=PURPOSE), ids=ids),
        reconciler=Reconciler(recorder=process.recorder, ids=ids),
        now=process.clock.now,
    )


def adjustment_desk(process: Process) -> AdjustmentDesk:
    """Puts right what a run left open."""
    return AdjustmentDesk(Poster(directory=process.directory, ids=process.ids), process.money_in.receipts)


def _whose(account: str) -> Whose:
    return Whose(ledger="history", provider="daraja", shortcode=SHORTCODE, sub_account=account)


async def _tried(
    process: Process,
    command: Callable[[Driver], Awaitable[Answer]],
    races: frozenset[str],
) -> LedgerError | None:
    """A command in a transaction; what it was refused with. Raises InvalidInput: nobody asks for what is none."""

    async def in_transaction(connection: AsyncConnection) -> Answer:
        return await command(await driver(connection))

    try:
        await run(process.engine, in_transaction, again_on=races)
    except InvalidInput:
        raise
    except LedgerError as error:
        return error
    return None
