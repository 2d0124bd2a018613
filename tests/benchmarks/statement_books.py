"""The books of a month at the simulated rail, brought in by COPY as the product would have posted them.

Each payout has its reserve and its settlement with the charge accrued, each collection its receipt, each reversal its
return; `ledger.journal.verify` then proves the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import LiteralString

import psycopg
from sqlalchemy import URL

from ledger.database import conninfo
from ledger.ids import first_id_at
from ledger.journal.accounts import AccountSpec
from ledger.journal.books import Ledger
from ledger.journal.chart import common_accounts, partner_account, shortcode_accounts
from ledger.journal.post import business_date
from tests.benchmarks.loader import Owner, copy_rows, tidy, without_triggers
from tests.benchmarks.statement_world import OPENING_CENTS, SHORTCODE, Happening, Month

CURRENCY, PROVIDER, PARTNER = "KES", "daraja", "shop"
FLOAT = f"asset.float.{PROVIDER}.{SHORTCODE}.utility"
PREFUND = f"liab.partner_prefund.{PARTNER}"
IN_TRANSIT = f"liab.payout.in_transit.{PROVIDER}.{SHORTCODE}"
UNALLOCATED = f"liab.receipts.unallocated.{PROVIDER}.{SHORTCODE}"
OWED = f"liab.provider_charges.{PROVIDER}.{SHORTCODE}"
SPENT_ON_PAYOUTS, SPENT_ON_RECEIPTS = "expense.provider_charges.payouts", "expense.provider_charges.collections"
_OF_ASSETS = frozenset({FLOAT, SPENT_ON_PAYOUTS, SPENT_ON_RECEIPTS})
_PER_SET = 20_000

_TABLES = (
    "journal_entries", "postings", "account_balances", "account_days", "receipts", "returns", "return_events",
)  # fmt: skip
_ENTRIES: LiteralString = (
    "ledger_id, id, kind, subject_kind, subject_id, occurrence, effective_at, recorded_at, business_date, "
    "posting_count, source, actor, reference"
)
_POSTINGS: LiteralString = (
    "ledger_id, entry_id, line, account_id, currency, side, amount, account_version, balance_after"
)
_DAYS: LiteralString = "ledger_id, account_id, business_date, debits, credits"
_RECEIPTS: LiteralString = (
    "ledger_id, id, provider, shortcode, receipt, currency, amount, payer_shown, reference_shown, sealed, "
    "completed_at, unallocated, suspended, allocated, returning_now, returned, version, created_at, updated_at"
)
_RETURNS: LiteralString = (
    "ledger_id, id, receipt_id, rail, shortcode, currency, amount, reason, reserve_entry_id, state, version, "
    "return_receipt, created_at, updated_at"
)
_EVENTS: LiteralString = "ledger_id, return_id, version, state, event, entry_id, actor, recorded_at"
_LANDING = """
INSERT INTO collection_shortcodes (ledger_id, provider, shortcode, currency, landing, accepts_unanswered,
    refuses_unknown, created_at) VALUES (%s, %s, %s, %s, %s, false, false, %s)
"""
_ACCOUNTS = "SELECT path, id FROM accounts WHERE ledger_id = %s"
_TOTALS = """
UPDATE account_balances SET debits = %s, credits = %s, version = %s, last_entry_id = %s
WHERE ledger_id = %s AND account_id = %s
"""


def account_specs() -> list[AccountSpec]:
    """The shipped chart, for one shortcode and one partner."""
    return [
        *common_accounts(currency=CURRENCY),
        *shortcode_accounts(provider=PROVIDER, shortcode=SHORTCODE, currency=CURRENCY),
        partner_account(partner=PARTNER, currency=CURRENCY),
    ]


@dataclass(slots=True)
class _Running:
    """An account's chain so far."""

    id: int
    is_asset: bool
    debits: int = 0
    credits: int = 0
    version: int = 0
    last_entry_id: int = 0

    @property
    def balance(self) -> int:
        """On its normal side."""
        return self.debits - self.credits if self.is_asset else self.credits - self.debits


