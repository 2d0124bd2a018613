"""Paying loans out, and what the outcomes of their payouts mean for them.

A payout is requested in the transaction that moves its loan to DISBURSING; what becomes of it is told here in the
transaction that records it. The payout's own entries move the money that funds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import partners
from ledger.database import Driver, driver
from ledger.ids import IdSource, encode
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.decide import PostRequest, Refused
from ledger.journal.entry import JournalEntry
from ledger.journal.poster import Poster
from ledger.loans.announcing import take_steps
from ledger.loans.entries import disbursed_entry, disbursed_twice_entry
from ledger.loans.loan import Effect, Event, Move, Standing, Stay, transition
from ledger.loans.schedule import day_of
from ledger.loans.settling import Order, check_allowed, find_answer
from ledger.loans.writing import Loan, Step, find_loans_of_payouts, lock_loan, lock_loans
from ledger.outbox.instruction import Settled
from ledger.parties import PartyKeys, read_payees
from ledger.payouts import payout, posting, reviews
from ledger.payouts.request import Limits, PayoutRequest, Requested, request_payouts
from ledger.payouts.reviews import Case

CONFLICT_QUEUE = "provider-conflict"
_EVENTS = {
    payout.Effect.SETTLE: Event.DISBURSED,
    payout.Effect.CHARGE: Event.DISBURSED,
    payout.Effect.RELEASE: Event.DISBURSEMENT_FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Disburser:
    """What paying out needs and never changes in a process."""

    poster: Poster
    party_keys: PartyKeys
    limits: Limits

    async def disburse(
        self, connection: AsyncConnection, *, ledger: Ledger, order: Order, shortcode: str, now: datetime
    ) -> bool:
        """Requests the payout of an approved loan; whether the same request had before. Raises LoanNotFound,
        LoanNotReady, and what refuses the payout: FloorWouldBreak where the lender has less, RailStopped, limits."""
        session = await driver(connection)
        loan = await lock_loan(session, ledger_id=ledger.id, loan_id=order.loan_id)
        if await find_answer(session, ledger=ledger, key=order.key) is not None:
            return True
        verdict = check_allowed(loan, Event.DISBURSEMENT_STARTED)
        assert isinstance(verdict, Move), verdict
        loan.product.schedule(loan.gross, day_of(now, ledger.zone))  # refused now, not when its money has left
        request = await self._payout_of(connection, ledger, loan, order, shortcode)
        requested = await self._request(session, ledger, request, now)
        step = Step(
            loan=loan.moved(verdict, payout_id=requested.payout_id),
            event=Event.DISBURSEMENT_STARTED,
            actor=order.actor,
            about_payout=requested.payout_id,
        )
        await take_steps(session, ledger_id=ledger.id, steps=[step], ids=self.poster.ids, now=now)
        return requested.replayed

    async def _payout_of(
        self, connection: AsyncConnection, ledger: Ledger, loan: Loan, order: Order, shortcode: str
    ) -> PayoutRequest:
        payees = await read_payees(
            await driver(connection), ledger_id=ledger.id, party_ids=[loan.party_id], keys=self.party_keys
        )
        return PayoutRequest(
            key=order.key,
            actor=order.actor,
            partner=await partners.find_partner(connection, ledger_id=ledger.id, code=loan.product.partner),
            # Each try is a payout of its own.
            partner_reference=f"{loan.public_id}/{loan.version}",
            payee=payees[loan.party_id],
            amount=loan.net,
            purpose="business",
            remarks=loan.reference,
            shortcode=shortcode,
            funding=loan.book.funding,
        )

    async def _request(self, driver: Driver, ledger: Ledger, request: PayoutRequest, now: datetime) -> Requested:
        (requested,) = await request_payouts(
            driver,
            ledger=ledger,
            requests=[request],
            limits=self.limits,
            party_keys=self.party_keys,
            directory=self.poster.directory,
            ids=self.poster.ids,
            now=now,
        )
        if isinstance(requested, Refused):
            raise requested.error
        return requested


async def lock_loans_of(driver: Driver, ledger: Ledger, steps: Sequence[posting.Step]) -> dict[int, Loan]:
    """The loans that payouts are for whose outcomes mean something for them, locked before any entry is posted; by
    payout."""
    payout_ids = {one.payout.id for one in steps if one.payout.funding is not None and one.move.effect in _EVENTS}
    if not payout_ids:
        return {}
    found = await find_loans_of_payouts(driver, ledger_id=ledger.id, payout_ids=payout_ids)
    loans = await lock_loans(driver, ledger_id=ledger.id, loan_ids=found.values())
    return {payout_id: loans[loan_id] for payout_id, loan_id in found.items()}


@dataclass(frozen=True, slots=True)
class _News:
    """An outcome, and what it makes of its loan."""

    loan: Loan
    step: posting.Step
    event: Event
    move: Move | Stay
    entry: JournalEntry | None


async def follow_payouts(
    driver: Driver,
    ledger: Ledger,
    steps: Sequence[posting.Step],
    loans: Mapping[int, Loan],
    *,
    directory: AccountDirectory,
    ids: IdSource,
    now: datetime,
) -> None:
    """Moves loans on with the payouts that were to pay them out, changed a moment before in this transaction. `loans`
    are what lock_loans_of() locked. Opens a case where an outcome contradicts its loan."""
    told = [one for one in steps if one.payout.id in loans and one.move.effect in _EVENTS]
    for wave in _waves(told, loans):
        current = await lock_loans(driver, ledger_id=ledger.id, loan_ids=[loans[one.payout.id].id for one in wave])
        judged = [_judge(current[loans[one.payout.id].id], one, ledger, now) for one in wave]
        conflicts = [
            Case(one.payout.id, f"its loan does not fit: {verdict.value}")
            for one, verdict in zip(wave, judged, strict=True)
            if verdict is Standing.CONFLICT
        ]
        await reviews.open_reviews(driver, ledger_id=ledger.id, queue=CONFLICT_QUEUE, cases=conflicts, ids=ids, now=now)
        news = [one for one in judged if isinstance(one, _News)]
        await _book(driver, ledger, news, Poster(directory=directory, ids=ids), now)


def _waves(told: Sequence[posting.Step], loans: Mapping[int, Loan]) -> list[list[posting.Step]]:
    """The n-th outcome of every loan together; nearly always one wave."""
    waves: list[list[posting.Step]] = []
    seen: dict[int, int] = {}
    for step in told:
        loan_id = loans[step.payout.id].id
        depth = seen[loan_id] = seen.get(loan_id, -1) + 1
        if depth == len(waves):
            waves.append([])
        waves[depth].append(step)
    return waves


def _judge(loan: Loan, step: posting.Step, ledger: Ledger, now: datetime) -> _News | Standing:
    event = _EVENTS[step.move.effect]
    # A second receipt of the payout that the loan rests on is money that reached the borrower again, too.
    again = isinstance(step.move, payout.Stay)
    verdict = transition(event, loan.state, of_another_payout=again or loan.payout_id != step.payout.id)
    if isinstance(verdict, Standing):
        return verdict
    receipt, at = _proof(step, now)
    name, source = encode("pay", step.payout.id), step.report.source
    entry = None
    if verdict.effect is Effect.DISBURSE:
        entry = disbursed_entry(loan.money, at=at, source=source, receipt=receipt)
        day = day_of(at, ledger.zone)
        days = {"starts_on": day, "accrued_before": day, "worked_before": day}
        return _News(loan.moved(verdict, payout_id=step.payout.id, **days), step, event, verdict, entry)
    if verdict.effect is Effect.DISBURSE_TWICE:
        # The same payout may do so by several receipts, each with an entry that it left under.
        name = f"{name}/{step.held.entry_id}" if again and step.held else name
        entry = disbursed_twice_entry(loan.money, payout_id=name, at=at, source=source, receipt=receipt)
    return _News(loan.moved(verdict), step, event, verdict, entry)


def _proof(step: posting.Step, now: datetime) -> tuple[str, datetime]:
    """The receipt, and when what follows of it happened: the money of a late success is accounted for when a person
    says so."""
    if step.held is not None:
        return step.held.receipt, now
    outcome = step.report.outcome
    return (outcome.receipt, min(outcome.completed_at, now)) if isinstance(outcome, Settled) else ("", now)


async def _book(driver: Driver, ledger: Ledger, news: Sequence[_News], poster: Poster, now: datetime) -> None:
    booked = [one for one in news if one.entry is not None]
    requests = [PostRequest(one.entry, one.step.report.actor) for one in booked if one.entry is not None]
    posted = await poster.post(driver, ledger=ledger, requests=requests, now=now)
    entry_ids = {one.loan.id: entry_id for one, entry_id in zip(booked, posted, strict=True)}
    steps = [
        Step(
            loan=one.loan,
            event=one.event,
            actor=one.step.report.actor,
            entry_id=entry_ids.get(one.loan.id),
            amount=one.entry.postings[0].money.minor_units if one.entry else None,
            about_payout=one.step.payout.id,
        )
        for one in news
    ]
    await take_steps(driver, ledger_id=ledger.id, steps=steps, ids=poster.ids, now=now)
