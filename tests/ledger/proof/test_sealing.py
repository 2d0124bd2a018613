"""Sealing behind posting: every entry once, in one chain, whoever commits late, crashes or races."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters import proof_watch
from ledger.database import conninfo, driver, transaction
from ledger.journal.decide import PostRequest
from ledger.journal.entry import JournalEntry
from ledger.journal.poster import Poster
from ledger.operations import QueueLength, operations_status
from ledger.proof import sealing
from ledger.proof.chain import HEADER, LINE
from ledger.proof.reading import checkpoints_until, read_documents, read_seals
from ledger.proof.sealing import BEGINNING, Sealed
from tests.builders import BANK, DEFAULT_ACCOUNTS, FEES, NOW, WALLET, Books, account, open_books, transfer
from tests.fix_database import Database
from tests.ledger.proof.chains import KEY, SEALER, overtaken, positions, seal, seal_all

CASH = "asset.cash"


@pytest.fixture
async def books(engine: AsyncEngine) -> Books:
    """With three entries."""
    opened = await open_books(engine, accounts=(*DEFAULT_ACCOUNTS, account(CASH)))
    await opened.post_all([transfer(BANK, WALLET, amount) for amount in (500, 300, 200)])
    return opened


async def post_within(books: Books, connection: AsyncConnection, entry: JournalEntry) -> int:
    """Posts in a transaction that stays open; the entry's id."""
    poster = Poster(directory=books.directory, ids=books.ids)
    requests = [PostRequest(entry, "late")]
    (posted,) = await poster.post(await driver(connection), ledger=books.ledger, requests=requests, now=NOW)
    return posted


async def test_a_set_is_sealed_with_a_checkpoint_that_carries_the_signature(books: Books) -> None:
    done = await seal(books)

    async with books.reading() as connection:
        session = await driver(connection)
        (checkpoint,) = await checkpoints_until(session, ledger_id=books.ledger.id, after=0, until=9)
        seals = await read_seals(session, ledger_id=books.ledger.id, after=0, limit=10)
    code = books.ledger.code
    assert (done.count, checkpoint.from_position, checkpoint.until_position, checkpoint.is_complete) == (3, 1, 3, True)
    assert KEY.public.signed(checkpoint.signed_text(code), checkpoint.signature)
    assert all(KEY.public.signed(one.signed_text(code), one.signature) for one in seals)


async def test_the_documents_have_the_fields_that_marks_stand_for(books: Books) -> None:
    (entry_id,) = [posted.entry_id for posted in await books.post_all([transfer(BANK, WALLET, 1)])]

    async with books.reading() as connection:
        found = await read_documents(await driver(connection), ledger_id=books.ledger.id, entry_ids=[entry_id])

    document = found[entry_id].document
    assert tuple(document) == (*HEADER, "postings", "reversals")
    assert [tuple(line) for line in document["postings"]] == [LINE, LINE]


async def test_sealing_goes_on_where_it_was_in_sets_that_are_bounded(books: Books) -> None:
    first = await seal(books, limit=2)
    second = await seal(books, reached=first.reached, limit=2)
    third = await seal(books, reached=second.reached, limit=2)

    assert [first.count, second.count, third.count] == [2, 1, 0]
    made = [done.checkpoint for done in (first, second) if done.checkpoint is not None]
    assert [checkpoint.is_complete for checkpoint in made] == [False, True]
    assert [position for position, _ in await positions(books)] == [1, 2, 3]


async def test_who_begins_anew_seals_nothing_twice(books: Books) -> None:
    await seal_all(books)
    await books.post_all([transfer(BANK, WALLET, 7)])

    again = await seal(books)

    assert again.count == 1
    assert len(await positions(books)) == 4


async def test_an_entry_that_commits_late_is_late_in_the_chain_and_not_left_out(books: Books) -> None:
    """It has the lower id and the lower transaction, and is not there when the others are sealed."""
    await overtaken(books)
    async with transaction(books.engine) as slow:
        late = await post_within(books, slow, transfer(CASH, FEES, 1))
        await books.post_all([transfer(BANK, WALLET, 7)])
        during = await seal(books, at_once=True)
    after = await seal(books, reached=during.reached)

    assert (during.count, after.count) == (3, 2)
    assert late in [entry_id for _, entry_id in await positions(books)]


