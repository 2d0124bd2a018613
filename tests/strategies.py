"""Hypothesis strategies for values of the core: currencies, money, account paths, and entries that balance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import strategies as st

from ledger.journal.entry import JournalEntry, Posting, Side, Source
from ledger.money import EXPONENTS, MINOR_UNITS_MAX, Money

# Texts that int(), float() or Decimal() would read and an amount must not be.
NOT_AMOUNTS = (
    "", " ", "-", "+5", ".5", "5.", "1e9", "1E2", "NaN", "nan", "sNaN", "Infinity", "-inf", "0x10", "1_000", "1,050.50",
    "\uff11\uff10", "\u0663", "10.\u0665", " 1", "1 ", "1\n", "--1", "1.2.3", "1/2", "10 KES", "\u221210", "1.00005",
)  # fmt: skip

currencies = st.sampled_from(sorted(EXPONENTS))
minor_units = st.integers(-MINOR_UNITS_MAX, MINOR_UNITS_MAX)
moneys = st.builds(Money, currencies, minor_units)
ids = st.integers(0, 2**63 - 1)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2089, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (bounds)

_words = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True)
_first_words = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


@st.composite
def paths(draw: st.DrawFn) -> str:
    """Any path that is not a memorandum account's."""
    first = draw(_first_words.filter(lambda word: word != "memo"))
    return ".".join([first, *draw(st.lists(_words, min_size=1, max_size=4))])


@st.composite
def balanced_postings(
    draw: st.DrawFn, *, accounts: Sequence[str] = ("asset.a", "liab.b", "income.c", "memo.d", "memo.e")
) -> tuple[Posting, ...]:
    """Two to twelve lines in any order: per currency, and per kind of account in it, debits equal credits."""
    groups = draw(st.lists(st.tuples(currencies, st.booleans()), min_size=1, max_size=3, unique=True))
    lines: list[Posting] = []
    for currency, is_memo in groups:
        among = st.sampled_from([path for path in accounts if path.startswith("memo.") == is_memo])
        amounts = draw(st.lists(st.integers(1, 10**12), min_size=1, max_size=3))
        side = draw(st.sampled_from(Side))
        lines += [Posting(draw(among), side, Money(currency, amount)) for amount in amounts]
        lines.append(Posting(draw(among), side.opposite, Money(currency, sum(amounts))))
    return tuple(draw(st.permutations(lines)))


def journal_entry(postings: Sequence[Posting]) -> JournalEntry:
    """The postings as an entry of no particular meaning."""
    moment = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    return JournalEntry(kind="test.entry", postings=tuple(postings), effective_at=moment, source=Source.API)
