"""Balances now, at a recorded time and by business date, against a fold over everything posted."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import driver
from ledger.errors import AccountNotFound
from ledger.ids import EPOCH, IdSource, time_of
from ledger.journal.accounts import find_account
from ledger.journal.balances import balance_at, balance_now, balance_on
from ledger.journal.entry import Side
from ledger.journal.history import (
    ENTRY_ID_MAX,
    Position,
    find_positions,
    last_entry_id_at,
    last_entry_id_before,
)
from tests.builders import BANK, FEES, NOW, WALLET, Books, account, open_books, transfer
from tests.ledger.journal.oracle import balance, random_books

MILLISECOND = timedelta(milliseconds=1)


async def now_of(books: Books, path: str, currency: str = "KES") -> int:
    async with books.reading() as connection:
        found = await balance_now(connection, ledger_id=books.ledger.id, path=path, currency=currency)
    return found.minor_units


async def at(books: Books, path: str, recorded_at: datetime, currency: str = "KES") -> int:
    async with books.reading() as connection:
        found = await balance_at(
            connection, ledger_id=books.ledger.id, path=path, currency=currency, recorded_at=recorded_at
        )
    return found.minor_units


async def on(books: Books, path: str, business_date: date, currency: str = "KES") -> int:
    async with books.reading() as connection:
        found = await balance_on(
            connection, ledger_id=books.ledger.id, path=path, currency=currency, business_date=business_date
        )
    return found.minor_units


async def test_a_balance_stands_on_the_normal_side(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    await books.post(transfer(BANK, WALLET, 700))
    await books.post(transfer(FEES, BANK, 200))

    async with books.reading() as connection:
        wallet = await balance_now(connection, ledger_id=books.ledger.id, path=WALLET, currency="KES")

    assert (wallet.account, wallet.currency, wallet.normal_side, wallet.minor_units) == (
        WALLET,
        "KES",
        Side.CREDIT,
        700,
    )
    assert (await now_of(books, BANK), await now_of(books, FEES)) == (500, -200)


async def test_a_recorded_time_includes_its_whole_millisecond(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    first = await books.post(transfer(BANK, WALLET, 100), now=NOW)
    second = await books.post(transfer(BANK, WALLET, 10), now=NOW)
    third = await books.post(transfer(BANK, WALLET, 1), now=NOW + MILLISECOND)

    assert first.recorded_at == second.recorded_at == NOW
    assert third.recorded_at == NOW + MILLISECOND
    assert await at(books, BANK, NOW - timedelta(microseconds=1)) == 0
    assert await at(books, BANK, NOW) == 110
    assert await at(books, BANK, NOW + MILLISECOND - timedelta(microseconds=1)) == 110
    assert await at(books, BANK, NOW + MILLISECOND) == 111


async def test_a_backdated_entry_changes_the_past_but_not_what_was_known(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    await books.post(transfer(BANK, WALLET, 100, effective_at=NOW), now=NOW)
    later = NOW + timedelta(days=3)

    await books.post(transfer(BANK, WALLET, 7, effective_at=NOW), now=later)

    assert await on(books, BANK, NOW.date()) == 107
    assert await at(books, BANK, later - MILLISECOND) == 100
    assert await at(books, BANK, later) == 107


async def test_a_business_date_ends_at_midnight_of_the_ledgers_zone(engine: AsyncEngine) -> None:
    books = await open_books(engine, time_zone="Africa/Nairobi")
    before_midnight = datetime(2026, 11, 19, 20, 59, 59, tzinfo=UTC)
    await books.post(transfer(BANK, WALLET, 1, effective_at=before_midnight))
    await books.post(transfer(BANK, WALLET, 10, effective_at=before_midnight + timedelta(seconds=1)))

    assert await on(books, BANK, date(2026, 11, 18)) == 0
    assert await on(books, BANK, date(2026, 11, 19)) == 1
    assert await on(books, BANK, date(2026, 11, 20)) == 11


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
async def test_any_moment_may_be_asked_for(engine: AsyncEngine, moment: datetime) -> None:
    books = await open_books(engine)
    await books.post(transfer(BANK, WALLET, 100))

    assert await at(books, BANK, moment) == (100 if moment > NOW else 0)
    assert await on(books, BANK, moment.date()) == (100 if moment > NOW else 0)


async def test_an_account_that_never_moved_holds_zero(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    assert (await now_of(books, BANK), await at(books, BANK, NOW), await on(books, BANK, NOW.date())) == (0, 0, 0)


@pytest.mark.parametrize(("path", "currency"), [("asset.bank.none", "KES"), (FEES, "USD")])
async def test_refuses_an_account_the_ledger_does_not_have(engine: AsyncEngine, path: str, currency: str) -> None:
    books, others = await open_books(engine), await open_books(engine, accounts=[account("asset.bank.none")])
    assert await now_of(others, "asset.bank.none") == 0

    with pytest.raises(AccountNotFound):
        await now_of(books, path, currency)
    with pytest.raises(AccountNotFound):
        await at(books, path, NOW, currency)
    with pytest.raises(AccountNotFound):
        await on(books, path, NOW.date(), currency)


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_balance_equals_a_fold_over_the_postings(engine: AsyncEngine, seed: int) -> None:
    books = await open_books(engine)
    model = await random_books(books, seed=seed, sets=25)
    moments = sorted({fact.recorded_at for fact in model.facts})
    dates = sorted({fact.business_date for fact in model.facts})

    for path, currency in model.accounts():
        lines = model.lines(path, currency)
        assert await now_of(books, path, currency) == balance(lines)
        for moment in [moments[0] - MILLISECOND, *moments[::3], moments[-1]]:
            known = [line for line in lines if line.fact.recorded_at <= moment]
            assert await at(books, path, moment, currency) == balance(known)
        for day in [dates[0] - timedelta(days=1), *dates]:
            happened = [line for line in lines if line.fact.business_date <= day]
            assert await on(books, path, day, currency) == balance(happened)


async def test_a_position_includes_the_entry_it_is_bound_by(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    posted = [await books.post(transfer(BANK, WALLET, 10**place), now=NOW + place * MILLISECOND) for place in range(5)]
    async with books.reading() as connection:
        bank = await find_account(connection, ledger_id=books.ledger.id, path=BANK, currency="KES")
        bounds = [bound for one in posted for bound in (one.entry_id - 1, one.entry_id, one.entry_id + 1)]

        found = await find_positions(
            await driver(connection), ledger_id=books.ledger.id, account_id=bank.id, bounds=bounds
        )

    none, *after = [Position(version, int("1" * version or "0")) for version in range(6)]
    expected = [(before, one, one) for before, one in zip([none, *after], after, strict=False)]
    assert found == [position for three in expected for position in three]


@given(
    age=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=60 * 365)),
    moment=st.datetimes(timezones=st.just(UTC)),
    near=st.sampled_from([None, -1500, -1000, -1, 0, 1, 999, 1000]),
    randomness=st.randoms(),
)
def test_bounds_agree_with_the_recorded_time_of_an_id(
    age: timedelta, moment: datetime, near: int | None, randomness: random.Random
) -> None:
    entry_id = IdSource(randomness).next(EPOCH + age)
    asked = moment if near is None else time_of(entry_id) + timedelta(microseconds=near)

    assert (entry_id <= last_entry_id_at(asked)) == (time_of(entry_id) <= asked)
    assert (entry_id <= last_entry_id_before(asked)) == (time_of(entry_id) < asked)
    assert 0 <= last_entry_id_before(asked) <= last_entry_id_at(asked) <= ENTRY_ID_MAX
