"""Clearing accounts by age: what is there came last, and each part is as old as its day."""

from __future__ import annotations

from collections import deque
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.journal.ageing import AGES, Aged, age_clearing_accounts, aged
from ledger.journal.decide import PostRequest
from tests.builders import NOW, account, open_books, transfer

ON = date(2026, 11, 20)


@given(moves=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 50)), max_size=6), kept=st.integers(1, 300))
def test_the_parts_make_up_the_balance_and_the_newest_come_first(moves: list[tuple[int, int]], kept: int) -> None:
    days = [(ON - timedelta(days=ago), amount) for ago, amount in moves]
    balance = min(kept, sum(amount for _, amount in days))
    if not balance:
        return
    left, held = balance, deque[tuple[date, int]]()
    for day, amount in sorted(days, reverse=True):
        if left:
            held.appendleft((day, min(left, amount)))
            left -= min(left, amount)

    found = aged(("", "liab.x.y", "KES", -balance), list(held), ON)

    assert -sum(found.parts) == balance
    assert found.oldest == held[0][0]
    assert len(found.parts) == len(AGES)


async def test_what_clearing_accounts_hold_is_as_old_as_what_came_last(engine: AsyncEngine) -> None:
    shortage, excess = "asset.recon.shortage", "liab.recon.excess"
    books = await open_books(engine, accounts=[account(shortage), account(excess)])
    for ago, debited, credited, amount in (
        (40, shortage, excess, 500), (10, excess, shortage, 450), (3, shortage, excess, 70), (0, shortage, excess, 9)
    ):  # fmt: skip
        one = transfer(debited, credited, amount, effective_at=NOW - timedelta(days=ago))
        await books.try_post(PostRequest(one, "tests"))

    async with books.reading() as connection:
        found = await age_clearing_accounts(connection, ledger_id=books.ledger.id, on=NOW.date())
        before = await age_clearing_accounts(connection, ledger_id=books.ledger.id, on=NOW.date() - timedelta(days=5))

    assert [(one.path, one.balance, one.parts) for one in found] == [
        (shortage, 129, (9, 70, 0, 50)), (excess, 129, (9, 70, 0, 50)),
    ]  # fmt: skip
    assert found[0] == Aged("", shortage, "KES", 129, (9, 70, 0, 50), NOW.date() - timedelta(days=40))
    assert [one.parts for one in before] == [(0, 0, 0, 50), (0, 0, 0, 50)]