async def test_a_search_reads_no_more_than_it_seals_and_the_transaction_it_ends_in(fresh_engine: AsyncEngine) -> None:
    """However much waits."""
    books = await open_books(fresh_engine)
    for amount in range(1, 31):
        await books.post_all([transfer(BANK, WALLET, amount), transfer(BANK, WALLET, 2 * amount)])
    values = {"ledger": books.ledger.id, "xid": "0", "id": 0, "all": True, "limit": 11}
    async with books.reading() as connection:
        session = await driver(connection)
        await session.execute(sealing._SEARCHING, ("10s",))
        rows = await (await session.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sealing._FOUND}", values)).fetchall()

    plan = rows[0][0][0]["Plan"]
    reads = [node for node in nodes(plan) if node.get("Relation Name") == "journal_entries"]
    assert [node["Index Name"] for node in reads] == ["journal_entries_by_transaction"]
    assert [11 <= node["Actual Rows"] <= 14 for node in reads] == [True], reads


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a plan, from its top."""
    return [plan, *(node for part in plan.get("Plans", []) for node in nodes(part))]


async def test_a_sealer_that_dies_leaves_the_whole_set_to_the_next(books: Books) -> None:
    async with books.engine.connect() as connection:
        session = await driver(connection)
        await SEALER.seal(session, ledger=books.ledger, reached=BEGINNING, now=NOW, limit=2)
        await connection.rollback()

    assert await positions(books) == []
    assert await seal_all(books) == 3


async def test_sealers_that_race_make_one_chain_with_every_entry_once(books: Books) -> None:
    """Each begins at the beginning, and half of the entries arrive meanwhile."""
    more = [books.post_all([transfer(BANK, WALLET, amount)]) for amount in range(1, 13)]

    await asyncio.gather(*(seal_all(books, limit=2) for _ in range(4)), *more)
    await seal_all(books)

    sealed = await positions(books)
    assert [position for position, _ in sealed] == list(range(1, 16))
    assert len({entry_id for _, entry_id in sealed}) == 15


async def test_while_another_seals_nothing_is_done_and_nothing_forgotten(books: Books) -> None:
    async with transaction(books.engine) as connection:
        session = await driver(connection)
        await SEALER.seal(session, ledger=books.ledger, reached=BEGINNING, now=NOW, limit=10)
        beside = await seal(books, at_once=True)

    assert beside == Sealed(0, None, BEGINNING)


async def test_entries_of_another_cluster_are_found_by_the_first_search(
    fresh_engine: AsyncEngine, fresh_database: Database
) -> None:
    """After a restore their transactions are of a numbering that this cluster has not reached."""
    books = await open_books(fresh_engine)
    await books.post_all([transfer(BANK, WALLET, amount) for amount in (500, 300)])
    with psycopg.connect(conninfo(fresh_database.admin)) as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute("UPDATE journal_entries SET xid = (xid::text::bigint + 1000000)::text::xid8")
    first = await seal(books)
    await books.post_all([transfer(BANK, WALLET, 7)])

    second = await seal(books, reached=first.reached)

    assert (first.count, second.count) == (2, 1)


async def test_a_watch_seals_all_ledgers_and_says_when_more_waits(
    fresh_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_watch, "SEALED_MAX", 2)
    ledgers = [await open_books(fresh_engine) for _ in range(2)]
    for one in ledgers:
        await one.post_all([transfer(BANK, WALLET, amount) for amount in (500, 300, 200)])
        await overtaken(one)
    watch = proof_watch.ProofWatch(engine=fresh_engine, sealer=SEALER, now=lambda: NOW)

    full = [await watch.step() for _ in range(3)]

    assert full == [2, 0, 0]
    assert [len(await positions(one)) for one in ledgers] == [3, 3]


async def test_operators_see_how_many_entries_wait_for_their_seal(books: Books) -> None:
    before = await waiting(books)
    await seal_all(books)
    sealed = await waiting(books)
    await books.post_all([transfer(BANK, WALLET, amount) for amount in (7, 8)])
    await overtaken(books)

    assert (before, sealed) == ([], [])
    assert await waiting(books) == [QueueLength(books.ledger.id, "entries to seal", 2, NOW)]


async def waiting(books: Books) -> list[QueueLength]:
    """The queue of sealing; a ledger that was never sealed has none."""
    async with books.reading() as connection:
        status = await operations_status(connection, now=NOW)
    return [one for one in status.queues if one.ledger_id == books.ledger.id]
