"""What is asked of a loan before it exists: requesting, approving, rejecting, cancelling. Each once, by its request id,
under the loan's lock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.collections import directory as references
from ledger.collections.allocation import Target, TargetKind
from ledger.collections.reference import ReceiptKeys
from ledger.database import Driver, driver
from ledger.errors import TextInvalid
from ledger.idempotency import KeyClaim, store_key
from ledger.ids import IdSource, encode
from ledger.journal import accounts, chart
from ledger.journal.books import Ledger
from ledger.loans.announcing import take_steps
from ledger.loans.loan import Event
from ledger.loans.products import find_product
from ledger.loans.refusals import SecondPersonNeeded
from ledger.loans.schedule import day_of
from ledger.loans.settling import Order, check_allowed, find_answer
from ledger.loans.terms import Mode, price
from ledger.loans.writing import PREFIX, Loan, NewLoan, Step, add_loan, lock_loan
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.parties import PartyKeys, find_or_add

# Two processes may choose the same id in the same millisecond, or be asked the same at once: the command is run again.
RACING_CONSTRAINTS = frozenset(
    {
        "idempotency_keys_pkey",
        "loans_pkey",
        "loan_products_pkey",
        "loan_products_versions_are_unique",
        "parties_payee_is_unique",
        "collection_references_live",
    }
)
_CUSTOMER = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_SHORT_LENGTH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanRequest:
    """A loan to ask for: `borrower` and, for a loan between customers, `lender` are pseudonyms of customers; the
    borrower is paid at `msisdn`."""

    key: KeyClaim
    actor: str
    product: str
    borrower: str
    lender: str
    msisdn: Msisdn
    principal: Money

    def __post_init__(self) -> None:
        for field, name in (("borrower", self.borrower), ("lender", self.lender or self.borrower)):
            if not _CUSTOMER.fullmatch(name):
                raise TextInvalid("a customer is 1 to 64 of a-z, 0-9, dash and underscore", field=field)
        if self.lender == self.borrower:
            raise TextInvalid("a lender lends to another", field="lender")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanDesk:
    """What these commands need and never changes in a process."""

    ids: IdSource
    receipt_keys: ReceiptKeys
    party_keys: PartyKeys

    async def request(
        self, connection: AsyncConnection, *, ledger: Ledger, request: LoanRequest, now: datetime
    ) -> tuple[int, bool]:
        """The id of a loan that now waits for approval, and whether the same request had made it before. Raises
        LoanProductNotFound, LoanAmountRefused, LoanTermsInvalid, TextInvalid, IdempotencyKeyReused."""
        session = await driver(connection)
        if (known := await find_answer(session, ledger=ledger, key=request.key)) is not None:
            return known, True
        product = await find_product(session, ledger_id=ledger.id, code=request.product)
        if (product.terms.mode is Mode.AGENT) != bool(request.lender):
            raise TextInvalid("name a lender for a loan between customers, and for no other", field="lender")
        cost = price(product.terms, request.principal)
        product.schedule(cost.gross, day_of(now, ledger.zone))
        parties = await find_or_add(
            session, ledger_id=ledger.id, payees={request.msisdn}, keys=self.party_keys, ids=self.ids, now=now
        )
        loan_id = self.ids.next(now)
        loan = NewLoan(
            id=loan_id,
            product=product,
            borrower=request.borrower,
            party_id=parties[request.msisdn],
            lender=request.lender or None,
            gross=cost.gross,
            net=cost.net,
            fee=cost.fee,
            reference=short_reference(loan_id),
            actor=request.actor,
        )
        await add_loan(session, ledger_id=ledger.id, loan=loan, now=now)
        await store_key(session, ledger_id=ledger.id, claim=request.key, result_id=loan_id, now=now)
        return loan_id, False

    async def approve(self, connection: AsyncConnection, *, ledger: Ledger, order: Order, now: datetime) -> bool:
        """Lets a loan be paid out: opens its accounts and gives its references to payers. Whether the same request had
        before. Raises LoanNotFound, LoanNotReady, SecondPersonNeeded, ReferenceTaken."""
        session = await driver(connection)
        loan = await lock_loan(session, ledger_id=ledger.id, loan_id=order.loan_id)
        if await find_answer(session, ledger=ledger, key=order.key) is not None:
            return True
        check_allowed(loan, Event.APPROVED)
        if loan.product.second_person and order.actor == loan.requested_by:
            raise SecondPersonNeeded("another than who requested the loan approves it", field="loan_id")
        await self._open(connection, ledger, loan, now)
        await _move(session, ledger, loan, Event.APPROVED, order, self.ids, now, approved_by=order.actor)
        return False

    async def reject(self, connection: AsyncConnection, *, ledger: Ledger, order: Order, now: datetime) -> bool:
        """Turns a request down. Raises LoanNotFound, LoanNotReady."""
        return await self._end(connection, ledger, Event.REJECTED, order, now)

    async def cancel(self, connection: AsyncConnection, *, ledger: Ledger, order: Order, now: datetime) -> bool:
        """Takes a loan back whose money has not left. Raises LoanNotFound, LoanNotReady."""
        return await self._end(connection, ledger, Event.CANCELLED, order, now)

    async def _end(
        self, connection: AsyncConnection, ledger: Ledger, event: Event, order: Order, now: datetime
    ) -> bool:
        session = await driver(connection)
        loan = await lock_loan(session, ledger_id=ledger.id, loan_id=order.loan_id)
        if await find_answer(session, ledger=ledger, key=order.key) is not None:
            return True
        await _move(session, ledger, loan, event, order, self.ids, now)
        return False

    async def _open(self, connection: AsyncConnection, ledger: Ledger, loan: Loan, now: datetime) -> None:
        name, currency = loan.public_id.lower(), loan.net.currency
        is_ours = loan.product.terms.mode is Mode.PRINCIPAL
        own = chart.loan_accounts if is_ours else chart.agent_loan_accounts
        customers = [loan.borrower, *([loan.lender] if loan.lender else [])]
        specs = own(loan=name, currency=currency)
        specs += [spec for one in customers for spec in chart.customer_accounts(customer=one, currency=currency)]
        await accounts.open_accounts(connection, ledger_id=ledger.id, specs=specs, ids=self.ids, now=now)
        session = await driver(connection)
        for reference in (long_reference(loan), loan.reference):
            await references.add_reference(
                session,
                ledger_id=ledger.id,
                reference=reference,
                target=Target(TargetKind.LOAN, str(loan.id)),
                keys=self.receipt_keys,
                ids=self.ids,
                now=now,
            )


def long_reference(loan: Loan) -> str:
    """LOAN- and the 13 characters of its public id: what payers may always type."""
    return f"LOAN-{loan.public_id.partition('_')[2]}"


def short_reference(loan_id: int) -> str:
    """What payers are asked to type, short enough for a prompt."""
    return f"L{encode(PREFIX, loan_id)[-_SHORT_LENGTH:]}"


async def _move(
    driver: Driver, ledger: Ledger, loan: Loan, event: Event, order: Order, ids: IdSource, now: datetime, **changes: str
) -> None:
    verdict = check_allowed(loan, event)
    step = Step(loan=loan.moved(verdict, **changes), event=event, actor=order.actor, detail=order.reason or None)
    await take_steps(driver, ledger_id=ledger.id, steps=[step], ids=ids, now=now)
    await store_key(driver, ledger_id=ledger.id, claim=order.key, result_id=loan.id, now=now)
