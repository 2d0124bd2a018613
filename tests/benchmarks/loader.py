"""Books of any size in a short time: rows as posting would have written them, brought in by COPY.

The guards check entries as they arrive whole, in one statement; COPY brings table by table, so the owner switches the
triggers off for the load and on again after it. Keys, constraints and indexes stay. What was loaded is then proved by
`ledger.journal.verify`, which rebuilds everything from the postings.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import LiteralString, TypeAlias

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow
from sqlalchemy import URL

from ledger.database import conninfo
from ledger.ids import EPOCH, LOW_BITS
from ledger.journal.books import Ledger
from ledger.journal.post import business_date
from tests.benchmarks.entries import BANKS, HOT, KIND, WALLETS

Owner: TypeAlias = psycopg.AsyncConnection[TupleRow]

LINES_PER_ENTRY = 2
ENTRIES_PER_SET = 20_000
# Every tenth entry is about an order, four entries to each.
SUBJECT_KIND, SUBJECT_EVERY, SUBJECT_SPAN = "order", 10, 40
_CLIENT_ID = 1
_CREDITED = frozenset(WALLETS)

_TABLES = ("journal_entries", "postings", "idempotency_keys", "account_balances", "account_days")
_COLUMNS: Mapping[str, LiteralString] = {
    "journal_entries": "ledger_id, id, kind, subject_kind, subject_id, occurrence, effective_at, recorded_at, "
    "business_date, posting_count, source, actor",
    "postings": "ledger_id, entry_id, line, account_id, currency, side, amount, account_version, balance_after",
    "idempotency_keys": "ledger_id, client_id, key, method, request_hash, result_id, created_at",
    "account_days": "ledger_id, account_id, business_date, debits, credits",
}
_ACCOUNTS = "SELECT path, id FROM accounts WHERE ledger_id = %s"
_TOTALS = """
UPDATE account_balances AS balance
SET debits = total.debits, credits = total.credits, version = total.version, last_entry_id = total.entry_id
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
    AS total (account_id, debits, credits, version, entry_id)
WHERE balance.ledger_id = %s AND balance.account_id = total.account_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What was loaded: how much, between when, and the ids of some ten thousand entries to read."""

    entries: int
    first_at: datetime
    last_at: datetime
    entry_ids: Sequence[int]

    def subject_ids(self) -> list[str]:
        """A thousand orders, or all."""
        orders = max(1, self.entries // SUBJECT_SPAN)
        return [_subject_id(order) for order in range(0, orders, max(1, orders // 1000))]


@dataclass(slots=True)
class _Running:
    """An account's chain so far. Money enters the books and stays: banks are debited, wallets credited."""

    id: int
    version: int = 0
    balance: int = 0
    last_entry_id: int = 0

    def add(self, entry_id: int, amount: int) -> None:
        self.version += 1
        self.balance += amount
        self.last_entry_id = entry_id


@dataclass(slots=True)
class _Maker:
    """Makes the rows, in COPY's text form."""

    ledger: Ledger
    accounts: Mapping[str, _Running]
    first_at: datetime
    pause: timedelta
    days: dict[tuple[int, date], list[int]] = field(default_factory=dict)
    sample: list[int] = field(default_factory=list)
    sample_every: int = 1
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    def rows(self, numbers: range) -> dict[str, str]:
        """The rows of these entries, by table."""
        rows: dict[str, list[str]] = {"journal_entries": [], "postings": [], "idempotency_keys": []}
        for number in numbers:
            self._entry(number, rows)
        return {table: "".join(lines) for table, lines in rows.items()}

    def _entry(self, number: int, rows: Mapping[str, list[str]]) -> None:
        milliseconds = (self.first_at + number * self.pause - EPOCH) // timedelta(milliseconds=1)
        recorded_at = EPOCH + timedelta(milliseconds=milliseconds)
        entry_id, ledger_id = milliseconds << LOW_BITS | self._random.getrandbits(LOW_BITS), self.ledger.id
        if number % self.sample_every == 0:
            self.sample.append(entry_id)
        on, moment = business_date(recorded_at, self.ledger.zone), recorded_at.isoformat()
        subject = "\\N\t\\N"
        if number % SUBJECT_EVERY == 0:
            subject = f"{SUBJECT_KIND}\t{_subject_id(number // SUBJECT_SPAN)}"
        rows["journal_entries"].append(
            f"{ledger_id}\t{entry_id}\t{KIND}\t{subject}\t{entry_id}\t{moment}\t{moment}\t{on}\t2\tapi\tbenchmarks\n"
        )
        amount = self._random.randint(1_00, 5_000_00)
        debited = self.accounts[HOT if number % 2 else self._random.choice(BANKS)]
        credited = self.accounts[self._random.choice(WALLETS)]
        for line, account, side in ((1, debited, "D"), (2, credited, "C")):
            account.add(entry_id, amount)
            rows["postings"].append(
                f"{ledger_id}\t{entry_id}\t{line}\t{account.id}\tKES\t{side}\t{amount}\t{account.version}"
                f"\t{account.balance}\n"
            )
            self.days.setdefault((account.id, on), [0, 0])[line - 1] += amount
        # Clients choose their request ids at random: 128 bits as 32 digits, as of a UUID.
        key, digest = self._random.randbytes(16).hex(), self._random.randbytes(16).hex()
        rows["idempotency_keys"].append(
            f"{ledger_id}\t{_CLIENT_ID}\t{key}\tPostEntry\t\\\\x{digest}\t{entry_id}\t{moment}\n"
        )

    def day_rows(self) -> str:
        """What the days come to."""
        return "".join(
            f"{self.ledger.id}\t{account_id}\t{day}\t{debits}\t{credits}\n"
            for (account_id, day), (debits, credits) in sorted(self.days.items())
        )


