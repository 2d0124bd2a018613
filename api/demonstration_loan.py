"""The demonstration's loan: requested, approved by a second person, paid out by B2C, paid back by two C2B payments and
a prompt, one of them told twice and one under a mistyped reference, closed at exactly zero."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import grpc.aio
import httpx
from daftari.v1 import collections_pb2, loans_pb2, money_pb2, prompts_pb2
from daftari.v1.collections_pb2_grpc import CollectionCommandServiceStub, CollectionQueryServiceStub
from daftari.v1.loans_pb2_grpc import LoanCommandServiceStub, LoanQueryServiceStub
from daftari.v1.prompts_pb2_grpc import PromptCommandServiceStub
from rich.console import Console

from api import demonstration_loan_report as report
from api.administration import create_key
from api.demonstration_books import CHARGES, FLOAT, Books, balances_of
from api.demonstration_report import kes
from api.staging import LEDGER, PARTNER, RAIL, Stage

LOOKS_MAX, LOOK_REST_SECONDS = 300, 0.1
BORROWER, NUMBER = "zuri", "254712345678"
PRODUCT = "biashara"
PRINCIPAL, UPFRONT_FEE, REMINDER_FEE = 1_000_000, 50_000, 5_000
FIRST, SECOND = 400_000, 350_000
PAYMENTS = 3
_ACTIVE, _CLOSED = loans_pb2.Loan.STATE_ACTIVE, loans_pb2.Loan.STATE_CLOSED
_STORED = re.compile(r'daftari_callbacks_total\{kind="confirmation",rail="[a-z]+"\} ([0-9.]+)')

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Before:
    """How things stood before the loan: how many entries, and how far our float and our charges were from the rail's
    own."""

    entries: int
    ahead: tuple[int, int]


async def lend(stage: Stage, channel: grpc.aio.Channel, books: Books, out: Console) -> bool:
    """Lives the loan through and prints it; whether it ended at exactly zero, with the float as the rail has it."""
    before = Before(len(await books.entries()), await _ahead(books))
    heard = await _confirmations(stage)
    office = await open_office(stage, channel)
    out.print(f"\n[bold]A loan of KES {kes(PRINCIPAL)}[/], requested by one key and approved by another ...")
    loan = await _disbursed(office)
    out.print(f"{loan.id} reached {loan.payee} by B2C. Its borrower pays back under {loan.reference}:")
    await _repaid(stage, office, loan, out)
    closed = (await office.loan(loan.id)).loan
    confirmations = await _confirmations(stage) - heard
    entries = (await books.entries())[before.entries :]
    statement = await office.statement(loan.id)
    report.print_loan_entries(out, entries, statement, loan=closed)
    once = report.print_receipts(out, entries, confirmations=confirmations, payments=PAYMENTS)
    trial = balances_of(await books.trial_balance())
    own = {path: units for path, units in trial.items() if path.endswith(f".{loan.id.lower()}")}
    agrees = await _ahead(books) == before.ahead
    return report.print_proof(out, closed, own, float_units=trial[FLOAT], agrees=agrees) and once


class Office:
    """A loan office: an officer who asks and serves, an approver, and a cashier who sorts money that came in."""

    def __init__(self, channel: grpc.aio.Channel, *, officer: str, approver: str) -> None:
        self._loans = LoanCommandServiceStub(channel)
        self._reading = LoanQueryServiceStub(channel)
        self._receipts = CollectionCommandServiceStub(channel)
        self._arrivals = CollectionQueryServiceStub(channel)
        self._prompts = PromptCommandServiceStub(channel)
        self._officer = (("authorization", f"Bearer {officer}"),)
        self._approver = (("authorization", f"Bearer {approver}"),)

    async def offer(self) -> None:
        """A product of four weeks with a facilitation fee lent on top; the day of payment bears no interest."""
        terms = loans_pb2.LoanTerms(
            currency="KES",
            principal_min_minor_units=100_000,
            principal_max_minor_units=10_000_000,
            step_minor_units=100,
            mode=loans_pb2.LoanTerms.MODE_PRINCIPAL,
            method=loans_pb2.LoanTerms.INTEREST_METHOD_REDUCING_BALANCE,
            rate_basis_points=1_200,
            rate_period=loans_pb2.LoanTerms.RATE_PERIOD_YEAR,
            day_count=loans_pb2.LoanTerms.DAY_COUNT_ACTUAL_365,
            instalments=4,
            every=1,
            unit=loans_pb2.LoanTerms.UNIT_WEEK,
            upfront_fee_minor_units=UPFRONT_FEE,
            fee_charging=loans_pb2.LoanTerms.FEE_CHARGING_ADDED,
        )
        product = loans_pb2.LoanProduct(code=PRODUCT, name="Biashara", partner=PARTNER, terms=terms, second_person=True)
        request = loans_pb2.CreateLoanProductRequest(ledger=LEDGER, request_id="demo-product", product=product)
        await self._loans.CreateLoanProduct(request, metadata=self._officer, timeout=10)

    async def request(self) -> str:
        """The id of a loan that waits for another person."""
        request = loans_pb2.RequestLoanRequest(
            ledger=LEDGER,
            request_id="demo-loan",
            product=PRODUCT,
            borrower=BORROWER,
            msisdn=NUMBER,
            principal=_kes(PRINCIPAL),
        )
        return (await self._loans.RequestLoan(request, metadata=self._officer, timeout=10)).loan.id

    async def approve(self, loan_id: str) -> None:
        """By the second person."""
        request = loans_pb2.ApproveLoanRequest(ledger=LEDGER, request_id="demo-approve", loan_id=loan_id)
        await self._loans.ApproveLoan(request, metadata=self._approver, timeout=10)

    async def disburse(self, loan_id: str) -> None:
        """Requests the payout."""
        request = loans_pb2.DisburseLoanRequest(ledger=LEDGER, request_id="demo-disburse", loan_id=loan_id)
        await self._loans.DisburseLoan(request, metadata=self._officer, timeout=10)

    async def charge(self, loan_id: str) -> None:
        """A fee on the way."""
        request = loans_pb2.ChargeLoanRequest(
            ledger=LEDGER, request_id="demo-charge", loan_id=loan_id, amount=_kes(REMINDER_FEE), reason="reminder"
        )
        await self._loans.ChargeLoan(request, metadata=self._officer, timeout=10)

    async def ask_phone(self, loan: loans_pb2.Loan, minor_units: int) -> None:
        """The borrower's phone asks for the PIN, and for nothing else."""
        request = prompts_pb2.RequestPromptRequest(
            ledger=LEDGER,
            request_id="demo-prompt",
            provider=RAIL,
            shortcode="600584",
            msisdn=NUMBER,
            reference=loan.reference,
            amount=_kes(minor_units),
            description="Loan",
        )
        await self._prompts.RequestPrompt(request, metadata=self._officer, timeout=10)

    async def loan(self, loan_id: str) -> loans_pb2.GetLoanResponse:
        """As it is now."""
        request = loans_pb2.GetLoanRequest(ledger=LEDGER, loan_id=loan_id)
        return await self._reading.GetLoan(request, metadata=self._officer, timeout=10)

    async def statement(self, loan_id: str) -> list[loans_pb2.LoanStatementLine]:
        """What each entry did to the loan, in whatever order."""
        request = loans_pb2.ListLoanStatementLinesRequest(ledger=LEDGER, loan_id=loan_id, page_size=100)
        answer = await self._reading.ListLoanStatementLines(request, metadata=self._officer, timeout=10)
        return list(answer.lines)

    async def suspended(self) -> collections_pb2.GetReceiptResponse | None:
        """The receipt that a person must decide about, with references that look like what was typed."""
        waiting = collections_pb2.ListReceiptsRequest(
            ledger=LEDGER, waiting=collections_pb2.ListReceiptsRequest.WAITING_SUSPENDED
        )
        found = await self._arrivals.ListReceipts(waiting, metadata=self._officer, timeout=10)
        if not found.receipts:
            return None
        request = collections_pb2.GetReceiptRequest(ledger=LEDGER, receipt_id=found.receipts[0].id)
        return await self._arrivals.GetReceipt(request, metadata=self._officer, timeout=10)

    async def misallocate(self, receipt_id: str) -> None:
        """A cashier's slip: to the borrower's wallet, where it pays nothing back."""
        request = collections_pb2.AllocateReceiptRequest(
            ledger=LEDGER,
            receipt_id=receipt_id,
            target=collections_pb2.AllocationTarget(account=f"liab.wallet.{BORROWER}"),
            evidence="the payer is Zuri",
            request_id="demo-allocate",
        )
        await self._receipts.AllocateReceipt(request, metadata=self._officer, timeout=10)

    async def reallocate(self, receipt_id: str, target: collections_pb2.AllocationTarget) -> None:
        """Taken back, and given to whom it belongs."""
        request = collections_pb2.ReallocateReceiptRequest(
            ledger=LEDGER,
            receipt_id=receipt_id,
            target=target,
            evidence="the payer called and read the message out",
            request_id="demo-reallocate",
        )
        await self._receipts.ReallocateReceipt(request, metadata=self._officer, timeout=10)


