"""The moves of a receipt's money: each entry balances, and the parts are always the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.collections.receipt import (
    MOVES,
    RECEIVED_KIND,
    SUBJECT_KIND,
    Event,
    Holdings,
    Place,
    ReceiptMoney,
    allocated_entry,
    gone_entry,
    received_entry,
    undone_entry,
    waiting_entry,
)
from ledger.collections.shortcodes import Shortcode
from ledger.database import transaction
from ledger.errors import EntryDoesNotBalance, ReceiptShort
from ledger.journal import chart
from ledger.journal.chart import is_clearing
from ledger.journal.entry import JournalEntry, Posting, Side, Source, credit
from ledger.money import Money
from tests.ledger.collections.till import LANDING, PREFUND, RETURNING, SHORTCODE, SUSPENSE, UNALLOCATED, WALLET
from tests.ledger.payouts.shop import MOMENT

ACCOUNTS = Shortcode("daraja", SHORTCODE, "KES", LANDING, accepts_unanswered=True).accounts
MONEY = ReceiptMoney("daraja", "UI10000001", ACCOUNTS)
WAITING_IN = {Place.UNALLOCATED: UNALLOCATED, Place.SUSPENDED: SUSPENSE, Place.RETURNING: RETURNING}
DRAWN = sorted(MOVES, key=str)
WAITING_EVENTS = (Event.PARKED, Event.RETURN_RESERVED, Event.RETURN_FAILED)

amounts = st.integers(1, 10**12)
charges = st.none() | st.integers(0, 10**9).map(lambda units: Money("KES", units))
shares = st.lists(amounts, min_size=1, max_size=5).map(
    lambda parts: [credit((WALLET, PREFUND)[index % 2], Money("KES", units)) for index, units in enumerate(parts)]
)


def entry_of(event: Event, source: Place, target: Place, units: int, charge: Money | None = None) -> JournalEntry:
    """The entry of a drawn move, of one share where it is allocated or taken back."""
    amount = Money("KES", units)
    if event is Event.ALLOCATED:
        lines = [credit(WALLET, amount)]
        return allocated_entry(MONEY, amount, source_place=source, shares=lines, at=MOMENT, source=Source.API)
    if event is Event.UNDONE:
        allocation = entry_of(Event.ALLOCATED, target, source, units).postings
        return undone_entry(MONEY, allocation=allocation, entry_id=41, at=MOMENT, source=Source.MANUAL)
    if event in WAITING_EVENTS:
        return waiting_entry(MONEY, amount, event=event, source_place=source, at=MOMENT, source=Source.API)
    return gone_entry(MONEY, amount, event=event, source_place=source, at=MOMENT, source=Source.QUERY, charge=charge)


def net(entry: JournalEntry) -> dict[str, int]:
    """What the entry adds to each account, debits positive; accounts that it leaves as they were are not named."""
    found: dict[str, int] = {}
    for line in entry.postings:
        signed = line.money.minor_units * (1 if line.side is Side.DEBIT else -1)
        found[line.account] = found.get(line.account, 0) + signed
    return {account: units for account, units in found.items() if units}


async def test_the_database_draws_the_same_moves_with_the_same_kinds_of_entry(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        found = await connection.execute(text("SELECT event, source, target, kind FROM receipt_moves"))
        drawn = {tuple(row) for row in found}

    assert drawn == {(event.value, source.value, target.value, event.kind) for event, source, target in MOVES}


def test_every_event_and_every_place_has_its_moves() -> None:
    assert {event for event, _, _ in MOVES} == set(Event)
    assert {source for _, source, _ in MOVES} == set(Place) - {Place.RETURNED}
    assert {target for _, _, target in MOVES} == set(Place)


@given(amounts, charges)
def test_a_receipt_is_more_where_it_landed_and_nobodys_yet(units: int, charge: Money | None) -> None:
    entry = received_entry(MONEY, Money("KES", units), at=MOMENT, source=Source.CALLBACK, charge=charge)

    assert net(entry) == {LANDING: units, UNALLOCATED: -units} | charged(charge)
    assert (entry.kind, entry.once, entry.reference) == (RECEIVED_KIND, True, "UI10000001")


@pytest.mark.parametrize(("event", "source", "target"), DRAWN)
@given(units=amounts, charge=charges)
def test_a_move_debits_where_the_money_was_and_credits_where_it_is(
    event: Event, source: Place, target: Place, units: int, charge: Money | None
) -> None:
    entry = entry_of(event, source, target, units, charge)

    outside = {Place.ALLOCATED: WALLET, Place.RETURNED: LANDING}
    places = WAITING_IN | outside
    told = charged(charge) if event in (Event.RETURNED, Event.TAKEN_BACK) else {}
    assert net(entry) == {places[source]: units, places[target]: -units} | told
    assert (entry.kind, entry.once, entry.reverses_id) == (event.kind, False, 41 if event is Event.UNDONE else None)
    assert entry.subject is not None
    assert entry.subject.kind == SUBJECT_KIND


def charged(charge: Money | None) -> dict[str, int]:
    """What a charge of the provider's adds to the accounts."""
    if charge is None or not charge.minor_units:
        return {}
    return {ACCOUNTS.charge_expense: charge.minor_units, ACCOUNTS.charges_owed: -charge.minor_units}


