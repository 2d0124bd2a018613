"""A COMMIT is seen in whatever form and however its bytes are cut, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.torture.protocol import Frames, Seen, Transactions, asks_for_encryption, says_committed, says_ready


def message(letter: str, body: bytes) -> bytes:
    return letter.encode() + (len(body) + 4).to_bytes(4) + body


def bare(body: bytes) -> bytes:
    return (len(body) + 4).to_bytes(4) + body


def query(sql: str) -> bytes:
    return message("Q", sql.encode() + b"\0")


def parse(name: str, sql: str) -> bytes:
    return message("P", name.encode() + b"\0" + sql.encode() + b"\0\0\0")


def executed(name: str) -> bytes:
    """Bind and Execute of the unnamed portal."""
    return message("B", b"\0" + name.encode() + b"\0" + bytes(6)) + message("E", b"\0" + bytes(4))


START, SSL = bare((196608).to_bytes(4) + b"user\0app\0\0"), bare((80877103).to_bytes(4))
SYNC = message("S", b"")
WRITE = "INSERT INTO journal_entries SELECT 1"


def seen(*messages: bytes) -> list[Seen]:
    """What is seen of a connection that begins as all do."""
    transactions, frames = Transactions(), Frames(starts_bare=True)
    _, *whole = frames.feed(START + b"".join(messages))
    return [what for one in whole if (what := transactions.see(one)) is not Seen.NOTHING]


@pytest.mark.parametrize("commit", ["COMMIT", "commit;", " COMMIT "])
def test_a_simple_query_commits(commit: str) -> None:
    assert seen(query("BEGIN"), query(WRITE), query(commit)) == [Seen.COMMIT]


def test_a_statement_prepared_long_ago_commits_at_the_end_of_a_pipeline() -> None:
    prepared = parse("one", WRITE) + parse("two", "COMMIT") + SYNC

    assert seen(prepared, query("BEGIN"), executed("one"), executed("two"), SYNC) == [Seen.COMMIT]


def test_preparing_a_commit_is_none_and_neither_is_a_word_in_a_text() -> None:
    assert seen(parse("two", "COMMIT"), query("SELECT 'COMMIT'")) == []


@pytest.mark.parametrize("sql", ["SELECT 1", "SELECT FROM payouts FOR UPDATE", "SELECT FROM p FOR NO KEY UPDATE OF i"])
def test_a_transaction_that_only_reads_commits_nothing(sql: str) -> None:
    assert seen(query("BEGIN"), query(sql), query("COMMIT")) == [Seen.EMPTY_COMMIT]


def test_what_was_rolled_back_is_not_committed_by_the_next() -> None:
    sent = [query(one) for one in ("BEGIN", WRITE, "ROLLBACK", "BEGIN", "SELECT 1", "COMMIT")]

    assert seen(*sent) == [Seen.EMPTY_COMMIT]


@pytest.mark.parametrize(
    "sql",
    [WRITE, "UPDATE payouts SET state = 1", "update payouts AS p set x = 1", "WITH a AS (DELETE FROM b) SELECT"],
)
def test_these_write(sql: str) -> None:
    assert seen(query("BEGIN"), query(sql), query("COMMIT")) == [Seen.COMMIT]


@given(st.lists(st.integers(1, 40), min_size=1))
def test_frames_are_whole_however_the_bytes_arrive(sizes: list[int]) -> None:
    stream = SSL + START + query("BEGIN") + executed("one") + SYNC
    frames, given_out, rest = Frames(starts_bare=True), list[bytes](), stream

    for size in [*sizes, len(stream)]:
        given_out += frames.feed(rest[:size])
        rest = rest[size:]

    assert b"".join(given_out) == stream
    assert [asks_for_encryption(one) for one in given_out] == [True] + [False] * 5


def test_the_servers_words_are_known() -> None:
    assert says_committed(message("C", b"COMMIT\0"))
    assert not says_committed(message("C", b"ROLLBACK\0"))
    assert says_ready(message("Z", b"I"))
