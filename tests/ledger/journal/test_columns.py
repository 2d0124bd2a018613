"""The text form of arrays: whatever goes in, PostgreSQL reads back the very same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.database import conninfo
from ledger.session import plain_array, text_array
from tests.fix_database import Database

# What a PostgreSQL text holds: no NUL, no lone surrogates.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def session(database: Database) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(conninfo(database.app), autocommit=True) as opened:
        yield opened


@given(texts=st.lists(st.none() | TEXTS))
@example(texts=[None, "NULL", "null", "", " ", '"', "\\", '\\"', "{}", "{a,b}", ",", "\n", "\t", "it's", "\x85", "é😀"])
def test_texts_come_back_as_they_went(session: psycopg.Connection[tuple[object, ...]], texts: list[str | None]) -> None:
    row = session.execute("SELECT %s::text[]", (text_array(texts),)).fetchone()

    assert row == (texts,)


@given(numbers=st.lists(st.none() | st.integers(min_value=-(2**63), max_value=2**63 - 1)))
def test_numbers_come_back_as_they_went(
    session: psycopg.Connection[tuple[object, ...]], numbers: list[int | None]
) -> None:
    row = session.execute("SELECT %s::bigint[]", (plain_array(numbers),)).fetchone()

    assert row == (numbers,)


@given(days=st.lists(st.none() | st.dates()))
@example(days=[date.min, date.max])
def test_dates_come_back_as_they_went(session: psycopg.Connection[tuple[object, ...]], days: list[date | None]) -> None:
    row = session.execute("SELECT %s::date[]", (plain_array(days),)).fetchone()

    assert row == (days,)
