"""The one door for what happened outside: records outcomes as a set, posts what they mean, opens reviews for
contradictions.

The payouts' rows are locked in id order, the pure table in payouts/payout.py says what each outcome does, and the
entries are posted in the same transaction. A repeat posts nothing and says so; nothing is ever silently dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from ledger.database import Driver
from ledger.errors import PayoutNotCancellable
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.entry import Source
from ledger.loans import disbursing
from ledger.money import Money
from ledger.outbox import queue
from ledger.outbox.instruction import Acknowledged, Blame, Failed, OutcomeUnknown, Rejected, Settled
from ledger.payouts import announcing, reviews, switches, writing
from ledger.payouts.outcome import Cancelled, Decision, Outcome, Report, detail_of, event_of
from ledger.payouts.payout import (
    OPEN_STATES,
    Effect,
    Move,
    Standing,
    State,
    Stay,
    Suspended,
    receipt_subject,
    transition,
)
from ledger.payouts.posting import Step, post_steps
from ledger.payouts.reviews import Case
from ledger.payouts.writing import LockedPayout
from ledger.promotions import following
from ledger.sms import announcing as texting
from ledger.text import check_text

# A payout that became unknown is first asked about after this; the dispatcher knows the rest of the schedule.
QUERY_AFTER = timedelta(minutes=1)
UNKNOWN_QUEUE, NOT_SENT_QUEUE = "submit-unknown", "not-sent"
BREAKER = "daftari.breaker"
# Two processes may choose the same id in the same millisecond: the set is then run once more, under other ids.
RACING_CONSTRAINTS = frozenset(
    {"journal_entries_pkey", "postings_pkey", "instructions_pkey", "reviews_pkey", "rail_stops_pkey"}
)


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
    learned: set[int] = set()
    for wave in _waves(reports):
        recorded, told = await _record_wave(driver, ledger, wave, directory, ids, now)
        results |= recorded
        learned |= told
    unknown = sorted({r.payout_id for i, r in enumerate(reports) if _became(results[i], State.UNKNOWN)})
    # What was asked about before it was unknown has its question already.
    await queue.renew(
        driver,
        ledger_id=ledger.id,
        kind=queue.QUERY,
        subject_ids=unknown,
        ids=ids,
        now=now,
        due_at=now + query_after,
    )
    still = sorted({r.payout_id for i, r in enumerate(reports) if results[i].state is State.UNKNOWN} & learned)
    await queue.reopen(driver, ledger_id=ledger.id, kind=queue.QUERY, subject_ids=still, due_at=now + query_after)
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
) -> tuple[dict[int, Recorded], frozenset[int]]:
    """What became of each, and the payouts of which the provider's ids are newly known."""
    reports = [report for _, report in wave]
    locked = await writing.lock_payouts(driver, ledger_id=ledger.id, payout_ids=[one.payout_id for one in reports])
    known = await _find_known(driver, ledger, reports, locked, now)
    steps: dict[int, Step] = {}
    results: dict[int, Recorded] = {}
    conflicts: list[Case] = []
    for index, report in wave:
        payout = locked[report.payout_id]
        judged = judge(report.outcome, payout, known)
        if isinstance(judged, Standing):
            results[index] = Unchanged(payout.state, judged)
            if judged is Standing.CONFLICT:
                conflicts.append(Case(payout.id, _contradiction(report.outcome, payout)))
        else:
            steps[index] = Step(report, payout, judged, payout.state, held=known.held_by(report.outcome))
    await _apply(driver, ledger, list(steps.values()), directory, ids, now)
    conflicts += [_suspense(step) for step in steps.values() if step.move.effect is Effect.LATE_SUCCESS]
    await reviews.open_reviews(
        driver, ledger_id=ledger.id, queue="provider-conflict", cases=conflicts, ids=ids, now=now
    )
    learned = await writing.add_references(
        driver, ledger_id=ledger.id, references=_references(reports, locked), now=now
    )
    told = [step.payout.id for step in steps.values() if _state_after(step) in announcing.EVENTS and _moves(step)]
    await announcing.announce(driver, ledger_id=ledger.id, payout_ids=told, ids=ids, now=now)
    await texting.announce(driver, ledger_id=ledger.id, payout_ids=told, ids=ids, now=now)
    await _break_circuit(driver, ledger, steps.values(), ids, now)
    return results | {index: Applied(_state_after(step), step.entry_id) for index, step in steps.items()}, learned


