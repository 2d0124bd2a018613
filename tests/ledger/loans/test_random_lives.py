"""Random lives of loans through the database: whatever happens, the parts of each payment are the payment, and a loan
that has ended holds nothing. `make loans-long` lives through 10,000."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.errors import FloorWouldBreak, TargetUnfit
from ledger.loans.refusals import LoanNotReady
from ledger.loans.settling import Purse
from ledger.loans.terms import (
    DEFAULT_WATERFALL,
    DailyPenalty,
    DayCount,
    EarlySettlement,
    FeeCharging,
    FixedPenalty,
    InterestMethod,
    Interval,
    LoanTerms,
    Mode,
    Precedence,
    Rate,
    RatePeriod,
    Unit,
    UpfrontFee,
)
from tests.ledger.loans.lending import BORROWER, LENDER, TERMS, Lending, open_lending

LIVES = 60
PER_LEDGER, STEPS_MAX = 50, 7
WALLET, LENDERS = f"liab.wallet.{BORROWER}", f"liab.wallet.{LENDER}"
# A repayment's lines beside its debit, memorandum accounts apart, make up the payment: what does not is in the answer.
_UNEVEN = """
SELECT e.id, e.kind FROM journal_entries AS e
JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id
JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id AND a.class <> 'memo'
JOIN allocations AS l ON l.ledger_id = e.ledger_id AND l.entry_id = e.id AND l.target_kind = 'loan'
WHERE e.ledger_id = :ledger GROUP BY e.id, e.kind, l.amount
HAVING sum(CASE WHEN p.line = 1 THEN 0 WHEN p.side = 'C' THEN p.amount ELSE -p.amount END) <> l.amount
"""
_HOLDING = """
SELECT l.id, l.state, a.path FROM loans AS l
JOIN accounts AS a ON a.ledger_id = l.ledger_id AND a.owner_kind = 'loan'
    AND a.owner_ref = lower(loan_public_id(l.id))
JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id AND b.debits <> b.credits
WHERE l.ledger_id = :ledger AND (l.state NOT IN ('ACTIVE', 'WRITTEN_OFF')
    OR (l.state = 'WRITTEN_OFF' AND a.path NOT LIKE 'memo.written_off.%'))
"""
_CLEARING = """
SELECT a.path FROM accounts AS a JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
WHERE a.ledger_id = :ledger AND b.debits <> b.credits AND (a.path = 'asset.loans.disbursing'
    OR a.path LIKE 'liab.payout.%')
