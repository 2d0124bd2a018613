"""Loans of a history: asked for, approved by another, paid out, and tried again where that failed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.idempotency import KeyClaim
from ledger.journal.books import Ledger
from ledger.loans.commands import LoanRequest
from ledger.loans.settling import Order
from ledger.money import Money
from ledger.msisdn import Msisdn
from tests.simulation.asks import Ask
from tests.simulation.processes import Process
from tests.simulation.till_books import LENDER

# A loan whose payout failed is tried again so often.
TRIES_MAX = 2
_LOAN: LiteralString = "SELECT state, version, reference, loan_public_id(id) FROM loans WHERE id = %s"


@dataclass(slots=True, eq=False)
class Loan:
    """A loan that somebody wants. `steps` are the commands about it so far, one for each version it was seen in."""

    number: int
    product: str
    msisdn: str
    cents: int
    ask: Ask = field(init=False)
    steps: dict[str, Ask] = field(default_factory=dict)
    reference: str = ""
    long_reference: str = ""
    state: str = ""
    payments: int = 0
    paid_once_more: bool = False

    def __post_init__(self) -> None:
        self.ask = Ask(f"loan-{self.number}", "RequestLoan", f"{self.product} {self.cents}", self._send)

    @property
    def borrower(self) -> str:
        """Each loan has a borrower of its own, so that what they have is what it left."""
        return f"borrower-{self.number}"

    def look(self, session: psycopg.Connection[TupleRow]) -> None:
        """Reads its state, as its lender may at any time."""
        row = session.execute(_LOAN, (self.ask.answer,)).fetchone() if self.ask.answers else None
        if row is not None:
            self.state, version, self.reference, name = row
            self.long_reference = f"LOAN-{name.partition('_')[2]}"
            self._want_next(int(version))

    @property
    def asks(self) -> list[Ask]:
        """What its lender waits for."""
        return [self.ask, *self.steps.values()]

    def _want_next(self, version: int) -> None:
        verb = {"REQUESTED": "approve", "APPROVED": "disburse", "DISBURSEMENT_FAILED": "approve"}.get(self.state)
        tries = sum(name.startswith("disburse") for name in self.steps)
        if verb is None or (tries >= TRIES_MAX and verb == "approve"):
            return
        name = f"{verb}-{self.number}-{version}"
        if name not in self.steps:
            self.steps[name] = Ask(name, verb, str(self.ask.answer), self._approve if verb == "approve" else self._pay)

    async def _send(self, process: Process, ledger: Ledger, connection: AsyncConnection, key: KeyClaim) -> int:
        request = LoanRequest(
            key=key,
            actor="amina",
            product=self.product,
            borrower=self.borrower,
            lender=LENDER if self.product == "theirs" else "",
            msisdn=Msisdn(self.msisdn),
            principal=Money("KES", self.cents),
        )
        loan_id, _ = await process.money_in.desk.request(
            connection, ledger=ledger, request=request, now=process.clock.now()
        )
        return loan_id

    async def _approve(self, process: Process, ledger: Ledger, connection: AsyncConnection, key: KeyClaim) -> int:
        order = Order(key, self._id, "baraka")
        await process.money_in.desk.approve(connection, ledger=ledger, order=order, now=process.clock.now())
        return self._id

    async def _pay(self, process: Process, ledger: Ledger, connection: AsyncConnection, key: KeyClaim) -> int:
        order = Order(key, self._id, "baraka")
        await process.money_in.disburser.disburse(
            connection, ledger=ledger, order=order, shortcode="", now=process.clock.now()
        )
        return self._id

    @property
    def _id(self) -> int:
        found: Any = self.ask.answer
        assert isinstance(found, int), "only a loan that is there moves on"
        return found


def make_loans(chance: random.Random, count: int) -> list[Loan]:
    """Of either kind."""
    return [
        Loan(
            number=number,
            product=chance.choice(["ours", "theirs"]),
            msisdn=chance.choice(["254712345678", "254722000111"]),
            cents=chance.choice([200_000, 500_000]),
        )
        for number in range(count)
    ]
