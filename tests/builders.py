"""Builders for tests: books of one's own in the shared database, with accounts and entries that have sensible defaults.

books = await open_books(engine)
posted = await books.post(transfer(BANK, WALLET, 500))
"""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import driver, run, transaction
from ledger.idempotency import KeyClaim, claim
from ledger.ids import IdSource
from ledger.journal.accounts import AccountClass, AccountDirectory, AccountSpec, open_accounts
from ledger.journal.books import Ledger, create_ledger
from ledger.journal.decide import Posted, PostRequest, Refused, Replayed
from ledger.journal.entry import JournalEntry, Posting, Side, Source, Subject, credit, debit
from ledger.journal.post import PostResult, post_entries
from ledger.journal.reverse import reverse_entry
from ledger.money import Money

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
CLIENT_ID = 7

BANK, WALLET, OTHER_WALLET, FEES = "asset.bank.kcb", "liab.wallet.1", "liab.wallet.2", "income.fees"
PRINTED, PRINTED_CONTRA = "memo.codes.printed", "memo.codes.contra"

_CLASSES = {
    "asset": (AccountClass.ASSET, Side.DEBIT),
    "liab": (AccountClass.LIABILITY, Side.CREDIT),
    "equity": (AccountClass.EQUITY, Side.CREDIT),
    "income": (AccountClass.INCOME, Side.CREDIT),
    "expense": (AccountClass.EXPENSE, Side.DEBIT),
    "memo": (AccountClass.MEMO, Side.DEBIT),
}


def account(
    path: str, *, currency: str = "KES", number: str = "", floor: int | None = None, ceiling: int | None = None
) -> AccountSpec:
    """An account whose class and normal side follow from the first word of its path."""
    account_class, normal_side = _CLASSES[path.partition(".")[0]]
    return AccountSpec(
        path=path,
        name=f"Account {path}",
        account_class=account_class,
        normal_side=normal_side,
        currency=currency,
        number=number,
        floor=floor,
        ceiling=ceiling,
    )


DEFAULT_ACCOUNTS = (
    account(BANK, number="1210"),
    account(WALLET, number="2110", floor=0),
    account(OTHER_WALLET, number="2110", floor=0),
    account(FEES, number="4210"),
    account(BANK, number="1210", currency="USD"),
    account(WALLET, number="2110", currency="USD"),
    account(PRINTED, number="9110"),
    account(PRINTED_CONTRA, number="9119"),
)


def entry(
    *postings: Posting,
    kind: str = "transfer",
    effective_at: datetime = NOW,
    subject: Subject | None = None,
    once: bool = False,
    reference: str | None = None,
    narrative: str | None = None,
    facts: Mapping[str, str] | None = None,
) -> JournalEntry:
    """An entry that came through the API."""
    return JournalEntry(
        kind=kind,
        postings=postings,
        effective_at=effective_at,
        source=Source.API,
        subject=subject,
        once=once,
        reference=reference,
        narrative=narrative,
        facts=facts,
    )


def transfer(
    debited: str,
    credited: str,
    minor_units: int,
    *,
    currency: str = "KES",
    kind: str = "transfer",
    effective_at: datetime = NOW,
    subject: Subject | None = None,
    reference: str | None = None,
) -> JournalEntry:
    """A two-line entry."""
    money = Money(currency, minor_units)
    lines = (debit(debited, money), credit(credited, money))
    return entry(*lines, kind=kind, effective_at=effective_at, subject=subject, reference=reference)


def key(text: str, *, content: bytes = b"") -> KeyClaim:
    """A claim of the tests' one client."""
    return claim(client_id=CLIENT_ID, key=text, method="test", content=content)


@dataclass(slots=True)
class Books:
    """A ledger for one test, and what posting to it needs."""

    engine: AsyncEngine
    ledger: Ledger
    ids: IdSource
    directory: AccountDirectory = field(default_factory=AccountDirectory)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction of the application role."""
        async with transaction(self.engine) as connection:
            yield connection

    async def try_post(self, *requests: PostRequest, now: datetime = NOW) -> list[PostResult]:
        """A verdict per request, posted as one set."""

        async def post_set(connection: AsyncConnection) -> list[PostResult]:
            return await post_entries(
                await driver(connection),
                ledger=self.ledger,
                requests=requests,
                directory=self.directory,
                ids=self.ids,
                now=now,
            )

        return await run(self.engine, post_set)

    async def post_all(self, entries: Sequence[JournalEntry], *, now: datetime = NOW) -> list[Posted]:
        """Posts the entries as one set; a refusal is raised."""
        results = await self.try_post(*(PostRequest(one, "tests") for one in entries), now=now)
        for result in results:
            if isinstance(result, Refused):
                raise result.error
        return [result for result in results if isinstance(result, Posted)]

    async def post(self, one: JournalEntry, *, now: datetime = NOW) -> Posted:
        """Posts one entry; a refusal is raised."""
        (posted,) = await self.post_all([one], now=now)
        return posted

    async def reverse(
        self,
        entry_id: int,
        *,
        lines: Mapping[int, int] | None = None,
        claimed: KeyClaim | None = None,
        reason: str = "posted in error",
        effective_at: datetime = NOW,
        now: datetime = NOW,
    ) -> Posted | Replayed:
        """Reverses the lines, or everything left, under a key of its own unless one is given."""
        one_key = claimed or key(secrets.token_hex(8))

        async def reverse_lines(connection: AsyncConnection) -> Posted | Replayed:
            return await reverse_entry(
                connection,
                ledger=self.ledger,
                entry_id=entry_id,
                lines=lines or {},
                reason=reason,
                effective_at=effective_at,
                actor="tests",
                key=one_key,
                directory=self.directory,
                ids=self.ids,
                now=now,
            )

        return await run(self.engine, reverse_lines)


async def open_books(
    engine: AsyncEngine,
    *,
    accounts: Sequence[AccountSpec] = DEFAULT_ACCOUNTS,
    time_zone: str = "Africa/Nairobi",
) -> Books:
    """An own ledger in KES with the accounts opened and nothing posted."""
    code = f"test-{secrets.token_hex(8)}"
    ids = IdSource(random.Random(code))
    async with transaction(engine) as connection:
        ledger = await create_ledger(
            connection, code=code, name="Books of a test", base_currency="KES", time_zone=time_zone, now=NOW
        )
        await open_accounts(connection, ledger_id=ledger.id, specs=accounts, ids=ids, now=NOW)
    return Books(engine, ledger, ids)
