"""The one door for what happened outside: records outcomes as a set, posts what they mean, opens reviews for
contradictions.

The payouts' rows are locked in id order, the pure table in payouts/payout.py says what each outcome does, and the
entries are posted in the same transaction. A repeat posts nothing and says so; nothing is ever silently dropped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from ledger.database import Driver
from ledger.errors import PayoutNotCancellable
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.entry import Source
from ledger.outbox import queue
from ledger.outbox.instruction import Acknowledged, Failed, OutcomeUnknown, Rejected, Settled
from ledger.payouts import reviews, writing
from ledger.payouts.outcome import Cancelled, Outcome, Report, detail_of, event_of
from ledger.payouts.payout import TRANSITIONS, Effect, Move, Standing, State
from ledger.payouts.posting import Step, post_steps
from ledger.payouts.writing import LockedPayout
from ledger.text import check_text
from ledger.webhooks import announcing

# A payout that became unknown is first asked about after this; the dispatcher knows the rest of the schedule.
QUERY_AFTER = timedelta(minutes=1)
UNKNOWN_QUEUE = "submit-unknown"
# Two processes may choose the same id in the same millisecond: the set is then run once more, under other ids.
RACING_CONSTRAINTS = frozenset({"journal_entries_pkey", "postings_pkey", "instructions_pkey", "reviews_pkey"})


@dataclass(frozen=True, slots=True)
class Applied:
    """The payout moved on; `entry_id` is what it posted, None where money did not move."""

    state: State
    entry_id: int | None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The payout stays in its state; the standing says why. A CONFLICT has opened a review."""

    state: State
    standing: Standing


Recorded: TypeAlias = Applied | Unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRecorder:
    """record() with what never changes in a process."""

    directory: AccountDirectory
    ids: IdSource
    query_after: timedelta = QUERY_AFTER

    async def record(
        self, driver: Driver, *, ledger: Ledger, reports: Sequence[Report], now: datetime
    ) -> list[Recorded]:
        """See record()."""
        if not reports:
            return []
        return await record(
            driver,
            ledger=ledger,
            reports=reports,
            directory=self.directory,
            ids=self.ids,
            now=now,
            query_after=self.query_after,
        )


async def record(
    driver: Driver,
    *,
    ledger: Ledger,
    reports: Sequence[Report],
    directory: AccountDirectory,
    ids: IdSource,
    now: datetime,
    query_after: timedelta = QUERY_AFTER,
) -> list[Recorded]:
    """Records outcomes in order and returns what became of each, inside the caller's transaction.

    Reports of one payout are applied one after another; those of different payouts together, as one set.
    """
    results: dict[int, Recorded] = {}
    for wave in _waves(reports):
        results |= await _record_wave(driver, ledger, wave, directory, ids, now)
    unknown = sorted({r.payout_id for i, r in enumerate(reports) if _became(results[i], State.UNKNOWN)})
    await queue.enqueue(
        driver,
        ledger_id=ledger.id,
        kind=queue.QUERY,
        payout_ids=unknown,
        ids=ids,
        now=now,
        due_at=now + query_after,
    )
    return [results[index] for index in range(len(reports))]


def _became(recorded: Recorded, state: State) -> bool:
    return isinstance(recorded, Applied) and recorded.state is state


def _waves(reports: Sequence[Report]) -> list[list[tuple[int, Report]]]:
    """The n-th report of every payout together: as many waves as the busiest payout has reports."""
    waves: list[list[tuple[int, Report]]] = []
    seen: dict[int, int] = {}
    for index, report in enumerate(reports):
        depth = seen[report.payout_id] = seen.get(report.payout_id, -1) + 1
        if depth == len(waves):
            waves.append([])
        waves[depth].append((index, report))
    return waves


async def _record_wave(
    driver: Driver,
    ledger: Ledger,
    wave: Sequence[tuple[int, Report]],
    directory: AccountDirectory,
    ids: IdSource,
    now: datetime,
) -> dict[int, Recorded]:
    reports = [report for _, report in wave]
    locked = await writing.lock_payouts(driver, ledger_id=ledger.id, payout_ids=[one.payout_id for one in reports])
    receipts = _receipts(reports, locked)
    owners = await writing.claim_receipts(driver, ledger_id=ledger.id, receipts=receipts, now=now)
    steps: dict[int, Step] = {}
    results: dict[int, Recorded] = {}
    conflicts: list[tuple[int, str]] = []
    for index, report in wave:
        payout = locked[report.payout_id]
        judged = judge(report.outcome, payout, receipt_owner=_owner_of(report.outcome, payout, owners))
        if isinstance(judged, Move):
            steps[index] = Step(report, payout, judged, payout.state)
        else:
            results[index] = Unchanged(payout.state, judged)
            if judged is Standing.CONFLICT:
                conflicts.append((payout.id, _contradiction(report.outcome, payout)))
    await _apply(driver, ledger, list(steps.values()), directory, ids, now)
    conflicts += [
        (step.payout.id, "settled after it was released")
        for step in steps.values()
        if step.move.effect is Effect.LATE_SUCCESS
    ]
    await reviews.open_reviews(
        driver, ledger_id=ledger.id, queue="provider-conflict", cases=conflicts, ids=ids, now=now
    )
    await writing.add_references(driver, ledger_id=ledger.id, references=_references(reports, locked), now=now)
    told = [step.payout.id for step in steps.values() if step.move.target in announcing.EVENTS]
    await announcing.announce(driver, ledger_id=ledger.id, payout_ids=told, ids=ids, now=now)
    return results | {index: Applied(step.move.target, step.entry_id) for index, step in steps.items()}


