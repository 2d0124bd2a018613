"""The last statement cycle of a history: what nobody knew of is found by the statement, put right, and found put right.

People decide by what the provider's portal shows, which is the truth, as everywhere in a history."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, LiteralString

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import run
from ledger.errors import LedgerError
from ledger.outcomes import RACING_CONSTRAINTS
from ledger.reconciliation.reading import Days
from ledger.resolutions import Resolution, Verb, resolve_review
from tests.simulation import bookkeepers, operator, paybill_portal
from tests.simulation.asks import RACES
from tests.simulation.books import Opened
from tests.simulation.statement_files import day_of, midnight

if TYPE_CHECKING:
    from tests.simulation.history_of_statements import StatementHistory

ROUNDS_MAX, CASES_MAX = 8, 30
# In the first nobody adjusts: it shows what there is, and whose word is waited for. In the second what is certain goes
# into the books, so that those who took money back are seen to; only then a person says something of the rest.
CERTAIN_FROM, REST_FROM = 1, 2
_EVIDENCE = "the portal shows it"
_RETURN_CASES: LiteralString = """
SELECT r.id, t.state, (SELECT array_agg(encode(a.token_hash, 'hex')) FROM instructions AS i
    JOIN attempts AS a ON a.ledger_id = i.ledger_id AND a.instruction_id = i.id
    WHERE i.return_id = t.id AND i.kind = 'return.submit')
FROM reviews AS r JOIN returns AS t ON t.ledger_id = r.ledger_id AND t.id = r.return_id
WHERE t.state IN ('UNKNOWN', 'FAILED') AND NOT EXISTS (
    SELECT FROM review_resolutions AS d WHERE d.ledger_id = r.ledger_id AND d.review_id = r.id) ORDER BY r.id
"""
_CASES: LiteralString = """
SELECT count(*) FROM reviews AS r WHERE r.payout_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM review_resolutions AS d WHERE d.ledger_id = r.ledger_id AND d.review_id = r.id)
"""


async def live(history: StatementHistory, opened: Opened) -> None:
    """A statement of everything, until the books and the provider agree to the cent; then again, and nothing moves."""
    history.is_last_cycle = True
    morning = midnight(day_of(history.clock.now()) + timedelta(days=1)) + timedelta(hours=3)
    history.clock.advance((morning - history.clock.now()).total_seconds())
    for number in range(ROUNDS_MAX):
        history.note(f"the last cycle, round {number}")
        agrees = await _hold_against(history)
        if agrees and number >= REST_FROM:
            break
        await _decide_cases(history, opened)
        if number >= CERTAIN_FROM:
            await _put_right_what_is_certain(history, opened)
        await history.settle_down(opened, hours=1)
        if number >= REST_FROM:
            await _put_right_the_rest(history, opened)
    else:
        history.violations.append("S7 the books and the statement do not come to agree")
        return
    history.violations += history.watch.mark()
    await _again(history)
    history.violations += history.watch.unmoved()


async def _hold_against(history: StatementHistory) -> bool:
    """Whether runs over all days, of a fresh statement of each account, left nothing open."""
    days = Days(history.watch.first, day_of(history.clock.now()))
    for account in history.accounts:
        if (file := bookkeepers.fetch(history, account, days.first)) is not None:
            await bookkeepers.take_in(history, file)
            await bookkeepers.reconcile(history, account, days)
    return history.watch.agrees(days.first, days.last)


async def _again(history: StatementHistory) -> None:
    """Every file once more, and a run over each day by itself: all of it says the same."""
    for file in [one for one in history.files.values() if one.is_whole]:
        await bookkeepers.take_in(history, file)
    first, last = history.watch.first, day_of(history.clock.now())
    for account in history.accounts:
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            await bookkeepers.reconcile(history, account, Days(day, day))
    for account in history.accounts:
        await bookkeepers.reconcile(history, account, Days(first, last))


async def _put_right_what_is_certain(history: StatementHistory, opened: Opened) -> None:
    for run_id in history.watch.newest_runs():
        for _ in range(2):  # what an old proposal was about is free once that is turned down
            await bookkeepers.propose_certain(history, opened, run_id)
            await _approve_all(history, opened)


async def _put_right_the_rest(history: StatementHistory, opened: Opened) -> None:
    """What a person says of each break that is left."""
    for run_id in history.watch.newest_runs():
        left = bookkeepers.breaks_of(history, run_id)
        if left and not sum(one.difference for one in left):
            await bookkeepers.propose(history, opened, run_id, left, as_they_are=True)
        for one in left:
            await bookkeepers.propose(history, opened, run_id, [one], as_they_are=not one.difference)
        await _approve_all(history, opened)


async def _approve_all(history: StatementHistory, opened: Opened) -> None:
    for adjustment_id in bookkeepers.waiting_adjustments(history):
        await bookkeepers.approve(history, opened, adjustment_id)
    for adjustment_id in bookkeepers.waiting_adjustments(history):  # what the books have moved on from
        await bookkeepers.reject(history, opened, adjustment_id)


async def _decide_cases(history: StatementHistory, opened: Opened) -> None:
    """Whatever the portal decides."""
    session, api = history.arena.ground.session, history.processes["api"]
    for _ in range(CASES_MAX):
        (before,) = session.execute(_CASES).fetchone() or (0,)
        if not before:
            break
        work = operator.close_a_case(api, opened.ledger, history.daraja, history.chance)
        await history.act("api", "decide a case", work)
    for review_id, state, paths in session.execute(_RETURN_CASES).fetchall():
        decision = _decide_return(history, state, paths or ())
        if decision is not None:
            await history.act("api", "decide a return", _resolve(history, opened, review_id, decision))


def _decide_return(history: StatementHistory, state: str, paths: Collection[str]) -> Resolution | None:
    requests = paybill_portal.reversals_of(history.daraja.paybill, paths)
    made = [one for one in requests if one.number]
    if made:
        at = _completed(history, made[0].number)
        return Resolution(verb=Verb.SETTLE, evidence=_EVIDENCE, receipt=made[0].number, completed_at=at)
    if state == "UNKNOWN" and requests and all(one.code for one in requests):
        return Resolution(verb=Verb.RELEASE, evidence=_EVIDENCE)
    return None


def _completed(history: StatementHistory, number: str) -> datetime:
    return next(one.at for one in history.daraja.account.rows if one.receipt == number)


async def _resolve(history: StatementHistory, opened: Opened, review_id: int, decision: Resolution) -> None:
    process = history.processes["api"]

    async def command(connection: AsyncConnection) -> None:
        await resolve_review(
            connection,
            ledger=opened.ledger,
            review_id=review_id,
            resolution=decision,
            actor="operator",
            recorder=process.recorder,
            now=process.clock.now(),
            returns=process.money_in.returns,
        )

    try:
        await run(process.engine, command, again_on=RACING_CONSTRAINTS | RACES)
    except LedgerError:
        return
