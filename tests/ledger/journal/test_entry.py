"""Journal entries: none can be built that does not balance, and none with words the books could not keep."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger.errors import AmountInvalid, EntryDoesNotBalance, EntryTooLong, EntryTooShort, PathInvalid, TextInvalid
from ledger.journal.entry import (
    POSTINGS_MAX,
    JournalEntry,
    Posting,
    Side,
    Source,
    Subject,
    check_path,
    credit,
    debit,
)
from ledger.money import Money
from tests.builders import entry, transfer
from tests.strategies import balanced_postings, journal_entry, paths


def net(postings: tuple[Posting, ...], currency: str, *, memo: bool) -> int:
    """Debits less credits of a currency, on memorandum accounts or on the others."""
    return sum(
        posting.money.minor_units * (1 if posting.side is Side.DEBIT else -1)
        for posting in postings
        if posting.money.currency == currency and posting.account.startswith("memo.") == memo
    )


@given(balanced_postings())
def test_an_entry_that_balances_can_be_built(postings: tuple[Posting, ...]) -> None:
    built = journal_entry(postings)

    assert built.postings == postings


shillings = st.builds(Money, st.just("KES"), st.integers(1, 50))
accounts = st.sampled_from(["asset.a", "liab.b", "memory.c"])


@given(st.lists(st.builds(Posting, accounts, st.sampled_from(Side), shillings), min_size=2, max_size=5))
def test_an_entry_is_built_just_when_debits_equal_credits(postings: list[Posting]) -> None:
    balances = net(tuple(postings), "KES", memo=False) == 0

    try:
        journal_entry(postings)
    except EntryDoesNotBalance as refusal:
        difference = int(refusal.facts["difference_minor_units"])
    else:
        difference = 0

    assert (difference == 0) == balances
    assert difference == net(tuple(postings), "KES", memo=False)


@given(balanced_postings(), st.data())
def test_changing_any_one_amount_or_side_unbalances_it(postings: tuple[Posting, ...], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(postings) - 1))
    line = postings[index]
    more = Money(line.money.currency, line.money.minor_units + data.draw(st.integers(1, 10**12)))
    changed = data.draw(st.sampled_from([replace(line, side=line.side.opposite), replace(line, money=more)]))

    with pytest.raises(EntryDoesNotBalance) as caught:
        journal_entry([*postings[:index], changed, *postings[index + 1 :]])

    assert caught.value.field == "postings"
    assert caught.value.facts["currency"] == line.money.currency


@given(balanced_postings(), st.data())
def test_leaving_a_line_out_unbalances_it(postings: tuple[Posting, ...], data: st.DataObject) -> None:
    assume(len(postings) > 2)
    index = data.draw(st.integers(0, len(postings) - 1))

    with pytest.raises(EntryDoesNotBalance):
        journal_entry([*postings[:index], *postings[index + 1 :]])


def test_each_currency_balances_on_its_own() -> None:
    with pytest.raises(EntryDoesNotBalance):
        entry(debit("asset.bank", Money("KES", 100)), credit("liab.wallet", Money("USD", 100)))


def test_memorandum_accounts_balance_among_themselves() -> None:
    shilling = Money("KES", 100)

    of_codes = (debit("memo.codes", shilling), credit("memo.contra", shilling))
    of_money = (debit("asset.bank", shilling), credit("liab.wallet", shilling))

    with pytest.raises(EntryDoesNotBalance, match="memorandum"):
        entry(of_codes[0], of_money[1])
    assert len(entry(*of_codes, *of_money).postings) == 4


def test_a_refusal_says_which_side_is_more_and_by_how_much() -> None:
    with pytest.raises(EntryDoesNotBalance) as caught:
        entry(debit("asset.bank", Money("KES", 1_000_050)), credit("liab.wallet", Money("KES", 50)))

    assert "debits are 10,000.00 more" in caught.value.message
    assert caught.value.facts == {"currency": "KES", "difference_minor_units": "1000000"}


@pytest.mark.parametrize("minor_units", [0, -1, -(10**15)])
def test_the_side_says_the_direction_and_never_the_sign(minor_units: int) -> None:
    with pytest.raises(AmountInvalid) as caught:
        debit("asset.bank", Money("KES", minor_units))

    assert caught.value.field == "amount"


def test_an_entry_has_two_to_two_hundred_lines() -> None:
    lines = transfer("asset.bank", "liab.wallet", 1).postings

    assert len(entry(*lines * (POSTINGS_MAX // 2)).postings) == POSTINGS_MAX
    with pytest.raises(EntryTooLong):
        entry(*lines * (POSTINGS_MAX // 2 + 1))
    for few in ((), lines[:1]):
        with pytest.raises(EntryTooShort):
            entry(*few)


@given(paths())
def test_words_joined_by_dots_are_a_path(path: str) -> None:
    check_path(path, field="account")


@pytest.mark.parametrize(
    "path",
    ["", "asset", ".asset", "asset.", "asset..bank", "Asset.bank", "asset.Bank", "asset bank.kcb", "1asset.bank",
     "asset.bank\n", "asset/bank", "asset.b\u00e4nk", "\uff41sset.bank", "asset.-bank", "asset-x.bank",
     "asset.bank\x00", "asset." + "b" * 200],
)  # fmt: skip
def test_anything_else_is_not(path: str) -> None:
    with pytest.raises(PathInvalid) as caught:
        Posting(path, Side.DEBIT, Money("KES", 1))

    assert caught.value.field == "account"


@pytest.mark.parametrize("kind", ["", "x", "Order", "1order", ".order", "order paid", "order\n", "\u00f6", "x" * 65])
def test_refuses_a_kind_that_is_not_plain(kind: str) -> None:
    with pytest.raises(TextInvalid) as caught:
        transfer("asset.bank", "liab.wallet", 1, kind=kind)

    assert caught.value.field == "kind"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reference": ""}, "reference"),
        ({"reference": "x" * 101}, "reference"),
        ({"reference": "RCPT\x00"}, "reference"),
        ({"narrative": ""}, "narrative"),
        ({"narrative": "x" * 501}, "narrative"),
        ({"narrative": "\x1b[2J"}, "narrative"),
        ({"facts": {"": "x"}}, "facts"),
        ({"facts": {"x": "\x00"}}, "facts"),
    ],
)
def test_refuses_words_the_books_could_not_keep(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(TextInvalid) as caught:
        replace(transfer("asset.bank", "liab.wallet", 1), **changes)

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("kind", "identifier"), [("", "1"), ("x" * 41, "1"), ("order", ""), ("order", "x" * 65), ("o\x00", "1")]
)
def test_refuses_a_subject_without_a_short_name(kind: str, identifier: str) -> None:
    with pytest.raises(TextInvalid):
        Subject(kind, identifier)


def test_a_time_without_a_zone_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        transfer("asset.bank", "liab.wallet", 1, effective_at=datetime(2026, 11, 20, 9, 0))  # noqa: DTZ001 (the point)


def test_a_side_undoes_the_other() -> None:
    assert (Side.DEBIT.opposite, Side.CREDIT.opposite) == (Side.CREDIT, Side.DEBIT)


def test_an_entry_does_not_change_once_it_is_built() -> None:
    built = JournalEntry(
        kind="order.paid",
        postings=transfer("asset.bank", "liab.wallet", 1).postings,
        effective_at=datetime(2026, 11, 20, 9, 0, tzinfo=UTC),
        source=Source.API,
    )

    for one, name in ((built, "postings"), (built.postings[0], "money"), (built.postings[0].money, "minor_units")):
        with pytest.raises(FrozenInstanceError):
            setattr(one, name, None)