def judge(outcome: Outcome, payout: LockedPayout, *, receipt_owner: int | None) -> Move | Standing:
    """What an outcome does to a payout. Pure. A success under a receipt that another payout has, or under another
    receipt than the one that settled this payout, is a contradiction whatever the state."""
    if isinstance(outcome, Settled):
        if receipt_owner not in (None, payout.id):
            return Standing.CONFLICT
        if payout.receipt is not None and payout.receipt != outcome.receipt:
            return Standing.CONFLICT
        if outcome.amount != payout.amount:
            return Standing.CONFLICT
    return TRANSITIONS[event_of(outcome)][payout.state]


def _contradiction(outcome: Outcome, payout: LockedPayout) -> str:
    """For the person who decides: a second receipt is money that left twice, so each receipt is a case of its own."""
    told = event_of(outcome).value
    if isinstance(outcome, Settled):
        told = f"{told} with {outcome.amount} under receipt {outcome.receipt}"
    return f"{told} while {payout.state.value}"


def _owner_of(outcome: Outcome, payout: LockedPayout, owners: dict[tuple[str, str], int]) -> int | None:
    return owners[payout.rail, outcome.receipt] if isinstance(outcome, Settled) else None


def _receipts(reports: Iterable[Report], locked: dict[int, LockedPayout]) -> list[tuple[str, str, int]]:
    return [
        (locked[report.payout_id].rail, report.outcome.receipt, report.payout_id)
        for report in reports
        if isinstance(report.outcome, Settled)
    ]


def _references(reports: Iterable[Report], locked: dict[int, LockedPayout]) -> list[tuple[str, str, str, int]]:
    return [
        (locked[report.payout_id].rail, kind, value, report.payout_id)
        for report in reports
        if isinstance(report.outcome, Acknowledged | OutcomeUnknown | Settled | Failed)
        for kind, value in report.outcome.references
    ]


async def _apply(
    driver: Driver,
    ledger: Ledger,
    steps: Sequence[Step],
    directory: AccountDirectory,
    ids: IdSource,
    now: datetime,
) -> None:
    if not steps:
        return
    moving = [step for step in steps if step.move.effect is not Effect.NONE]
    if moving:
        await post_steps(driver, ledger, moving, directory, ids, now)
    changes = [_change(step, now) for step in steps]
    await writing.write_changes(driver, ledger_id=ledger.id, changes=changes, now=now)
    submitted = [step.payout.id for step in steps if step.move.target not in (State.RESERVED, State.SUBMITTING)]
    await queue.complete(driver, ledger_id=ledger.id, payout_ids=submitted, now=now)
    # A person's decision closes its own case; evidence closes the case that waited for it.
    found_out = [s.payout.id for s in steps if s.left is State.UNKNOWN and s.report.source is not Source.MANUAL]
    await reviews.close_answered(driver, ledger_id=ledger.id, queue=UNKNOWN_QUEUE, payout_ids=found_out, now=now)


def _change(step: Step, now: datetime) -> writing.Change:
    outcome = step.report.outcome
    failed = outcome if isinstance(outcome, Failed | Rejected) else None
    settled = outcome if isinstance(outcome, Settled) else None
    return writing.Change(
        payout_id=step.payout.id,
        state=step.move.target,
        event=event_of(outcome).value,
        entry_id=step.entry_id,
        detail=detail_of(outcome),
        receipt=settled.receipt if settled else None,
        completed_at=min(settled.completed_at, now) if settled else None,
        provider_charge=step.charge.minor_units if step.charge else None,
        failure_code=failed.code if failed else None,
        failure_text=failed.description[:200] if failed else None,
    )


async def cancel_payout(
    driver: Driver,
    *,
    ledger: Ledger,
    payout_id: int,
    reason: str,
    actor: str,
    directory: AccountDirectory,
    ids: IdSource,
    now: datetime,
) -> None:
    """Takes back a payout that has not been sent; repeating it changes nothing. Raises PayoutNotCancellable once it may
    have left. The caller has made sure that the payout exists and is its own."""
    check_text(reason, field="reason", length_max=200)
    report = Report(payout_id=payout_id, outcome=Cancelled(reason), source=Source.API, actor=actor)
    (recorded,) = await record(driver, ledger=ledger, reports=[report], directory=directory, ids=ids, now=now)
    if isinstance(recorded, Unchanged) and recorded.standing is not Standing.REPEATED:
        raise PayoutNotCancellable(
            f"the payout is {recorded.state.value} and may have left; watch it for its outcome",
            field="payout_id",
            state=recorded.state.value,
        )
