"""What a person or the loan service asks of a loan that exists: repayments out of money that the borrower has with us,
early settlement, fees on the way, and writing off."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from ledger.database import Driver
from ledger.errors import AmountInvalid
from ledger.idempotency import KeyClaim, find_keys, key_reused, store_key
from ledger.ids import encode
from ledger.journal.books import Ledger
from ledger.journal.chart import path_of
from ledger.journal.decide import PostRequest
from ledger.journal.entry import JournalEntry, Source
from ledger.loans.accruing import DayWorker, accrual_until
from ledger.loans.announcing import take_steps
from ledger.loans.dues import Payoff, payoff
from ledger.loans.entries import fee_charged_entry, repaid_entry, written_off_entry
from ledger.loans.loan import Event, Move, Stay, transition
from ledger.loans.losing import lock_allowance
from ledger.loans.refusals import LoanNotReady
from ledger.loans.repaying import take
from ledger.loans.schedule import day_of
from ledger.loans.writing import Loan, Standing, Step, lock_loan, read_standings
from ledger.money import Money
from ledger.text import check_text

REASON_LENGTH_MAX = 200


class Purse(enum.Enum):
    """What of the borrower's a repayment is taken from; the value is the account's number in the chart."""

    WALLET = "2110"
    OVERPAYMENT = "2220"


@dataclass(frozen=True, slots=True)
class Order:
    """A command about one loan: under which request id, by whom and, for people, why."""

    key: KeyClaim
    loan_id: int
    actor: str
    reason: str = ""

    def __post_init__(self) -> None:
        if self.reason:
            check_text(self.reason, field="reason", length_max=REASON_LENGTH_MAX)


async def find_answer(driver: Driver, *, ledger: Ledger, key: KeyClaim) -> int | None:
    """What this request id had come to before; None for a new one. Raises IdempotencyKeyReused. Asked under the loan's
    lock."""
    stored = (await find_keys(driver, ledger_id=ledger.id, claims=[key])).get(key.identity)
    if stored is None:
        return None
    if not stored.matches(key):
        raise key_reused(key)
    return stored.result_id


def check_allowed(loan: Loan, event: Event) -> Move | Stay:
    """What a command does. Raises LoanNotReady where the loan's state does not allow it."""
    verdict = transition(event, loan.state, of_another_payout=False)
    if not isinstance(verdict, Move | Stay):
        raise LoanNotReady(f"the loan is {loan.state.value}: {verdict.value}", field="loan_id", state=loan.state.value)
    return verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanCounter:
    """Carries the commands out, each once, inside the caller's transaction; whether it had been before is answered."""

    days: DayWorker

    async def repay(
        self, driver: Driver, *, ledger: Ledger, order: Order, purse: Purse, amount: Money, now: datetime
    ) -> bool:
        """Pays with money that the borrower has with us; what is not due goes to their overpayment. Raises
        LoanNotFound, LoanNotReady, AmountInvalid, FloorWouldBreak where the purse holds less."""
        if amount.minor_units <= 0:
            raise AmountInvalid("a repayment is more than nothing", field="amount")
        loan = await lock_loan(driver, ledger_id=ledger.id, loan_id=order.loan_id)
        if await find_answer(driver, ledger=ledger, key=order.key) is not None:
            return True
        loan, standing = await self._up_to_date(driver, ledger, loan, now)
        await self._pay(driver, ledger, loan=loan, standing=standing, order=order, purse=purse, amount=amount, now=now)
        return False

    async def settle(self, driver: Driver, *, ledger: Ledger, order: Order, purse: Purse, now: datetime) -> bool:
        """Pays all that closes the loan today. Raises as repay() does."""
        loan = await lock_loan(driver, ledger_id=ledger.id, loan_id=order.loan_id)
        if await find_answer(driver, ledger=ledger, key=order.key) is not None:
            return True
        if not isinstance(check_allowed(loan, Event.PAID_OFF), Move):
            raise LoanNotReady("nothing is open of the loan", field="loan_id", state=loan.state.value)
        loan, standing = await self._up_to_date(driver, ledger, loan, now)
        quote = quote_of(loan, standing, ledger=ledger, now=now)
        if not quote.total.minor_units:
            raise LoanNotReady("nothing is open of the loan", field="loan_id", state=loan.state.value)
        if quote.accrue_before > loan.accrued:
            worked = accrual_until(loan, standing, day=quote.accrue_before, zone=ledger.zone, now=now)
            await self.days.book(driver, ledger=ledger, worked=[worked], now=now)
            loan, standing = worked.loan, await _standing(driver, ledger, worked.loan)
        await self._pay(
            driver, ledger, loan=loan, standing=standing, order=order, purse=purse, amount=quote.total, now=now
        )
        return False

    async def charge(self, driver: Driver, *, ledger: Ledger, order: Order, amount: Money, now: datetime) -> bool:
        """Charges a fee on the way, such as for a statement by post. Raises LoanNotFound, LoanNotReady,
        AmountInvalid."""
        loan = await lock_loan(driver, ledger_id=ledger.id, loan_id=order.loan_id)
        if await find_answer(driver, ledger=ledger, key=order.key) is not None:
            return True
        verdict = check_allowed(loan, Event.CHARGED)
        step = loan.product.terms.step
        if amount.currency != loan.net.currency or amount.minor_units <= 0 or amount.minor_units % step:
            raise AmountInvalid(f"a fee is a multiple of {Money(loan.net.currency, step)}", field="amount")
        entry = fee_charged_entry(loan.money, amount, charge_id=self._name("chg", now), at=now, source=Source.MANUAL)
        await self._post(
            driver,
            ledger,
            after=loan.moved(verdict),
            event=Event.CHARGED,
            entry=entry,
            amount=amount,
            order=order,
            now=now,
        )
        return False

    async def write_off(self, driver: Driver, *, ledger: Ledger, order: Order, now: datetime) -> bool:
        """Gives the loan up: what is left of it is lost, and pursued. Raises LoanNotFound, LoanNotReady."""
        loan = await lock_loan(driver, ledger_id=ledger.id, loan_id=order.loan_id)
        if await find_answer(driver, ledger=ledger, key=order.key) is not None:
            return True
        verdict = check_allowed(loan, Event.WRITTEN_OFF)
        loan, standing = await self._up_to_date(driver, ledger, loan, now)
        if not standing.outstanding.total.minor_units:
            raise LoanNotReady("nothing is open of the loan", field="loan_id", state=loan.state.value)
        entry = written_off_entry(
            loan.money,
            standing.outstanding,
            deferred_fee=standing.deferred_fee,
            allowance=await lock_allowance(driver, ledger=ledger, loan=loan, poster=self.days.poster),
            at=now,
            source=Source.MANUAL,
        )
        total = standing.outstanding.total
        await self._post(
            driver,
            ledger,
            after=loan.moved(verdict),
            event=Event.WRITTEN_OFF,
            entry=entry,
            amount=total,
            order=order,
            now=now,
        )
        return False

    async def _up_to_date(self, driver: Driver, ledger: Ledger, loan: Loan, now: datetime) -> tuple[Loan, Standing]:
        loan = (await self.days.catch_up(driver, ledger=ledger, loans={loan.id: loan}, until={}, now=now))[loan.id]
        return loan, await _standing(driver, ledger, loan)

    async def _pay(
        self,
        driver: Driver,
        ledger: Ledger,
        *,
        loan: Loan,
        standing: Standing,
        order: Order,
        purse: Purse,
        amount: Money,
        now: datetime,
    ) -> None:
        taken = take(loan, standing, amount, today=day_of(now, ledger.zone))
        if isinstance(taken, str):
            raise LoanNotReady(taken, field="loan_id", state=loan.state.value)
        entry = repaid_entry(
            loan.money,
            taken.lines,
            amount=amount,
            paid_from=path_of(purse.value, customer=loan.borrower),
            repayment_id=self._name("rpy", now),
            at=now,
            source=Source.API,
        )
        await self._post(
            driver,
            ledger,
            after=loan.moved(taken.verdict),
            event=taken.event,
            entry=entry,
            amount=amount,
            order=order,
            now=now,
        )

    async def _post(
        self,
        driver: Driver,
        ledger: Ledger,
        *,
        after: Loan,
        event: Event,
        entry: JournalEntry,
        amount: Money,
        order: Order,
        now: datetime,
    ) -> None:
        requests = [PostRequest(entry, order.actor)]
        (entry_id,) = await self.days.poster.post(driver, ledger=ledger, requests=requests, now=now)
        step = Step(
            loan=after,
            event=event,
            actor=order.actor,
            entry_id=entry_id,
            amount=amount.minor_units,
            detail=order.reason or None,
        )
        await take_steps(driver, ledger_id=ledger.id, steps=[step], ids=self.days.poster.ids, now=now)
        await store_key(driver, ledger_id=ledger.id, claim=order.key, result_id=after.id, now=now)

    def _name(self, prefix: str, now: datetime) -> str:
        return encode(prefix, self.days.poster.ids.next(now))


def quote_of(loan: Loan, standing: Standing, *, ledger: Ledger, now: datetime) -> Payoff:
    """What closes an existing loan today, the work of its days done. Pure."""
    return payoff(
        loan.product.terms.early_settlement,
        loan.schedule,
        outstanding=standing.outstanding,
        accrued_before=loan.accrued,
        today=day_of(now, ledger.zone),
    )


async def _standing(driver: Driver, ledger: Ledger, loan: Loan) -> Standing:
    return (await read_standings(driver, ledger_id=ledger.id, loans=[loan]))[loan.id]
