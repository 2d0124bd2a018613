"""Ways to read books: each query as the services ask it, on an account, entry or moment drawn at random."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TypeAlias

from daftari.v1 import journal_pb2 as pb
from daftari.v1.journal_pb2_grpc import JournalQueryServiceStub
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import transaction
from ledger.journal.balances import balance_at, balance_now
from ledger.journal.entries import get_entry, list_entries
from ledger.journal.entry_search import EntryFilter
from ledger.journal.post import business_date
from ledger.journal.statements import Order, account_statement
from ledger.journal.trial_balance import trial_balance, trial_balance_on
from tests.benchmarks.entries import HOT, WALLETS
from tests.benchmarks.load import closed_loop
from tests.benchmarks.loader import SUBJECT_KIND, Books
from tests.benchmarks.measuring import Sample, Variant
from tests.benchmarks.rig import LEDGER, Rig

PAGE = 50
CALL_SECONDS_MAX = 30.0

BALANCE, STATEMENT, BALANCE_AT = "balance", f"newest {PAGE} statement lines", "balance at a past moment"
HOT_ACCOUNT, ANY_WALLET, GRPC = "hot account", "any wallet", "hot account, gRPC"

_Query: TypeAlias = Callable[[AsyncConnection], Awaitable[object]]


class Reading:
    """Variants over loaded books, one caller each; in process on the application's own connections unless they say
    gRPC. `size` tells them apart from those over other books."""

    def __init__(self, rig: Rig, books: Books, *, size: str) -> None:
        self._rig = rig
        self._books = books
        self._size = size
        self._random = random.Random(1)
        self._subjects = books.subject_ids()
        self._queries = JournalQueryServiceStub(rig.channel)

    def variants(self) -> Mapping[str, Variant]:
        """By the name of what is read, which is the same over every book."""
        ways: dict[str, Callable[[], Awaitable[object]]] = {}
        for name, account in ((HOT_ACCOUNT, lambda: HOT), (ANY_WALLET, lambda: self._random.choice(WALLETS))):
            ways |= {f"{what}, {name}": self._asked(query) for what, query in self._of_account(account).items()}
        ways |= {f"{what}, {GRPC}": call for what, call in self._over_grpc().items()}
        ways |= {what: self._asked(query) for what, query in self._of_ledger().items()}
        return {name: self._variant(name, call) for name, call in ways.items()}

    def _variant(self, name: str, call: Callable[[], Awaitable[object]]) -> Variant:
        async def looked() -> None:
            assert await call() is not None

        async def run(seconds: float) -> Sample:
            return await closed_loop(looked, in_flight=1, seconds=seconds)

        return Variant(f"{name}, {self._size}", run)

    def _asked(self, query: _Query) -> Callable[[], Awaitable[object]]:
        async def call() -> object:
            async with transaction(self._rig.application.engine) as connection:
                return await query(connection)

        return call

    def _of_account(self, path: Callable[[], str]) -> Mapping[str, _Query]:
        ledger_id = self._rig.ledger.id

        async def now(connection: AsyncConnection) -> object:
            return await balance_now(connection, ledger_id=ledger_id, path=path(), currency="KES")

        async def statement(connection: AsyncConnection) -> object:
            order = Order.NEWEST_FIRST
            return await account_statement(
                connection, ledger_id=ledger_id, path=path(), currency="KES", order=order, after=0, limit=PAGE
            )

        async def past(connection: AsyncConnection) -> object:
            return await balance_at(
                connection, ledger_id=ledger_id, path=path(), currency="KES", recorded_at=self._moment()
            )

        return {BALANCE: now, STATEMENT: statement, BALANCE_AT: past}

    def _of_ledger(self) -> Mapping[str, _Query]:
        ledger = self._rig.ledger

        async def entry(connection: AsyncConnection) -> object:
            entry_id = self._random.choice(self._books.entry_ids)
            return await get_entry(connection, ledger_id=ledger.id, entry_id=entry_id)

        async def subject(connection: AsyncConnection) -> object:
            matching = EntryFilter(subject_kind=SUBJECT_KIND, subject_id=self._random.choice(self._subjects))
            page = await list_entries(connection, ledger_id=ledger.id, matching=matching, before=0, limit=PAGE)
            assert page.entries, "every order has entries"
            return page

        async def everything(connection: AsyncConnection) -> object:
            return await trial_balance(connection, ledger_id=ledger.id)

        async def until_day(connection: AsyncConnection) -> object:
            day = business_date(self._moment(), ledger.zone)
            return await trial_balance_on(connection, ledger_id=ledger.id, business_date=day)

        return {
            "entry by id": entry,
            "entries of a subject": subject,
            "trial balance": everything,
            "trial balance of a past date": until_day,
        }

    def _over_grpc(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        metadata = self._rig.metadata

        async def now() -> object:
            request = pb.GetBalanceRequest(ledger=LEDGER, path=HOT, currency="KES")
            return await self._queries.GetBalance(request, metadata=metadata, timeout=CALL_SECONDS_MAX)

        async def statement() -> object:
            request = pb.ListStatementLinesRequest(
                ledger=LEDGER, path=HOT, currency="KES", order=pb.ORDER_NEWEST_FIRST, page_size=PAGE
            )
            return await self._queries.ListStatementLines(request, metadata=metadata, timeout=CALL_SECONDS_MAX)

        async def past() -> object:
            moment = Timestamp()
            moment.FromDatetime(self._moment())
            request = pb.GetBalanceRequest(ledger=LEDGER, path=HOT, currency="KES", record_time=moment)
            return await self._queries.GetBalance(request, metadata=metadata, timeout=CALL_SECONDS_MAX)

        return {BALANCE: now, STATEMENT: statement, BALANCE_AT: past}

    def _moment(self) -> datetime:
        return self._books.first_at + (self._books.last_at - self._books.first_at) * self._random.random()
