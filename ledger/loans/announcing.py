"""Which changes of loans partners are told of, in which words, and borrowers by text, written down with the change. A
loan is its product's partner's, in whose name it is paid out.

loan_id              "loan_..."
reference            what payers type
borrower             as the partner names them, any number in it masked
status               approved, rejected, cancelled, disbursement_failed, active, closed, written_off
principal, currency  what is owed as principal once it is paid out: "1500.00", "KES"
amount               what this change is about: paid out, paid, charged, given back or written off; null without money
outstanding          all that is owed after it, as the books have it by then
disbursement_id      "pay_..." of the payout that pays it out; null before there is one
transaction_receipt  the provider's number of the payment, null without one
changed_at           when
version              rises with every change, told or not
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ledger.collections.reference import hidden
from ledger.database import Driver
from ledger.ids import IdSource
from ledger.loans.loan import Event, State
from ledger.loans.writing import Standing, Step, read_standings, write_steps
from ledger.money import Money, decimal_text
from ledger.outbox.announcements import Announcement, Content, Subject, SubjectKind, announce
from ledger.sms import announcing as texting
from ledger.sms.announcing import LoanNews
from ledger.sms.templates import Told

# All but the request, of which the caller has the answer, the start of its payout, which webhooks of payouts follow,
# and the work of days. The repayment that leaves nothing open is told as the end of the loan.
EVENTS: dict[Event, str] = {
    Event.APPROVED: "loan.approved",
    Event.REJECTED: "loan.rejected",
    Event.CANCELLED: "loan.cancelled",
    Event.DISBURSED: "loan.disbursed",
    Event.DISBURSEMENT_FAILED: "loan.disbursement_failed",
    Event.CHARGED: "loan.charged",
    Event.REPAID: "loan.repaid",
    Event.PAID_OFF: "loan.closed",
    Event.REPAYMENT_RETURNED: "loan.repayment_returned",
    Event.OVERPAYMENT_RETURNED: "loan.overpayment_returned",
    Event.WRITTEN_OFF: "loan.written_off",
    Event.WRITTEN_OFF_AGAIN: "loan.written_off_again",
}

# What its borrower is told of.
_PAYMENTS = frozenset({Event.REPAID, Event.PAID_OFF})

# Nothing where the partner has no endpoint, which is the usual case.
_TO_TELL = """
SELECT e.id, l.id, coalesce(r.receipt, CASE WHEN v.event = 'disbursed' THEN p.receipt END)
FROM loans AS l
JOIN loan_products AS m ON m.ledger_id = l.ledger_id AND m.id = l.product_id
JOIN webhook_endpoints AS e ON e.ledger_id = l.ledger_id AND e.partner_id = m.partner_id AND e.disabled_at IS NULL
JOIN loan_events AS v ON v.ledger_id = l.ledger_id AND v.loan_id = l.id AND v.version = l.version
LEFT JOIN receipts AS r ON r.ledger_id = v.ledger_id AND r.id = v.receipt_id
LEFT JOIN payouts AS p ON p.ledger_id = v.ledger_id AND p.id = v.payout_id
WHERE l.ledger_id = %s AND l.id = ANY(%s) ORDER BY l.id, e.id
"""


async def take_steps(driver: Driver, *, ledger_id: int, steps: Sequence[Step], ids: IdSource, now: datetime) -> None:
    """Changes locked loans, at most one step of each, and queues a delivery for each that is told of and each live
    endpoint of its partner, and for each payment a text to its borrower."""
    await write_steps(driver, ledger_id=ledger_id, steps=steps, now=now)
    told = {step.loan.id: step for step in steps if step.event in EVENTS}
    if told:
        await _tell_partners(driver, ledger_id, told, ids, now)
        await _tell_borrowers(driver, ledger_id, [one for one in told.values() if one.event in _PAYMENTS], ids, now)


async def _tell_partners(
    driver: Driver, ledger_id: int, told: Mapping[int, Step], ids: IdSource, now: datetime
) -> None:
    rows = await (await driver.execute(_TO_TELL, (ledger_id, list(told)))).fetchall()
    if not rows:
        return
    loans = {loan_id: told[loan_id].loan for _, loan_id, _ in rows}
    standings = await read_standings(driver, ledger_id=ledger_id, loans=list(loans.values()))
    announcements = [
        Announcement(
            endpoint_id=endpoint_id,
            subject_id=loan_id,
            version=loans[loan_id].version,
            event=EVENTS[told[loan_id].event],
            content=_content(told[loan_id], standings[loan_id].outstanding.total, receipt, now),
        )
        for endpoint_id, loan_id, receipt in rows
    ]
    await announce(driver, ledger_id=ledger_id, kind=SubjectKind.LOAN, announcements=announcements, ids=ids, now=now)


async def _tell_borrowers(driver: Driver, ledger_id: int, paid: Sequence[Step], ids: IdSource, now: datetime) -> None:
    """What is owed yet is told with it; of a loan that was given up, what is pursued."""
    if not paid or not await texting.listens(driver, ledger_id=ledger_id, told=Told.LOAN_REPAID):
        return
    standings = await read_standings(driver, ledger_id=ledger_id, loans=[one.loan for one in paid])
    news = [
        LoanNews(
            told=Told.LOAN_REPAID,
            loan_id=one.loan.id,
            amount=one.amount,
            rest=_rest(one, standings[one.loan.id]).minor_units,
            version=one.loan.version,
            receipt_id=one.receipt_id,
        )
        for one in paid
        if one.amount is not None
    ]
    await texting.announce_loans(driver, ledger_id=ledger_id, news=news, ids=ids, now=now, due_at=now)


def _rest(step: Step, standing: Standing) -> Money:
    if step.loan.state is State.WRITTEN_OFF:
        return standing.written_off
    return step.outstanding if step.outstanding is not None else standing.outstanding.total


def _content(step: Step, held: Money, receipt: str | None, now: datetime) -> Content:
    """`held` is what the loan's accounts hold by now, which is after the steps that follow in the same set."""
    loan, currency = step.loan, step.loan.net.currency
    outstanding = step.outstanding if step.outstanding is not None else held
    payout_id = step.about_payout or loan.payout_id
    return {
        "loan_id": loan.public_id,
        "reference": loan.reference,
        "borrower": hidden(loan.borrower),
        "status": loan.state.value.lower(),
        "principal": decimal_text(loan.gross.minor_units, currency),
        "currency": currency,
        "amount": decimal_text(step.amount, currency) if step.amount is not None else None,
        "outstanding": decimal_text(outstanding.minor_units, currency),
        "disbursement_id": Subject(SubjectKind.PAYOUT, payout_id).public_id if payout_id is not None else None,
        "transaction_receipt": receipt,
        "changed_at": now.isoformat(),
        "version": loan.version,
    }
