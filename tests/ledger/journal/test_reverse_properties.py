"""What building a reversing entry always does, whatever the original: properties of the pure half."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ReversalExceedsOriginal
from ledger.journal.entries import EntryView, PostingView
from ledger.journal.entry import JournalEntry, Posting, Side, Source, Subject
from ledger.journal.reverse import Reversed, parts_to_reverse, reversing_entry
from ledger.money import Money
from tests.builders import NOW


@st.composite
def posted_entries(draw: st.DrawFn) -> EntryView:
    """Entries of several currencies and memorandum lines: per group some debits and one credit that equals them."""
    postings: list[Posting] = []
    for currency, prefix in draw(
        st.sets(st.sampled_from([("KES", "asset"), ("RWF", "asset"), ("KES", "memo")]), min_size=1)
    ):
        amounts = draw(st.lists(st.integers(1, 10**12), min_size=1, max_size=4))
        accounts = st.sampled_from([f"{prefix}.a", f"{prefix}.b", f"{prefix}.c"])
        postings += [Posting(draw(accounts), Side.DEBIT, Money(currency, amount)) for amount in amounts]
        postings.append(Posting(draw(accounts), Side.CREDIT, Money(currency, sum(amounts))))
    order = draw(st.permutations(postings))
    lines = tuple(PostingView(number, posting, 1, 0) for number, posting in enumerate(order, start=1))
    return EntryView(
        id=draw(st.integers(1, 2**62)),
        kind="test.entry",
        lines=lines,
        effective_at=NOW,
        recorded_at=NOW,
        business_date=NOW.date(),
        source=Source.API,
        actor="tests",
        subject=draw(st.none() | st.just(Subject("order", "1"))),
        reference=None,
        narrative=None,
        facts={},
        reverses_id=None,
        reversed_by=(),
    )


def net(*entries: tuple[Posting, ...]) -> dict[tuple[str, str], int]:
    """What the postings do to each account and currency, accounts they leave as they were left out."""
    changed: dict[tuple[str, str], int] = {}
    for posting in (one for postings in entries for one in postings):
        place = (posting.account, posting.money.currency)
        signed = posting.money.minor_units if posting.side is Side.DEBIT else -posting.money.minor_units
        changed[place] = changed.get(place, 0) + signed
    return {place: units for place, units in changed.items() if units}


def postings_of(view: EntryView) -> tuple[Posting, ...]:
    return tuple(line.posting for line in view.lines)


def reverse_all(original: EntryView, earlier: dict[int, Reversed]) -> JournalEntry:
    parts = parts_to_reverse(original, lines={}, earlier=earlier)
    return reversing_entry(original, parts=parts, reason="undo", effective_at=datetime(2026, 1, 1, tzinfo=UTC))


@given(original=posted_entries())
def test_a_reversal_undoes_its_original(original: EntryView) -> None:
    reversal = reverse_all(original, {})

    assert net(postings_of(original), reversal.postings) == {}
    assert reversal.reverses_id == original.id
    assert reversal.subject == original.subject
    assert not reversal.once


@given(original=posted_entries(), data=st.data())
def test_parts_and_the_rest_undo_the_original_together(original: EntryView, data: st.DataObject) -> None:
    first = data.draw(st.sampled_from([line for line in original.lines if line.posting.side is Side.DEBIT]))
    group = (first.posting.money.currency, first.posting.account.startswith("memo."))
    second = next(
        line
        for line in original.lines
        if line.posting.side is Side.CREDIT
        and (line.posting.money.currency, line.posting.account.startswith("memo.")) == group
    )
    units = data.draw(st.integers(1, first.posting.money.minor_units))

    wanted = {second.line: units, first.line: units}
    parts = parts_to_reverse(original, lines=wanted, earlier={})
    part = reversing_entry(original, parts=parts, reason="a part", effective_at=NOW)

    earlier = {line: Reversed(1, minor_units) for line, minor_units in parts.items()}
    left = net(postings_of(original), part.postings)
    if any(line.posting.money.minor_units > parts.get(line.line, 0) for line in original.lines):
        rest = reverse_all(original, earlier)
        assert net(postings_of(original), part.postings, rest.postings) == {}
        assert all(posting.money.minor_units > 0 for posting in rest.postings)
    else:
        assert left == {}


@given(original=posted_entries(), data=st.data())
def test_no_line_can_be_reversed_beyond_what_is_left(original: EntryView, data: st.DataObject) -> None:
    line = data.draw(st.sampled_from(original.lines))
    whole = line.posting.money.minor_units
    taken = data.draw(st.integers(0, whole))
    earlier = {line.line: Reversed(1, taken)} if taken else {}

    with pytest.raises(ReversalExceedsOriginal):
        parts_to_reverse(original, lines={line.line: whole - taken + 1}, earlier=earlier)
