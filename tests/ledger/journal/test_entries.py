"""Entries by id and by any combination of filters, a page at a time, against a loop over everything posted."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.errors import AccountNotFound, EntryNotFound, TextInvalid
from ledger.journal import entry_search
from ledger.journal.entries import EntryPage, EntryView, get_entry, list_entries
from ledger.journal.entry import Source, Subject, credit, debit
from ledger.journal.entry_search import EntryFilter
from ledger.money import Money
from tests.builders import BANK, FEES, NOW, OTHER_WALLET, WALLET, Books, entry, open_books, transfer
from tests.ledger.journal.oracle import Fact, Model, random_books

EVERYTHING = EntryFilter()
PAGES_MAX = 1000


async def page_of(books: Books, matching: EntryFilter = EVERYTHING, *, before: int = 0, limit: int = 50) -> EntryPage:
    async with books.reading() as connection:
        return await list_entries(connection, ledger_id=books.ledger.id, matching=matching, before=before, limit=limit)


async def all_pages(books: Books, matching: EntryFilter, *, limit: int) -> list[EntryView]:
    entries: list[EntryView] = []
    before = 0
    for _ in range(PAGES_MAX):
        page = await page_of(books, matching, before=before, limit=limit)
        assert len(page.entries) <= limit
        entries += page.entries
        if page.next_before == 0:
            return entries
        before = page.next_before
    raise AssertionError("the pages never end")


def ids_of(entries: list[EntryView] | tuple[EntryView, ...]) -> list[int]:
    return [one.id for one in entries]


async def test_an_entry_reads_as_it_was_posted(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    draft = entry(
        debit(BANK, Money("KES", 1000)),
        credit(WALLET, Money("KES", 990)),
        credit(FEES, Money("KES", 10)),
        kind="wallet.topup",
        effective_at=NOW - timedelta(hours=2),
        subject=Subject("order", "42"),
        reference="RCPT1",
        narrative="Top-up at the counter",
        facts={"till": "12"},
    )
    posted = await books.post(draft)

    async with books.reading() as connection:
        found = await get_entry(connection, ledger_id=books.ledger.id, entry_id=posted.entry_id)

    assert tuple(line.posting for line in found.lines) == draft.postings
    assert [(line.line, line.account_version, line.balance_after) for line in found.lines] == [
        (1, 1, 1000),
        (2, 1, 990),
        (3, 1, 10),
    ]
    assert replace(found, lines=()) == EntryView(
        id=posted.entry_id,
        kind="wallet.topup",
        lines=(),
        effective_at=NOW - timedelta(hours=2),
        recorded_at=NOW,
        business_date=posted.business_date,
        source=Source.API,
        actor="tests",
        subject=Subject("order", "42"),
        reference="RCPT1",
        narrative="Top-up at the counter",
        facts={"till": "12"},
        reverses_id=None,
        reversed_by=(),
    )


async def test_an_entry_names_its_reversals_in_order(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    original = await books.post(transfer(BANK, WALLET, 500))
    first = await books.reverse(original.entry_id, lines={1: 100, 2: 100})
    second = await books.reverse(original.entry_id)

    page = await page_of(books)

    assert [(one.id, one.reverses_id, one.reversed_by) for one in page.entries] == [
        (second.entry_id, original.entry_id, ()),
        (first.entry_id, original.entry_id, ()),
        (original.entry_id, None, (first.entry_id, second.entry_id)),
    ]


async def test_refuses_an_id_the_ledger_does_not_have(engine: AsyncEngine) -> None:
    books, others = await open_books(engine), await open_books(engine)
    posted = await others.post(transfer(BANK, WALLET, 500))

    async with books.reading() as connection:
        with pytest.raises(EntryNotFound):
            await get_entry(connection, ledger_id=books.ledger.id, entry_id=posted.entry_id)


async def test_empty_books_have_no_entries(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    assert await page_of(books) == EntryPage((), 0)
    assert await page_of(books, EntryFilter(account=BANK, currency="KES")) == EntryPage((), 0)


async def test_refuses_an_account_the_ledger_does_not_have(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    with pytest.raises(AccountNotFound):
        await page_of(books, EntryFilter(account="asset.bank.none", currency="KES"))


@pytest.mark.parametrize(
    "conditions",
    [
        {"kind": "\x00"},
        {"kind": ""},
        {"kind": "k" * 65},
        {"reference": "\ud800"},
        {"subject_kind": "s" * 41},
        {"subject_id": "1"},
        {"account": BANK},
        {"currency": "KES"},
    ],
)
def test_refuses_a_filter_that_nothing_could_match(conditions: dict[str, Any]) -> None:
    with pytest.raises(TextInvalid):
        EntryFilter(**conditions)


async def test_an_entry_on_both_sides_of_an_account_is_found_once(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    there_and_back = [debit(BANK, Money("KES", 5)), credit(BANK, Money("KES", 5))] * 3
    first = await books.post(entry(*there_and_back))
    second = await books.post(entry(*there_and_back))
    on_bank = EntryFilter(account=BANK, currency="KES")

    both = await page_of(books, on_bank, limit=2)
    newer = await page_of(books, on_bank, limit=1)
    older = await page_of(books, on_bank, before=newer.next_before)

    assert ids_of(both.entries) == [second.entry_id, first.entry_id]
    assert (ids_of(newer.entries), ids_of(older.entries)) == ([second.entry_id], [first.entry_id])
    assert (both.next_before, older.next_before) == (0, 0)


async def test_entries_posted_between_pages_move_nothing(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    posted = await books.post_all([transfer(BANK, WALLET, 1) for _ in range(5)])
    first = await page_of(books, limit=2)

    await books.post(transfer(BANK, WALLET, 1))

    rest = await page_of(books, before=first.next_before)
    assert ids_of(first.entries + rest.entries) == [one.entry_id for one in reversed(posted)]


async def test_a_recorded_range_includes_its_start_and_not_its_end(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    millisecond = timedelta(milliseconds=1)
    _, second, third, _ = [
        await books.post(transfer(BANK, WALLET, 1), now=NOW + place * millisecond) for place in range(4)
    ]

    page = await page_of(books, EntryFilter(recorded_from=NOW + millisecond, recorded_to=NOW + 3 * millisecond))

    assert ids_of(page.entries) == [third.entry_id, second.entry_id]


@pytest.mark.parametrize("account", [{}, {"account": BANK, "currency": "KES"}])
async def test_a_search_for_a_rare_kind_goes_on_where_it_stopped(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, account: dict[str, Any]
) -> None:
    monkeypatch.setattr(entry_search, "CANDIDATES_MAX", 10)
    books = await open_books(engine)
    rare = await books.post(transfer(BANK, WALLET, 1, kind="rare"))
    await books.post_all([transfer(BANK, WALLET, 1) for _ in range(24)])
    matching = EntryFilter(kind="rare", **account)

    first = await page_of(books, matching)
    second = await page_of(books, matching, before=first.next_before)
    third = await page_of(books, matching, before=second.next_before)

    assert [ids_of(page.entries) for page in (first, second, third)] == [[], [], [rare.entry_id]]
    assert third.next_before == 0


@pytest.mark.parametrize(
    "matching",
    [
        EntryFilter(reference="RCPT1"),
        EntryFilter(subject_kind="order", subject_id="1"),
        EntryFilter(account=OTHER_WALLET, currency="KES"),
        EntryFilter(recorded_to=NOW + timedelta(milliseconds=1)),
        EntryFilter(account=BANK, currency="KES", recorded_to=NOW + timedelta(milliseconds=1)),
    ],
)
async def test_an_old_entry_is_found_at_once_along_its_index(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, matching: EntryFilter
) -> None:
    monkeypatch.setattr(entry_search, "CANDIDATES_MAX", 10)
    books = await open_books(engine)
    old = await books.post(transfer(BANK, OTHER_WALLET, 1, subject=Subject("order", "1"), reference="RCPT1"))
    newer = [transfer(BANK, WALLET, 1, subject=Subject("order", "2"), reference="RCPT2") for _ in range(24)]
    await books.post_all(newer, now=NOW + timedelta(milliseconds=1))

    page = await page_of(books, matching)

    assert (ids_of(page.entries), page.next_before) == ([old.entry_id], 0)


@pytest.mark.parametrize(("candidates_max", "limit"), [(3, 2), (10_000, 2), (10_000, 60)])
async def test_every_combination_of_filters_equals_a_loop_over_everything(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, candidates_max: int, limit: int
) -> None:
    monkeypatch.setattr(entry_search, "CANDIDATES_MAX", candidates_max)
    books = await open_books(engine)
    model = await random_books(books, seed=6, sets=7)

    for matching in filters(model):
        expected = [fact.entry_id for fact in reversed(model.facts) if matches(fact, matching)]
        assert ids_of(await all_pages(books, matching, limit=limit)) == expected, matching


def filters(model: Model) -> list[EntryFilter]:
    """Every combination of a value or none for each filter."""
    moments = sorted({fact.recorded_at for fact in model.facts})
    early, late = moments[len(moments) // 4], moments[-len(moments) // 4]
    subjects = ((None, None), ("order", None), ("order", "1"))
    accounts = ((None, None), (BANK, "KES"), (OTHER_WALLET, "KES"))
    ranges = ((None, None), (early, late), (early + timedelta(microseconds=1), None))
    combinations = itertools.product(subjects, (None, "fee"), accounts, ranges, (None, "RCPT1"))
    return [
        EntryFilter(
            subject_kind=subject_kind,
            subject_id=subject_id,
            kind=kind,
            account=path,
            currency=currency,
            recorded_from=recorded_from,
            recorded_to=recorded_to,
            reference=reference,
        )
        for (subject_kind, subject_id), kind, (path, currency), (recorded_from, recorded_to), reference in combinations
    ]


def matches(fact: Fact, matching: EntryFilter) -> bool:
    draft = fact.draft
    subject = draft.subject or Subject("none", "none")
    accounts = {(one.account, one.money.currency) for one in draft.postings}
    return (
        matching.subject_kind in {None, subject.kind}
        and matching.subject_id in {None, subject.id}
        and matching.kind in {None, draft.kind}
        and matching.reference in {None, draft.reference}
        and (matching.account is None or (matching.account, matching.currency) in accounts)
        and within(fact.recorded_at, matching.recorded_from, matching.recorded_to)
    )


def within(moment: datetime, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or start <= moment) and (end is None or moment < end)


async def test_pages_carry_whole_entries(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    model = await random_books(books, seed=7, sets=6)
    reversed_by = {
        fact.entry_id: tuple(one.entry_id for one in model.facts if one.draft.reverses_id == fact.entry_id)
        for fact in model.facts
    }

    found = await all_pages(books, EVERYTHING, limit=9)

    by_id = {fact.entry_id: fact for fact in model.facts}
    assert len(found) == len(model.facts)
    for view in found:
        fact = by_id[view.id]
        assert tuple(line.posting for line in view.lines) == fact.draft.postings
        assert (view.kind, view.subject, view.reference) == (fact.draft.kind, fact.draft.subject, fact.draft.reference)
        assert (view.recorded_at, view.business_date) == (fact.recorded_at, fact.business_date)
        assert (view.reverses_id, view.reversed_by) == (fact.draft.reverses_id, reversed_by[view.id])
