"""Balance sheet and income statement out of the lines of a trial balance. Pure.

Memorandum accounts stand beside the statements and in neither. What reduces revenue is shown against it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ledger.journal.accounts import AccountClass
from ledger.journal.trial_balance import TrialBalanceLine

_AGAINST_REVENUE = "revenue_reduction."
_DEBIT_CLASSES = (AccountClass.ASSET, AccountClass.EXPENSE)


@dataclass(frozen=True, slots=True)
class FinancialLine:
    """One account in a statement: minor units that add to its section, negative where they take away from it."""

    number: str
    path: str
    name: str
    minor_units: int


@dataclass(frozen=True, slots=True)
class Section:
    """The accounts of one class that hold anything, by number."""

    account_class: AccountClass
    lines: tuple[FinancialLine, ...]

    @property
    def total(self) -> int:
        """Minor units."""
        return sum(line.minor_units for line in self.lines)


@dataclass(frozen=True, slots=True)
class BalanceSheet:
    """Of one currency. `result` is income less expenses that nothing has closed into equity yet."""

    currency: str
    assets: Section
    liabilities: Section
    equity: Section
    result: int

    @property
    def difference(self) -> int:
        """Assets less everything that stands against them: 0 in balanced books."""
        return self.assets.total - self.liabilities.total - self.equity.total - self.result


@dataclass(frozen=True, slots=True)
class IncomeStatement:
    """Of one currency, over a period."""

    currency: str
    income: Section
    expenses: Section

    @property
    def result(self) -> int:
        """Minor units; a loss is negative."""
        return self.income.total - self.expenses.total


def balance_sheets(lines: Iterable[TrialBalanceLine]) -> list[BalanceSheet]:
    """One per currency that moved, by currency, of everything up to a date."""
    return [
        BalanceSheet(
            currency=currency,
            assets=_section(AccountClass.ASSET, own),
            liabilities=_section(AccountClass.LIABILITY, own),
            equity=_section(AccountClass.EQUITY, own),
            result=_income_statement(currency, own).result,
        )
        for currency, own in _by_currency(lines)
    ]


def income_statements(lines: Iterable[TrialBalanceLine]) -> list[IncomeStatement]:
    """One per currency that moved, by currency, of what moved within a period."""
    return [_income_statement(currency, own) for currency, own in _by_currency(lines)]


def _by_currency(lines: Iterable[TrialBalanceLine]) -> list[tuple[str, list[TrialBalanceLine]]]:
    found: dict[str, list[TrialBalanceLine]] = {}
    for line in lines:
        if line.account_class is not AccountClass.MEMO:
            found.setdefault(line.currency, []).append(line)
    return sorted(found.items())


def _income_statement(currency: str, lines: list[TrialBalanceLine]) -> IncomeStatement:
    return IncomeStatement(currency, _section(AccountClass.INCOME, lines), _section(AccountClass.EXPENSE, lines))


def _section(account_class: AccountClass, lines: list[TrialBalanceLine]) -> Section:
    own = [line for line in lines if _shown_in(line) is account_class and line.debits != line.credits]
    return Section(account_class, tuple(_line(line, account_class) for line in own))


def _shown_in(line: TrialBalanceLine) -> AccountClass:
    return AccountClass.INCOME if line.path.startswith(_AGAINST_REVENUE) else line.account_class


def _line(line: TrialBalanceLine, shown_in: AccountClass) -> FinancialLine:
    by_debit = line.debits - line.credits
    return FinancialLine(line.number, line.path, line.name, by_debit if shown_in in _DEBIT_CLASSES else -by_debit)
