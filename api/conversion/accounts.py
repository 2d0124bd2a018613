"""Ledgers, accounts, balances, statements and trial balances across the wire."""

from __future__ import annotations

from daftari.v1 import journal_pb2 as pb

from api.conversion.entries import entry_id_text
from api.conversion.enums import CLASS_NUMBERS, SIDE_NUMBERS, account_class_of, side_of
from api.conversion.fields import located
from api.conversion.money import money_message, total
from api.conversion.pages import Page
from api.conversion.times import timestamp_of
from ledger.errors import LedgerError
from ledger.journal.accounts import Account, AccountSpec
from ledger.journal.balances import Balance
from ledger.journal.books import Ledger
from ledger.journal.entry import check_path
from ledger.journal.statements import StatementLine
from ledger.journal.trial_balance import TrialBalance, TrialBalanceLine
from ledger.money import exponent_of
from ledger.text import check_text

NUMBER_LENGTH_MAX = 20
# Where the words of the ledger's refusals stand in a request about one account.
ACCOUNT_FIELDS = {"account": "path", "floor": "floor_minor_units", "ceiling": "ceiling_minor_units"}
LEDGER_FIELDS = {"currency": "ledger.base_currency"}


def spec_of(message: pb.AccountSpec, *, field: str) -> AccountSpec:
    """The account to open. Raises what makes it unusable, naming the field inside `field`."""
    try:
        if message.number:
            check_text(message.number, field="number", length_max=NUMBER_LENGTH_MAX)
        return AccountSpec(
            path=message.path,
            name=message.name,
            account_class=account_class_of(message.account_class, field="account_class"),
            normal_side=side_of(message.normal_side, field="normal_side"),
            currency=message.currency,
            number=message.number,
            floor=message.floor_minor_units if message.HasField("floor_minor_units") else None,
            ceiling=message.ceiling_minor_units if message.HasField("ceiling_minor_units") else None,
        )
    except LedgerError as error:
        inside = {word: f"{field}.{name}" for word, name in ACCOUNT_FIELDS.items()}
        raise located(error, within=field, names=inside) from None


def account_name_of(path: str, currency: str, *, field: str) -> tuple[str, str]:
    """An account's path (in the request's `field`) and currency. Raises PathInvalid, CurrencyUnknown."""
    check_path(path, field=field)
    exponent_of(currency)
    return path, currency


def account_message(account: Account) -> pb.Account:
    """An account with its balance as read."""
    spec = account.spec
    return pb.Account(
        spec=pb.AccountSpec(
            path=spec.path,
            name=spec.name,
            account_class=CLASS_NUMBERS[spec.account_class],
            normal_side=SIDE_NUMBERS[spec.normal_side],
            currency=spec.currency,
            number=spec.number,
            floor_minor_units=account.floor,
            ceiling_minor_units=account.ceiling,
        ),
        balance=money_message(spec.currency, account.balance),
        debits_minor_units=account.debits,
        credits_minor_units=account.credits,
        version=account.version,
        open_time=timestamp_of(account.opened_at),
        close_time=timestamp_of(account.closed_at) if account.closed_at is not None else None,
    )


def ledger_message(ledger: Ledger) -> pb.Ledger:
    """A ledger."""
    return pb.Ledger(
        code=ledger.code,
        name=ledger.name,
        base_currency=ledger.base_currency,
        time_zone=ledger.zone.key,
        create_time=timestamp_of(ledger.created_at),
    )


def balance_message(balance: Balance) -> pb.GetBalanceResponse:
    """A balance on its normal side."""
    return pb.GetBalanceResponse(
        balance=money_message(balance.currency, balance.minor_units), normal_side=SIDE_NUMBERS[balance.normal_side]
    )


def statement_line_message(line: StatementLine) -> pb.StatementLine:
    """One line of a statement."""
    message = pb.StatementLine(
        entry_id=entry_id_text(line.entry_id),
        line=line.line,
        account_version=line.account_version,
        kind=line.kind,
        side=SIDE_NUMBERS[line.side],
        amount=money_message(line.money.currency, line.money.minor_units),
        balance_after_minor_units=line.balance_after,
        effective_time=timestamp_of(line.effective_at),
        record_time=timestamp_of(line.recorded_at),
        business_date=line.business_date.isoformat(),
        reference=line.reference or "",
        narrative=line.narrative or "",
    )
    if line.subject is not None:
        message.subject.kind, message.subject.id = line.subject.kind, line.subject.id
    return message


def trial_balance_message(proof: TrialBalance, page: Page) -> pb.GetTrialBalanceResponse:
    """A page of lines and the proof. Raises BalanceWouldOverflow where a total over all accounts does not fit the
    wire."""
    lines, token = page.cut(proof.lines, lambda line: (line.path, line.currency))
    return pb.GetTrialBalanceResponse(
        lines=[_trial_balance_line(line) for line in lines],
        next_page_token=token,
        totals=[
            pb.TrialBalanceTotal(
                currency=one.currency,
                memo=one.is_memo,
                debits_minor_units=total(one.debits),
                credits_minor_units=total(one.credits),
            )
            for one in proof.totals
        ],
    )


def _trial_balance_line(line: TrialBalanceLine) -> pb.TrialBalanceLine:
    return pb.TrialBalanceLine(
        number=line.number,
        path=line.path,
        name=line.name,
        account_class=CLASS_NUMBERS[line.account_class],
        normal_side=SIDE_NUMBERS[line.normal_side],
        currency=line.currency,
        debits_minor_units=line.debits,
        credits_minor_units=line.credits,
        balance_minor_units=line.balance,
    )
