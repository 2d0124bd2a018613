"""Loans over gRPC: a loan service requests, another approves, the payout is followed, and what is owed is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from daftari.v1 import collections_pb2
from daftari.v1 import loans_pb2 as pb
from daftari.v1.collections_pb2_grpc import CollectionCommandServiceStub
from daftari.v1.loans_pb2_grpc import LoanCommandServiceStub, LoanQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.permissions import Permission
from ledger.database import driver, run
from ledger.ids import decode
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.journal.poster import Poster
from ledger.loans.accruing import DayWorker
from ledger.money import Money
from ledger.outbox.instruction import Settled
from ledger.payouts.outcome import Started
from tests.api.office import Office, open_office
from tests.api.test_collections import commands as collection_commands
from tests.api.test_collections import pay, receipt_of
from tests.ledger.collections.till import LANDING, SHORTCODE
from tests.ledger.payouts.shop import PAYEE
from tests.wire import money, refusal

if TYPE_CHECKING:
    from daftari.v1.loans_pb2_grpc import LoanCommandServiceAsyncStub, LoanQueryServiceAsyncStub

BORROWER = "zuri"
WALLET = f"liab.wallet.{BORROWER}"
TERMS: dict[str, Any] = {
    "currency": "KES",
    "principal_min_minor_units": 100_000,
    "principal_max_minor_units": 10_000_000,
    "step_minor_units": 100,
    "mode": pb.LoanTerms.MODE_PRINCIPAL,
    "method": pb.LoanTerms.INTEREST_METHOD_REDUCING_BALANCE,
    "rate_basis_points": 1_200,
    "rate_period": pb.LoanTerms.RATE_PERIOD_YEAR,
    "day_count": pb.LoanTerms.DAY_COUNT_THIRTY_360,
    "instalments": 2,
    "every": 1,
    "unit": pb.LoanTerms.UNIT_MONTH,
    "upfront_fee_minor_units": 10_000,
    "penalty_basis_points": 100,
    "penalty_cap_basis_points": 1_000,
}


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop that collects and lends."""
    async with open_office(engine) as opened:
        shortcode = collections_pb2.CollectionShortcode(
            provider="daraja", shortcode=SHORTCODE, currency="KES", landing_account=LANDING, accepts_unanswered=True
        )
        opening = collections_pb2.OpenShortcodeRequest(ledger=opened.ledger, shortcode=shortcode)
        await CollectionCommandServiceStub(opened.channel(opened.operator)).OpenShortcode(opening)
        await commands(opened).CreateLoanProduct(product_request(opened))
        yield opened


def commands(office: Office, key: str = "") -> LoanCommandServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return LoanCommandServiceStub(office.channel(key or office.operator))


def queries(office: Office, key: str = "") -> LoanQueryServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return LoanQueryServiceStub(office.channel(key or office.operator))


def product_request(office: Office, request_id: str = "p1", **terms: Any) -> pb.CreateLoanProductRequest:
    """A product of two months."""
    product = pb.LoanProduct(
        code="biashara",
        name="Biashara",
        partner="shop",
        terms=pb.LoanTerms(**(TERMS | terms)),
        weekend=[6],
        holidays=["2026-12-25"],
        second_person=True,
    )
    return pb.CreateLoanProductRequest(ledger=office.ledger, request_id=request_id, product=product)


def wanted(office: Office, request_id: str = "l1", **changes: Any) -> pb.RequestLoanRequest:
    """A loan of KES 10,000."""
    fields: dict[str, Any] = {
        "product": "biashara",
        "borrower": BORROWER,
        "msisdn": PAYEE,
        "principal": money(1_000_000),
    } | changes
    return pb.RequestLoanRequest(ledger=office.ledger, request_id=request_id, **fields)


async def approved(office: Office, request_id: str = "l1", **changes: Any) -> pb.Loan:
    """A loan that may be paid out, approved by another key."""
    made = await commands(office).RequestLoan(wanted(office, request_id, **changes))
    checker = await office.operator_key(name="checker")
    request = pb.ApproveLoanRequest(ledger=office.ledger, request_id=f"approve-{request_id}", loan_id=made.loan.id)
    return (await commands(office, checker).ApproveLoan(request)).loan