async def open_office(stage: Stage, channel: grpc.aio.Channel) -> Office:
    """With a key for the second person, and something to lend."""
    approver = await create_key(
        stage.application, name="approver", ledger_code=LEDGER, partner_code="", permissions=None, days=1
    )
    office = Office(channel, officer=stage.operator_key, approver=approver)
    await office.offer()
    return office


async def _disbursed(office: Office) -> loans_pb2.Loan:
    loan_id = await office.request()
    await office.approve(loan_id)
    await office.disburse(loan_id)
    await _until(lambda: _in_state(office, loan_id, _ACTIVE))
    await office.charge(loan_id)
    return (await office.loan(loan_id)).loan


async def _repaid(stage: Stage, office: Office, loan: loans_pb2.Loan, out: Console) -> None:
    """By three payments."""
    owed = report.owed(loan.outstanding)
    typed = loan.reference.lower()
    out.print(f"  KES {kes(FIRST)} at the paybill under {typed!r}; the confirmation comes twice")
    await _pay(stage, typed, FIRST, behaviour="callback-twice")
    await _until(lambda: _owes(office, loan.id, owed - FIRST))
    mistyped = f"{loan.reference[:-2]}{loan.reference[-1]}{loan.reference[-2]}"
    mistyped = mistyped if mistyped != loan.reference else f"{loan.reference[:-1]}_"
    out.print(f"  KES {kes(SECOND)} at the paybill under {mistyped!r}, which names nobody ...")
    await _pay(stage, mistyped, SECOND, behaviour=None)
    waiting = await _until(office.suspended)
    near = ", ".join(one.reference for one in waiting.near)
    out.print(f"    waited, then suspense; what looks like it: {near or 'nothing'}. A cashier puts it into a wallet,")
    await office.misallocate(waiting.receipt.id)
    out.print("    takes it back, and gives it to the loan")
    await office.reallocate(waiting.receipt.id, collections_pb2.AllocationTarget(loan_id=loan.id))
    rest = owed - FIRST - SECOND
    out.print(f"  KES {kes(rest)}, all that is left, by a prompt on the borrower's phone")
    await office.ask_phone(loan, rest)
    await _until(lambda: _in_state(office, loan.id, _CLOSED))
    await stage.sandbox.idle()
    await asyncio.sleep(0.3)


