"""Drafts to entries and back, and the content by which a repeated request is recognised."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from daftari.v1 import journal_pb2 as pb
from hypothesis import assume, given
from hypothesis import strategies as st

from api.conversion.entries import content_of, entry_message, entry_of, posted_message
from ledger.journal.decide import Posted, PostedLine
from ledger.journal.entries import EntryView, PostingView
from ledger.journal.entry import JournalEntry
from ledger.journal.reserved import RESERVED_SUBJECT_KINDS
from tests.builders import BANK, FEES, NOW, WALLET
from tests.wire import credit, debit, draft

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)


@st.composite
def drafts(draw: st.DrawFn) -> pb.EntryDraft:
    """Any entry that may be posted."""
    lines = []
    for _ in range(draw(st.integers(min_value=1, max_value=3))):
        amount, currency = draw(st.integers(min_value=1, max_value=10**15)), draw(st.sampled_from(["KES", "USD"]))
        lines += [
            debit(draw(st.sampled_from([BANK, FEES])), amount, currency),
            credit(draw(st.sampled_from([WALLET, FEES])), amount, currency),
        ]
    made = draft(*draw(st.permutations(lines)), kind=draw(st.sampled_from(["transfer", "order.paid"])))
    made.reference, made.narrative = draw(TEXTS), draw(TEXTS)
    made.facts.update(draw(st.dictionaries(TEXTS.filter(bool), TEXTS.filter(bool), max_size=3)))
    if draw(st.booleans()):
        made.subject.kind, made.subject.id = draw(TEXTS.filter(bool)), draw(TEXTS.filter(bool))
        assume(made.subject.kind not in RESERVED_SUBJECT_KINDS)
    if draw(st.booleans()):
        made.effective_time.FromDatetime(NOW - timedelta(microseconds=draw(st.integers(min_value=0, max_value=10**6))))
    return made


def entry_in(made: pb.EntryDraft) -> JournalEntry:
    return entry_of(made, now=NOW)


def content_in(made: pb.EntryDraft) -> bytes:
    return content_of(made, entry_in(made))


def meaning_of(made: pb.EntryDraft) -> tuple[JournalEntry, bool]:
    """The entry, and whether the draft itself said when it happened."""
    entry = entry_in(made)
    return replace(entry, facts=dict(entry.facts or {})), made.HasField("effective_time")


def view_of(entry: JournalEntry, posted: Posted) -> EntryView:
    """The entry as a reader finds it."""
    numbered = enumerate(zip(entry.postings, posted.lines, strict=True), start=1)
    return EntryView(
        id=posted.entry_id,
        kind=entry.kind,
        lines=tuple([PostingView(number, line, *after) for number, (line, after) in numbered]),
        effective_at=entry.effective_at,
        recorded_at=posted.recorded_at,
        business_date=posted.business_date,
        source=entry.source,
        actor="tests",
        subject=entry.subject,
        reference=entry.reference,
        narrative=entry.narrative,
        facts=entry.facts or {},
        reverses_id=entry.reverses_id,
        reversed_by=(),
    )


@given(drafts())
def test_a_poster_is_told_what_a_reader_will_find(made: pb.EntryDraft) -> None:
    entry = entry_in(made)
    posted = Posted(2**60 + 7, NOW, NOW.date(), tuple(PostedLine(one, -one) for one in range(len(made.postings))))
    for line in made.postings:
        line.balance_after_minor_units, line.account_version = 7, 7

    told = posted_message(made, entry, posted, actor="tests")

    assert told == entry_message(view_of(entry, posted))


@given(drafts())
def test_an_entry_survives_the_wire(made: pb.EntryDraft) -> None:
    entry = entry_in(made)
    lines = tuple(PostedLine(number, number * 10) for number in range(len(made.postings)))
    posted = Posted(123456789, NOW, NOW.date(), lines)

    message = entry_message(view_of(entry, posted))

    back = pb.EntryDraft(
        kind=message.kind,
        postings=[pb.Posting(account=one.account, side=one.side, amount=one.amount) for one in message.postings],
        effective_time=message.effective_time,
        subject=message.subject if message.HasField("subject") else None,
        reference=message.reference,
        narrative=message.narrative,
        facts=message.facts,
    )
    assert entry_in(back) == entry
    assert [one.balance_after_minor_units for one in message.postings] == [line.balance_after for line in lines]


@given(drafts(), drafts())
def test_two_drafts_have_the_same_content_exactly_when_they_mean_the_same(
    one: pb.EntryDraft, other: pb.EntryDraft
) -> None:
    assert (content_in(one) == content_in(other)) == (meaning_of(one) == meaning_of(other))


@given(drafts(), st.randoms())
def test_content_depends_on_neither_the_order_of_facts_nor_on_output_fields(
    made: pb.EntryDraft, chance: object
) -> None:
    again = pb.EntryDraft()
    again.CopyFrom(made)
    again.ClearField("facts")
    again.facts.update(reversed(list(made.facts.items())))
    for line in again.postings:
        line.balance_after_minor_units, line.account_version = 7, 7

    assert content_in(again) == content_in(made)


@given(drafts(), st.data())
def test_content_changes_with_any_single_change(made: pb.EntryDraft, data: st.DataObject) -> None:
    changed = pb.EntryDraft()
    changed.CopyFrom(made)
    match data.draw(st.sampled_from(["kind", "reference", "narrative", "facts", "subject", "amounts", "side", "time"])):
        case "kind":
            changed.kind += "x"
        case "reference":
            changed.reference += "x"
        case "narrative":
            changed.narrative += "x"
        case "facts":
            changed.facts["one more"] = "x"
        case "subject":
            changed.subject.kind, changed.subject.id = changed.subject.kind + "x", changed.subject.id + "x"
        case "amounts":
            changed.postings.extend([debit(BANK, 1), credit(WALLET, 1)])
        case "side":
            for line in changed.postings:
                line.side = pb.SIDE_CREDIT if line.side == pb.SIDE_DEBIT else pb.SIDE_DEBIT
            assume(meaning_of(changed) != meaning_of(made))
        case "time":
            changed.effective_time.FromDatetime(NOW - timedelta(days=1))

    assert content_in(changed) != content_in(made)


def test_the_form_of_content_never_changes() -> None:
    made = draft(debit(BANK, 1_050), credit(WALLET, 1_050), kind="wallet.topup")
    made.effective_time.FromDatetime(NOW)
    made.subject.kind, made.subject.id, made.reference, made.narrative = "order", "42", "RCPT", "Top-up"
    made.facts.update({"till": "7", "agent": "Wanjiku"})

    # Keys live for ever: what was stored under this form must be recognised by every later version.
    assert content_in(made).decode().split("\x1f") == [
        *("1", "wallet.topup", "1795165200000000", "order", "42", "RCPT", "Top-up", "2"),
        *(BANK, "D", "KES", "1050", WALLET, "C", "KES", "1050"),
        *("agent", "Wanjiku", "till", "7"),
    ]


def test_content_without_anything_that_may_be_left_out() -> None:
    made = draft(debit(BANK, 1), credit(WALLET, 1))

    assert content_in(made).decode().split("\x1f") == [
        *("1", "transfer", "", "", "", "", "", "2"),
        *(BANK, "D", "KES", "1", WALLET, "C", "KES", "1"),
    ]
