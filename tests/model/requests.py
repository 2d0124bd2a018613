"""Hypothesis strategies for requests that collide: few accounts, small amounts, few keys and few subjects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from ledger.idempotency import KeyClaim, claim
from ledger.journal.decide import PostRequest
from ledger.journal.entry import JournalEntry, Posting, Source, Subject, credit, debit
from ledger.money import Money

PATHS = ("asset.bank", "asset.till", "liab.wallet.1", "liab.wallet.2", "income.fees")
MEMO_PATHS = ("memo.codes", "memo.contra")
MOMENT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

amounts = st.integers(1, 40)
bounds = st.one_of(st.none(), st.integers(-60, 60))
subjects = st.sampled_from([None, Subject("order", "1"), Subject("order", "2"), Subject("claim", "1")])
moments = st.sampled_from(
    [MOMENT, MOMENT - timedelta(hours=13), MOMENT - timedelta(days=3), MOMENT - timedelta(days=400)]
)


@st.composite
def keys(draw: st.DrawFn) -> KeyClaim:
    """One of four keys of two clients, for one of three contents."""
    content = draw(st.sampled_from([b"x", b"y", b"z"]))
    return claim(client_id=draw(st.integers(1, 2)), key=draw(st.sampled_from("ab")), method="post", content=content)


@st.composite
def postings(draw: st.DrawFn, *, paths: Sequence[str] = PATHS, memo_paths: Sequence[str] = MEMO_PATHS) -> list[Posting]:
    """One to three debits with as many credits that equal them, in any order, each on any account."""
    lines: list[Posting] = []
    currency = draw(st.sampled_from(["KES"] * 30 + ["RWF"]))
    for _ in range(draw(st.sampled_from([1, 1, 1, 1, 2, 3]))):
        among = st.sampled_from(draw(st.sampled_from([paths, paths, paths, memo_paths])))
        money = Money(currency, draw(amounts))
        lines += [debit(draw(among), money), credit(draw(among), money)]
    return draw(st.permutations(lines))


@st.composite
def entries(draw: st.DrawFn, *, paths: Sequence[str] = PATHS) -> JournalEntry:
    """Any entry about few subjects, some of which may happen once."""
    return JournalEntry(
        kind=draw(st.sampled_from(["order.paid", "order.refunded"])),
        postings=tuple(draw(postings(paths=paths))),
        effective_at=draw(moments),
        source=Source.API,
        subject=draw(subjects),
        once=draw(st.sampled_from([False, False, True])),
    )


@st.composite
def requests(draw: st.DrawFn, *, paths: Sequence[str] = PATHS) -> PostRequest:
    """An entry, asked for under a key or, mostly, under none."""
    key = draw(st.one_of(st.none(), st.none(), keys()))
    return PostRequest(draw(entries(paths=paths)), "tests", key)
