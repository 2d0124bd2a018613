"""The accounts that providers keep, too, at the end of days to be closed: what the statement says, what the books say,
what explains the difference, and what is open. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, LiteralString

from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.reconciliation.matching import State

ITEMS_MAX = 1_000
NO_RUN, UNTOLD, OPENING = "no_statement", "untold", "opening"
_ACCOUNTS = """
SELECT a.id, a.path, a.currency FROM accounts AS a
WHERE a.ledger_id = %(ledger)s AND (a.path LIKE 'asset.float.%%' OR a.path LIKE 'liab.provider\\_charges.%%')
  AND EXISTS (SELECT FROM account_days AS d WHERE d.ledger_id = a.ledger_id AND d.account_id = a.id
    AND d.business_date <= %(last)s) ORDER BY a.path, a.currency
"""
_BALANCES = """
SELECT account_id, sum(debits - credits)::bigint FROM account_days
WHERE ledger_id = %s AND account_id = ANY (%s::bigint[]) AND business_date <= %s GROUP BY 1
"""
_MOVED = """
SELECT DISTINCT account_id FROM account_days WHERE ledger_id = %s AND account_id = ANY (%s::bigint[])
  AND business_date <= %s AND (%s::date IS NULL OR business_date >= %s)
"""
# The newest that covers all of the days and ends with them.
_RUNS = """
SELECT DISTINCT ON (account_id) account_id, id, told_until, statement_opening, statement_closing, books_opening,
    books_closing, carried
FROM reconciliation_runs
WHERE ledger_id = %(ledger)s AND account_id = ANY (%(accounts)s::bigint[]) AND until_date = %(last)s
  AND (%(first)s::date IS NULL OR from_date <= %(first)s::date)
  AND (%(runs)s::bigint[] IS NULL OR id = ANY (%(runs)s::bigint[])) ORDER BY account_id, id DESC
"""
# What is not on the statement yet is open at a close: the days are over.
_SUMS = """
SELECT run_id, coalesce(sum(difference) FILTER (WHERE state IN ('matched', 'no_movement', 'accepted')), 0)::bigint,
    coalesce(sum(difference) FILTER (WHERE state NOT IN ('matched', 'no_movement', 'accepted')), 0)::bigint,
    count(*) FILTER (WHERE state NOT IN ('matched', 'no_movement', 'accepted'))
FROM reconciliation_decisions WHERE ledger_id = %s AND run_id = ANY (%s::bigint[]) GROUP BY 1
"""
_ITEMS = """
SELECT run_id, state, happened_at, receipt, reason, difference FROM reconciliation_decisions
WHERE ledger_id = %s AND run_id = ANY (%s::bigint[]) AND state NOT IN ('matched', 'no_movement')
ORDER BY run_id, number LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Item:
    """Something open, or a difference that two persons accepted; `at` is None for what has no moment."""

    what: str
    at: datetime | None
    receipt: str
    reason: str
    difference: int

    @property
    def is_accepted(self) -> bool:
        """Whether two persons explained it before."""
        return self.what == State.ACCEPTED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAtClose:
    """An account at the end of the days; amounts in minor units, as its statement writes them. The statement's closing
    balance less the books' is what is explained and what is open; `items` lists the first of what is open or accepted,
    `items_count` counts what is open. `moved_since` is what the books moved after the run."""

    id: int
    path: str
    currency: str
    run_id: int | None
    told_until: datetime | None
    statement: int | None
    books: int
    explained: int
    open: int
    items: Sequence[Item]
    items_count: int
    moved_since: int = 0


async def read_accounts(
    driver: Driver, *, ledger: Ledger, first: date | None, last: date, run_ids: Sequence[int] | None = None
) -> list[AccountAtClose]:
    """Those that hold something, or moved within the days; by the newest runs, or by those that were signed."""
    place = {"ledger": ledger.id, "last": last}
    accounts = await (await driver.execute(_ACCOUNTS, place)).fetchall()
    ids = [row[0] for row in accounts]
    balances = await read_balances(driver, ledger=ledger, last=last, account_ids=ids)
    moved = {row[0] for row in await _rows(driver, _MOVED, (ledger.id, ids, last, first, first))}
    wanted = place | {"accounts": ids, "first": first, "runs": None if run_ids is None else list(run_ids)}
    runs = {row[0]: row[1:] for row in await (await driver.execute(_RUNS, wanted)).fetchall()}
    found = [run[0] for run in runs.values()]
    sums = {row[0]: row[1:] for row in await _rows(driver, _SUMS, (ledger.id, found))}
    items: dict[int, list[Item]] = {}
    for run_id, *told in await _rows(driver, _ITEMS, (ledger.id, found, ITEMS_MAX)):
        items.setdefault(run_id, []).append(Item(*told))
    return [
        _without_run(row, balances[row[0]])
        if row[0] not in runs
        else _with_run(row, balances[row[0]], runs[row[0]], sums.get(runs[row[0]][0], (0, 0, 0)),
                       items.get(runs[row[0]][0], []))
        for row in accounts
        if balances[row[0]] or row[0] in moved
    ]  # fmt: skip


async def read_balances(driver: Driver, *, ledger: Ledger, last: date, account_ids: Sequence[int]) -> dict[int, int]:
    """What the books hold at the end of the day, by account."""
    found = dict(await _rows(driver, _BALANCES, (ledger.id, list(account_ids), last)))
    return {account_id: found.get(account_id, 0) for account_id in account_ids}


async def _rows(driver: Driver, query: LiteralString, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    return await (await driver.execute(query, values)).fetchall()


def _without_run(account: Sequence[Any], books: int) -> AccountAtClose:
    missing = Item(NO_RUN, None, "", "no statement that ends with these days was held against the books", 0)
    account_id, path, currency = account
    return AccountAtClose(
        id=account_id, path=path, currency=currency, run_id=None, told_until=None, statement=None, books=books,
        explained=0, open=0, items=[missing], items_count=1,
    )  # fmt: skip


def _with_run(
    account: Sequence[Any], books: int, run: Sequence[Any], sums: tuple[int, int, int], items: Sequence[Item]
) -> AccountAtClose:
    account_id, path, currency = account
    run_id, told_until, statement_opening, statement, books_opening, books_closing, carried = run
    explained, open_difference, count = sums
    own = list(items)
    gap = 0 if statement_opening is None else statement_opening - books_opening - carried
    if gap:
        own.insert(0, Item(OPENING, None, "", "the statement began with more or less than the books", gap))
    if statement is None:
        own.insert(0, Item(UNTOLD, None, "", "the statement tells no balance", 0))
    return AccountAtClose(
        id=account_id, path=path, currency=currency, run_id=run_id, told_until=told_until, statement=statement,
        books=books, explained=explained + carried, open=open_difference + gap, items=own,
        items_count=count + (gap != 0) + (statement is None), moved_since=books - books_closing,
    )  # fmt: skip