@dataclass(frozen=True, slots=True)
class Known:
    """What judging needs beside the payouts: whose each receipt is, by (rail, receipt); which receipts were booked as
    money in suspense, by subject id; what decisions are about, by entry; and the payouts with several undecided."""

    owners: Mapping[tuple[str, str], int]
    suspended: frozenset[str]
    held: Mapping[int, Suspended]
    doubly_held: frozenset[int]

    def held_by(self, outcome: Outcome) -> Suspended | None:
        """The money in suspense that an outcome decides about."""
        return self.held.get(outcome.held_entry_id) if isinstance(outcome, Decision) else None


async def _find_known(
    driver: Driver, ledger: Ledger, reports: Sequence[Report], locked: Mapping[int, LockedPayout], now: datetime
) -> Known:
    owners = await writing.claim_receipts(driver, ledger_id=ledger.id, receipts=_receipts(reports, locked), now=now)
    late = [
        receipt_subject(rail=payout.rail, receipt=report.outcome.receipt)
        for report in reports
        if isinstance(report.outcome, Settled) and (payout := locked[report.payout_id]).state not in OPEN_STATES
    ]
    decided = [(r.payout_id, r.outcome.held_entry_id) for r in reports if isinstance(r.outcome, Decision)]
    return Known(
        owners=owners,
        suspended=await writing.find_suspended(driver, ledger_id=ledger.id, subjects=late),
        held=await writing.read_suspended(driver, ledger_id=ledger.id, entry_ids=[one for _, one in decided]),
        doubly_held=await reviews.find_held_besides(driver, ledger_id=ledger.id, decided=decided),
    )


def judge(outcome: Outcome, payout: LockedPayout, known: Known) -> Move | Stay | Standing:
    """What an outcome does to a payout. Pure. A success under another payout's receipt, or over another amount, is a
    contradiction whatever the state; one under a receipt that was booked before is a repetition."""
    another = False
    if isinstance(outcome, Settled):
        if known.owners[payout.rail, outcome.receipt] != payout.id or outcome.amount != payout.amount:
            return Standing.CONFLICT
        if receipt_subject(rail=payout.rail, receipt=outcome.receipt).id in known.suspended:
            return Standing.REPEATED
        another = payout.receipt != outcome.receipt
    elif isinstance(outcome, Decision):
        held = known.held_by(outcome)
        if held is None:
            return Standing.OUTDATED
        another = payout.receipt not in (None, held.receipt) or payout.id in known.doubly_held
    return transition(event_of(outcome), payout.state, of_another_receipt=another)


def _moves(step: Step) -> bool:
    return isinstance(step.move, Move)


def _state_after(step: Step) -> State:
    return step.move.target if isinstance(step.move, Move) else step.left


def _suspense(step: Step) -> Case:
    """Each receipt is a case of its own: it is money that left although nothing waited for it."""
    outcome = step.report.outcome
    assert isinstance(outcome, Settled)
    reason = f"settled with {outcome.amount} under receipt {outcome.receipt} while {step.left.value}"
    return Case(step.payout.id, reason, held_entry_id=step.entry_id)


async def _break_circuit(driver: Driver, ledger: Ledger, steps: Iterable[Step], ids: IdSource, now: datetime) -> None:
    """A provider that refuses our access fails every payment, and locks us out for trying: nothing more leaves over the
    rail until a person has mended it and resumes."""
    refused: dict[str, str] = {}
    for step in steps:
        outcome = step.report.outcome
        if isinstance(outcome, Failed | Rejected) and outcome.blame is Blame.ACCESS:
            refused[step.payout.rail] = f"the provider refuses our access: {outcome.code} {outcome.description}"
    for rail, reason in sorted(refused.items()):
        await switches.stop_rail(
            driver, ledger_id=ledger.id, rail=rail, reason=reason[:500], actor=BREAKER, ids=ids, now=now
        )


