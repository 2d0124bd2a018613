"""Accounts: opened whole or not at all, the same for every repeat, bounded and closed only as their balance allows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import run
from ledger.errors import (
    AccountExists,
    AccountNotEmpty,
    AccountNotFound,
    ChartInvalid,
    CurrencyUnknown,
    FloorWouldBreak,
    InvalidInput,
    PathInvalid,
    SetTooLarge,
    TextInvalid,
)
from ledger.journal.accounts import (
    ACCOUNTS_PER_CALL_MAX,
    Account,
    AccountClass,
    AccountSpec,
    close_account,
    find_account,
    list_accounts,
    open_accounts,
    set_bounds,
)
from ledger.journal.decide import PostRequest, Refused
from ledger.journal.entry import Side
from tests.builders import BANK, NOW, WALLET, Books, account, open_books, transfer


async def open_in(books: Books, *specs: AccountSpec) -> list[Account]:
    async def open_all(connection: AsyncConnection) -> list[Account]:
        return await open_accounts(connection, ledger_id=books.ledger.id, specs=specs, ids=books.ids, now=NOW)

    return await run(books.engine, open_all)


async def listed(
    books: Books, *, prefix: str = "", after: tuple[str, str] = ("", ""), limit: int = 100
) -> list[Account]:
    async with books.reading() as connection:
        return await list_accounts(connection, ledger_id=books.ledger.id, path_prefix=prefix, after=after, limit=limit)


async def found(books: Books, path: str = WALLET) -> Account:
    async with books.reading() as connection:
        return await find_account(connection, ledger_id=books.ledger.id, path=path, currency="KES")


async def close(books: Books, path: str = WALLET) -> Account:
    async def close_one(connection: AsyncConnection) -> Account:
        return await close_account(connection, ledger_id=books.ledger.id, path=path, currency="KES", now=NOW)

    return await run(books.engine, close_one)


async def bound(books: Books, floor: int | None, ceiling: int | None, path: str = WALLET) -> Account:
    async def set_both(connection: AsyncConnection) -> Account:
        return await set_bounds(
            connection, ledger_id=books.ledger.id, path=path, currency="KES", floor=floor, ceiling=ceiling
        )

    return await run(books.engine, set_both)


async def verdict_on(books: Books, debited: str, credited: str, amount: int) -> str:
    (verdict,) = await books.try_post(PostRequest(transfer(debited, credited, amount), "tests"))
    return verdict.error.reason if isinstance(verdict, Refused) else "posted"


def paths(accounts: Sequence[Account]) -> list[str]:
    return [one.spec.path for one in accounts]


async def test_an_account_opens_with_all_it_was_asked_for_and_nothing_in_it(engine: AsyncEngine) -> None:
    books = await open_books(engine, accounts=[])
    spec = AccountSpec(
        path="liab.partner.acme",
        name="Acme",
        account_class=AccountClass.LIABILITY,
        normal_side=Side.CREDIT,
        currency="RWF",
        number="2120",
        floor=-50,
        ceiling=10**15,
        role="prefund",
        provider="mtn",
        wallet_ref="600100",
        owner_kind="partner",
        owner_ref="acme",
    )

    (opened,) = await open_in(books, spec)

    assert replace(opened.spec, floor=opened.floor, ceiling=opened.ceiling) == spec
    assert (opened.balance, opened.debits, opened.credits, opened.version) == (0, 0, 0, 0)
    assert (opened.opened_at, opened.closed_at) == (NOW, None)


async def test_opening_what_is_open_returns_it_with_what_it_holds(engine: AsyncEngine) -> None:
    books = await open_books(engine, accounts=[account(BANK), account(WALLET, floor=0)])
    await books.post(transfer(BANK, WALLET, 500))

    wallet, fees = await open_in(books, account(WALLET, floor=-1000), account("income.fees"))

    assert (wallet.balance, wallet.floor) == (500, 0)
    assert (wallet, fees.balance) == (await found(books), 0)


async def test_an_account_named_twice_in_a_call_is_one(engine: AsyncEngine) -> None:
    books = await open_books(engine, accounts=[])

    one, other, dollars = await open_in(books, account(WALLET), account(WALLET), account(WALLET, currency="USD"))

    assert one == other
    assert dollars.id != one.id


@pytest.mark.parametrize(
    "change",
    [
        {"normal_side": Side.DEBIT},
        {"account_class": AccountClass.EQUITY},
        {"role": "prefund"},
        {"provider": "mpesa"},
        {"owner_kind": "partner", "owner_ref": "acme"},
    ],
)
async def test_a_path_is_never_opened_as_something_else_and_then_nothing_opens(
    engine: AsyncEngine, change: dict[str, Any]
) -> None:
    books = await open_books(engine, accounts=[account(WALLET)])

    with pytest.raises(AccountExists) as caught:
        await open_in(books, account("income.new"), replace(account(WALLET), **change))

    assert (caught.value.field, caught.value.facts["account"]) == ("accounts[1]", WALLET)
    assert paths(await listed(books)) == [WALLET]


async def test_a_role_is_played_by_one_account_of_a_shortcode(engine: AsyncEngine) -> None:
    books = await open_books(engine, accounts=[])
    spec = replace(account("asset.float.a"), role="payout_float", provider="mpesa", wallet_ref="600100")
    await open_in(books, spec, replace(spec, path="asset.float.b", wallet_ref="600200"), replace(spec, currency="USD"))

    with pytest.raises(AccountExists) as caught:
        await open_in(books, replace(spec, path="asset.float.c"))

    assert caught.value.field == "accounts[0]"
    assert len(await listed(books)) == 3


async def test_racing_openings_in_any_order_make_each_account_once(engine: AsyncEngine) -> None:
    books = await open_books(engine, accounts=[])
    specs = [account(f"liab.wallet.{number}") for number in range(20)]

    answers = await asyncio.gather(*(open_in(books, *order) for order in (specs, specs[::-1], specs, specs[::-1])))

    assert {one.id for answer in answers for one in answer} == {one.id for one in await listed(books)}
    assert len(await listed(books)) == 20


async def test_a_call_opens_at_most_a_thousand(engine: AsyncEngine) -> None:
    books = await open_books(engine, accounts=[])

    with pytest.raises(SetTooLarge):
        await open_in(books, *[account(f"liab.wallet.{number}") for number in range(ACCOUNTS_PER_CALL_MAX + 1)])
    assert len(await open_in(books, *[account(f"liab.wallet.{n}") for n in range(ACCOUNTS_PER_CALL_MAX)])) == 1000
    assert await open_in(books) == []


@pytest.mark.parametrize(
    ("change", "refusal", "field"),
    [
        ({"path": "liab"}, PathInvalid, "path"),
        ({"path": "liab.wallet.1\x00"}, PathInvalid, "path"),
        ({"name": ""}, TextInvalid, "name"),
        ({"name": "x" * 201}, TextInvalid, "name"),
        ({"currency": "XXX"}, CurrencyUnknown, "currency"),
        ({"path": "memo.wallet"}, ChartInvalid, "path"),
        ({"account_class": AccountClass.MEMO}, ChartInvalid, "path"),
        ({"floor": 5, "ceiling": 4}, ChartInvalid, "floor"),
        ({"floor": 1}, ChartInvalid, "floor"),
        ({"ceiling": -1}, ChartInvalid, "floor"),
    ],
)
def test_refuses_properties_that_do_not_fit_together(
    change: dict[str, Any], refusal: type[InvalidInput], field: str
) -> None:
    with pytest.raises(refusal) as caught:
        replace(account(WALLET), **change)

    assert caught.value.field == field


async def test_finds_an_account_of_its_own_ledger_and_currency_alone(engine: AsyncEngine) -> None:
    books, others = await open_books(engine), await open_books(engine, accounts=[])

    own, foreign = books.ledger.id, others.ledger.id
    for ledger_id, path, currency in ((foreign, WALLET, "KES"), (own, "liab.x", "KES"), (own, WALLET, "RWF")):
        async with books.reading() as connection:
            with pytest.raises(AccountNotFound) as caught:
                await find_account(connection, ledger_id=ledger_id, path=path, currency=currency)
        assert caught.value.field == "account"


async def test_pages_through_accounts_by_path_and_currency(engine: AsyncEngine) -> None:
    names = [("asset.b", "KES"), ("asset.b", "USD"), ("asset.b-1", "KES"), ("asset.b.c", "KES"), ("liab.a", "KES")]
    books = await open_books(engine, accounts=[account(path, currency=currency) for path, currency in names[::-1]])

    pages, after = [], ("", "")
    while page := await listed(books, after=after, limit=2):
        after = (page[-1].spec.path, page[-1].spec.currency)
        pages.append(page)

    collected = [(one.spec.path, one.spec.currency) for page in pages for one in page]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(collected) == sorted(names)
    assert collected == [(one.spec.path, one.spec.currency) for one in await listed(books)]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("asset.", ["asset.a_b", "asset.axb"]), ("asset.a_", ["asset.a_b"]), ("%", []), ("asset.a%", []), ("\\", [])],
)
async def test_a_prefix_means_itself_and_never_a_pattern(engine: AsyncEngine, prefix: str, expected: list[str]) -> None:
    books = await open_books(engine, accounts=[account(path) for path in ("asset.a_b", "asset.axb", "liab.a_b")])

    assert sorted(paths(await listed(books, prefix=prefix))) == sorted(expected)


async def test_a_closed_account_takes_no_more_postings(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    closed = await close(books)

    assert closed.closed_at == NOW
    assert await verdict_on(books, BANK, WALLET, 5) == "ACCOUNT_CLOSED"
    assert await close(books) == closed


async def test_an_account_with_money_inside_stays_open(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    await books.post(transfer(BANK, WALLET, 5))

    with pytest.raises(AccountNotEmpty):
        await close(books)
    assert await verdict_on(books, WALLET, BANK, 5) == "posted"
    assert (await close(books)).closed_at == NOW


async def test_closing_and_posting_race_and_one_of_them_is_refused(engine: AsyncEngine) -> None:
    for amount in range(1, 9):
        books = await open_books(engine)

        closed, posted = await asyncio.gather(
            close(books), verdict_on(books, BANK, WALLET, amount), return_exceptions=True
        )

        assert (isinstance(closed, AccountNotEmpty), posted) in {(True, "posted"), (False, "ACCOUNT_CLOSED")}


async def test_bounds_hold_from_the_moment_they_are_set(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    await books.post(transfer(BANK, WALLET, 100))

    bounded = await bound(books, 60, 120)

    assert (bounded.floor, bounded.ceiling, bounded.balance) == (60, 120, 100)
    assert await verdict_on(books, WALLET, BANK, 41) == "FLOOR_WOULD_BREAK"
    assert await verdict_on(books, BANK, WALLET, 21) == "CEILING_WOULD_BREAK"
    assert await verdict_on(books, WALLET, BANK, 40) == "posted"
    await bound(books, None, None)
    assert await verdict_on(books, WALLET, BANK, 100) == "posted"


@pytest.mark.parametrize(
    ("floor", "ceiling", "refusal"), [(101, None, FloorWouldBreak), (None, 99, FloorWouldBreak), (5, 4, ChartInvalid)]
)
async def test_bounds_that_the_balance_breaks_already_are_refused(
    engine: AsyncEngine, floor: int | None, ceiling: int | None, refusal: type[Exception]
) -> None:
    books = await open_books(engine)
    await books.post(transfer(BANK, WALLET, 100))

    with pytest.raises(refusal):
        await bound(books, floor, ceiling)

    assert ((await found(books)).floor, (await found(books)).ceiling) == (0, None)


async def test_no_such_account_is_neither_closed_nor_bounded(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    with pytest.raises(AccountNotFound):
        await close(books, "liab.nobody")
    with pytest.raises(AccountNotFound):
        await bound(books, None, None, "liab.nobody")