async def active(office: Office, request_id: str = "l1", **changes: Any) -> pb.Loan:
    """A loan that its borrower has received."""
    loan = await approved(office, request_id, **changes)
    request = pb.DisburseLoanRequest(ledger=office.ledger, request_id=f"pay-{request_id}", loan_id=loan.id)
    started = (await commands(office).DisburseLoan(request)).loan
    payout_id = decode("pay", started.payout_id)
    assert payout_id is not None
    net = Money("KES", started.net.minor_units)
    settled = Settled(f"RB{request_id}", net, office.shop.now())
    await office.shop.record((payout_id, Started()), (payout_id, settled))
    return await loan_of(office, loan.id)


async def loan_of(office: Office, loan_id: str) -> pb.Loan:
    """As it is now."""
    return (await queries(office).GetLoan(pb.GetLoanRequest(ledger=office.ledger, loan_id=loan_id))).loan


async def pass_days(office: Office, days: int) -> None:
    """Days pass, and a worker does the work of them."""
    office.shop.clock.moment += timedelta(days=days)
    worker = DayWorker(poster=Poster(directory=office.shop.directory, ids=office.shop.ids))

    async def command(connection: AsyncConnection) -> int:
        return await worker.work(await driver(connection), ledger=office.shop.ledger, now=office.shop.now(), limit=100)

    await run(office.shop.engine, command)


async def fund(office: Office, minor_units: int) -> None:
    """Money in the borrower's wallet."""
    amount = Money("KES", minor_units)
    lines = (debit("asset.bank.main", amount), credit(WALLET, amount))
    await office.shop.post(
        JournalEntry(kind="opening", postings=lines, effective_at=office.shop.now(), source=Source.OPENING)
    )


async def test_a_loan_is_requested_approved_paid_out_and_paid_back(office: Office) -> None:
    loan = await active(office)
    await pay(office, "UI10000001", reference=loan.reference, shillings=10_000)
    closed = await loan_of(office, loan.id)
    events = await queries(office).ListLoanEvents(pb.ListLoanEventsRequest(ledger=office.ledger, loan_id=loan.id))

    assert loan.state == pb.Loan.STATE_ACTIVE
    assert (loan.gross.minor_units, loan.net.minor_units, loan.fee.minor_units) == (1_000_000, 990_000, 10_000)
    assert (loan.requested_by, loan.approved_by) != ("", "")
    assert closed.state == pb.Loan.STATE_CLOSED
    assert closed.outstanding == pb.LoanParts()
    assert [one.event for one in events.events] == [
        "requested", "approved", "disbursement_started", "disbursed", "paid_off",
    ]  # fmt: skip


async def test_each_command_is_done_once(office: Office) -> None:
    first, again = [await commands(office).RequestLoan(wanted(office)) for _ in range(2)]
    other = await refusal(commands(office).RequestLoan(wanted(office, borrower="another")))
    products = [await commands(office).CreateLoanProduct(product_request(office)) for _ in range(2)]

    assert (first.replayed, again.replayed, first.loan) == (False, True, again.loan)
    assert other.reason == "IDEMPOTENCY_KEY_REUSED"
    assert [(one.product.version, one.replayed) for one in products] == [(1, True), (1, True)]


async def test_other_terms_are_another_version_and_loans_keep_theirs(office: Office) -> None:
    before = await commands(office).RequestLoan(wanted(office))

    await commands(office).CreateLoanProduct(product_request(office, "p2", rate_basis_points=2_400))
    after = await commands(office).RequestLoan(wanted(office, "l2"))
    listed = await queries(office).ListLoanProducts(pb.ListLoanProductsRequest(ledger=office.ledger))

    assert (before.loan.product_version, after.loan.product_version) == (1, 2)
    (product,) = listed.products
    assert (product.version, product.terms.rate_basis_points, list(product.weekend)) == (2, 2_400, [6])
    assert list(product.holidays) == ["2026-12-25"]
    assert product.terms == pb.LoanTerms(
        **(TERMS | {"rate_basis_points": 2_400}),
        fee_charging=pb.LoanTerms.FEE_CHARGING_DEDUCTED,
        precedence=pb.LoanTerms.PRECEDENCE_OLDEST_INSTALMENT,
        early_settlement=pb.LoanTerms.EARLY_SETTLEMENT_ACCRUED_INTEREST,
        waterfall=[
            pb.LoanTerms.PART_PENALTY, pb.LoanTerms.PART_FEE, pb.LoanTerms.PART_INTEREST, pb.LoanTerms.PART_PRINCIPAL,
        ],
    )  # fmt: skip


