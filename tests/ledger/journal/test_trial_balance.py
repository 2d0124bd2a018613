"""The trial balance, now and by business date, against a fold over everything posted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.journal.accounts import AccountClass
from ledger.journal.entry import Side
from ledger.journal.trial_balance import (
    TrialBalance,
    TrialBalanceLine,
    TrialBalanceTotal,
    trial_balance,
    trial_balance_on,
    trial_balance_page,
)
from tests.builders import BANK, DEFAULT_ACCOUNTS, FEES, NOW, PRINTED, PRINTED_CONTRA, WALLET, open_books, transfer
from tests.ledger.journal.oracle import Line, Model, random_books

NUMBERS = {(spec.path, spec.currency): spec.number for spec in DEFAULT_ACCOUNTS}


def total(lines: list[Line], side: Side) -> int:
    return sum(line.posting.money.minor_units for line in lines if line.posting.side is side)


def expected_lines(model: Model) -> list[tuple[str, str, str, int, int]]:
    rows = []
    for path, currency in model.accounts():
        lines = model.lines(path, currency)
        sides = (total(lines, Side.DEBIT), total(lines, Side.CREDIT))
        rows.append((NUMBERS[(path, currency)], path, currency, *sides))
    return sorted(rows)


def actual_lines(found: TrialBalance) -> list[tuple[str, str, str, int, int]]:
    return [(line.number, line.path, line.currency, line.debits, line.credits) for line in found.lines]


async def test_empty_books_have_an_empty_trial_balance(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    async with books.reading() as connection:
        found = await trial_balance(connection, ledger_id=books.ledger.id)

    assert found == TrialBalance((), ())
    assert found.is_balanced


async def test_lines_come_by_number_and_totals_keep_memorandum_accounts_apart(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    await books.post_all(
        [
            transfer(BANK, WALLET, 500),
            transfer(WALLET, FEES, 20),
            transfer(BANK, WALLET, 3, currency="USD"),
            transfer(PRINTED, PRINTED_CONTRA, 900),
        ]
    )

    async with books.reading() as connection:
        found = await trial_balance(connection, ledger_id=books.ledger.id)

    assert [(line.number, line.path, line.currency, line.balance) for line in found.lines] == [
        ("1210", BANK, "KES", 500),
        ("1210", BANK, "USD", 3),
        ("2110", WALLET, "KES", 480),
        ("2110", WALLET, "USD", 3),
        ("4210", FEES, "KES", 20),
        ("9110", PRINTED, "KES", 900),
        ("9119", PRINTED_CONTRA, "KES", -900),
    ]
    assert found.lines[2] == TrialBalanceLine(
        "2110", WALLET, f"Account {WALLET}", AccountClass.LIABILITY, Side.CREDIT, "KES", 20, 500
    )
    assert found.totals == (
        TrialBalanceTotal("KES", False, 520, 520),
        TrialBalanceTotal("USD", False, 3, 3),
        TrialBalanceTotal("KES", True, 900, 900),
    )


async def test_accounts_that_moved_later_have_no_line_on_an_earlier_date(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    await books.post(transfer(BANK, FEES, 500, effective_at=NOW - timedelta(days=2)))
    await books.post(transfer(BANK, WALLET, 70))

    async with books.reading() as connection:
        found = await trial_balance_on(
            connection, ledger_id=books.ledger.id, business_date=NOW.date() - timedelta(days=1)
        )

    assert [(line.path, line.debits, line.credits) for line in found.lines] == [(BANK, 500, 0), (FEES, 0, 500)]


async def test_an_account_back_at_zero_keeps_its_line(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    posted = await books.post(transfer(BANK, FEES, 500))
    await books.reverse(posted.entry_id)

    async with books.reading() as connection:
        found = await trial_balance(connection, ledger_id=books.ledger.id)

    assert [(line.path, line.debits, line.credits) for line in found.lines] == [(BANK, 500, 500), (FEES, 500, 500)]


@pytest.mark.parametrize("seed", [3, 4])
async def test_every_trial_balance_equals_a_fold_over_the_postings(engine: AsyncEngine, seed: int) -> None:
    books = await open_books(engine)
    model = await random_books(books, seed=seed, sets=20)

    async with books.reading() as connection:
        everything = await trial_balance(connection, ledger_id=books.ledger.id)
        days = sorted({fact.business_date for fact in model.facts})
        by_day = {day: await trial_balance_on(connection, ledger_id=books.ledger.id, business_date=day) for day in days}

    assert actual_lines(everything) == expected_lines(model)
    assert everything.is_balanced
    assert by_day[days[-1]] == everything
    for day, found in by_day.items():
        happened = Model(fact for fact in model.facts if fact.business_date <= day)
        assert actual_lines(found) == expected_lines(happened)
        assert found.is_balanced


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_pages_add_up_to_the_whole_and_each_has_its_totals(engine: AsyncEngine, size: int) -> None:
    books = await open_books(engine)
    model = await random_books(books, seed=5, sets=8)
    day = sorted({fact.business_date for fact in model.facts})[0]

    async with books.reading() as connection:
        for business_date in (None, day):
            whole = (
                await trial_balance(connection, ledger_id=books.ledger.id)
                if business_date is None
                else await trial_balance_on(connection, ledger_id=books.ledger.id, business_date=business_date)
            )
            lines: list[TrialBalanceLine] = []
            while len(lines) < len(whole.lines):
                after = (lines[-1].path, lines[-1].currency) if lines else None
                page = await trial_balance_page(
                    connection, ledger_id=books.ledger.id, business_date=business_date, after=after, limit=size
                )
                assert 0 < len(page.lines) <= size
                assert page.totals == whole.totals
                lines += page.lines

            assert tuple(lines) == whole.lines