"""


def terms_of(chance: random.Random) -> LoanTerms:
    """Terms of any kind, in whole shillings."""
    instalments, mode = chance.randint(1, 4), chance.choice(list(Mode))
    penalties = (None, DailyPenalty(chance.randint(1, 300), 2_000), FixedPenalty(chance.randint(1, 50) * 100, 2_000))
    fee = UpfrontFee(chance.randint(0, 300) * 100, chance.randint(0, 1_000), chance.choice(list(FeeCharging)))
    period = chance.choice(list(RatePeriod))
    return replace(
        TERMS,
        method=chance.choice(list(InterestMethod)),
        rate=Rate(chance.randint(0, 5_000 if period is RatePeriod.YEAR else 1_500), period),
        instalments=instalments,
        every=Interval(chance.randint(1, 3), chance.choice(list(Unit))),
        day_count=chance.choice(list(DayCount)),
        interest_only=chance.randint(0, instalments - 1),
        grace_days=chance.randint(0, 5),
        upfront_fee=fee if mode is Mode.PRINCIPAL else UpfrontFee(),
        penalty=chance.choice(penalties),
        waterfall=tuple(chance.sample(DEFAULT_WATERFALL, 4)),
        precedence=chance.choice(list(Precedence)),
        early_settlement=chance.choice(list(EarlySettlement)),
        mode=mode,
        service_fee_basis_points=chance.randint(0, 1_000) if mode is Mode.AGENT else 0,
    )


class Life:
    """One loan lived through by chance."""

    def __init__(self, lending: Lending, chance: random.Random, loan_id: int) -> None:
        self.lending = lending
        self.chance = chance
        self.loan_id = loan_id
        self.receipts: list[int] = []

    async def days(self) -> None:
        await self.lending.pass_days(self.chance.randint(1, 20))

    async def pay(self) -> None:
        self.receipts.append(await self.lending.pay(self.loan_id, self.chance.randint(1, 1_500) * 100))

    async def pay_odd_cents(self) -> None:
        self.receipts.append(await self.lending.pay(self.loan_id, self.chance.randint(1, 60_000)))

    async def go_back(self) -> None:
        if self.receipts:
            receipt_id = self.receipts.pop(self.chance.randrange(len(self.receipts)))
            await self.lending.take_back(receipt_id)

    async def repay(self) -> None:
        await self.lending.repay(self.loan_id, self.chance.randint(1, 500) * 100)

    async def charge(self) -> None:
        await self.lending.charge(self.loan_id, self.chance.randint(1, 20) * 100)

    async def settle(self) -> None:
        await self.lending.settle(self.loan_id)

    async def write_off(self) -> None:
        await self.lending.write_off(self.loan_id)

    async def step(self) -> None:
        """One happening, or its refusal, which changes nothing."""
        likely: Sequence[Callable[[], Awaitable[None]]] = [self.days] * 3 + [self.pay] * 4 + [self.pay_odd_cents]
        happening = self.chance.choice(
            [*likely, self.go_back, self.go_back, self.repay, self.charge, self.settle, self.write_off]
        )
        with contextlib.suppress(LoanNotReady, TargetUnfit, FloorWouldBreak):
            await happening()


async def test_whatever_happens_to_loans_the_parts_are_the_payment_and_a_closed_loan_holds_nothing(
    engine: AsyncEngine,
) -> None:
    for batch in range(-(-LIVES // PER_LEDGER)):
        async with open_lending(engine) as lending:
            await fund(lending)
            for number in range(batch * PER_LEDGER, min((batch + 1) * PER_LEDGER, LIVES)):
                await live(lending, number)
            await check(lending)


async def fund(lending: Lending) -> None:
    """Wallets of borrower and lender that last for a ledger's loans."""
    await lending.fund(WALLET, 50_000_000)
    await lending.fund(LENDERS, 100_000_000)


async def live(lending: Lending, seed: int) -> None:
    """A loan of some product from its payout on, to its end."""
    chance = random.Random(seed)
    terms, code = terms_of(chance), f"product-{seed}"
    await lending.product(terms, code=code)
    lender = LENDER if terms.mode is Mode.AGENT else ""
    loan_id = await lending.approved_loan(minor_units=chance.randint(10, 100) * 10_000, product=code, lender=lender)
    await lending.disburse(loan_id)
    if chance.random() < 0.2:
        await lending.fail_payout(loan_id)
        await lending.approve(loan_id)
        await lending.disburse(loan_id)
    await lending.settle_payout(loan_id)
    life = Life(lending, chance, loan_id)
    for _ in range(chance.randint(1, STEPS_MAX)):
        await life.step()
    if await lending.state(loan_id) == "ACTIVE":
        await end(lending, loan_id)
    assert await lending.state(loan_id) in ("CLOSED", "WRITTEN_OFF"), (seed, terms, await lending.events(loan_id))


async def end(lending: Lending, loan_id: int) -> None:
    """All that is open is paid, from a wallet that has enough."""
    await lending.settle(loan_id, purse=Purse.WALLET)


async def check(lending: Lending) -> None:
    """What must hold of all of them."""
    assert list(await lending.shop.rows(_UNEVEN)) == []
    assert list(await lending.shop.rows(_HOLDING)) == []
    assert list(await lending.shop.rows(_CLEARING)) == []
