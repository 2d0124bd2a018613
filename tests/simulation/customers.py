"""Customers who pay the paybill: the right account, the wrong one, twice, too much, too late. What they meant is
kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tests.simulation.checks_of_targets import compared
from tests.simulation.lenders import Loan
from tests.simulation.paybill import Attempt
from tests.simulation.shops import PAYERS, ShopOrder
from tests.simulation.till_books import WALLETS

if TYPE_CHECKING:
    from tests.simulation.history_of_money_in import MoneyInHistory

NONSENSE = ("RENT MAY", "0712345678", "asante sana", "ORD-")
# What a payment was for: a wallet's path, an order, a loan, or nothing that anybody here knows.
Meant: TypeAlias = str | ShopOrder | Loan | None


@dataclass(frozen=True, slots=True)
class Payment:
    """What somebody is about to pay."""

    msisdn: str
    cents: int
    typed: str
    meant: Meant


def choose(history: MoneyInHistory) -> Payment | None:
    """What the next customer does; None where there is nothing to pay."""
    chance = history.chance
    if history.paid and history.troubled("paid-twice", 0.2):
        return chance.choice(history.paid)
    if history.troubled("mistyped", 0.15):
        payment = _something(history)
        if payment is None or chance.random() < 0.4:
            return Payment(chance.choice(PAYERS), 30_000, chance.choice(NONSENSE), None)
        return Payment(payment.msisdn, payment.cents, _mistyped(history, payment.typed), payment.meant)
    return _something(history)


async def pay(history: MoneyInHistory) -> None:
    """One payment sets out; where the provider asks us before it, we answer."""
    payment = choose(history)
    if payment is not None:
        history.paid.append(payment)
        await send(history, payment)


async def send(history: MoneyInHistory, payment: Payment) -> None:
    """The PIN is typed."""
    attempt = history.daraja.paybill.attempt(payment.msisdn, payment.cents, payment.typed)
    history.meant[attempt.receipt] = payment.meant
    history.note(f"{attempt.receipt}: {payment.cents} for {payment.typed!r}")
    await _ask_us(history, attempt)


async def pay_loan_off(history: MoneyInHistory, loan: Loan, owed: int) -> None:
    """Its borrower pays what is open, in whole shillings, and sometimes more."""
    loan.payments += 1
    cents = -(-owed // 100) * 100 + history.chance.choice([0, 0, 30_000])
    await send(history, Payment(loan.msisdn, cents, loan.reference, loan))


def _something(history: MoneyInHistory) -> Payment | None:
    chance = history.chance
    orders = [one for one in history.orders if one.is_known and _may_be_paid(history, one)]
    loans = [one for one in history.loans if one.state == "ACTIVE" or (one.state == "CLOSED" and _is_late(history))]
    places: list[Meant] = [*orders, *orders, *loans, *loans, *WALLETS.values()]
    match chance.choice(places):
        case ShopOrder() as order:
            cents = order.cents + chance.choice([0, 0, 0, -20_000, 10_000])
            return Payment(chance.choice(PAYERS), cents, _typed(history, order.reference), order)
        case Loan() as loan:
            typed = _typed(history, chance.choice([loan.reference, loan.long_reference]))
            return Payment(loan.msisdn, chance.choice([30_000, 110_000, 300_000]), typed, loan)
        case str() as wallet:
            (reference,) = (one for one, path in WALLETS.items() if path == wallet)
            return Payment(chance.choice(PAYERS), chance.choice([5_000, 50_000]), _typed(history, reference), wallet)
        case _:
            return None


def _may_be_paid(history: MoneyInHistory, order: ShopOrder) -> bool:
    return history.clock.now() < order.expires_at or _is_late(history)


def _is_late(history: MoneyInHistory) -> bool:
    return history.troubled("paid-late", 0.5)


def _typed(history: MoneyInHistory, reference: str) -> str:
    """As people type it."""
    return history.chance.choice([reference, reference.lower(), reference.replace("-", " "), f" {reference}."])


def _mistyped(history: MoneyInHistory, reference: str) -> str:
    place = history.chance.randrange(len(reference))
    return f"{reference[:place]}Z{reference[place + 1 :]}"


async def _ask_us(history: MoneyInHistory, attempt: Attempt) -> None:
    paybill = history.daraja.paybill
    if not paybill.validation_url:
        return
    ledger_id, rail, _, token = paybill.validation_url.split("/")[-4:]
    questions = history.processes["edge"].parts["questions"]
    body, over = paybill.question(attempt), _has_ended(history, attempt)

    async def answer() -> None:
        told = await questions.answer(ledger_id=int(ledger_id), rail=rail, token=token, raw=body)
        if told is not None and not history.troubled("validation-silent", 0.2):
            attempt.wanted = json.loads(told)["ResultCode"] == "0"
            if attempt.wanted and over and history.options.validates:
                history.violations.append(f"M10 {attempt.receipt} is wanted, and what it is to pay has ended")

    await history.act("edge", f"question before {attempt.receipt}", answer())


def _has_ended(history: MoneyInHistory, attempt: Attempt) -> bool:
    """Whether the payment names an order or a loan that takes nothing more."""
    session = history.arena.ground.session
    match history.meant.get(attempt.receipt):
        case ShopOrder() as order if compared(order.reference) == compared(attempt.typed):
            found = session.execute("SELECT FROM orders WHERE id = %s AND state <> 'OPEN'", (order.ask.answer,))
        case Loan() as loan if compared(attempt.typed) in (compared(loan.reference), compared(loan.long_reference)):
            found = session.execute("SELECT FROM loans WHERE id = %s AND state = 'CLOSED'", (loan.ask.answer,))
        case _:
            return False
    return bool(found.rowcount)
