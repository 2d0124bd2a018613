"""Ways to post without gRPC, in this process: a transaction per call, sets of a thousand; raw COPY to calibrate by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from psycopg import sql

from ledger.database import Driver, conninfo, run_session
from ledger.idempotency import claim
from ledger.journal.decide import Posted, PostRequest
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.journal.post import PostResult, post_entries_at_commit
from ledger.money import Money
from ledger.session import Session
from tests.benchmarks.entries import KIND, Transfer, Transfers
from tests.benchmarks.load import closed_loop, one_after_another
from tests.benchmarks.measuring import Sample, Variant
from tests.benchmarks.rig import Rig

SET = 1000
_CLIENT_ID = 1
# Everything immutable that posting writes, with what finds the rows of entries `first` to `last`.
_COPIED = {
    "journal_entries": "id",
    "postings": "entry_id",
    "idempotency_keys": "result_id",
}


class Inside:
    """Variants on the application's own pool of connections, and COPY on a connection of the owner."""

    def __init__(self, rig: Rig, transfers: Transfers) -> None:
        self._rig = rig
        self._transfers = transfers

    def transaction_per_call(self, *, in_flight: int) -> Variant:
        """post_entries with a set of one, each in a transaction of its own, on the hot account."""

        async def call() -> None:
            await self._post([self._request(self._transfers.hot())])

        async def work(seconds: float) -> Sample:
            return await closed_loop(call, in_flight=in_flight, seconds=seconds)

        return Variant(f"a transaction per call, hot, {in_flight} in flight", work)

    def sets(self) -> Variant:
        """post_entries with sets of a thousand, one after another, on the hot account."""

        async def prepare() -> list[PostRequest]:
            return [self._request(self._transfers.hot()) for _ in range(SET)]

        async def call(requests: list[PostRequest]) -> None:
            await self._post(requests)

        async def work(seconds: float) -> Sample:
            return await one_after_another(prepare, call, seconds=seconds, items_per_call=SET)

        return Variant(f"in process, hot, sets of {SET:,}", work)

    @asynccontextmanager
    async def raw_copy(self, *, sets: int) -> AsyncIterator[Variant]:
        """COPY of rows that posting wrote, into tables with the same columns, checks and indexes but no guard, a
        thousand entries a transaction. Posts `sets` sets to have those rows."""
        blocks = [await self._posted_rows() for _ in range(sets)]
        async with await Session.connect(conninfo(self._rig.owner_url)) as owner:
            await _create_targets(owner)
            waiting: list[Mapping[str, bytes]] = []

            async def prepare() -> Mapping[str, bytes]:
                if not waiting:
                    await _empty_targets(owner)
                    waiting.extend(reversed(blocks))
                return waiting.pop()

            async def call(block: Mapping[str, bytes]) -> None:
                await _copy_in(owner, block)

            async def work(seconds: float) -> Sample:
                waiting.clear()
                return await one_after_another(prepare, call, seconds=seconds, items_per_call=SET)

            yield Variant(f"raw COPY, {SET:,} entries a transaction", work)

    async def _post(self, requests: Sequence[PostRequest]) -> list[Posted]:
        rig = self._rig

        async def post(session: Driver) -> list[PostResult]:
            return await post_entries_at_commit(
                session,
                ledger=rig.ledger,
                requests=requests,
                directory=rig.application.directory,
                ids=rig.application.ids,
                now=rig.application.now(),
            )

        verdicts = await run_session(rig.application.engine, post)
        posted = [verdict for verdict in verdicts if isinstance(verdict, Posted)]
        assert len(posted) == len(requests), verdicts[:3]
        return posted

    def _request(self, transfer: Transfer) -> PostRequest:
        money = Money("KES", transfer.minor_units)
        entry = JournalEntry(
            kind=KIND,
            postings=(debit(transfer.debited, money), credit(transfer.credited, money)),
            effective_at=self._rig.application.now(),
            source=Source.API,
        )
        content = f"{transfer.debited}:{transfer.credited}:{transfer.minor_units}".encode()
        key = claim(client_id=_CLIENT_ID, key=transfer.request_id, method="PostEntry", content=content)
        return PostRequest(entry, "benchmarks", key)

    async def _posted_rows(self) -> dict[str, bytes]:
        posted = await self._post([self._request(self._transfers.hot()) for _ in range(SET)])
        async with await Session.connect(conninfo(self._rig.owner_url)) as owner:
            return await _copy_out(owner, posted[0].entry_id, posted[-1].entry_id)


async def _create_targets(owner: Driver) -> None:
    await owner.execute("CREATE SCHEMA benchmark")
    for table in _COPIED:
        target, source = sql.Identifier("benchmark", table), sql.Identifier("public", table)
        await owner.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(target, source))
    await owner.commit()


async def _empty_targets(owner: Driver) -> None:
    for table in _COPIED:
        await owner.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("benchmark", table)))
    await owner.commit()


async def _copy_out(owner: Driver, first: int, last: int) -> dict[str, bytes]:
    rows: dict[str, bytes] = {}
    for table, column in _COPIED.items():
        query = sql.SQL("COPY (SELECT * FROM {} WHERE {} BETWEEN {} AND {}) TO STDOUT").format(
            sql.Identifier("public", table), sql.Identifier(column), sql.Literal(first), sql.Literal(last)
        )
        async with owner.cursor() as cursor, cursor.copy(query) as copy:
            rows[table] = b"".join([bytes(part) async for part in copy])
    return rows


async def _copy_in(owner: Driver, block: Mapping[str, bytes]) -> None:
    for table, rows in block.items():
        statement = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier("benchmark", table))
        async with owner.cursor() as cursor, cursor.copy(statement) as copy:
            await copy.write(rows)
    await owner.commit()
