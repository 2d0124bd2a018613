"""Closed days: what is asked for there is refused, what is learned late counts for the first open day and says when."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import driver, run
from ledger.journal.decide import Posted, PostRequest
from ledger.journal.periods import NOTHING_CLOSED, Periods
from ledger.journal.post import PostResult, business_date, post_entries
from ledger.journal.verify import verify
from tests.builders import BANK, NOW, WALLET, Books, key, open_books, transfer
from tests.ledger.journal.test_post import told

NAIROBI = ZoneInfo("Africa/Nairobi")
TODAY = business_date(NOW, NAIROBI)
YESTERDAY, BEFORE = TODAY - timedelta(days=1), TODAY - timedelta(days=2)
_DAYS = st.dates(date(2020, 1, 1), date(2030, 1, 1))
_STEP = text(
    "INSERT INTO closings (ledger_id, id, step, first_date, last_date, open_items, reason, actor, recorded_at) "
    "VALUES (:ledger, :id, :step, NULL, :last, 0, '', :actor, :now)"
)


@given(happened=_DAYS, signed=st.none() | _DAYS, begun=st.none() | _DAYS)
def test_no_business_date_is_signed_and_an_open_one_is_kept(
    happened: date, signed: date | None, begun: date | None
) -> None:
    periods = Periods(*(None if one is None else one.toordinal() for one in (signed, begun)))

    dated, open_from = periods.date_of(happened), periods.open_from(NAIROBI)

    assert signed is None or dated > signed
    assert dated == happened or (signed is not None and happened <= signed and dated == signed + timedelta(days=1))
    closed = [one for one in (signed, begun) if one is not None]
    assert (open_from is None) == (not closed)
    assert open_from is None or open_from.date() == max(closed) + timedelta(days=1)


def test_where_nothing_is_closed_anything_may_be_asked_for() -> None:
    assert NOTHING_CLOSED.open_from(NAIROBI) is None


async def _close(connection: AsyncConnection, books: Books, *steps: str, last: date = YESTERDAY) -> None:
    for number, step in enumerate(steps, start=1):
        values = {"ledger": books.ledger.id, "id": number, "step": step, "last": last, "actor": step, "now": NOW}
        await connection.execute(_STEP, values)


def _request(at: datetime, *, under: str | None = None, minor_units: int = 100) -> PostRequest:
    return PostRequest(transfer(BANK, WALLET, minor_units, effective_at=at), "tests", key(under) if under else None)


async def _post(books: Books, engine: AsyncEngine, *requests: PostRequest) -> list[PostResult]:
    async def command(connection: AsyncConnection) -> list[PostResult]:
        return await post_entries(
            await driver(connection), ledger=books.ledger, requests=requests, directory=books.directory, ids=books.ids,
            now=NOW,
        )  # fmt: skip

    return await run(engine, command)


@pytest.fixture
async def books(engine: AsyncEngine) -> Books:
    """Books in Nairobi."""
    opened = await open_books(engine)
    assert opened.ledger.zone.key == NAIROBI.key
    return opened


async def test_a_close_that_is_begun_keeps_out_who_asks_and_nothing_that_is_learned(
    books: Books, engine: AsyncEngine
) -> None:
    before = await _post(books, engine, _request(NOW - timedelta(days=2), under="early"))
    await run(engine, lambda connection: _close(connection, books, "begun"))
    asked = [_request(NOW - timedelta(days=days), under=name) for days, name in ((1, "a"), (0, "b"), (2, "early"))]

    verdicts = await _post(books, engine, *asked, _request(NOW - timedelta(days=1)))

    assert told(before) == ["posted"]
    assert told(verdicts) == ["PERIOD_CLOSED", "posted", "replayed", "posted"]
    assert [one.business_date for one in verdicts if isinstance(one, Posted)] == [TODAY, YESTERDAY]


async def test_behind_a_signature_what_is_learned_counts_for_the_first_open_day(
    books: Books, engine: AsyncEngine
) -> None:
    await _post(books, engine, _request(NOW - timedelta(days=2)))
    await run(engine, lambda connection: _close(connection, books, "begun", "signed", last=BEFORE))

    verdicts = await _post(
        books, engine, _request(NOW - timedelta(days=9)), _request(NOW - timedelta(days=1)), _request(NOW),
        _request(NOW - timedelta(days=9), under="asked"),
    )  # fmt: skip

    assert told(verdicts) == ["posted", "posted", "posted", "PERIOD_CLOSED"]
    assert [one.business_date for one in verdicts if isinstance(one, Posted)] == [YESTERDAY, YESTERDAY, TODAY]
    async with books.reading() as connection:
        rows = await connection.execute(
            text("SELECT min(effective_at) FROM journal_entries WHERE ledger_id = :ledger"), {"ledger": books.ledger.id}
        )
        report = await verify(connection, ledger_id=books.ledger.id)
    assert rows.scalar_one() == NOW - timedelta(days=9)
    assert report.agrees


async def test_a_signature_waits_for_postings_under_way_and_those_overtaken_are_dated_anew(
    books: Books, engine: AsyncEngine
) -> None:
    at, signing = NOW - timedelta(days=1), asyncio.Event()

    async def post(connection: AsyncConnection) -> list[PostResult]:
        return await post_entries(
            await driver(connection), ledger=books.ledger, requests=[_request(at)], directory=books.directory,
            ids=books.ids, now=NOW,
        )  # fmt: skip

    async def sign(connection: AsyncConnection) -> None:
        signing.set()
        await _close(connection, books, "begun", "signed")

    async with engine.connect() as connection, connection.begin():
        (first,) = await post(connection)
        closing = asyncio.create_task(run(engine, sign))
        await signing.wait()
        async with asyncio.timeout(60):
            while not await _waits(books):  # noqa: ASYNC110 (a server sets no Event)
                await asyncio.sleep(0.01)
        second = asyncio.create_task(_post(books, engine, _request(at, minor_units=7)))
        await asyncio.sleep(0)
    await closing
    (overtaken,) = await second

    assert isinstance(first, Posted)
    assert isinstance(overtaken, Posted)
    assert (first.business_date, overtaken.business_date) == (YESTERDAY, TODAY)


async def _waits(books: Books) -> bool:
    async with books.reading() as connection:
        rows = await connection.execute(
            text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = :ledger"),
            {"ledger": books.ledger.id},
        )
        return bool(rows.scalar_one())
