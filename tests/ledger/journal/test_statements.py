"""Account statements: pages in both directions, whole and without repetition."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.errors import AccountNotFound
from ledger.journal.entry import Side, Subject
from ledger.journal.statements import Order, StatementLine, StatementPage, account_statement
from ledger.money import Money
from tests.builders import BANK, FEES, NOW, WALLET, Books, open_books, transfer
from tests.ledger.journal.oracle import Line, balance, random_books

PAGES_MAX = 1000


async def page_of(
    books: Books, path: str, *, order: Order, after: int = 0, limit: int = 50, currency: str = "KES"
) -> StatementPage:
    async with books.reading() as connection:
        return await account_statement(
            connection,
            ledger_id=books.ledger.id,
            path=path,
            currency=currency,
            order=order,
            after=after,
            limit=limit,
        )


async def all_pages(books: Books, path: str, currency: str, order: Order, limit: int) -> list[StatementLine]:
    lines: list[StatementLine] = []
    after = 0
    for _ in range(PAGES_MAX):
        page = await page_of(books, path, order=order, after=after, limit=limit, currency=currency)
        lines += page.lines
        if page.next_after == 0:
            return lines
        assert len(page.lines) == limit
        after = page.next_after
    raise AssertionError("the pages never end")


async def test_a_line_tells_its_entry(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    draft = transfer(BANK, WALLET, 500, kind="wallet.topup", subject=Subject("order", "1"), reference="RCPT1")
    posted = await books.post(draft)

    page = await page_of(books, WALLET, order=Order.NEWEST_FIRST)

    assert page == StatementPage(
        (
            StatementLine(
                entry_id=posted.entry_id,
                line=2,
                account_version=1,
                kind="wallet.topup",
                side=Side.CREDIT,
                money=Money("KES", 500),
                balance_after=500,
                effective_at=NOW,
                recorded_at=posted.recorded_at,
                business_date=posted.business_date,
                subject=Subject("order", "1"),
                reference="RCPT1",
                narrative=None,
            ),
        ),
        0,
    )


async def test_an_account_that_never_moved_has_an_empty_statement(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    assert await page_of(books, FEES, order=Order.OLDEST_FIRST) == StatementPage((), 0)
    assert await page_of(books, FEES, order=Order.NEWEST_FIRST) == StatementPage((), 0)


async def test_refuses_an_account_the_ledger_does_not_have(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    with pytest.raises(AccountNotFound):
        await page_of(books, "asset.bank.none", order=Order.NEWEST_FIRST)


async def test_lines_posted_between_pages_move_nothing(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    await books.post_all([transfer(BANK, WALLET, amount) for amount in range(1, 6)])
    first = await page_of(books, BANK, order=Order.NEWEST_FIRST, limit=2)

    await books.post(transfer(BANK, WALLET, 99))

    rest = await page_of(books, BANK, order=Order.NEWEST_FIRST, after=first.next_after)
    assert [line.money.minor_units for line in (*first.lines, *rest.lines)] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("limit", [1, 7, 500])
async def test_pages_in_both_directions_equal_the_postings(engine: AsyncEngine, limit: int) -> None:
    books = await open_books(engine)
    model = await random_books(books, seed=5, sets=8)

    for path, currency in model.accounts():
        lines = model.lines(path, currency)
        expected = [(*told(line), balance(lines[: place + 1]), place + 1) for place, line in enumerate(lines)]
        for order, wanted in ((Order.OLDEST_FIRST, expected), (Order.NEWEST_FIRST, expected[::-1])):
            found = await all_pages(books, path, currency, order, limit)
            assert [
                (one.entry_id, one.line, one.side, one.money, one.kind, one.balance_after, one.account_version)
                for one in found
            ] == wanted


def told(line: Line) -> tuple[object, ...]:
    return (line.fact.entry_id, line.number, line.posting.side, line.posting.money, line.fact.draft.kind)
