"""Reversals: what they undo, what they refuse, and two of them racing for the same remainder."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
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
    ReversalExceedsOriginal,
    ReversalInvalid,
    TextInvalid,
    TimeInvalid,
)
from ledger.journal.accounts import close_account
from ledger.journal.balances import balance_now, balance_on
from ledger.journal.decide import Posted, PostRequest, Replayed
from ledger.journal.entries import EntryView, get_entry
from ledger.journal.entry import Source, Subject, credit, debit
from ledger.journal.post import post_entries
from ledger.journal.reserved import RESERVED_SUBJECT_KINDS
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

    with pytest.raises(IntegrityError, match="does not fit"):
        await reverse_beyond(books, original.entry_id, ordinal=ordinal, reversed_after=reversed_after)


async def reverse_beyond(books: Books, original_id: int, *, ordinal: int, reversed_after: int) -> None:
    """Posts a reversing entry of 1 and links it to line 1 of the original, past the rules."""
    async with transaction(books.engine) as connection:
        (posted,) = await post_entries(
            await driver(connection),
            ledger=books.ledger,
            requests=[PostRequest(replace(transfer(WALLET, BANK, 1), reverses_id=original_id), "tests")],
            directory=books.directory,
            ids=books.ids,
            now=NOW,
        )
        assert isinstance(posted, Posted)
        link = {
            "ledger_id": books.ledger.id,
            "original_entry_id": original_id,
            "original_line": 1,
            "ordinal": ordinal,
            "reversing_entry_id": posted.entry_id,
            "reversing_line": 2,
            "amount": 1,
            "reversed_after": reversed_after,
        }
        await connection.execute(insert(tables.reversal_links).values(link))
