"""Posting a set: a verdict per item, rows that say what was asked, and one effect per key however requests race."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import tables
from ledger.database import driver, transaction
from ledger.ids import IdSource, time_of
from ledger.journal.accounts import AccountDirectory, open_accounts
from ledger.journal.decide import Posted, PostRequest, Refused, Replayed
from ledger.journal.entry import JournalEntry, Source, Subject, credit, debit
from ledger.journal.post import (
    EFFECTIVE_AHEAD_MAX,
    PostResult,
    business_date,
    link_whole_reversals,
    post_entries,
)
from ledger.money import Money
from tests.builders import BANK, FEES, NOW, OTHER_WALLET, WALLET, Books, account, entry, key, open_books, transfer

MICROSECOND = timedelta(microseconds=1)


def request(one: JournalEntry, *, under: str | None = None) -> PostRequest:
    """The entry under a key whose content is the entry's amounts; under none by default."""
    content = repr(one.postings).encode()
    return PostRequest(one, "tests", key(under, content=content) if under else None)


def told(verdicts: Sequence[PostResult]) -> list[str]:
    """ "posted", "replayed" or the reason of a refusal, per verdict."""
    return [one.error.reason if isinstance(one, Refused) else type(one).__name__.lower() for one in verdicts]


async def rows(books: Books, table: str) -> list[Row[Any]]:
    """The ledger's rows of a table in the order of its key."""
    source = tables.metadata.tables[table]
    query = select(source).where(source.c.ledger_id == books.ledger.id).order_by(*source.primary_key)
    async with books.reading() as connection:
        return list(await connection.execute(query))


async def post_in(connection: AsyncConnection, books: Books, *requests: PostRequest) -> list[PostResult]:
    """Posts in a transaction that the caller ends."""
    return await post_entries(
        await driver(connection),
        ledger=books.ledger,
        requests=requests,
        directory=books.directory,
        ids=books.ids,
        now=NOW,
    )


async def until_someone_waits_for(connection: AsyncConnection, books: Books) -> None:
    """Returns when another transaction waits for this one. Fails after a minute."""
    xid = (await connection.execute(text("SELECT pg_current_xact_id()::xid::text"))).scalar_one()
    waits = text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid::text = :xid)")
    async with asyncio.timeout(60), books.reading() as other:
        while not (await other.execute(waits, {"xid": xid})).scalar_one():  # noqa: ASYNC110 (a server sets no Event)
            await asyncio.sleep(0.005)


