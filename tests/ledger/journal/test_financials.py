"""Balance sheet, income statement and general ledger against a fold over everything posted."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.errors import AccountNotFound, SetTooLarge
from ledger.journal.accounts import AccountClass
from ledger.journal.entry import Side
from ledger.journal.financials import balance_sheets, income_statements
from ledger.journal.general_ledger import AccountPart, LedgerAccount, general_ledger, general_ledger_parts
from ledger.journal.trial_balance import TrialBalanceLine, trial_balance, trial_balance_between
from tests.builders import BANK, FEES, NOW, PRINTED, PRINTED_CONTRA, WALLET, open_books, transfer
from tests.ledger.journal.oracle import balance, random_books

DAY = date(2026, 11, 20)
PATHS = {
    "asset.bank.main": (AccountClass.ASSET, Side.DEBIT),
    "asset.loans.ecl_allowance": (AccountClass.ASSET, Side.CREDIT),
    "liab.wallet.1": (AccountClass.LIABILITY, Side.CREDIT),
    "equity.opening": (AccountClass.EQUITY, Side.CREDIT),
    "income.fees": (AccountClass.INCOME, Side.CREDIT),
    "expense.charges": (AccountClass.EXPENSE, Side.DEBIT),
    "revenue_reduction.promo": (AccountClass.EXPENSE, Side.DEBIT),
}
MOVES = st.lists(
    st.tuples(st.sampled_from(sorted(PATHS)), st.sampled_from(sorted(PATHS)), st.integers(1, 10**9)), max_size=20
)


def lines_of(moves: list[tuple[str, str, int]]) -> list[TrialBalanceLine]:
    return [
        TrialBalanceLine(
            "",
            path,
            path,
            *PATHS[path],
            "KES",
            sum(units for debited, _, units in moves if debited == path),
            sum(units for _, credited, units in moves if credited == path),
        )
        for path in PATHS
    ]


@given(MOVES)
def test_a_balance_sheet_of_balanced_books_has_no_difference(moves: list[tuple[str, str, int]]) -> None:
    lines = lines_of(moves)

    (sheet,), (statement,) = balance_sheets(lines), income_statements(lines)

    assert sheet.difference == 0
    assert sheet.result == statement.result
    assert sum(line.minor_units for line in sheet.assets.lines) == sheet.assets.total


def test_what_reduces_revenue_and_what_reduces_an_asset_are_shown_against_them() -> None:
    moves = [
        ("asset.bank.main", "income.fees", 100),
        ("revenue_reduction.promo", "asset.bank.main", 30),
        ("expense.charges", "asset.loans.ecl_allowance", 5),
    ]

    (sheet,), (statement,) = balance_sheets(lines_of(moves)), income_statements(lines_of(moves))

    assert [(one.path, one.minor_units) for one in statement.income.lines] == [
        ("income.fees", 100),
        ("revenue_reduction.promo", -30),
    ]
    assert (statement.expenses.total, statement.result) == (5, 65)
    assert [one.minor_units for one in sheet.assets.lines] == [70, -5]


async def test_each_currency_stands_alone_and_a_period_holds_what_moved_within_it(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    await books.post_all(
        [
            transfer(BANK, FEES, 7, effective_at=NOW - timedelta(days=1)),
            transfer(BANK, FEES, 20),
            transfer(BANK, WALLET, 3, currency="USD"),
            transfer(PRINTED, PRINTED_CONTRA, 900),
        ]
    )

    async with books.reading() as connection:
        everything = await trial_balance(connection, ledger_id=books.ledger.id)
        moved = await trial_balance_between(
            connection, ledger_id=books.ledger.id, from_date=DAY, until_date=DAY + timedelta(days=1)
        )

    sheets = balance_sheets(everything.lines)
    assert [(one.currency, one.assets.total, one.liabilities.total, one.result) for one in sheets] == [
        ("KES", 27, 0, 27),
        ("USD", 3, 3, 0),
    ]
    assert [one.result for one in income_statements(moved.lines)] == [20, 0]


async def test_the_general_ledger_opens_with_what_was_before_and_closes_with_what_is_known(
    engine: AsyncEngine,
) -> None:
    books = await open_books(engine)
    model = await random_books(books, seed=11, sets=8)
    days = sorted({fact.business_date for fact in model.facts})
    from_date, until_date = days[len(days) // 2], days[-1] + timedelta(days=1)

    async with books.reading() as connection:
        found = await general_ledger(
            connection, ledger_id=books.ledger.id, from_date=from_date, until_date=until_date, path=None
        )
        (one, *_) = await general_ledger(
            connection, ledger_id=books.ledger.id, from_date=from_date, until_date=until_date, path=WALLET
        )

        for lines_at_once in (1, 3):
            parts = [
                part
                async for part in general_ledger_parts(
                    connection, ledger_id=books.ledger.id, from_date=from_date, until_date=until_date,
                    lines_at_once=lines_at_once,
                )
            ]  # fmt: skip
            assert max(len(part.lines) for part in parts) == lines_at_once
            assert _whole(parts) == found

    for own in found:
        lines = model.lines(own.path, own.currency)
        assert own.opening == balance(line for line in lines if line.fact.business_date < from_date)
        assert own.closing == balance(lines)
        within = [line.fact.entry_id for line in lines if line.fact.business_date >= from_date]
        assert sorted(line.entry_id for line in own.lines) == sorted(within)
    moved = {(line.posting.account, line.posting.money.currency) for path, currency in model.accounts()
             for line in model.lines(path, currency) if line.fact.business_date >= from_date}  # fmt: skip
    assert {(own.path, own.currency) for own in found} == moved
    assert one == next(own for own in found if own.path == WALLET)


def _whole(parts: list[AccountPart]) -> list[LedgerAccount]:
    """Accounts, of parts that follow each other from balance to balance."""
    whole: list[LedgerAccount] = []
    goes_on = False
    for part in parts:
        lines, opening = part.lines, part.opening
        if goes_on:
            before = whole.pop()
            assert (before.path, before.currency, before.closing) == (part.path, part.currency, part.opening)
            lines, opening = before.lines + part.lines, before.opening
        goes_on = not part.is_last
        whole.append(
            LedgerAccount(
                number=part.number, path=part.path, name=part.name, currency=part.currency, opening=opening,
                lines=lines,
            )
        )  # fmt: skip
    assert not goes_on
    return whole


async def test_the_general_ledger_of_no_account_is_refused(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    async with books.reading() as connection:
        with pytest.raises(AccountNotFound):
            await general_ledger(
                connection, ledger_id=books.ledger.id, from_date=DAY, until_date=DAY, path="asset.never"
            )


async def test_a_period_with_too_many_lines_is_refused(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    await books.post_all([transfer(BANK, FEES, 20)])

    async with books.reading() as connection:
        with pytest.raises(SetTooLarge, match="shorter"):
            await general_ledger(
                connection,
                ledger_id=books.ledger.id,
                from_date=DAY,
                until_date=DAY + timedelta(days=1),
                path=None,
                lines_max=1,
            )
