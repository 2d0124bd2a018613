"""Closes across the wire."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from daftari.v1 import closings_pb2 as pb

from api.conversion.money import money_message
from api.conversion.times import date_of, timestamp_of
from ledger.errors import TimeInvalid
from ledger.ids import encode
from ledger.journal.ageing import AGES, Aged
from ledger.reconciliation.close_report import CloseReport, StatementFile, Total
from ledger.reconciliation.closing import Closing, Step
from ledger.reconciliation.closing_accounts import AccountAtClose
from ledger.reconciliation.run import PREFIX as RUN_PREFIX

# What the ledger's refusals are about, as a request names it: what an account or a person lacks is about the close.
FIELDS: Mapping[str, str] = {"through": "through_date", "accounts": "through_date", "actor": "through_date"}
_FIRST_YEAR, _LAST_YEAR = 1970, 2088
_STEPS = {step: pb.Closing.Step.Value(f"STEP_{step.name}") for step in Step}


def through_of(text: str) -> date:
    """The last day of a close. Raises TimeInvalid."""
    day = date_of(text, field="through_date")
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise TimeInvalid(f"a date lies from {_FIRST_YEAR} to {_LAST_YEAR}", field="through_date")
    return day


def closing_message(one: Closing) -> pb.Closing:
    """A step as it was taken."""
    return pb.Closing(
        id=one.public_id,
        step=_STEPS[one.step],
        from_date=_date(one.first),
        through_date=_date(one.last),
        open_items=one.open_items,
        reason=one.reason,
        actor=one.actor,
        record_time=timestamp_of(one.recorded_at),
    )


def report_message(report: CloseReport) -> pb.GetCloseReportResponse:
    """What a close is about."""
    return pb.GetCloseReportResponse(
        from_date=_date(report.first),
        through_date=_date(report.last),
        begun=closing_message(report.begun) if report.begun else None,
        signed=closing_message(report.signed) if report.signed else None,
        open_items=report.open_items,
        accounts=[_account(one) for one in report.accounts],
        items=[item for one in report.accounts for item in _items(one)],
        clearing=[_clearing(one) for one in report.clearing],
        files=[_file(one) for one in report.files],
        totals=[_total(one) for one in report.totals],
    )


def _account(one: AccountAtClose) -> pb.CloseAccount:
    return pb.CloseAccount(
        path=one.path,
        run_id=encode(RUN_PREFIX, one.run_id) if one.run_id is not None else "",
        statement=money_message(one.currency, one.statement) if one.statement is not None else None,
        books=money_message(one.currency, one.books),
        explained=money_message(one.currency, one.explained),
        open=money_message(one.currency, one.open),
        open_items=one.items_count,
        moved_since=money_message(one.currency, one.moved_since),
    )


def _items(account: AccountAtClose) -> Iterator[pb.CloseItem]:
    for item in account.items:
        yield pb.CloseItem(
            path=account.path,
            what=item.what,
            is_accepted=item.is_accepted,
            happen_time=timestamp_of(item.at) if item.at is not None else None,
            receipt=item.receipt,
            reason=item.reason,
            difference=money_message(account.currency, item.difference),
        )


def _clearing(one: Aged) -> pb.CloseClearing:
    return pb.CloseClearing(
        path=one.path,
        balance=money_message(one.currency, one.balance),
        ages=[
            pb.CloseAge(from_days=days, amount=money_message(one.currency, units))
            for days, units in zip(AGES, one.parts, strict=True)
        ],
        oldest_date=_date(one.oldest),
    )


def _file(one: StatementFile) -> pb.CloseFile:
    return pb.CloseFile(
        path=one.path,
        name=one.name,
        sha256=one.sha256,
        from_time=timestamp_of(one.from_at),
        until_time=timestamp_of(one.until_at),
        lines=one.lines,
    )


def _total(one: Total) -> pb.CloseTotal:
    debits, credits = (money_message(one.currency, units) for units in (one.debits, one.credits))
    return pb.CloseTotal(debits=debits, credits=credits)


def _date(day: date | None) -> str:
    return "" if day is None else day.isoformat()
