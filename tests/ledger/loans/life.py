"""A loan lived through: its entries folded over a dict of balances, each step decided from the balances alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from ledger.journal.entry import JournalEntry, Posting, Side, Source, credit, debit
from ledger.loans import accounts, entries, shares
from ledger.loans.accrual import PrincipalRepaid, fee_to_earn, interest_between, penalty_to_charge
from ledger.loans.books import LoanMoney, PrincipalBook
from ledger.loans.dues import Parts, dues_of, is_paid_off, payoff
from ledger.loans.loan import Effect, Event, Move, State, Stay, Verdict, transition
from ledger.loans.schedule import Schedule
from ledger.loans.terms import LoanTerms, Mode, Part
from ledger.loans.waterfall import allocate_repayment, recover
from ledger.money import Money
from ledger.payouts import payout
from tests.ledger.loans.products import kes
from tests.ledger.payouts.shop import ACCOUNTS, FLOAT

MOMENT = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
UNALLOCATED = "liab.receipts.unallocated.daraja.600584"
LENDER_FUNDS = 10**13


@dataclass
class Allocated:
    """A receipt that was allocated to the loan, and has not gone back."""

    day: date
    principal: int
    lines: tuple[Posting, ...]
    paid_due: bool
    is_recovery: bool


@dataclass
class Life:
    """One loan from its payout on."""

    terms: LoanTerms
    schedule: Schedule
    loan: LoanMoney
    state: State = State.APPROVED
    net: Counter[str] = field(default_factory=Counter)
    posted: list[JournalEntry] = field(default_factory=list)
    allocated: list[Allocated] = field(default_factory=list)
    repaid: list[PrincipalRepaid] = field(default_factory=list)
    rail: payout.RailAccounts = ACCOUNTS
    penalties: Money = field(default_factory=lambda: kes(0))

    def __post_init__(self) -> None:
        self.today = self.accrued_before = self.schedule.starts_on
        self.net[self.loan.book.funding] = -LENDER_FUNDS if self.terms.mode is Mode.AGENT else 0

    def meet(self, event: Event, *, of_another_payout: bool = False) -> Verdict:
        """Moves the state as the table says."""
        verdict = transition(event, self.state, of_another_payout=of_another_payout)
        self.state = verdict.target if isinstance(verdict, Move) else self.state
        return verdict

    def post(self, entry: JournalEntry) -> None:
        """Adds an entry to the balances; no account of the loan or of a customer may break its floor."""
        self.posted.append(entry)
        for line in entry.postings:
            self.net[line.account] += line.money.minor_units * (1 if line.side is Side.DEBIT else -1)
        for account, units in self.net.items():
            if account.startswith(("asset.loans.", "memo.")) and "contra" not in account and "allowance" not in account:
                assert units >= 0, (account, units)
            if account.startswith("liab."):
                assert units <= 0, (account, units)

    def balance(self, account: str) -> Money:
        """What stands on an account, whichever its side."""
        return kes(abs(self.net[account]))

    @property
    def outstanding(self) -> Parts:
        """What the borrower owes, as the accounts say."""
        receivables = self.loan.book.receivables
        return Parts("KES", **{part.value: self.net[receivables.of(part)] for part in Part})

    @property
    def deferred_fee(self) -> Money:
        """The part of the upfront fee that is not earned."""
        book = self.loan.book
        return self.balance(book.deferred_fee) if isinstance(book, PrincipalBook) else kes(0)

    def disburse(self, *outcomes: payout.Effect) -> None:
        """Pays out, as often as there are outcomes; of the last one the loan is born, where that is a settlement."""
        for number, outcome in enumerate(outcomes):
            money = entries.disbursing_payout(self.loan, payout_id=f"pay_{number}", rail=self.rail, reserve_entry_id=7)
            self.meet(Event.DISBURSEMENT_STARTED)
            self.post(payout.reserve_entry(money, at=MOMENT, reference=self.loan.public_id))
            self.post(
                payout.effect_entry(
                    outcome,
                    money,
                    state=payout.State.SUBMITTED,
                    at=MOMENT,
                    source=Source.CALLBACK,
                    reference="R1",
                    charge=None,
                )
            )
            if outcome is payout.Effect.RELEASE:
                self.meet(Event.DISBURSEMENT_FAILED)
                self.meet(Event.APPROVED)
            else:
                assert self.meet(Event.DISBURSED) == Move(State.ACTIVE, Effect.DISBURSE)
                self.post(entries.disbursed_entry(self.loan, at=MOMENT, source=Source.CALLBACK, receipt="R1"))

    def pass_days(self, days: int) -> None:
        """The day's work, once, however many days have passed since."""
        self.today += timedelta(days=days)
        self.accrue_until(self.today, penalties=True)

    def accrue_until(self, day: date, *, penalties: bool) -> None:
        """Books what the loan has earned by the days before this one."""
        if not isinstance(self.meet(Event.ACCRUED), Stay):
            return
        earned = entries.Earned(
            interest_between(self.schedule, from_day=self.accrued_before, to_day=max(day, self.accrued_before)),
            fee_to_earn(self.schedule, fee=self.loan.fee, deferred=self.deferred_fee, day=day),
            self._penalty(day) if penalties else kes(0),
        )
        self.penalties += earned.penalty
        self.accrued_before = max(day, self.accrued_before)
        for entry in entries.day_entries(self.loan, earned, day=day, at=MOMENT, source=Source.CLOSE):
            self.post(entry)

    def _penalty(self, day: date) -> Money:
        return penalty_to_charge(self.terms, self.schedule, repaid=self.repaid, charged=self.penalties, day=day)

    def charge(self, units: int) -> None:
        """A fee on the way."""
        if isinstance(self.meet(Event.CHARGED), Stay):
            charge_id = f"charge_{len(self.posted)}"
            self.post(
                entries.fee_charged_entry(self.loan, kes(units), charge_id=charge_id, at=MOMENT, source=Source.MANUAL)
            )

    def pay_off(self) -> None:
        """The borrower pays what closes the loan today."""
        policy = self.terms.early_settlement
        wanted = payoff(
            policy,
            self.schedule,
            outstanding=self.outstanding,
            accrued_before=self.accrued_before,
            today=self.today,
        )
        if self.state is not State.ACTIVE or wanted.total.minor_units == 0:
            return
        self.accrue_until(wanted.accrue_before, penalties=False)
        self.pay(wanted.total.minor_units)

    def pay(self, units: int) -> None:
        """A receipt for the loan. Its shares make up the payment, whatever it pays."""
        if self.state is State.WRITTEN_OFF:
            lines, principal, paid_due = self._recovery(kes(units)), 0, False
        else:
            lines, principal, paid_due = self._repayment(kes(units))
        given = sum(
            line.money.minor_units * (1 if line.side is Side.CREDIT else -1)
            for line in lines
            if not line.account.startswith("memo.")
        )
        assert given == units
        whole = [debit(UNALLOCATED, kes(units)), *lines]
        self._receive(units)
        self._post(whole)
        is_recovery = self.state is State.WRITTEN_OFF
        self.allocated.append(Allocated(self.today, principal, tuple(whole), paid_due, is_recovery))
        self.repaid.append(PrincipalRepaid(self.today, principal))

    def _repayment(self, payment: Money) -> tuple[list[Posting], int, bool]:
        outstanding = self.outstanding
        dues = dues_of(self.schedule, outstanding=outstanding, accrued_before=self.accrued_before)
        found = allocate_repayment(payment, dues, self.terms, today=self.today)
        left = Parts("KES", **{p.value: (outstanding.of(p) - found.parts.of(p)).minor_units for p in Part})
        done = is_paid_off(
            self.terms.early_settlement, self.schedule, outstanding=left, accrued_before=self.accrued_before
        )
        verdict = self.meet(Event.PAID_OFF if done else Event.REPAID)
        closing = self.deferred_fee if isinstance(verdict, Move) else kes(0)
        lines = shares.repayment_shares(self.loan, found, terms=self.terms, closing_fee=closing)
        return lines, found.parts.principal, bool(found.taken.minor_units)

    def _recovery(self, payment: Money) -> list[Posting]:
        assert self.meet(Event.REPAID) == Stay(Effect.RECOVER)
        found = recover(payment, written_off=self.balance(self.loan.book.written_off))
        return shares.recovery_shares(self.loan, found, terms=self.terms)

    def take_back(self, index: int) -> None:
        """The provider takes a receipt back."""
        if not self.allocated:
            return
        gone = self.allocated.pop(index % len(self.allocated))
        verdict = self.meet(Event.REPAYMENT_RETURNED if gone.paid_due else Event.OVERPAYMENT_RETURNED)
        assert isinstance(verdict, Move | Stay)
        lacking = {path: owed for path, owed in self._lacking(gone.lines).items() if owed.minor_units}
        if lacking:
            total = sum((owed.minor_units for owed in lacking.values()), 0)
            cover = [credit(path, owed) for path, owed in lacking.items()]
            self._post([debit(self.loan.book.clawback, kes(total)), *cover])
        self._post(shares.returned_lines(gone.lines))
        if self.state is State.WRITTEN_OFF and self.outstanding.total.minor_units:
            assert self.meet(Event.WRITTEN_OFF_AGAIN) == Stay(Effect.WRITE_OFF_AGAIN)
            self.post(
                entries.written_off_again_entry(
                    self.loan,
                    self.outstanding,
                    deferred_fee=self.deferred_fee,
                    allowance=kes(0),
                    loss_id=f"loss_{len(self.posted)}",
                    at=MOMENT,
                    source=Source.MANUAL,
                )
            )
        units = gone.lines[0].money
        self._post([debit(UNALLOCATED, units), Posting(FLOAT, Side.CREDIT, units)])
        self.repaid.append(PrincipalRepaid(self.today, -gone.principal))

    def _lacking(self, lines: tuple[Posting, ...]) -> dict[str, Money]:
        taken = {line.account: line.money.minor_units for line in lines if line.account.startswith("liab.")}
        wallets = {account: units for account, units in taken.items() if account not in (UNALLOCATED,)}
        wallets = {account: units for account, units in wallets.items() if "deferred" not in account}
        return {account: kes(max(0, units + self.net[account])) for account, units in wallets.items()}

    def spend(self) -> None:
        """The borrower takes out what waits for them: a payout funded by it."""
        book = self.loan.book
        account = book.overpayment if isinstance(book, PrincipalBook) else book.borrower_wallet
        if self.net[account]:
            money = payout.PayoutMoney("pay_9", account, ACCOUNTS, self.balance(account), kes(0), 7)
            self.post(payout.reserve_entry(money, at=MOMENT, reference="refund"))

    def write_off(self, allowance: int) -> None:
        """Nothing more is expected."""
        outstanding = self.outstanding
        if not outstanding.total.minor_units or not isinstance(self.meet(Event.WRITTEN_OFF), Move):
            return
        self.post(
            entries.written_off_entry(
                self.loan,
                outstanding,
                deferred_fee=self.deferred_fee,
                allowance=kes(allowance),
                at=MOMENT,
                source=Source.MANUAL,
            )
        )

    def pay_from(self, account: str, units: int) -> None:
        """A repayment out of what the borrower has with us."""
        lines, _, _ = self._repayment(kes(units))
        self.post(
            entries.repaid_entry(
                self.loan,
                lines,
                amount=kes(units),
                paid_from=account,
                repayment_id=f"repayment_{len(self.posted)}",
                at=MOMENT,
                source=Source.API,
            )
        )

    def _receive(self, units: int) -> None:
        self._post([debit(FLOAT, kes(units)), Posting(UNALLOCATED, Side.CREDIT, kes(units))])

    def _post(self, lines: list[Posting]) -> None:
        self.post(JournalEntry(kind="test.receipt", postings=tuple(lines), effective_at=MOMENT, source=Source.CALLBACK))

    def check(self) -> None:
        """What must hold after every step."""
        book = self.loan.book
        assert sum(self.net.values()) == (-LENDER_FUNDS if self.terms.mode is Mode.AGENT else 0)
        assert self.net["asset.loans.disbursing"] == self.net[UNALLOCATED] == 0
        if self.state is not State.ACTIVE:
            assert self.outstanding.total == kes(0)
            assert self.deferred_fee == kes(0)
        if self.state is not State.WRITTEN_OFF:
            assert self.net[book.written_off] == 0
        if self.state is State.CLOSED:
            assert not [account for account, units in self.net.items() if units and account.endswith("loan_1")]


def new_life(terms: LoanTerms, schedule: Schedule, *, net: Money, fee: Money) -> Life:
    """An approved loan."""
    if terms.mode is Mode.PRINCIPAL:
        return Life(
            terms, schedule, LoanMoney("loan_1", accounts.principal_book(loan="loan_1", borrower="b"), net, fee)
        )
    book = accounts.agent_book(loan="loan_1", lender="a", borrower="b")
    return Life(terms, schedule, LoanMoney("loan_1", book, net, fee))
