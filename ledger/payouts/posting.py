"""The entries that a set of outcomes posts: what each does to the money, with the provider's charges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from ledger import tariffs
from ledger.database import Driver
from ledger.ids import IdSource, encode
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.chart import partner_account
from ledger.journal.decide import Posted, PostRequest, Refused
from ledger.journal.entry import JournalEntry, Source
from ledger.journal.post import business_date, link_whole_reversals, post_entries
from ledger.money import Money
from ledger.outbox.instruction import Settled
from ledger.payouts.outcome import Outcome, Report
from ledger.payouts.payout import (
    Effect,
    Move,
    PayoutMoney,
    RailAccounts,
    State,
    Stay,
    Suspended,
    decided_entry,
    effect_entry,
    suspending_entry,
)
from ledger.payouts.rails import find_routes
from ledger.payouts.writing import LockedPayout


@dataclass(slots=True)
class Step:
    """A transition under way: what was reported, the payout as it was locked, the money in suspense that it decides
    about, and what it posted once that is done."""

    report: Report
    payout: LockedPayout
    move: Move | Stay
    left: State
    held: Suspended | None = None
    charge: Money | None = None
    entry_id: int | None = None


async def post_steps(
    driver: Driver,
    ledger: Ledger,
    steps: Sequence[Step],
    directory: AccountDirectory,
    ids: IdSource,
    now: datetime,
) -> None:
    """Posts the entries of steps that move money, in the transaction that holds their payouts' locks. Raises
    OutcomeNotPostable, or the refusal itself where a person decided."""
    await _find_charges(driver, ledger, steps)
    routes = {(r.rail, r.shortcode, r.currency): r.accounts for r in await find_routes(driver, ledger_id=ledger.id)}
    requests = [_request(step, routes[_route_of(step.payout)], now) for step in steps]
    posted = await post_entries(driver, ledger=ledger, requests=requests, directory=directory, ids=ids, now=now)
    for step, verdict in zip(steps, posted, strict=True):
        # The rows are locked and each effect happens once, so only a closed or capped account can refuse: nothing of
        # the set is recorded then, and its messages stay in their queues.
        if isinstance(verdict, Refused) and step.report.source is Source.MANUAL:
            raise verdict.error
        if not isinstance(verdict, Posted):
            raise OutcomeNotPostable(f"the entry of payout {encode('pay', step.payout.id)} was refused: {verdict}")
        step.entry_id = verdict.entry_id
    reversing = [s.entry_id for s, r in zip(steps, requests, strict=True) if r.entry.reverses_id and s.entry_id]
    await link_whole_reversals(driver, ledger_id=ledger.id, entry_ids=reversing)


class OutcomeNotPostable(Exception):
    """The books refused the entry of an outcome: an account it needs is closed or capped. Reopen it; the outcome
    waits."""


async def _find_charges(driver: Driver, ledger: Ledger, steps: Sequence[Step]) -> None:
    charged = [s for s in steps if isinstance(s.report.outcome, Settled)]
    wanted = [
        tariffs.Charged(
            step.payout.rail, (_service_of(step.payout),), step.payout.amount, _day(step.report.outcome, ledger)
        )
        for step in charged
    ]
    charges = await tariffs.find_charges(driver, ledger_id=ledger.id, payments=wanted)
    for step, by_tariff in zip(charged, charges, strict=True):
        outcome = step.report.outcome
        assert isinstance(outcome, Settled)
        step.charge = outcome.charge if outcome.charge is not None else by_tariff


def _day(outcome: Outcome, ledger: Ledger) -> date:
    assert isinstance(outcome, Settled)
    return business_date(outcome.completed_at, ledger.zone)


def _request(step: Step, accounts: RailAccounts, now: datetime) -> PostRequest:
    payout = step.payout
    money = PayoutMoney(
        public_id=encode("pay", payout.id),
        funding=payout.funding or partner_account(partner=payout.partner, currency=payout.amount.currency).path,
        accounts=replace(accounts, float_account=accounts.business_float) if payout.pays_business else accounts,
        amount=payout.amount,
        fee=payout.fee,
        reserve_entry_id=payout.reserve_entry_id,
    )
    return PostRequest(_entry(step, money, now), step.report.actor)


def _entry(step: Step, money: PayoutMoney, now: datetime) -> JournalEntry:
    source, outcome, effect = step.report.source, step.report.outcome, step.move.effect
    if step.held is not None:
        return decided_entry(effect, money, step.held, rail=step.payout.rail, at=now, source=source)
    settled = outcome if isinstance(outcome, Settled) else None
    at = min(settled.completed_at, now) if settled else now
    if effect is Effect.LATE_SUCCESS:
        assert settled is not None, "only a success is late"
        rail, receipt = step.payout.rail, settled.receipt
        return suspending_entry(money, rail=rail, receipt=receipt, at=at, source=source, charge=step.charge)
    reference = settled.receipt if settled else None
    return effect_entry(effect, money, state=step.left, at=at, source=source, reference=reference, charge=step.charge)


def _route_of(payout: LockedPayout) -> tuple[str, str, str]:
    return (payout.rail, payout.shortcode, payout.amount.currency)


def _service_of(payout: LockedPayout) -> str:
    return tariffs.BUSINESS_SERVICE if payout.pays_business else tariffs.SERVICE