async def _pay(stage: Stage, reference: str, minor_units: int, *, behaviour: str | None) -> None:
    """The borrower pays the simulated paybill."""
    payment = {"msisdn": NUMBER, "amount_cents": minor_units, "reference": reference, "behaviour": behaviour}
    async with httpx.AsyncClient(base_url=stage.sandbox_url, trust_env=False) as client:
        (await client.post("/sandbox/customers/pay", json=payment)).raise_for_status()


async def _confirmations(stage: Stage) -> int:
    """How many confirmations of the rail were stored so far."""
    async with httpx.AsyncClient(base_url=stage.addresses.http or "", trust_env=False) as client:
        answer = await client.get("/metrics")
    return sum(int(float(count)) for count in _STORED.findall(answer.raise_for_status().text))


async def _ahead(books: Books) -> tuple[int, int]:
    """By how much float and charges in the ledger exceed the rail's own: what payouts of unknown outcome account
    for."""
    balances, truth = balances_of(await books.trial_balance()), await books.truth()
    return balances[FLOAT] - truth.utility, balances[CHARGES] + truth.charges_paid


async def _in_state(office: Office, loan_id: str, state: loans_pb2.Loan.State.ValueType) -> bool:
    return (await office.loan(loan_id)).loan.state == state


async def _owes(office: Office, loan_id: str, minor_units: int) -> bool:
    return report.owed((await office.loan(loan_id)).loan.outstanding) == minor_units


async def _until(look: Callable[[], Awaitable[Answer | None]]) -> Answer:
    """What is there when there is something. Raises TimeoutError where that takes too long."""
    for _ in range(LOOKS_MAX):
        if found := await look():
            return found
        await asyncio.sleep(LOOK_REST_SECONDS)
    raise TimeoutError("the loan waits for something that does not come")


def _kes(minor_units: int) -> money_pb2.Money:
    return money_pb2.Money(currency="KES", minor_units=minor_units)
