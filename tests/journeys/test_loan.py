"""The life of a loan over real HTTP: requested, approved, paid out by B2C, repaid by two C2B payments of which one is
told twice and one names nobody, closed at exactly zero."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.collecting import Registered
from ledger.collections import shortcodes
from ledger.collections.allocation import Target, TargetKind
from ledger.collections.shortcodes import Shortcode
from ledger.database import run
from tests.journeys.rig import Rig, open_rig
from tests.ledger.collections.till import LANDING, SHORTCODE, SUSPENSE, UNALLOCATED, Till, disagreements
from tests.ledger.loans.lending import Lending, lending_of

PAYER = "254700000017"
PAYBILL = Shortcode("daraja", SHORTCODE, "KES", LANDING, accepts_unanswered=True)
MONTH_SECONDS = 30 * 86_400


@dataclass
class Bank:
    """A rig that lends, and its borrowers."""

    rig: Rig
    lending: Lending
    control: httpx.AsyncClient

    async def pay(self, reference: str, minor_units: int, *, behaviour: str | None = None) -> None:
        """A borrower pays the paybill."""
        wanted = {"msisdn": PAYER, "amount_cents": minor_units, "reference": reference, "behaviour": behaviour}
        (await self.control.post("/sandbox/customers/pay", json=wanted)).raise_for_status()
        await self.rig.work_until_quiet()

    async def pass_time(self, seconds: float) -> None:
        """The clock runs on, and a worker does what time alone brings."""
        self.rig.clock.advance(seconds=seconds)
        while await self.rig.application.loan_watch().step():
            pass
        await self.rig.application.waiting_watch().step()


@pytest.fixture
async def bank(engine: AsyncEngine) -> AsyncIterator[Bank]:
    """Open, registered, with a product."""
    async with open_rig(engine) as rig, httpx.AsyncClient(base_url=rig.sandbox_url, trust_env=False) as control:
        opening = partial(shortcodes.open_shortcode, ledger=rig.ledger, shortcode=PAYBILL, ids=rig.ids, now=rig.now())
        await run(rig.engine, opening)
        assert await rig.application.recovery(public_url=rig.public_url).register(rig.ledger, PAYBILL) == Registered()
        till = Till(shop=rig, recorder=rig.application.receipt_recorder)
        lending = lending_of(till)
        await lending.product()
        yield Bank(rig, lending, control)
        assert await disagreements(till) == []


async def test_a_loan_is_paid_out_and_paid_back_to_exactly_zero(bank: Bank) -> None:
    lending = bank.lending
    loan_id = await lending.approved_loan(minor_units=1_000_000)
    await lending.disburse(loan_id)
    reserved = await lending.state(loan_id)
    await bank.rig.work_until_quiet()
    born = await lending.loan(loan_id)
    await bank.pass_time(MONTH_SECONDS)

    # One told twice, typed as people type; the other names nobody and is given to its loan by a person.
    await bank.pay(born.reference.lower(), 400_000, behaviour="callback-twice")
    rest = (await lending.standing(loan_id)).outstanding.total.minor_units
    await bank.pay(f"{born.reference[:-2]}ZZ", rest)
    await bank.pass_time(301)
    waiting = await bank.rig.balance(SUSPENSE)
    ((mistyped,),) = await bank.rig.rows("SELECT id FROM receipts WHERE ledger_id = :ledger AND suspended > 0")
    await lending.give(mistyped, Target(TargetKind.LOAN, str(loan_id)))

    entries = "\n".join(await lending.entries())
    assert (reserved, born.state.value) == ("DISBURSING", "ACTIVE"), entries
    assert await bank.rig.paid(await lending.payout_of(loan_id)), entries
    assert waiting == rest, entries
    assert await lending.state(loan_id) == "CLOSED", entries
    assert await lending.held(loan_id) == {}, entries
    held = [await bank.rig.balance(path) for path in (UNALLOCATED, SUSPENSE, "asset.loans.disbursing")]
    assert held == [0, 0, 0], entries
    interest = await bank.rig.balance("income.interest")
    # September at 12 % a year, months of 30 days: one part in a hundred.
    assert (interest, 400_000 + rest) == (10_000, 1_010_000), entries
    assert (await lending.events(loan_id)) == [
        "requested", "approved", "disbursement_started", "disbursed", "accrued", "repaid", "paid_off",
    ], entries  # fmt: skip


async def test_a_loan_whose_payout_fails_does_not_exist(bank: Bank) -> None:
    loan_id = await bank.lending.approved_loan(minor_units=1_000_000)
    await bank.rig.script("result-2040", count=1)

    await bank.lending.disburse(loan_id)
    await bank.rig.work_until_quiet()

    assert await bank.lending.state(loan_id) == "DISBURSEMENT_FAILED"
    assert await bank.lending.held(loan_id) == {}
    assert await bank.rig.balance("asset.loans.disbursing") == 0