@given(shares)
def test_an_allocation_gives_each_share_and_its_undoing_is_the_opposite_line_for_line(lines: list[Posting]) -> None:
    whole = Money("KES", sum(line.money.minor_units for line in lines))

    entry = allocated_entry(MONEY, whole, source_place=Place.SUSPENDED, shares=lines, at=MOMENT, source=Source.MANUAL)
    undone = undone_entry(MONEY, allocation=entry.postings, entry_id=41, at=MOMENT, source=Source.MANUAL)

    assert net(entry)[SUSPENSE] == whole.minor_units
    assert [(line.account, line.side.opposite, line.money) for line in undone.postings] == [
        (line.account, line.side, line.money) for line in entry.postings
    ]


@given(shares, st.integers(-3, 3).filter(bool))
def test_shares_that_are_not_the_whole_are_no_entry(lines: list[Posting], more: int) -> None:
    units = max(1, sum(line.money.minor_units for line in lines) + more)
    if units == sum(line.money.minor_units for line in lines):
        return

    with pytest.raises(EntryDoesNotBalance):
        allocated_entry(
            MONEY, Money("KES", units), source_place=Place.UNALLOCATED, shares=lines, at=MOMENT, source=Source.API
        )


def test_all_accounts_are_in_the_chart_and_those_of_waiting_money_are_watched() -> None:
    opened = chart.shortcode_accounts(provider="daraja", shortcode=SHORTCODE, currency="KES")
    paths = {spec.path for spec in opened + chart.common_accounts(currency="KES")}

    assert {getattr(ACCOUNTS, name) for name in ACCOUNTS.__slots__} <= paths
    assert all(is_clearing(path) for path in WAITING_IN.values())
    assert not is_clearing(LANDING)


@given(amounts, st.lists(st.tuples(st.sampled_from(DRAWN), st.integers(1, 10**12)), max_size=30))
def test_whatever_is_moved_the_parts_are_the_whole_and_none_is_negative(
    whole: int, moves: list[tuple[tuple[Event, Place, Place], int]]
) -> None:
    held = Holdings(whole)

    for (event, source, target), wanted in moves:
        before, units = held, min(wanted, held.of(source))
        if units < wanted:
            with pytest.raises(ReceiptShort):
                held.moved(event, source, target, wanted)
        if units:
            held = held.moved(event, source, target, units)
            assert (held.of(source), held.of(target)) == (before.of(source) - units, before.of(target) + units)
        assert sum(held.of(place) for place in Place) == whole
        assert min(held.of(place) for place in Place) >= 0


@given(st.sampled_from(Event), st.sampled_from(Place), st.sampled_from(Place))
def test_a_move_that_is_not_drawn_is_a_bug(event: Event, source: Place, target: Place) -> None:
    if (event, source, target) in MOVES:
        return

    with pytest.raises(AssertionError):
        Holdings(5, 5, 5, 5, 5).moved(event, source, target, 1)


@given(st.from_regex(r"[a-z]{1,12}", fullmatch=True), st.text("ABC\u00e9/0129", min_size=1, max_size=100))
def test_a_receipt_of_any_length_is_the_subject_of_its_entries(provider: str, receipt: str) -> None:
    subject = ReceiptMoney(provider, receipt, ACCOUNTS).subject

    assert (subject.kind, subject.id.startswith(f"{provider}/")) == (SUBJECT_KIND, True)
    assert subject.id.endswith(receipt) or len(f"{provider}/{receipt}") > 64


async def test_the_database_writes_the_subject_as_we_do(engine: AsyncEngine) -> None:
    names = [("daraja", "A" * length + tail) for length in (1, 56, 57, 58, 94) for tail in ("", "B", "\u00e9")]
    async with transaction(engine) as connection:
        for provider, receipt in names:
            found = await connection.execute(
                text("SELECT receipt_subject(:provider, :receipt)"), {"provider": provider, "receipt": receipt}
            )
            assert found.scalar_one() == ReceiptMoney(provider, receipt, ACCOUNTS).subject.id