async def test_who_requested_a_loan_does_not_approve_it(office: Office) -> None:
    made = await commands(office).RequestLoan(wanted(office))
    request = pb.ApproveLoanRequest(ledger=office.ledger, request_id="a1", loan_id=made.loan.id)

    refused = await refusal(commands(office).ApproveLoan(request))

    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SECOND_PERSON_NEEDED")


async def test_a_request_is_turned_down_or_taken_back(office: Office) -> None:
    one, other = [(await commands(office).RequestLoan(wanted(office, name))).loan for name in ("l1", "l2")]

    rejected = await commands(office).RejectLoan(
        pb.RejectLoanRequest(ledger=office.ledger, request_id="r1", loan_id=one.id, reason="too young")
    )
    cancelled = await commands(office).CancelLoan(
        pb.CancelLoanRequest(ledger=office.ledger, request_id="c1", loan_id=other.id)
    )

    assert rejected.loan.state == pb.Loan.STATE_REJECTED
    assert cancelled.loan.state == pb.Loan.STATE_CANCELLED


async def test_the_schedule_says_what_is_open_of_each_instalment(office: Office) -> None:
    loan = await active(office)
    await pass_days(office, 30)
    await pay(office, "UI10000002", reference=loan.reference, shillings=2_000)

    found = await queries(office).GetLoan(pb.GetLoanRequest(ledger=office.ledger, loan_id=loan.id))

    first, second = found.instalments
    assert first.principal_minor_units + second.principal_minor_units == 1_000_000
    assert first.interest_minor_units == 10_000
    # September has 30 days: 10,000 of interest less 200,000 paid, the rest of that from the first principal.
    assert first.open == pb.LoanParts(principal_minor_units=first.principal_minor_units - 190_000)
    assert second.open.principal_minor_units == second.principal_minor_units


async def test_the_statement_sums_up_to_what_is_owed_page_by_page(office: Office) -> None:
    loan = await active(office)
    for _ in range(3):
        await pass_days(office, 1)
    await pay(office, "UI10000003", reference=loan.reference, shillings=500)

    lines: list[pb.LoanStatementLine] = []
    request = pb.ListLoanStatementLinesRequest(ledger=office.ledger, loan_id=loan.id, page_size=3)
    while True:
        page = await queries(office).ListLoanStatementLines(request)
        lines += page.lines
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break

    owed = (await loan_of(office, loan.id)).outstanding
    assert (lines[0].kind, lines[-1].kind) == ("loan.disbursed", "collection.allocated")
    assert sum(line.change.principal_minor_units for line in lines) == owed.principal_minor_units
    assert sum(line.change.interest_minor_units for line in lines) == owed.interest_minor_units
    assert len({line.entry_id for line in lines}) == len(lines)


async def test_a_settlement_costs_what_was_quoted(office: Office) -> None:
    loan = await active(office)
    office.shop.clock.moment += timedelta(days=20)
    await fund(office, 2_000_000)

    quote = await queries(office).QuoteSettlement(pb.QuoteSettlementRequest(ledger=office.ledger, loan_id=loan.id))
    settled = await commands(office).SettleLoan(
        pb.SettleLoanRequest(ledger=office.ledger, request_id="s1", loan_id=loan.id, purse=pb.PURSE_WALLET)
    )

    assert settled.loan.state == pb.Loan.STATE_CLOSED
    assert await office.shop.balance(WALLET) == 2_000_000 - quote.total.minor_units
    assert quote.total.minor_units == 1_000_000 + quote.to_accrue.minor_units
    assert quote.to_accrue.minor_units > 0