def sets_of(entries: int) -> int:
    """How many times load_books() says that it goes on."""
    return -(-entries // ENTRIES_PER_SET)


async def load_books(
    owner_url: URL, *, ledger: Ledger, entries: int, first_at: datetime, last_at: datetime, told: Callable[[str], None]
) -> Books:
    """Fills empty books, with the accounts of `account_specs()` open, with so many entries of two lines, evenly spread
    over the time. `told` hears of each set. Raises what the database raises."""
    async with await psycopg.AsyncConnection.connect(conninfo(owner_url)) as owner:
        # A crash during a load loses the load: nobody was told that it is there.
        await owner.execute("SET synchronous_commit = off")
        maker = _Maker(
            ledger=ledger,
            accounts=await _accounts(owner, ledger),
            first_at=first_at,
            pause=(last_at - first_at) / entries,
            sample_every=max(1, entries // 10_000),
        )
        async with without_triggers(owner, _TABLES):
            await _copy_entries(owner, maker, entries, told)
            await copy_rows(owner, "account_days", _COLUMNS["account_days"], maker.day_rows())
            await _write_totals(owner, maker)
            await owner.commit()
    await tidy(owner_url)
    return Books(entries=entries, first_at=first_at, last_at=last_at, entry_ids=maker.sample)


async def _accounts(owner: Owner, ledger: Ledger) -> dict[str, _Running]:
    cursor = await owner.execute(_ACCOUNTS, (ledger.id,))
    return {path: _Running(account_id) for path, account_id in await cursor.fetchall()}


@asynccontextmanager
async def without_triggers(owner: Owner, tables: Sequence[str]) -> AsyncIterator[None]:
    """The tables' own triggers are off within; constraints and indexes stay."""
    await _switch(owner, tables, "DISABLE")
    yield
    await _switch(owner, tables, "ENABLE")


async def _switch(owner: Owner, tables: Sequence[str], word: LiteralString) -> None:
    for table in tables:
        statement = sql.SQL("ALTER TABLE {} {} TRIGGER USER").format(sql.Identifier(table), sql.SQL(word))
        await owner.execute(statement)
    await owner.commit()


async def _copy_entries(owner: Owner, maker: _Maker, entries: int, told: Callable[[str], None]) -> None:
    """The rows of the next set are made while PostgreSQL takes those of this one."""
    sets = [range(first, min(first + ENTRIES_PER_SET, entries)) for first in range(0, entries, ENTRIES_PER_SET)]
    waiting = await asyncio.to_thread(maker.rows, sets[0])
    for numbers in (*sets[1:], None):
        told(f"loading {entries:,} entries")
        making = asyncio.create_task(asyncio.to_thread(maker.rows, numbers)) if numbers is not None else None
        for table, rows in waiting.items():
            await copy_rows(owner, table, _COLUMNS[table], rows)
        await owner.commit()
        waiting = await making if making is not None else {}


async def copy_rows(owner: Owner, table: str, columns: LiteralString, rows: str) -> None:
    """Rows in COPY's text form."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), sql.SQL(columns))
    async with owner.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(rows)


async def _write_totals(owner: Owner, maker: _Maker) -> None:
    moved = [(path, account) for path, account in maker.accounts.items() if account.version]
    totals = [(one.id, 0, one.balance) if path in _CREDITED else (one.id, one.balance, 0) for path, one in moved]
    ends = [(one.version, one.last_entry_id) for _, one in moved]
    columns = [list(column) for column in (*zip(*totals, strict=True), *zip(*ends, strict=True))]
    await owner.execute(_TOTALS, (*columns, maker.ledger.id))


async def tidy(owner_url: URL) -> None:
    """What autovacuum would do soon: statistics, and the map of pages that everybody may see."""
    async with await psycopg.AsyncConnection.connect(conninfo(owner_url), autocommit=True) as owner:
        await owner.execute("VACUUM (ANALYZE)")


def _subject_id(order: int) -> str:
    return f"order-{order}"
