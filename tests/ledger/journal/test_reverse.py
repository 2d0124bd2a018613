"""Reversals: what they undo, what they refuse, and two of them racing for the same remainder."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import tables
from ledger.database import driver, transaction
from ledger.errors import (
    AccountClosed,
    AmountInvalid,
    EntryBelongsToSubject,
    EntryDoesNotBalance,
    EntryNotFound,
    EntryTooShort,
    FloorWouldBreak,
    IdempotencyKeyReused,
    KindReserved,
    ReversalExceedsOriginal,
    ReversalInvalid,
    TextInvalid,
    TimeInvalid,
)
from ledger.journal.accounts import close_account
from ledger.journal.balances import balance_now, balance_on
from ledger.journal.decide import Posted, PostRequest, Replayed
from ledger.journal.entries import EntryView, PostingView, get_entry
from ledger.journal.entry import JournalEntry, Posting, Side, Source, Subject, credit, debit
from ledger.journal.post import post_entries
from ledger.journal.reserved import RESERVED_SUBJECT_KINDS, check_not_reserved
from ledger.journal.reverse import Reversed, parts_to_reverse, reversing_entry
from ledger.money import Money
from tests.builders import BANK, FEES, NOW, OTHER_WALLET, WALLET, Books, entry, key, open_books, transfer

TOP_UP = entry(
    debit(BANK, Money("KES", 1000)),
    credit(WALLET, Money("KES", 990)),
    credit(FEES, Money("KES", 10)),
    kind="wallet.topup",
    subject=Subject("order", "42"),
    reference="RCPT1",
)


async def balance_of(books: Books, path: str) -> int:
    async with books.reading() as connection:
        found = await balance_now(connection, ledger_id=books.ledger.id, path=path, currency="KES")
    return found.minor_units


async def view_of(books: Books, entry_id: int) -> EntryView:
    async with books.reading() as connection:
        return await get_entry(connection, ledger_id=books.ledger.id, entry_id=entry_id)


async def entry_count(books: Books) -> int:
    async with books.reading() as connection:
        own = tables.journal_entries.c.ledger_id == books.ledger.id
        return (await connection.execute(select(func.count()).where(own))).scalar_one()


async def test_a_whole_reversal_puts_every_balance_back(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)

    await books.reverse(original.entry_id)

    assert [await balance_of(books, path) for path in (BANK, WALLET, FEES)] == [0, 0, 0]


async def test_a_reversal_says_what_it_reverses_and_why(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)

    reversal = await books.reverse(original.entry_id, reason="wrong customer")

    view = await view_of(books, reversal.entry_id)
    assert (view.kind, view.reverses_id, view.narrative) == ("reversal", original.entry_id, "wrong customer")
    assert (view.subject, view.reference) == (TOP_UP.subject, TOP_UP.reference)
    assert (view.source, view.actor) == (Source.API, "tests")
    assert (await view_of(books, original.entry_id)).reversed_by == (reversal.entry_id,)


async def test_partial_reversals_take_the_entry_apart_until_nothing_is_left(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)

    await books.reverse(original.entry_id, lines={1: 400, 2: 400})
    await books.reverse(original.entry_id, lines={3: 10, 1: 10})
    await books.reverse(original.entry_id)

    assert [await balance_of(books, path) for path in (BANK, WALLET, FEES)] == [0, 0, 0]
    with pytest.raises(ReversalInvalid):
        await books.reverse(original.entry_id)
    assert len((await view_of(books, original.entry_id)).reversed_by) == 3


async def test_everything_left_leaves_out_lines_that_are_used_up(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)
    await books.reverse(original.entry_id, lines={1: 10, 3: 10})

    rest = await books.reverse(original.entry_id)

    assert [line.posting for line in (await view_of(books, rest.entry_id)).lines] == [
        credit(BANK, Money("KES", 990)),
        debit(WALLET, Money("KES", 990)),
    ]


async def test_a_reversal_can_be_reversed(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)
    reversal = await books.reverse(original.entry_id)

    await books.reverse(reversal.entry_id)

    assert [await balance_of(books, path) for path in (BANK, WALLET, FEES)] == [1000, 990, 10]


async def test_a_reversal_has_its_own_date(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)
    next_day = NOW + timedelta(days=1)

    reversal = await books.reverse(original.entry_id, effective_at=next_day, now=next_day)

    assert isinstance(reversal, Posted)
    assert reversal.business_date == original.business_date + timedelta(days=1)
    async with books.reading() as connection:
        on_the_day = await balance_on(
            connection, ledger_id=books.ledger.id, path=BANK, currency="KES", business_date=original.business_date
        )
    assert on_the_day.minor_units == 1000


@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        ({4: 10, 1: 10}, ReversalInvalid),
        ({0: 10, 1: 10}, ReversalInvalid),
        ({1: 0, 2: 0}, AmountInvalid),
        ({1: -5, 2: -5}, AmountInvalid),
        ({1: 1001, 2: 990, 3: 10}, ReversalExceedsOriginal),
        ({1: 2**63, 2: 990}, ReversalExceedsOriginal),
        ({1: 10, 2: 9}, EntryDoesNotBalance),
        ({1: 10}, EntryTooShort),
    ],
)
async def test_refuses_parts_that_do_not_fit(
    engine: AsyncEngine, lines: dict[int, int], refusal: type[Exception]
) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)

    with pytest.raises(refusal) as caught:
        await books.reverse(original.entry_id, lines=lines)

    assert getattr(caught.value, "field", "") == "lines"
    assert await entry_count(books) == 1


async def test_refuses_more_than_earlier_reversals_left(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)
    await books.reverse(original.entry_id, lines={1: 600, 2: 600})

    with pytest.raises(ReversalExceedsOriginal) as caught:
        await books.reverse(original.entry_id, lines={1: 401, 2: 390, 3: 10})

    assert caught.value.facts == {"line": "1", "left_minor_units": "400"}


async def test_refuses_an_entry_of_another_ledger(engine: AsyncEngine) -> None:
    books, others = await open_books(engine), await open_books(engine)
    original = await others.post(TOP_UP)

    with pytest.raises(EntryNotFound):
        await books.reverse(original.entry_id)


async def test_refuses_an_empty_reason(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)

    with pytest.raises(TextInvalid) as caught:
        await books.reverse(original.entry_id, reason="")

    assert caught.value.field == "reason"


async def test_refuses_a_reversal_from_the_future(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)

    with pytest.raises(TimeInvalid):
        await books.reverse(original.entry_id, effective_at=NOW + timedelta(hours=1))


@pytest.mark.parametrize("subject_kind", sorted(RESERVED_SUBJECT_KINDS))
async def test_refuses_an_entry_that_belongs_to_a_product(engine: AsyncEngine, subject_kind: str) -> None:
    books = await open_books(engine)
    original = await books.post(transfer(BANK, WALLET, 500, subject=Subject(subject_kind, "1")))

    with pytest.raises(EntryBelongsToSubject):
        await books.reverse(original.entry_id)

    assert await entry_count(books) == 1


async def test_refuses_to_take_back_what_was_spent(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)
    await books.post(transfer(WALLET, OTHER_WALLET, 500))

    with pytest.raises(FloorWouldBreak) as caught:
        await books.reverse(original.entry_id)

    assert caught.value.field == "lines"
    assert await entry_count(books) == 2


async def test_refuses_to_reverse_onto_a_closed_account(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(transfer(BANK, WALLET, 500))
    await books.post(transfer(WALLET, BANK, 500))
    async with transaction(engine) as connection:
        await close_account(connection, ledger_id=books.ledger.id, path=WALLET, currency="KES", now=NOW)

    with pytest.raises(AccountClosed):
        await books.reverse(original.entry_id)


async def test_the_same_request_is_answered_with_the_first_reversal(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)
    first = await books.reverse(original.entry_id, claimed=key("again"))

    second = await books.reverse(original.entry_id, claimed=key("again"))

    assert second == Replayed(first.entry_id)
    assert await entry_count(books) == 2


async def test_a_request_id_with_other_content_is_refused(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)
    await books.reverse(original.entry_id, lines={1: 10, 2: 10}, claimed=key("once", content=b"a part"))

    with pytest.raises(IdempotencyKeyReused):
        await books.reverse(original.entry_id, claimed=key("once", content=b"the rest"))


async def test_racing_partial_reversals_never_exceed_the_original(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(transfer(BANK, WALLET, 1000))

    racing = (books.reverse(original.entry_id, lines={1: 300, 2: 300}) for _ in range(8))
    outcomes = await asyncio.gather(*racing, return_exceptions=True)

    refused = [outcome for outcome in outcomes if isinstance(outcome, ReversalExceedsOriginal)]
    assert (len(refused), len(outcomes) - len(refused)) == (5, 3)
    assert all(isinstance(outcome, Posted | ReversalExceedsOriginal) for outcome in outcomes)
    assert await balance_of(books, BANK) == 100


async def test_racing_identical_requests_make_one_reversal(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)

    answers = await asyncio.gather(*(books.reverse(original.entry_id, claimed=key("race")) for _ in range(8)))

    assert len({answer.entry_id for answer in answers}) == 1
    assert sum(isinstance(answer, Posted) for answer in answers) == 1
    assert await entry_count(books) == 2


@pytest.mark.parametrize(("ordinal", "reversed_after"), [(2, 1001), (2, 1), (3, 1001)])
async def test_the_database_refuses_a_link_beyond_the_original(
    engine: AsyncEngine, ordinal: int, reversed_after: int
) -> None:
    books = await open_books(engine)
    original = await books.post(transfer(BANK, WALLET, 1000))
    await books.reverse(original.entry_id)
    await books.post(transfer(BANK, WALLET, 1))
    beyond = replace(transfer(WALLET, BANK, 1), reverses_id=original.entry_id)

    with pytest.raises(IntegrityError, match="does not fit"):
        async with transaction(engine) as connection:
            (posted,) = await post_entries(
                await driver(connection),
                ledger=books.ledger,
                requests=[PostRequest(beyond, "tests")],
                directory=books.directory,
                ids=books.ids,
                now=NOW,
            )
            assert isinstance(posted, Posted)
            link = {
                "ledger_id": books.ledger.id,
                "original_entry_id": original.entry_id,
                "original_line": 1,
                "ordinal": ordinal,
                "reversing_entry_id": posted.entry_id,
                "reversing_line": 2,
                "amount": 1,
                "reversed_after": reversed_after,
            }
            await connection.execute(insert(tables.reversal_links).values(link))


@pytest.mark.parametrize("kind", ["payout.reserve", "loan", "reversal", "reconciliation.adjust"])
def test_refuses_a_kind_of_a_product(kind: str) -> None:
    with pytest.raises(KindReserved) as caught:
        check_not_reserved(kind=kind, subject=None)

    assert caught.value.field == "kind"


@pytest.mark.parametrize("subject_kind", sorted(RESERVED_SUBJECT_KINDS))
def test_refuses_a_subject_of_a_product(subject_kind: str) -> None:
    with pytest.raises(KindReserved) as caught:
        check_not_reserved(kind="order.paid", subject=Subject(subject_kind, "1"))

    assert caught.value.field == "subject.kind"


@pytest.mark.parametrize("kind", ["payouts.mine", "loan_book", "wallet.topup", "wallet.reversal"])
def test_leaves_other_kinds_alone(kind: str) -> None:
    check_not_reserved(kind=kind, subject=Subject("order", "1"))


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
