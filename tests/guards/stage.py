"""A stage for attacks in plain SQL: books laid out without our own code, and one statement that posts rows as given.

Rows are dicts by column, so that an attack is a valid entry with one thing changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from ledger.database import conninfo
from tests.fix_database import Database

Connection: TypeAlias = psycopg.Connection[TupleRow]
Values: TypeAlias = dict[str, Any]

BANK, WALLET, CAPPED, CLOSED, DOLLARS, CODES, CONTRA, FRESH = range(1, 9)
NO_ACCOUNT = 99
# id: (path, class, normal side, currency, floor, ceiling)
ACCOUNTS: dict[int, tuple[str, str, str, str, int | None, int | None]] = {
    BANK: ("asset.bank", "asset", "D", "KES", None, None),
    WALLET: ("liab.wallet", "liability", "C", "KES", 0, None),
    CAPPED: ("liab.capped", "liability", "C", "KES", None, 100),
    CLOSED: ("liab.closed", "liability", "C", "KES", None, None),
    DOLLARS: ("asset.bank", "asset", "D", "USD", None, None),
    CODES: ("memo.codes", "memo", "D", "KES", None, None),
    CONTRA: ("memo.contra", "memo", "C", "KES", None, None),
    FRESH: ("liab.fresh", "liability", "C", "KES", None, None),
}
FIRST, SECOND = 1000, 2000  # the entries that are there: bank to wallet, 500 and 300
NOW = "2026-11-20 09:00:00+00"

# One statement, so that the guards see header, postings and balances together. Whatever is left out is not written.
_POST = """
WITH headers AS (
    INSERT INTO public.journal_entries (ledger_id, id, kind, subject_kind, subject_id, occurrence, effective_at,
        recorded_at, business_date, posting_count, reverses_id, source, actor, reference, facts, xid)
    SELECT ledger_id, id, kind, subject_kind, subject_id, coalesce(occurrence, id), effective_at,
        recorded_at, business_date, posting_count, reverses_id, source, actor, reference, facts,
        coalesce(xid, pg_current_xact_id())
    FROM jsonb_populate_recordset(NULL::public.journal_entries, %(headers)s)
), lines AS (
    INSERT INTO public.postings SELECT * FROM jsonb_populate_recordset(NULL::public.postings, %(lines)s)
)
UPDATE public.account_balances AS b
SET debits = u.debits, credits = u.credits, version = u.version, last_entry_id = u.last_entry_id
FROM jsonb_populate_recordset(NULL::public.account_balances, %(balances)s) AS u
WHERE b.ledger_id = u.ledger_id AND b.account_id = u.account_id
"""
_TABLES: tuple[LiteralString, ...] = (
    "ledgers", "accounts", "account_balances", "account_days", "journal_entries", "postings", "reversal_links",
    "idempotency_keys", "partners", "parties", "payouts", "payout_events", "provider_references", "instructions",
    "attempts", "inbox", "reviews", "receipts", "receipt_events", "allocations", "orders", "order_events",
    "collection_references", "loan_products", "loans", "loan_events",
)  # fmt: skip


@dataclass(slots=True)
class Rows:
    """What one statement writes. Every list may be changed before it is posted."""

    headers: list[Values] = field(default_factory=list)
    lines: list[Values] = field(default_factory=list)
    balances: list[Values] = field(default_factory=list)

    def post(self, connection: Connection) -> None:
        """Writes them."""
        connection.execute(
            _POST, {"headers": Jsonb(self.headers), "lines": Jsonb(self.lines), "balances": Jsonb(self.balances)}
        )

    def __add__(self, other: Rows) -> Rows:
        return Rows(self.headers + other.headers, self.lines + other.lines, self.balances + other.balances)


@dataclass(slots=True)
class Stage:
    """A ledger with accounts and two entries, and another ledger with a bank of its own. Balances are kept here, so
    that the rows of a next entry follow."""

    ledger_id: int
    foreign_id: int
    totals: dict[int, list[int]] = field(default_factory=lambda: {account: [0, 0, 0] for account in ACCOUNTS})

    def entry(self, entry_id: int, *legs: tuple[int, str, int], **header: Any) -> Rows:
        """The rows of a valid entry, each leg (account, "D" or "C", amount). Accounts move on by it."""
        lines = [self._line(entry_id, number, *leg) for number, leg in enumerate(legs, start=1)]
        balances = [self._balance(account, entry_id) for account in dict.fromkeys(leg[0] for leg in legs)]
        return Rows([self._header(entry_id, len(legs), **header)], lines, balances)

    def transfer(self, entry_id: int, debited: int, credited: int, amount: int, **header: Any) -> Rows:
        """A valid entry of two lines."""
        return self.entry(entry_id, (debited, "D", amount), (credited, "C", amount), **header)

    def _header(self, entry_id: int, posting_count: int, **changes: Any) -> Values:
        return {
            "ledger_id": self.ledger_id, "id": entry_id, "kind": "test.entry", "effective_at": NOW, "recorded_at": NOW,
            "business_date": "2026-11-20", "posting_count": posting_count, "source": "api", "actor": "tests", **changes,
        }  # fmt: skip

    def _line(self, entry_id: int, number: int, account: int, side: str, amount: int) -> Values:
        totals = self.totals.setdefault(account, [0, 0, 0])
        totals["DC".index(side)] += amount
        totals[2] += 1
        _, _, normal_side, currency, _, _ = ACCOUNTS.get(account, ACCOUNTS[BANK])
        net = totals[0] - totals[1]
        return {
            "ledger_id": self.ledger_id, "entry_id": entry_id, "line": number, "account_id": account,
            "currency": currency, "side": side, "amount": amount, "account_version": totals[2],
            "balance_after": net if normal_side == "D" else -net,
        }  # fmt: skip

    def _balance(self, account: int, entry_id: int) -> Values:
        debits, credits, version = self.totals[account]
        return {
            "ledger_id": self.ledger_id, "account_id": account, "debits": debits, "credits": credits,
            "version": version, "last_entry_id": entry_id,
        }  # fmt: skip

    def twin(self) -> Stage:
        """The same ledger for somebody else, who knows what it holds now."""
        return Stage(
            self.ledger_id, self.foreign_id, {account: list(totals) for account, totals in self.totals.items()}
        )

    def everything(self, connection: Connection) -> list[str]:
        """Every row of both ledgers, as text."""
        rows: list[str] = []
        for table in _TABLES:
            key = "id" if table == "ledgers" else "ledger_id"
            query = sql.SQL("SELECT t::text FROM public.{} AS t WHERE t.{} = ANY(%s) ORDER BY 1")
            found = connection.execute(
                query.format(sql.Identifier(table), sql.Identifier(key)), ([self.ledger_id, self.foreign_id],)
            )
            rows += [f"{table} {row[0]}" for row in found]
        return rows


def lay_out(connection: Connection) -> Stage:
    """Makes the two ledgers and commits."""
    stage = Stage(_open(connection, ACCOUNTS), _open(connection, {NO_ACCOUNT: ("asset.bank", *ACCOUNTS[BANK][1:])}))
    connection.execute(
        "UPDATE account_balances SET closed_at = %s WHERE ledger_id = %s AND account_id = %s",
        (NOW, stage.ledger_id, CLOSED),
    )
    stage.transfer(FIRST, BANK, WALLET, 500).post(connection)
    stage.transfer(SECOND, BANK, WALLET, 300).post(connection)
    connection.commit()
    return stage


def _open(connection: Connection, accounts: Mapping[int, Sequence[Any]]) -> int:
    row = connection.execute(
        "INSERT INTO ledgers (code, name, base_currency, time_zone, created_at) "
        "VALUES (%s, 'Stage', 'KES', 'Africa/Nairobi', %s) RETURNING id",
        (f"stage-{secrets.token_hex(8)}", NOW),
    ).fetchone()
    assert row is not None
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO accounts (ledger_id, id, path, number, name, class, normal_side, currency, opened_at) "
            "VALUES (%s, %s, %s, '', 'Account', %s, %s, %s, %s)",
            [(row[0], account, *properties[:4], NOW) for account, properties in accounts.items()],
        )
        cursor.executemany(
            "INSERT INTO account_balances (ledger_id, account_id, floor, ceiling) VALUES (%s, %s, %s, %s)",
            [(row[0], account, *properties[4:]) for account, properties in accounts.items()],
        )
    return int(row[0])


@contextmanager
def session(database: Database, role: str) -> Iterator[Connection]:
    """A connection as "app", "reader", "migrator", "owner" or "admin"; what it did not commit is rolled back."""
    with psycopg.connect(conninfo(getattr(database, role))) as connection:
        yield connection
        connection.rollback()


@contextmanager
def refusal(connection: Connection, sqlstate: str, constraint: str | None) -> Iterator[None]:
    """Expects PostgreSQL to refuse what the block does, or at the latest its COMMIT. Within a transaction the block is
    a savepoint, and what waits for COMMIT is asked for at its end."""
    inside = connection.info.transaction_status is not TransactionStatus.IDLE
    told = None
    try:
        with connection.transaction():
            yield
            if inside:
                connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as error:
        told = error.diag
    assert told is not None, "it was accepted"
    assert (told.sqlstate, told.constraint_name) == (sqlstate, constraint), told.message_primary