@dataclass(slots=True)
class _Maker:
    """Makes the rows, in COPY's text form."""

    ledger: Ledger
    accounts: dict[str, _Running]
    rows: dict[str, list[str]] = field(default_factory=dict)
    days: dict[tuple[int, date], list[int]] = field(default_factory=dict)
    last_id: int = 0
    returned: int = 0

    def opening(self, at: datetime) -> None:
        """What the partner prefunded lies on the float."""
        self._entry("transfer.opening", at, "\\N", [(FLOAT, OPENING_CENTS), (PREFUND, -OPENING_CENTS)])

    def happened(self, one: Happening) -> None:
        """The entries of what the books were told, if anything."""
        if one.booked is None:
            return
        cents = abs(one.booked)
        if one.undoes:
            entry_id = self._entry("collection.returned", one.at, one.undoes, [(UNALLOCATED, cents), (FLOAT, -cents)])
            self._return(entry_id, one, cents)
            return
        is_payout = one.booked < 0
        lines = [(FLOAT, one.booked), (IN_TRANSIT if is_payout else UNALLOCATED, -one.booked)]
        if one.charge:
            lines += [(SPENT_ON_PAYOUTS if is_payout else SPENT_ON_RECEIPTS, one.charge), (OWED, -one.charge)]
        if is_payout:
            self._entry("payout.reserved", one.at, "\\N", [(PREFUND, cents), (IN_TRANSIT, -cents)])
        self._entry("payout.settled" if is_payout else "collection.received", one.at, one.receipt, lines)

    def taken(self) -> dict[str, str]:
        """The rows made since the last time."""
        rows, self.rows = self.rows, {}
        return {table: "".join(lines) for table, lines in rows.items()}

    def _entry(self, kind: str, at: datetime, reference: str, lines: list[tuple[str, int]]) -> int:
        """`lines` are cents, debits positive."""
        entry_id = self.last_id = max(first_id_at(at), self.last_id + 1)
        ledger_id, on = self.ledger.id, business_date(at, self.ledger.zone)
        self._add(
            "journal_entries",
            f"{ledger_id}\t{entry_id}\t{kind}\t\\N\t\\N\t{entry_id}\t{at}\t{at}\t{on}\t{len(lines)}\tcallback\tbenchmarks"
            f"\t{reference}\n",
        )
        for line, (path, cents) in enumerate(lines, 1):
            account, side = self.accounts[path], "D" if cents > 0 else "C"
            day = self.days.setdefault((account.id, on), [0, 0])
            account.debits, account.credits = account.debits + max(cents, 0), account.credits + max(-cents, 0)
            day[0], day[1] = day[0] + max(cents, 0), day[1] + max(-cents, 0)
            account.version, account.last_entry_id = account.version + 1, entry_id
            self._add(
                "postings",
                f"{ledger_id}\t{entry_id}\t{line}\t{account.id}\t{CURRENCY}\t{side}\t{abs(cents)}\t{account.version}"
                f"\t{account.balance}\n",
            )
        return entry_id

    def _return(self, entry_id: int, one: Happening, cents: int) -> None:
        """A receipt all of which went back."""
        ledger_id, at = self.ledger.id, one.at
        self.returned += 1
        whose = f"{PROVIDER}\t{SHORTCODE}\t"
        self._add(
            "receipts",
            f"{ledger_id}\t{self.returned}\t{whose}{one.undoes}\t{CURRENCY}\t{cents}\tpayer\tINV\t\\\\x00\t{at}"
            f"\t0\t0\t0\t0\t{cents}\t1\t{at}\t{at}\n",
        )
        self._add(
            "returns",
            f"{ledger_id}\t{self.returned}\t{self.returned}\t{whose}{CURRENCY}\t{cents}\tbenchmark\t{entry_id}"
            f"\tRETURNED\t1\t{one.receipt}\t{at}\t{at}\n",
        )
        self._add(
            "return_events",
            f"{ledger_id}\t{self.returned}\t1\tRETURNED\treturned\t{entry_id}\tbenchmarks\t{at}\n",
        )

    def _add(self, table: str, row: str) -> None:
        self.rows.setdefault(table, []).append(row)

    def day_rows(self) -> str:
        """What the days come to."""
        return "".join(
            f"{self.ledger.id}\t{account_id}\t{day}\t{debits}\t{credits}\n"
            for (account_id, day), (debits, credits) in sorted(self.days.items())
        )


_COLUMNS: dict[str, LiteralString] = {
    "journal_entries": _ENTRIES,
    "postings": _POSTINGS,
    "receipts": _RECEIPTS,
    "returns": _RETURNS,
    "return_events": _EVENTS,
}


async def load_month(owner_url: URL, *, ledger: Ledger, month: Month, told: Callable[[str], None]) -> None:
    """Fills empty books, with the accounts of `account_specs()` open. Raises what the database raises."""
    async with await psycopg.AsyncConnection.connect(conninfo(owner_url)) as owner:
        await owner.execute("SET synchronous_commit = off")
        accounts = await (await owner.execute(_ACCOUNTS, (ledger.id,))).fetchall()
        maker = _Maker(ledger, {path: _Running(number, path in _OF_ASSETS) for path, number in accounts})
        at = month.first_at - timedelta(hours=1)
        await owner.execute(_LANDING, (ledger.id, PROVIDER, SHORTCODE, CURRENCY, FLOAT, at))
        async with without_triggers(owner, _TABLES):
            maker.opening(at)
            for part in _sets(month.happenings):
                told(f"booking {len(month.happenings):,} movements")
                for one in part:
                    maker.happened(one)
                await _write(owner, maker)
            await copy_rows(owner, "account_days", _DAYS, maker.day_rows())
            for account in maker.accounts.values():
                if account.version:
                    row = (account.debits, account.credits, account.version, account.last_entry_id)
                    await owner.execute(_TOTALS, (*row, ledger.id, account.id))
            await owner.commit()
    await tidy(owner_url)


def sets_of(movements: int) -> int:
    """How many times at least load_month() says that it goes on."""
    return -(-movements // _PER_SET)


def _sets(happenings: Iterable[Happening]) -> Iterator[list[Happening]]:
    waiting = iter(happenings)
    while part := list(islice(waiting, _PER_SET)):
        yield part


async def _write(owner: Owner, maker: _Maker) -> None:
    for table, rows in sorted(maker.taken().items(), key=lambda item: list(_COLUMNS).index(item[0])):
        await copy_rows(owner, table, _COLUMNS[table], rows)
    await owner.commit()