async def test_the_rows_say_what_was_asked(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    effective_at = datetime(2026, 11, 19, 21, 30, 0, 5, tzinfo=UTC)
    draft = replace(
        entry(debit(BANK, Money("KES", 500)), credit(WALLET, Money("KES", 480)), credit(FEES, Money("KES", 20))),
        kind="wallet.topup",
        effective_at=effective_at,
        source=Source.CALLBACK,
        subject=Subject("order", "42"),
        reference="RCPT1",
        narrative='Karibu \u2603 "{NULL}", \\ \n',
        facts={"till": "600100"},
    )

    (posted,) = await books.try_post(PostRequest(draft, "worker"))

    assert isinstance(posted, Posted)
    (header,) = await rows(books, "journal_entries")
    assert (header.id, header.kind, header.subject_kind, header.subject_id) == (
        posted.entry_id,
        "wallet.topup",
        "order",
        "42",
    )
    assert (header.effective_at, header.business_date) == (effective_at, date(2026, 11, 20))
    assert header.recorded_at == posted.recorded_at == time_of(posted.entry_id) == NOW
    assert (header.posting_count, header.source, header.actor) == (3, "callback", "worker")
    assert (header.reference, header.narrative, header.facts) == (
        "RCPT1",
        'Karibu \u2603 "{NULL}", \\ \n',
        {"till": "600100"},
    )
    assert (header.reverses_id, header.occurrence) == (None, posted.entry_id)
    lines = [
        (one.line, one.side, one.amount, one.account_version, one.balance_after)
        for one in await rows(books, "postings")
    ]
    assert lines == [(1, "D", 500, 1, 500), (2, "C", 480, 1, 480), (3, "C", 20, 1, 20)]
    assert [(one.account_version, one.balance_after) for one in posted.lines] == [(1, 500), (1, 480), (1, 20)]


async def test_each_item_has_its_own_verdict_and_a_refused_one_leaves_nothing(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    verdicts = await books.try_post(
        request(transfer(BANK, WALLET, 100), under="a"),
        request(transfer(WALLET, BANK, 101), under="b"),
        request(transfer(BANK, WALLET, 100), under="a"),
        request(transfer(BANK, WALLET, 99), under="a"),
        request(transfer(BANK, "liab.nobody", 5), under="c"),
        request(transfer(BANK, WALLET, 5, effective_at=NOW + timedelta(hours=1)), under="d"),
        request(transfer(WALLET, BANK, 60), under="b"),
    )

    reused, unknown = "IDEMPOTENCY_KEY_REUSED", "ACCOUNT_NOT_FOUND"
    assert told(verdicts) == ["posted", "FLOOR_WOULD_BREAK", "replayed", reused, unknown, "TIME_INVALID", "posted"]
    assert isinstance(verdicts[0], Posted)
    assert verdicts[2] == Replayed(verdicts[0].entry_id)
    assert [one.key for one in await rows(books, "idempotency_keys")] == ["a", "b"]
    assert [one.balance_after for one in await rows(books, "postings")] == [100, 100, 40, 40]


async def test_a_request_is_answered_by_the_same_entry_for_ever(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    asked = request(transfer(BANK, WALLET, 100), under="a")
    (first,) = await books.try_post(asked)
    await books.post(transfer(WALLET, BANK, 100))

    again = await books.try_post(asked, asked, now=NOW + timedelta(days=400))
    other = await books.try_post(request(transfer(BANK, WALLET, 99), under="a"))

    assert isinstance(first, Posted)
    assert again == [Replayed(first.entry_id)] * 2
    assert told(other) == ["IDEMPOTENCY_KEY_REUSED"]
    assert len(await rows(books, "journal_entries")) == 2


async def test_a_refused_request_may_be_asked_again_when_the_books_allow_it(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    asked = request(transfer(WALLET, BANK, 100), under="a")
    before = await books.try_post(asked)
    await books.post(transfer(BANK, WALLET, 100))

    after = await books.try_post(asked)

    assert (told(before), told(after)) == (["FLOOR_WOULD_BREAK"], ["posted"])


async def test_an_entry_may_lie_ten_minutes_ahead_of_the_clock_and_no_more(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    latest = NOW + EFFECTIVE_AHEAD_MAX

    verdicts = await books.try_post(
        request(transfer(BANK, WALLET, 1, effective_at=latest)),
        request(transfer(BANK, WALLET, 1, effective_at=latest + MICROSECOND)),
        request(transfer(BANK, WALLET, 1, effective_at=datetime(1970, 1, 1, tzinfo=UTC))),
    )

    assert told(verdicts) == ["posted", "TIME_INVALID", "posted"]


async def test_a_key_keeps_its_answer_when_the_clock_has_jumped_back(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    asked = request(transfer(BANK, WALLET, 1), under="a")
    (posted,) = await books.try_post(asked)

    (again,) = await books.try_post(asked, now=NOW - timedelta(hours=1))

    assert isinstance(posted, Posted)
    assert again == Replayed(posted.entry_id)


async def test_a_racing_repeat_is_a_replay_even_when_the_first_took_all_there_was(engine: AsyncEngine) -> None:
    """The repeat waits for the first one's locks; by then the key has its answer, and the wallet is empty."""
    books = await open_books(engine)
    await books.post(transfer(BANK, WALLET, 100))
    asked = request(transfer(WALLET, BANK, 100), under="all")

    async with transaction(engine) as connection:
        (first,) = await post_in(connection, books, asked)
        repeat = asyncio.create_task(books.try_post(asked))
        await until_someone_waits_for(connection, books)

    assert isinstance(first, Posted)
    assert await repeat == [Replayed(first.entry_id)]


async def test_a_racing_transition_is_refused_as_repeated(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    paid = request(replace(transfer(BANK, WALLET, 5, subject=Subject("order", "1")), once=True))

    async with transaction(engine) as connection:
        first = await post_in(connection, books, paid)
        repeat = asyncio.create_task(books.try_post(paid))
        await until_someone_waits_for(connection, books)

    assert (told(first), told(await repeat)) == (["posted"], ["TRANSITION_REPEATED"])


async def test_a_racing_repeat_of_what_was_rolled_back_proceeds(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    asked = request(transfer(BANK, WALLET, 100), under="a")

    async with engine.connect() as connection:
        await connection.begin()
        first = await post_in(connection, books, asked)
        repeat = asyncio.create_task(books.try_post(asked))
        await until_someone_waits_for(connection, books)
        await connection.rollback()

    assert (told(first), told(await repeat)) == (["posted"], ["posted"])
    assert len(await rows(books, "journal_entries")) == 1


async def test_a_transition_happens_once_and_other_kinds_and_subjects_are_free(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    def paid(kind: str, subject: Subject, *, once: bool) -> PostRequest:
        return request(replace(transfer(BANK, WALLET, 5, kind=kind, subject=subject), once=once))

    first, second = Subject("order", "1"), Subject("order", "2")
    inside = await books.try_post(
        paid("order.paid", first, once=True),
        paid("order.paid", first, once=True),
        paid("order.paid", second, once=True),
        paid("order.closed", first, once=True),
    )
    later = await books.try_post(
        paid("order.paid", first, once=True),
        paid("order.paid", first, once=False),
        paid("order.paid", first, once=False),
    )

    assert told(inside) == ["posted", "TRANSITION_REPEATED", "posted", "posted"]
    assert told(later) == ["TRANSITION_REPEATED", "posted", "posted"]


async def test_nothing_is_posted_until_the_callers_transaction_commits(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    async with engine.connect() as connection:
        await connection.begin()
        verdicts = await post_in(connection, books, request(transfer(BANK, WALLET, 5), under="a"))
        await connection.rollback()

    assert told(verdicts) == ["posted"]
    for table in ("journal_entries", "postings", "account_days", "idempotency_keys"):
        assert await rows(books, table) == []
    assert {one.version for one in await rows(books, "account_balances")} == {0}


async def test_an_empty_set_has_no_verdicts(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    assert await books.try_post() == []


async def test_days_are_counted_in_the_ledgers_own_zone_and_backdating_costs_one_row(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    late = datetime(2026, 11, 18, 21, 0, tzinfo=UTC)

    await books.post(transfer(BANK, WALLET, 100))
    await books.post_all(
        [
            transfer(BANK, WALLET, 7, effective_at=late - MICROSECOND),
            transfer(BANK, WALLET, 5, effective_at=late),
            transfer(WALLET, BANK, 2, effective_at=late),
        ]
    )

    bank_id = min(one.account_id for one in await rows(books, "account_days"))
    days = {
        one.business_date: (one.debits, one.credits)
        for one in await rows(books, "account_days")
        if one.account_id == bank_id
    }
    assert days == {date(2026, 11, 18): (7, 0), date(2026, 11, 19): (5, 2), date(2026, 11, 20): (100, 0)}


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("Africa/Nairobi", datetime(2026, 11, 20, 20, 59, 59, 999_999, tzinfo=UTC), date(2026, 11, 20)),
        ("Africa/Nairobi", datetime(2026, 11, 20, 21, 0, tzinfo=UTC), date(2026, 11, 21)),
        ("Africa/Casablanca", datetime(2026, 2, 14, 23, 30, tzinfo=UTC), date(2026, 2, 15)),  # UTC+1 outside Ramadan
        ("Africa/Casablanca", datetime(2026, 3, 1, 23, 30, tzinfo=UTC), date(2026, 3, 1)),  # UTC in Ramadan
        ("UTC", datetime(2026, 11, 21, 1, 0, tzinfo=ZoneInfo("Africa/Nairobi")), date(2026, 11, 20)),
    ],
)
def test_a_business_date_is_the_ledgers_calendar_date(zone: str, moment: datetime, day: date) -> None:
    assert business_date(moment, ZoneInfo(zone)) == day


async def test_ids_rise_along_an_account_though_another_process_clock_lags(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    lagging = Books(engine, books.ledger, IdSource(random.Random(5)))
    first = await books.post(transfer(BANK, WALLET, 5))

    second = await lagging.post(
        transfer(BANK, WALLET, 5, effective_at=NOW - timedelta(hours=2)), now=NOW - timedelta(hours=1)
    )
    third = await books.post(transfer(BANK, OTHER_WALLET, 5))

    assert first.entry_id < second.entry_id < third.entry_id
    assert second.recorded_at == first.recorded_at


async def test_an_account_is_found_once_it_is_open_and_never_in_another_ledger(engine: AsyncEngine) -> None:
    books, others = await open_books(engine), await open_books(engine, accounts=[account(BANK), account("liab.new")])
    asked = request(transfer(BANK, "liab.new", 5))
    before = await books.try_post(asked)

    async with transaction(engine) as connection:
        await open_accounts(connection, ledger_id=books.ledger.id, specs=[account("liab.new")], ids=books.ids, now=NOW)
    after = await books.try_post(asked)

    assert (told(before), told(after)) == (["ACCOUNT_NOT_FOUND"], ["posted"])
    assert {one.version for one in await rows(others, "account_balances")} == {0}


async def test_a_directory_shared_by_ledgers_keeps_them_apart(engine: AsyncEngine) -> None:
    books, others = await open_books(engine), await open_books(engine)
    others.directory = books.directory = AccountDirectory()
    await books.post(transfer(BANK, WALLET, 5))

    await others.post(transfer(BANK, WALLET, 7))

    assert [one.balance_after for one in await rows(books, "postings")] == [5, 5]
    assert [one.balance_after for one in await rows(others, "postings")] == [7, 7]


async def test_a_large_set_of_long_entries_is_posted_whole(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    one = Money("KES", 1)
    longest = entry(*[debit(BANK, one), credit(WALLET, one)] * 100)

    posted = await books.post_all([longest, *[transfer(BANK, WALLET, 1)] * 511])

    assert len(posted) == 512
    assert posted[-1].lines[1].balance_after == 611
    assert [line.account_version for line in posted[0].lines] == [number // 2 + 1 for number in range(200)]
    assert [one.entry_id for one in posted] == sorted({one.entry_id for one in posted})


async def test_an_entry_that_undoes_a_whole_one_is_linked_line_by_line(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(transfer(BANK, WALLET, 5))
    undoing = replace(transfer(WALLET, BANK, 5), reverses_id=original.entry_id)
    undoing = replace(undoing, postings=undoing.postings[::-1])

    async with transaction(engine) as connection:
        (posted,) = await post_in(connection, books, request(undoing))
        assert isinstance(posted, Posted)
        session = await driver(connection)
        await link_whole_reversals(session, ledger_id=books.ledger.id, entry_ids=[posted.entry_id])
        await link_whole_reversals(session, ledger_id=books.ledger.id, entry_ids=[])

    links = [
        (one.original_entry_id, one.original_line, one.reversing_entry_id, one.reversing_line, one.amount)
        for one in await rows(books, "reversal_links")
    ]
    assert links == [(original.entry_id, line, posted.entry_id, line, 5) for line in (1, 2)]
