"""Ids: a text form that sorts in time order and reads back, and a source that rises whatever the clock does."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.ids import EPOCH, LOW_BITS, IdSource, decode, encode, first_id_at, last_id_at, time_of
from tests.strategies import ids, moments

NOW = datetime(2026, 11, 20, 9, 0, 0, 123_456, tzinfo=UTC)
PREFIXES = st.sampled_from(["ent", "pay", "dft"])


@given(PREFIXES, ids)
def test_reads_back_what_it_writes(prefix: str, identifier: int) -> None:
    assert decode(prefix, encode(prefix, identifier)) == identifier


@given(ids, ids)
def test_texts_sort_like_the_numbers(one: int, other: int) -> None:
    assert (encode("ent", one) < encode("ent", other)) == (one < other)


@given(PREFIXES, st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZILOUabz_-", max_size=18))
def test_reads_nothing_that_it_would_not_write(prefix: str, text: str) -> None:
    for candidate in (text, f"{prefix}_{text}"):
        identifier = decode(prefix, candidate)

        assert identifier is None or encode(prefix, identifier) == candidate


@pytest.mark.parametrize(
    "text",
    ["", "pay", "pay_", "pay_0000000000000", "ent_000000000000", "ent_00000000000000", "ent_000000000000I",
     "ent_000000000000L", "ent_000000000000O", "ent_000000000000U", "ent_000000000000a", "ENT_0000000000000",
     "ent_8000000000000", "ent_ZZZZZZZZZZZZZ", "ent-0000000000000", " ent_0000000000000", "ent_0000000000000\n",
     "ent_\uff10000000000000", "0000000000000"],
)  # fmt: skip
def test_other_prefixes_lengths_letters_and_ranges_are_no_ids(text: str) -> None:
    assert decode("ent", "ent_0000000000000") == 0
    assert decode("ent", "ent_7ZZZZZZZZZZZZ") == 2**63 - 1
    assert decode("ent", text) is None


@given(moments)
def test_an_id_tells_its_millisecond(moment: datetime) -> None:
    identifier = IdSource(random.Random(1)).next(moment)

    assert first_id_at(moment) <= identifier <= last_id_at(moment)
    assert time_of(identifier) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert 0 <= identifier < 2**63


@given(moments)
def test_a_millisecond_ends_where_the_next_begins(moment: datetime) -> None:
    assert last_id_at(moment) + 1 == first_id_at(moment + timedelta(milliseconds=1))
    assert last_id_at(moment) - first_id_at(moment) == 2**LOW_BITS - 1


steps = st.lists(
    st.tuples(st.timedeltas(timedelta(days=-30), timedelta(days=30)), st.one_of(st.just(0), st.integers(0, 2**62))),
    min_size=2,
    max_size=50,
)


@given(st.integers(0, 2**32), steps)
def test_ids_rise_even_when_the_clock_jumps_back(seed: int, steps: list[tuple[timedelta, int]]) -> None:
    source = IdSource(random.Random(seed))

    made = [source.next(NOW + offset, after=after) for offset, after in steps]

    assert made == sorted(set(made))
    assert all(identifier > after for identifier, (_, after) in zip(made, steps, strict=True))


@given(st.integers(0, 2**32), st.integers(1, 3000))
def test_many_ids_of_one_millisecond_rise_and_stay_near_it(seed: int, count: int) -> None:
    source = IdSource(random.Random(seed))

    made = [source.next(NOW) for _ in range(count)]

    assert made == sorted(set(made))
    assert time_of(made[-1]) - time_of(made[0]) <= timedelta(milliseconds=1)


def test_after_a_jump_back_ids_stay_beside_the_last_one_until_the_clock_has_caught_up() -> None:
    source = IdSource(random.Random(1))
    before = source.next(NOW)

    during = source.next(NOW - timedelta(hours=1))
    caught_up = source.next(NOW + timedelta(milliseconds=1))

    assert before < during < before + 100
    assert time_of(caught_up) == time_of(before) + timedelta(milliseconds=1)


def test_time_is_counted_from_2020() -> None:
    assert first_id_at(EPOCH) == 0
    assert time_of(0) == datetime(2020, 1, 1, tzinfo=UTC)


@given(st.integers(min_value=0, max_value=50), st.integers(min_value=0, max_value=2**60))
def test_many_ids_rise_from_where_they_were_to_begin(count: int, after: int) -> None:
    source = IdSource(random.Random(1))

    made = [*source.next_many(NOW, count=count, after=after), source.next(NOW)]

    assert len(made) == count + 1
    assert made == sorted(set(made))
    assert min(made) > after or count == 0