def _contradiction(outcome: Outcome, payout: LockedPayout) -> str:
    """For the person who decides."""
    told = event_of(outcome).value
    if isinstance(outcome, Settled):
        told = f"{told} with {outcome.amount} under receipt {outcome.receipt}"
    elif isinstance(outcome, Failed | Rejected):
        told = f"{told} with code {outcome.code}"
    return f"{told} while {payout.state.value}"


def _receipts(reports: Iterable[Report], locked: Mapping[int, LockedPayout]) -> list[tuple[str, str, int]]:
    return [
        (locked[report.payout_id].rail, report.outcome.receipt, report.payout_id)
        for report in reports
        if isinstance(report.outcome, Settled)
    ]


def _references(reports: Iterable[Report], locked: Mapping[int, LockedPayout]) -> list[tuple[str, str, str, int]]:
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
    loans = await disbursing.lock_loans_of(driver, ledger, steps)
    redemptions = await following.lock_redemptions_of(driver, ledger, steps)
    if moving:
        await post_steps(driver, ledger, moving, directory, ids, now)
    changes = [_change(step, now) for step in steps if _moves(step)]
    await writing.write_changes(driver, ledger_id=ledger.id, changes=changes, now=now)
    await disbursing.follow_payouts(driver, ledger, steps, loans, directory=directory, ids=ids, now=now)
    await following.follow_payouts(driver, ledger, steps, redemptions, now)
    submitted = [step.payout.id for step in steps if _state_after(step) not in (State.RESERVED, State.SUBMITTING)]
    await queue.complete(driver, ledger_id=ledger.id, subject_ids=submitted, now=now)
    # A person's decision closes its own case; evidence closes the cases that waited for it.
    told = [step for step in steps if step.report.source is not Source.MANUAL and _moves(step)]
    found_out = [step.payout.id for step in told if step.left is State.UNKNOWN]
    await reviews.close_answered(driver, ledger_id=ledger.id, queue=UNKNOWN_QUEUE, payout_ids=found_out, now=now)
    left = [step.payout.id for step in told if _has_left(step)]
    await reviews.close_answered(driver, ledger_id=ledger.id, queue=NOT_SENT_QUEUE, payout_ids=left, now=now)


def _has_left(step: Step) -> bool:
    """Whether a payout that waited to be sent waits no longer."""
    waits = (State.RESERVED, State.SUBMITTING)
    return step.left in waits and _state_after(step) not in waits


def _change(step: Step, now: datetime) -> writing.Change:
    outcome = step.report.outcome
    failed = outcome if isinstance(outcome, Failed | Rejected) else None
    receipt, completed_at, charge = _proof(step, now)
    return writing.Change(
        payout_id=step.payout.id,
        state=_state_after(step),
        event=event_of(outcome).value,
        entry_id=step.entry_id,
        detail=detail_of(outcome),
        receipt=receipt,
        completed_at=completed_at,
        provider_charge=charge.minor_units if charge else None,
        failure_code=failed.code if failed else None,
        failure_text=failed.description[:200] if failed else None,
    )


def _proof(step: Step, now: datetime) -> tuple[str | None, datetime | None, Money | None]:
    """The receipt a payout is settled by, when the provider completed it and what it took for that; nothing where the
    payout is not settled now."""
    if _state_after(step) is not State.SETTLED:
        return None, None, None
    if step.held is not None:
        return step.held.receipt, step.held.completed_at, step.held.charge
    assert isinstance(step.report.outcome, Settled)
    return step.report.outcome.receipt, min(step.report.outcome.completed_at, now), step.charge


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
