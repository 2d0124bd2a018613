"""Loans across the wire: requests become commands of the ledger, a loan in the books becomes a message."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TypeAlias

from daftari.v1 import loans_pb2 as pb

from api.conversion.collections import RECEIPT_PREFIX
from api.conversion.entries import entry_id_text
from api.conversion.fields import request_fields
from api.conversion.loan_terms import loan_id_of
from api.conversion.money import money_message, money_of
from api.conversion.times import timestamp_of
from ledger.errors import ChoiceInvalid
from ledger.idempotency import KeyClaim, claim
from ledger.ids import encode
from ledger.loans.commands import LoanRequest
from ledger.loans.customers import Position
from ledger.loans.dues import Parts
from ledger.loans.loan import State
from ledger.loans.queries import Age, LoanEvent, LoanView, StatementLine
from ledger.loans.settling import Order, Purse
from ledger.msisdn import parse_msisdn
from ledger.parties import PartyKeys

REQUEST_METHOD = "RequestLoan"
_SEPARATOR = "\x1f"  # check_text lets no text hold it
_STATES = {state: pb.Loan.State.Value(f"STATE_{state.value}") for state in State}
_STATES_BY_NUMBER = {int(number): state for state, number in _STATES.items()}
_PURSES = {pb.PURSE_WALLET: Purse.WALLET, pb.PURSE_OVERPAYMENT: Purse.OVERPAYMENT}

OrderRequest: TypeAlias = (
    pb.ApproveLoanRequest
    | pb.RejectLoanRequest
    | pb.CancelLoanRequest
    | pb.DisburseLoanRequest
    | pb.RepayLoanRequest
    | pb.SettleLoanRequest
    | pb.ChargeLoanRequest
    | pb.WriteOffLoanRequest
)


def loan_request_of(
    request: pb.RequestLoanRequest, *, ledger_id: int, client_id: int, actor: str, party_keys: PartyKeys
) -> LoanRequest:
    """The loan to ask for. Raises what makes it impossible, with its field."""
    msisdn = parse_msisdn(request.msisdn)
    principal = money_of(request.principal, field="principal")
    # The keyed index stands for the number: a plain hash of a known request would give it away by trial.
    payee = party_keys.index(msisdn, ledger_id=ledger_id).hex()
    content = (
        request.product, request.borrower, request.lender, payee, principal.currency, str(principal.minor_units),
    )  # fmt: skip
    key = claim(
        client_id=client_id,
        key=request.request_id,
        method=REQUEST_METHOD,
        content=_SEPARATOR.join(content).encode("utf-8", "surrogatepass"),
    )
    return LoanRequest(
        key=key,
        actor=actor,
        product=request.product,
        borrower=request.borrower,
        lender=request.lender,
        msisdn=msisdn,
        principal=principal,
    )


def order_of(request: OrderRequest, *, client_id: int, actor: str) -> Order:
    """A command about one loan, with a hash of all that is asked. Raises LoanNotFound, TextInvalid."""
    reason = (
        ""
        if isinstance(request, pb.DisburseLoanRequest | pb.RepayLoanRequest | pb.SettleLoanRequest)
        else (request.reason)
    )
    with request_fields():
        key = _key_of(request, client_id)
        return Order(key, loan_id_of(request.loan_id), actor, reason)


def _key_of(request: OrderRequest, client_id: int) -> KeyClaim:
    bare = deepcopy(request)
    bare.ClearField("request_id")
    method = request.DESCRIPTOR.name.removesuffix("Request")
    content = bare.SerializeToString(deterministic=True)
    return claim(client_id=client_id, key=request.request_id, method=method, content=content)


def purse_of(number: int) -> Purse:
    """Raises ChoiceInvalid."""
    purse = {int(known): one for known, one in _PURSES.items()}.get(number)
    if purse is None:
        raise ChoiceInvalid("say what it is taken from: PURSE_WALLET or PURSE_OVERPAYMENT", field="purse")
    return purse


def states_of(numbers: Sequence[int]) -> list[State]:
    """The states a list is narrowed to; unspecified ones do not narrow it."""
    return [_STATES_BY_NUMBER[number] for number in numbers if number in _STATES_BY_NUMBER]


def loan_message(view: LoanView) -> pb.Loan:
    """A loan as it stands."""
    loan, standing = view.loan, view.standing
    return pb.Loan(
        id=loan.public_id,
        product=loan.product.code,
        product_version=loan.product.version,
        borrower=loan.borrower,
        payee=loan.payee_masked,
        lender=loan.lender or "",
        gross=money_message(loan.gross.currency, loan.gross.minor_units),
        net=money_message(loan.net.currency, loan.net.minor_units),
        fee=money_message(loan.fee.currency, loan.fee.minor_units),
        reference=loan.reference,
        state=_STATES[loan.state],
        version=loan.version,
        requested_by=loan.requested_by,
        approved_by=loan.approved_by or "",
        payout_id=_public("pay", loan.payout_id),
        starts_on=loan.starts_on.isoformat() if loan.starts_on else "",
        accrued_before=loan.accrued_before.isoformat() if loan.accrued_before else "",
        outstanding=parts_message(standing.outstanding),
        deferred_fee_minor_units=standing.deferred_fee.minor_units,
        written_off_minor_units=standing.written_off.minor_units,
        create_time=timestamp_of(loan.created_at),
        update_time=timestamp_of(loan.updated_at),
    )


def instalment_messages(view: LoanView) -> list[pb.LoanInstalment]:
    """The schedule of a loan that exists, with what is open of each instalment; none before."""
    if view.loan.starts_on is None:
        return []
    open_parts = {due.number: due.parts for due in view.dues}
    return [
        pb.LoanInstalment(
            number=one.number,
            due_on=one.due_on.isoformat(),
            principal_minor_units=one.principal,
            interest_minor_units=one.interest,
            open=parts_message(open_parts.get(one.number, Parts(view.loan.net.currency))),
        )
        for one in view.loan.schedule.instalments
    ]


def parts_message(parts: Parts) -> pb.LoanParts:
    """An amount by its parts."""
    return pb.LoanParts(
        penalty_minor_units=parts.penalty,
        fee_minor_units=parts.fee,
        interest_minor_units=parts.interest,
        principal_minor_units=parts.principal,
    )


def loan_event_message(event: LoanEvent) -> pb.LoanEvent:
    """One change of a loan."""
    return pb.LoanEvent(
        version=event.version,
        state=_STATES[event.state],
        event=event.event,
        entry_id=entry_id_text(event.entry_id) if event.entry_id else "",
        minor_units=event.amount or 0,
        payout_id=_public("pay", event.payout_id),
        receipt_id=_public(RECEIPT_PREFIX, event.receipt_id),
        detail=event.detail or "",
        actor=event.actor,
        record_time=timestamp_of(event.recorded_at),
    )


def statement_line_message(line: StatementLine) -> pb.LoanStatementLine:
    """What one entry did to what the borrower owes."""
    return pb.LoanStatementLine(
        entry_id=entry_id_text(line.entry_id),
        kind=line.kind,
        business_date=line.business_date.isoformat(),
        reference=line.reference,
        change=pb.LoanParts(
            penalty_minor_units=line.penalty,
            fee_minor_units=line.fee,
            interest_minor_units=line.interest,
            principal_minor_units=line.principal,
        ),
        deferred_fee_minor_units=line.deferred_fee,
        written_off_minor_units=line.written_off,
        record_time=timestamp_of(line.recorded_at),
    )


def age_message(age: Age) -> pb.LoanAge:
    """How late a loan is."""
    return pb.LoanAge(
        loan_id=age.loan.public_id,
        borrower=age.loan.borrower,
        currency=age.loan.net.currency,
        days_past_due=age.days,
        bucket=age.bucket.value,
        outstanding=parts_message(age.outstanding),
        overdue=parts_message(age.overdue),
    )


def _public(prefix: str, identifier: int | None) -> str:
    return encode(prefix, identifier) if identifier is not None else ""


def position_message(position: Position) -> pb.CustomerPosition:
    """What a customer holds, owes and has lent."""
    currency = position.currency
    return pb.CustomerPosition(
        wallet=money_message(currency, position.wallet),
        overpaid=money_message(currency, position.overpaid),
        owed=money_message(currency, position.owed),
        lent=money_message(currency, position.lent),
    )
