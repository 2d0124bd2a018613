"""What finance reads, across the wire."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from daftari.v1 import finance_pb2 as pb
from daftari.v1 import partners_pb2

from api.conversion.entries import entry_id_text
from api.conversion.enums import CLASS_NUMBERS, SIDE_NUMBERS
from api.conversion.money import money_message, total
from api.conversion.pages import Page
from api.conversion.times import date_of, timestamp_of
from ledger.errors import PageTokenInvalid, TimeInvalid
from ledger.finance.ageing import BUCKET_NAMES, ClearingAge
from ledger.finance.daily import DayLine
from ledger.finance.forecast import FloatForecast
from ledger.finance.partner_statements import KindTotal, PartnerLine
from ledger.journal.books import Ledger
from ledger.journal.entry import Side
from ledger.journal.financials import BalanceSheet, IncomeStatement, Section
from ledger.journal.general_ledger import AccountPart, LedgerLine

DAYS_MAX = 366
_NUMBER_END = 2**62
# A section's place among the others, then its accounts: what a page token holds, with the currency before it.
PARTS = 4


def position_of(page: Page) -> tuple[date, int, int] | None:
    """Where a page of lines by date begins: a date, a place and a balance. Raises PageTokenInvalid."""
    if not page.position:
        return None
    try:
        position = date_of(page.text(0), field="page_token"), int(page.text(1)), int(page.text(2))
    except (TimeInvalid, ValueError):
        position = None
    if position is None or not all(abs(number) < _NUMBER_END for number in position[1:]):
        raise PageTokenInvalid("not a page token of this very request", field="page_token")
    return position


def position_text(position: tuple[date, int, int]) -> tuple[str, int, int]:
    """What a token says of it."""
    return position[0].isoformat(), position[1], position[2]


def balance_sheet_message(sheets: Sequence[BalanceSheet], page: Page) -> pb.GetBalanceSheetResponse:
    """A page of lines, and the totals. Raises BalanceWouldOverflow."""
    sections = [(one.currency, section) for one in sheets for section in (one.assets, one.liabilities, one.equity)]
    lines, token = _page_of_lines(sections, page)
    return pb.GetBalanceSheetResponse(
        lines=lines,
        next_page_token=token,
        totals=[
            pb.BalanceSheetTotal(
                currency=one.currency,
                assets_minor_units=total(one.assets.total),
                liabilities_minor_units=total(one.liabilities.total),
                equity_minor_units=total(one.equity.total),
                result_minor_units=total(one.result),
                difference_minor_units=total(one.difference),
            )
            for one in sheets
        ],
    )


def income_statement_message(statements: Sequence[IncomeStatement], page: Page) -> pb.GetIncomeStatementResponse:
    """A page of lines, and the totals. Raises BalanceWouldOverflow."""
    sections = [(one.currency, section) for one in statements for section in (one.income, one.expenses)]
    lines, token = _page_of_lines(sections, page)
    return pb.GetIncomeStatementResponse(
        lines=lines,
        next_page_token=token,
        totals=[
            pb.IncomeStatementTotal(
                currency=one.currency,
                income_minor_units=total(one.income.total),
                expenses_minor_units=total(one.expenses.total),
                result_minor_units=total(one.result),
            )
            for one in statements
        ],
    )


def _page_of_lines(sections: Iterable[tuple[str, Section]], page: Page) -> tuple[list[pb.FinancialLine], str]:
    after = tuple(page.text(part) for part in range(PARTS)) if page.position else ("",)
    found = sorted(one for one in _placed(sections) if one[0] > after)
    shown, token = page.cut(found[: page.limit], lambda one: one[0])
    return [line for _, line in shown], token


def _placed(sections: Iterable[tuple[str, Section]]) -> Iterator[tuple[tuple[str, ...], pb.FinancialLine]]:
    for currency, section in sections:
        number = CLASS_NUMBERS[section.account_class]
        for line in section.lines:
            message = pb.FinancialLine(
                section=number,
                number=line.number,
                path=line.path,
                name=line.name,
                amount=money_message(currency, line.minor_units),
            )
            yield (currency, str(number), line.number, line.path), message


def ledger_line_message(line: LedgerLine, currency: str) -> pb.GeneralLedgerLine:
    """One posting by business date."""
    return pb.GeneralLedgerLine(
        entry_id=entry_id_text(line.entry_id),
        business_date=line.business_date.isoformat(),
        kind=line.kind,
        reference=line.reference or "",
        side=SIDE_NUMBERS[line.side],
        amount=money_message(currency, line.minor_units),
        balance_after=money_message(currency, line.balance_after),
    )


def general_ledger_heading(ledger: Ledger, days: tuple[date, date], *, now: datetime) -> pb.StreamGeneralLedgerResponse:
    """The first message; `days` are half open."""
    heading = pb.GeneralLedgerHeading(
        zone=ledger.zone.key, from_date=days[0].isoformat(), until_date=(days[1] - timedelta(days=1)).isoformat(),
        read_time=timestamp_of(now),
    )  # fmt: skip
    return pb.StreamGeneralLedgerResponse(heading=heading)


def general_ledger_part_message(part: AccountPart) -> pb.StreamGeneralLedgerResponse:
    """Some lines of an account."""
    account = pb.GeneralLedgerAccount(
        number=part.number,
        path=part.path,
        name=part.name,
        currency=part.currency,
        opening=money_message(part.currency, part.opening),
        lines=[ledger_line_message(line, part.currency) for line in part.lines],
        closing=money_message(part.currency, part.closing),
        is_last=part.is_last,
    )
    return pb.StreamGeneralLedgerResponse(account=account)


@dataclass(slots=True)
class GeneralLedgerCount:
    """What the parts that passed add up to."""

    accounts: int = 0
    lines: int = 0
    _totals: dict[str, Counter[Side]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, part: AccountPart) -> None:
        """Takes a part in."""
        self.accounts += part.is_last
        self.lines += len(part.lines)
        for line in part.lines:
            self._totals[part.currency][line.side] += line.minor_units

    def message(self) -> pb.StreamGeneralLedgerResponse:
        """The last message. Raises BalanceWouldOverflow."""
        totals = [
            pb.GeneralLedgerTotal(
                currency=currency,
                debits_minor_units=total(sides[Side.DEBIT]),
                credits_minor_units=total(sides[Side.CREDIT]),
            )
            for currency, sides in sorted(self._totals.items())
        ]
        end = pb.GeneralLedgerEnd(totals=totals, accounts=self.accounts, lines=self.lines)
        return pb.StreamGeneralLedgerResponse(end=end)


def clearing_age_message(one: ClearingAge) -> pb.ClearingAge:
    """A clearing account by age."""
    return pb.ClearingAge(
        path=one.path,
        name=one.name,
        balance=money_message(one.currency, one.minor_units),
        buckets=[
            pb.AgeBucket(name=name, amount=money_message(one.currency, units))
            for name, units in zip(BUCKET_NAMES, one.buckets, strict=True)
        ],
        beside_items=money_message(one.currency, one.beside_items),
        basis=one.basis.value,
        items=one.items,
        oldest_time=timestamp_of(one.oldest_at) if one.oldest_at else None,
    )


def forecast_message(one: FloatForecast) -> pb.FloatForecast:
    """How long a float lasts."""
    return pb.FloatForecast(
        path=one.path,
        balance=money_message(one.currency, one.balance),
        queued=money_message(one.currency, one.queued),
        queued_count=one.queued_count,
        in_flight=money_message(one.currency, one.in_flight),
        in_flight_count=one.in_flight_count,
        available=money_message(one.currency, one.available),
        moving=money_message(one.currency, one.moving),
        outflow_a_day=money_message(one.currency, one.outflow_a_day),
        minutes_left=one.minutes_left,
    )


def day_line_message(one: DayLine) -> pb.DayLine:
    """One line of a day."""
    return pb.DayLine(
        part=one.part.value,
        name=one.name,
        currency=one.currency,
        count=one.count,
        opening_minor_units=one.opening,
        debits_minor_units=one.debits,
        credits_minor_units=one.credits,
        closing_minor_units=one.closing,
    )


def partner_line_message(one: PartnerLine, currency: str) -> partners_pb2.PartnerStatementLine:
    """One line of a partner's statement."""
    return partners_pb2.PartnerStatementLine(
        entry_id=entry_id_text(one.entry_id),
        business_date=one.business_date.isoformat(),
        kind=one.kind,
        about=one.about,
        reference=one.reference,
        payee=one.payee,
        amount=money_message(currency, one.amount),
        fee=money_message(currency, one.fee),
        balance_after=money_message(currency, one.balance_after),
    )


def partner_total_message(one: KindTotal, currency: str) -> partners_pb2.PartnerStatementTotal:
    """All lines of one kind."""
    return partners_pb2.PartnerStatementTotal(
        kind=one.kind,
        count=one.count,
        amount=money_message(currency, one.amount),
        fee=money_message(currency, one.fee),
    )
