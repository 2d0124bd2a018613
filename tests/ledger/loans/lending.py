"""A lender on real books: products, loans from request to their end, and what their accounts hold.

async with open_lending(engine) as lending:
    loan_id = await lending.active_loan(shillings=10_000)
    await lending.till.take(shillings=500, reference=await lending.reference(loan_id))
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.collections.allocation import Target
from ledger.database import Driver, driver, run
from ledger.idempotency import claim
from ledger.ids import encode
from ledger.journal import accounts, chart
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.journal.poster import Poster
from ledger.loans import commands, products
from ledger.loans.accruing import DayWorker
from ledger.loans.commands import LoanDesk, LoanRequest
from ledger.loans.disbursing import Disburser
from ledger.loans.products import BusinessCalendar, Product, ProductRequest
from ledger.loans.settling import LoanCounter, Order, Purse
from ledger.loans.terms import LoanTerms
from ledger.loans.writing import Loan, Standing, read_loans, read_standings
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import Failed, Settled
from ledger.outcomes import record
from ledger.payouts.outcome import Charged, Report, Started
from ledger.receiving import RACING_CONSTRAINTS as RECEIVING_RACES
from ledger.receiving import Decided, Decision
from tests.ledger.collections.till import KEYS, Till, disagreements, open_till
from tests.ledger.loans.products import PLAIN
from tests.ledger.payouts.shop import LIMITS, PARTY_KEYS, PAYEE, Shop

Result = TypeVar("Result")
RACES = commands.RACING_CONSTRAINTS | RECEIVING_RACES
MAKER, CHECKER = "amina", "baraka"
BORROWER, LENDER = "zuri", "juma"
# A year's loan in whole shillings at 12 %, from KES 1,000 on.
TERMS = replace(PLAIN, principal_min=100_000, step=100)
_ENTRIES = """
SELECT e.id, e.kind, e.business_date, a.path, p.side, p.amount FROM journal_entries AS e
JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id
JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id
WHERE e.ledger_id = :ledger ORDER BY e.id, p.line
"""


@dataclass
class Lending:
    """A shop that lends; `till` is its shortcode. Amounts are shillings unless named otherwise."""

    till: Till
    desk: LoanDesk
    disburser: Disburser
    counter: LoanCounter
    numbers: int = field(default=0)

    @property
    def shop(self) -> Shop:
        """The books."""
        return self.till.shop

    @property
    def days(self) -> DayWorker:
        """Who does the work of days."""
        return self.counter.days

    def order(self, loan_id: int, *, actor: str = MAKER, key: str = "", reason: str = "") -> Order:
        """A command about a loan; its request id is fresh unless given."""
        self.numbers += 1
        name = key or f"loan-order-{self.numbers}"
        return Order(claim(client_id=9, key=name, method="Test", content=str(loan_id).encode()), loan_id, actor, reason)

    async def run(self, command: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """In one transaction, again after a lost race."""
        return await run(self.shop.engine, command, again_on=RACES)

    async def with_session(self, command: Callable[[Driver], Awaitable[Result]]) -> Result:
        """The same for what speaks to the driver."""

        async def on_connection(connection: AsyncConnection) -> Result:
            return await command(await driver(connection))

        return await self.run(on_connection)

    async def product(self, terms: LoanTerms = TERMS, *, code: str = "biashara", second_person: bool = True) -> Product:
        """The newest version of a product."""
        self.numbers += 1
        request = ProductRequest(
            key=claim(client_id=9, key=f"product-{self.numbers}", method="CreateLoanProduct", content=b""),
            actor=MAKER,
            code=code,
            name="Biashara",
            partner="shop",
            terms=terms,
            calendar=BusinessCalendar(),
            second_person=second_person,
        )

        async def make(connection: AsyncConnection) -> Product:
            product, _ = await products.create_product(
                connection, ledger=self.shop.ledger, request=request, ids=self.shop.ids, now=self.shop.now()
            )
            return product

        return await self.run(make)

    async def request(
        self, *, minor_units: int = 1_000_000, product: str = "biashara", lender: str = "", key: str = ""
    ) -> int:
        """The id of a requested loan."""
        self.numbers += 1
        content = f"{product}:{minor_units}".encode()
        request = LoanRequest(
            key=claim(client_id=9, key=key or f"loan-{self.numbers}", method="RequestLoan", content=content),
            actor=MAKER,
            product=product,
            borrower=BORROWER,
            lender=lender,
            msisdn=Msisdn(PAYEE),
            principal=Money("KES", minor_units),
        )

        async def make(connection: AsyncConnection) -> int:
            made, _ = await self.desk.request(connection, ledger=self.shop.ledger, request=request, now=self.shop.now())
            return made

        return await self.run(make)

    async def approve(self, loan_id: int, *, actor: str = CHECKER) -> None:
        """Lets it be paid out."""
        await self._decide(self.desk.approve, loan_id, actor)

    async def reject(self, loan_id: int) -> None:
        """Turns it down."""
        await self._decide(self.desk.reject, loan_id, CHECKER)

    async def cancel(self, loan_id: int) -> None:
        """Takes it back."""
        await self._decide(self.desk.cancel, loan_id, MAKER)

    async def _decide(self, decide: Any, loan_id: int, actor: str) -> None:
        order = self.order(loan_id, actor=actor)

        async def command(connection: AsyncConnection) -> None:
            await decide(connection, ledger=self.shop.ledger, order=order, now=self.shop.now())

        await self.run(command)

    async def disburse(self, loan_id: int, *, key: str = "") -> bool:
        """Requests its payout; whether the same request had before."""
        order = self.order(loan_id, key=key)

        async def command(connection: AsyncConnection) -> bool:
            return await self.disburser.disburse(
                connection, ledger=self.shop.ledger, order=order, shortcode="", now=self.shop.now()
            )

        return await self.run(command)

    async def payout_of(self, loan_id: int) -> int:
        """The payout that the loan waits for or rests on."""
        payout_id = (await self.loan(loan_id)).payout_id
        assert payout_id is not None
        return payout_id

    async def settle_payout(self, loan_id: int, *, receipt: str = "") -> None:
        """The payout reaches the borrower."""
        payout_id = await self.payout_of(loan_id)
        loan = await self.loan(loan_id)
        self.numbers += 1
        outcome = Settled(receipt or f"RB{self.numbers:08}", loan.net, self.shop.now())
        await self.shop.record((payout_id, Started()), (payout_id, outcome))

    async def fail_payout(self, loan_id: int) -> None:
        """The payout fails."""
        payout_id = await self.payout_of(loan_id)
        await self.shop.record((payout_id, Started()), (payout_id, Failed("2001", "no such number")))

    async def charge_late(self, payout_id: int) -> None:
        """A person finds that a late success did happen, and that whoever funds the payout pays for it."""
        held = await self.shop.held(payout_id)
        report = Report(
            payout_id=payout_id, outcome=Charged("seen on the statement", held), source=Source.MANUAL, actor=MAKER
        )

        async def command(session: Driver) -> None:
            await record(
                session,
                ledger=self.shop.ledger,
                reports=[report],
                directory=self.shop.directory,
                ids=self.shop.ids,
                now=self.shop.now(),
            )

        await self.with_session(command)

    async def approved_loan(self, *, minor_units: int = 1_000_000, lender: str = "", product: str = "biashara") -> int:
        """The id of a loan that may be paid out."""
        loan_id = await self.request(minor_units=minor_units, lender=lender, product=product)
        await self.approve(loan_id)
        return loan_id

    async def active_loan(self, *, minor_units: int = 1_000_000, lender: str = "", product: str = "biashara") -> int:
        """The id of a loan that its borrower has received."""
        loan_id = await self.approved_loan(minor_units=minor_units, lender=lender, product=product)
        await self.disburse(loan_id)
        await self.settle_payout(loan_id)
        return loan_id

    async def pass_days(self, days: int) -> int:
        """Days pass, and the work of them is done; of how many loans."""
        self.shop.clock.moment += timedelta(days=days)
        return await self.work()

    async def work(self) -> int:
        """The work of days that are over, all of it; of how many loans."""
        worked = 0
        while batch := await self.with_session(self._work_once):
            worked += batch
        return worked

    async def _work_once(self, session: Driver) -> int:
        return await self.days.work(session, ledger=self.shop.ledger, now=self.shop.now(), limit=100)

    async def pay(self, loan_id: int, minor_units: int) -> int:
        """The receipt of a payment for the loan."""
        loan = await self.loan(loan_id)
        return await self.till.take(reference=loan.reference, amount=Money("KES", minor_units))

    async def give(self, receipt_id: int, target: Target) -> Decided:
        """Money of a receipt, to a target, by a person's hand."""
        return await self._decide_about(self.till.recorder.allocate, receipt_id, target)

    async def take_back(self, receipt_id: int, target: Target | None = None) -> Decided:
        """What was allocated of a receipt; for another target, or for nobody yet."""
        return await self._decide_about(self.till.recorder.reallocate, receipt_id, target)

    async def _decide_about(self, decide: Any, receipt_id: int, target: Target | None) -> Decided:
        self.numbers += 1
        decision = Decision(
            key=claim(client_id=9, key=f"decision-{self.numbers}", method="Test", content=b""),
            receipt_id=receipt_id,
            target=target,
            evidence="the payer called",
            actor=MAKER,
        )

        async def command(session: Driver) -> Decided:
            decided: Decided = await decide(session, ledger=self.shop.ledger, decision=decision, now=self.shop.now())
            return decided

        return await self.with_session(command)

    async def repay(self, loan_id: int, minor_units: int, *, purse: Purse = Purse.WALLET, key: str = "") -> bool:
        """Out of what the borrower has with us."""
        order = self.order(loan_id, key=key)

        async def command(session: Driver) -> bool:
            return await self.counter.repay(
                session,
                ledger=self.shop.ledger,
                order=order,
                purse=purse,
                amount=Money("KES", minor_units),
                now=self.shop.now(),
            )

        return await self.with_session(command)

    async def settle(self, loan_id: int, *, purse: Purse = Purse.WALLET) -> bool:
        """All that closes it today."""
        order = self.order(loan_id)

        async def command(session: Driver) -> bool:
            return await self.counter.settle(
                session, ledger=self.shop.ledger, order=order, purse=purse, now=self.shop.now()
            )

        return await self.with_session(command)

    async def charge(self, loan_id: int, minor_units: int) -> bool:
        """A fee on the way."""
        order = self.order(loan_id)

        async def command(session: Driver) -> bool:
            return await self.counter.charge(
                session, ledger=self.shop.ledger, order=order, amount=Money("KES", minor_units), now=self.shop.now()
            )

        return await self.with_session(command)

    async def write_off(self, loan_id: int) -> bool:
        """Gives it up."""
        order = self.order(loan_id, reason="no sign of life")

        async def command(session: Driver) -> bool:
            return await self.counter.write_off(session, ledger=self.shop.ledger, order=order, now=self.shop.now())

        return await self.with_session(command)

    async def fund(self, path: str, minor_units: int) -> None:
        """Puts money into a wallet, opened if need be."""
        specs = chart.customer_accounts(customer=path.removeprefix("liab.wallet."), currency="KES")

        async def opened(connection: AsyncConnection) -> None:
            await accounts.open_accounts(
                connection, ledger_id=self.shop.ledger.id, specs=specs, ids=self.shop.ids, now=self.shop.now()
            )

        await self.run(opened)
        money = Money("KES", minor_units)
        lines = (debit("asset.bank.main", money), credit(path, money))
        await self.shop.post(
            JournalEntry(kind="opening", postings=lines, effective_at=self.shop.now(), source=Source.OPENING)
        )

    async def loan(self, loan_id: int) -> Loan:
        """As it is now."""

        async def command(session: Driver) -> Loan:
            return (await read_loans(session, ledger_id=self.shop.ledger.id, loan_ids=[loan_id]))[loan_id]

        return await self.with_session(command)

    async def state(self, loan_id: int) -> str:
        """In a word."""
        return (await self.loan(loan_id)).state.value

    async def standing(self, loan_id: int) -> Standing:
        """What its accounts hold."""
        loan = await self.loan(loan_id)

        async def command(session: Driver) -> Standing:
            return (await read_standings(session, ledger_id=self.shop.ledger.id, loans=[loan]))[loan_id]

        return await self.with_session(command)

    async def events(self, loan_id: int) -> list[str]:
        """What happened to it, oldest first."""
        found = await self.shop.rows(
            "SELECT event FROM loan_events WHERE ledger_id = :ledger AND loan_id = :loan ORDER BY version", loan=loan_id
        )
        return [event for (event,) in found]

    async def held(self, loan_id: int) -> dict[str, int]:
        """The loan's own accounts that hold something."""
        found = await self.shop.rows(
            "SELECT a.path, b.debits - b.credits FROM accounts AS a JOIN account_balances AS b "
            "ON b.ledger_id = a.ledger_id AND b.account_id = a.id "
            "WHERE a.ledger_id = :ledger AND a.owner_kind = 'loan' AND a.owner_ref = :loan AND b.debits <> b.credits",
            loan=encode("loan", loan_id).lower(),
        )
        return {str(path): int(units) for path, units in found}

    async def entries(self) -> list[str]:
        """Every posting of the ledger, for the reader of a failure."""
        return [
            f"{entry_id} {kind} {day} {side} {path} {amount / 100:,.2f}"
            for entry_id, kind, day, path, side, amount in await self.shop.rows(_ENTRIES)
        ]


@asynccontextmanager
async def open_lending(engine: AsyncEngine) -> AsyncIterator[Lending]:
    """A shop with a product that lends, "biashara". Leaving it asserts that receipts, payouts and books agree."""
    async with open_till(engine) as till:
        lending = lending_of(till)
        await lending.product()
        yield lending
        assert await disagreements(till) == []


def lending_of(till: Till) -> Lending:
    """Lending on a till that is open."""
    shop = till.shop
    poster = Poster(directory=shop.directory, ids=shop.ids)
    return Lending(
        till=till,
        desk=LoanDesk(ids=shop.ids, receipt_keys=KEYS, party_keys=PARTY_KEYS),
        disburser=Disburser(poster=poster, party_keys=PARTY_KEYS, limits=LIMITS),
        counter=LoanCounter(days=DayWorker(poster=poster)),
    )