async def test_a_repayment_from_the_wallet_a_fee_and_a_write_off(office: Office) -> None:
    loan = await active(office)
    await fund(office, 100_000)
    place = {"ledger": office.ledger, "loan_id": loan.id}

    repaid = await commands(office).RepayLoan(
        pb.RepayLoanRequest(request_id="r1", purse=pb.PURSE_WALLET, amount=money(100_000), **place)
    )
    short = await refusal(
        commands(office).RepayLoan(
            pb.RepayLoanRequest(request_id="r2", purse=pb.PURSE_WALLET, amount=money(100), **place)
        )
    )
    charged = await commands(office).ChargeLoan(
        pb.ChargeLoanRequest(request_id="c1", amount=money(5_000), reason="a statement by post", **place)
    )
    gone = await commands(office).WriteOffLoan(pb.WriteOffLoanRequest(request_id="w1", **place))

    assert repaid.loan.outstanding.principal_minor_units == 900_000
    assert short.reason == "FLOOR_WOULD_BREAK"
    assert charged.loan.outstanding.fee_minor_units == 5_000
    assert gone.loan.state == pb.Loan.STATE_WRITTEN_OFF
    assert gone.loan.written_off_minor_units == 905_000


async def test_how_late_loans_are(office: Office) -> None:
    late, punctual = await active(office, "l1"), await active(office, "l2")
    await pay(office, "UI10000004", reference=punctual.reference, shillings=9_000)
    await pass_days(office, 30 + 34)

    request = pb.ListLoanAgesRequest(ledger=office.ledger, page_size=1)
    first = await queries(office).ListLoanAges(request)
    request.page_token = first.next_page_token
    second = await queries(office).ListLoanAges(request)

    (one,), (other,) = first.ages, second.ages
    assert (one.loan_id, one.bucket) == (late.id, "31-60")
    assert one.overdue.principal_minor_units == 1_000_000
    assert one.outstanding.penalty_minor_units > 0
    assert other.loan_id == punctual.id
    assert other.outstanding.principal_minor_units < one.outstanding.principal_minor_units


async def test_loans_are_listed_by_state_and_borrower_in_pages(office: Office) -> None:
    made = [(await commands(office).RequestLoan(wanted(office, f"l{n}"))).loan for n in range(3)]
    await commands(office).RequestLoan(wanted(office, "l9", borrower="another"))
    request = pb.ListLoansRequest(
        ledger=office.ledger, states=[pb.Loan.STATE_REQUESTED], borrower=BORROWER, page_size=2
    )

    first = await queries(office).ListLoans(request)
    request.page_token = first.next_page_token
    second = await queries(office).ListLoans(request)

    assert [one.id for one in (*first.loans, *second.loans)] == [one.id for one in made[::-1]]
    assert second.next_page_token == ""


async def test_money_in_suspense_is_given_to_a_loan_and_taken_from_it(office: Office) -> None:
    loan = await active(office)
    receipt_id = await pay(office, "UI10000005", reference="nobody", shillings=1_000)
    target = collections_pb2.AllocationTarget(loan_id=loan.id)

    await collection_commands(office).AllocateReceipt(
        collections_pb2.AllocateReceiptRequest(
            ledger=office.ledger, request_id="g1", receipt_id=receipt_id, target=target, evidence="the payer called"
        )
    )
    given = await loan_of(office, loan.id)
    shown = await receipt_of(office, receipt_id)
    await collection_commands(office).ReallocateReceipt(
        collections_pb2.ReallocateReceiptRequest(
            ledger=office.ledger, request_id="g2", receipt_id=receipt_id, evidence="it was another's"
        )
    )

    assert given.outstanding.principal_minor_units == 900_000
    assert shown.allocations[0].target == target
    assert (await loan_of(office, loan.id)).outstanding.principal_minor_units == 1_000_000


async def test_each_right_is_a_permission_of_its_own(office: Office) -> None:
    reader = await office.operator_key(permissions=frozenset({Permission.LOANS_READ.value}), name="reader")
    partner = await office.partner_key()
    request = wanted(office)

    denied = [await refusal(commands(office, key).RequestLoan(request)) for key in (reader, partner)]
    listed = await queries(office, reader).ListLoans(pb.ListLoansRequest(ledger=office.ledger))

    assert {one.code for one in denied} == {grpc.StatusCode.PERMISSION_DENIED}
    assert list(listed.loans) == []


async def test_no_such_loan(office: Office) -> None:
    for loan_id in ("loan_0000000000001", "x"):
        found = await refusal(queries(office).GetLoan(pb.GetLoanRequest(ledger=office.ledger, loan_id=loan_id)))
        assert (found.reason, found.field) == ("LOAN_NOT_FOUND", "loan_id")
