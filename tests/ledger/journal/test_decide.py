"""Deciding a set: item by item, as a model judges that knows nothing of sets."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import event, given
from hypothesis import strategies as st

from ledger.errors import FloorWouldBreak
from ledger.idempotency import KeyClaim, StoredKey
from ledger.journal.decide import (
    TOTAL_MAX,
    Decision,
    LockedAccount,
    PostRequest,
    Refused,
    Replayed,
    Transition,
    decide,
    transition_of,
)
from ledger.journal.entry import Side, Subject, credit, debit
from ledger.money import MINOR_UNITS_MAX, Money
from tests.builders import entry, transfer
from tests.builders import key as key_named
from tests.model import requests as colliding
from tests.model.plain_books import Accepted, Denied, PlainAccount, PlainBooks, Repeated, Verdict

FLOOR, REUSED = "FLOOR_WOULD_BREAK", "IDEMPOTENCY_KEY_REUSED"
STORED_ID = 1_000_000  # entry ids of keys that are in the database already: this and the number of the key


@dataclass(slots=True)
class Scene:
    """What the database holds, as the engine gets it."""

    accounts: list[LockedAccount]
    keys: list[KeyClaim]
    transitions: frozenset[Transition]

    def decide(self, requests: Sequence[PostRequest]) -> Decision:
        """The engine's decision; the accounts are moved forward."""
        return decide(
            requests,
            accounts={(one.path, one.currency): one for one in self.accounts},
            keys={
                key.identity: StoredKey(key.method, key.request_hash, STORED_ID + number)
                for number, key in enumerate(self.keys)
            },
            transitions=self.transitions,
        )

    def totals(self) -> list[tuple[object, ...]]:
        """Where every account stands."""
        return [(one.path, one.currency, *one.totals) for one in self.accounts]


@st.composite
def locked_accounts(draw: st.DrawFn, *, total_max: int = 100) -> list[LockedAccount]:
    """Some of the accounts that requests name, as earlier postings left them."""
    names = [(path, "KES") for path in (*colliding.PATHS, *colliding.MEMO_PATHS)]
    unopened = draw(st.sampled_from([None, None, *names]))
    closed = draw(st.sampled_from([None, None, *names]))
    found: list[LockedAccount] = []
    for number, (path, currency) in enumerate(name for name in names if name != unopened):
        floor, ceiling = draw(colliding.bounds), draw(colliding.bounds)
        if floor is not None and ceiling is not None:
            floor, ceiling = sorted((floor, ceiling))
        found.append(
            LockedAccount(
                id=number + 1,
                path=path,
                currency=currency,
                sign=draw(st.sampled_from([1, -1])),
                debits=total_max - draw(st.integers(0, 90)),
                credits=total_max - draw(st.integers(0, 90)),
                version=draw(st.integers(0, 5)),
                last_entry_id=0,
                floor=floor,
                ceiling=ceiling,
                closed=(path, currency) == closed,
            )
        )
    return found


@st.composite
def scenes(draw: st.DrawFn, *, total_max: int = 100) -> Scene:
    keys = draw(st.lists(colliding.keys(), max_size=2, unique_by=lambda key: key.identity))
    happened = st.tuples(st.just("order"), st.sampled_from("12"), st.just("order.paid"))
    accounts = draw(locked_accounts(total_max=total_max))
    return Scene(accounts, keys, draw(st.frozensets(happened, max_size=1)))


sets = st.lists(colliding.requests(), min_size=1, max_size=12)


def model_of(scene: Scene) -> tuple[PlainBooks, dict[tuple[str, str], int]]:
    """The same scene for the model, and by how many versions each account is ahead of the model's list of lines."""
    books = PlainBooks(happened=set(scene.transitions))
    ahead = {}
    for one in scene.accounts:
        lines = [(Side.DEBIT, one.debits), (Side.CREDIT, one.credits)]
        normal_side = Side.DEBIT if one.sign == 1 else Side.CREDIT
        books.accounts[one.path, one.currency] = PlainAccount(normal_side, one.floor, one.ceiling, one.closed, lines)
        ahead[one.path, one.currency] = one.version - len(lines)
    books.keys = {key.identity: (key, STORED_ID + number) for number, key in enumerate(scene.keys)}
    return books, ahead


def predicted(scene: Scene, requests: Sequence[PostRequest]) -> list[Verdict]:
    """The model's verdicts; entries are numbered by their place in the set."""
    books, ahead = model_of(scene)
    verdicts: list[Verdict] = []
    places: list[int] = []
    for index, request in enumerate(requests):
        verdict = books.post(request)
        match verdict:
            case Accepted(lines=lines):
                places.append(index)
                names = [(line.account, line.money.currency) for line in request.entry.postings]
                moved = [
                    (version + ahead[name], balance) for name, (version, balance) in zip(names, lines, strict=True)
                ]
                verdicts.append(Accepted(index, tuple(moved)))
            case Repeated(number) if number < STORED_ID:
                verdicts.append(Repeated(places[number]))
            case _:
                verdicts.append(verdict)
    return verdicts


def decided(decision: Decision, requests: Sequence[PostRequest]) -> list[Verdict]:
    """The engine's verdicts in the model's words."""
    accepted = {index: lines for (index, _), lines in zip(decision.accepted, decision.lines, strict=True)}
    first = {key.identity: index for index in accepted if (key := requests[index].key) is not None}
    verdicts: list[Verdict] = []
    for index, (verdict, request) in enumerate(zip(decision.verdicts, requests, strict=True)):
        match verdict:
            case Refused(error):
                verdicts.append(Denied(error.reason))
            case Replayed(entry_id):
                verdicts.append(Repeated(entry_id))
            case None if index in accepted:
                lines = tuple([(line.account_version, line.balance_after) for line in accepted[index]])
                verdicts.append(Accepted(index, lines))
            case _:
                assert request.key is not None
                verdicts.append(Repeated(first[request.key.identity]))
    return verdicts


@given(scenes(), sets)
def test_a_set_is_judged_as_its_items_would_be_one_at_a_time(scene: Scene, requests: list[PostRequest]) -> None:
    expected = predicted(scene, requests)

    verdicts = decided(scene.decide(requests), requests)

    for verdict in verdicts:
        event(verdict.reason if isinstance(verdict, Denied) else type(verdict).__name__)
    assert verdicts == expected


@given(scenes(total_max=TOTAL_MAX), st.lists(colliding.requests(), min_size=1, max_size=6))
def test_a_set_is_judged_alike_at_the_end_of_the_64_bit_range(scene: Scene, requests: list[PostRequest]) -> None:
    expected = predicted(scene, requests)

    assert decided(scene.decide(requests), requests) == expected
    assert all(max(one.debits, one.credits) <= TOTAL_MAX for one in scene.accounts)


@given(scenes(), sets)
def test_accounts_end_where_the_accepted_items_alone_take_them(scene: Scene, requests: list[PostRequest]) -> None:
    books, _ = model_of(scene)
    for request in requests:
        books.post(request)

    scene.decide(requests)

    for one in scene.accounts:
        plain = books.accounts[one.path, one.currency]
        assert (one.debits, one.credits) == (plain.total(Side.DEBIT), plain.total(Side.CREDIT))
        assert one.touched == (len(plain.lines) > 2)


@given(scenes(), sets)
def test_a_refused_item_leaves_no_trace_on_later_ones(scene: Scene, requests: list[PostRequest]) -> None:
    without = copy.deepcopy(scene)
    verdicts = scene.decide(requests).verdicts
    kept = [request for request, one in zip(requests, verdicts, strict=True) if not isinstance(one, Refused)]

    decision = without.decide(kept)

    assert decision.verdicts == [one for one in verdicts if not isinstance(one, Refused)]
    assert without.totals() == scene.totals()


@given(scenes(), sets)
def test_judging_in_two_sets_is_judging_in_one(scene: Scene, requests: list[PostRequest]) -> None:
    """Keys and transitions of the first set are handed to the second, as the database would."""
    twice = copy.deepcopy(scene)
    whole = decided(scene.decide(requests), requests)
    middle = len(requests) // 2

    first = twice.decide(requests[:middle])
    done = [request for _, request in first.accepted]
    known = {key.identity for key in twice.keys}
    twice.keys += [one.key for one in done if one.key is not None and one.key.identity not in known]
    twice.transitions |= {one for request in done if (one := transition_of(request.entry)) is not None}
    second = twice.decide(requests[middle:])

    in_two = [type(one) for one in (*decided(first, requests[:middle]), *decided(second, requests[middle:]))]
    assert in_two == [type(one) for one in whole]
    assert twice.totals() == scene.totals()


def wallet(balance: int, *, floor: int | None = None, ceiling: int | None = None) -> LockedAccount:
    """A credit-normal account that got all it holds in one posting."""
    return LockedAccount(1, "liab.wallet.1", "KES", -1, 0, balance, 1, 0, floor, ceiling, closed=False)


def bank() -> LockedAccount:
    return LockedAccount(2, "asset.bank.kcb", "KES", 1, 100, 0, 1, 0, None, None, closed=False)


def reasons(requests: Sequence[PostRequest], *accounts: LockedAccount) -> list[str]:
    """ "" for what is accepted, the reason for what is refused."""
    verdicts = Scene(list(accounts), [], frozenset()).decide(requests).verdicts
    return [one.error.reason if isinstance(one, Refused) else "" for one in verdicts]


def debits_of(*amounts: int) -> list[PostRequest]:
    return [PostRequest(transfer("liab.wallet.1", "asset.bank.kcb", amount), "tests") for amount in amounts]


def test_exactly_the_offending_items_are_refused() -> None:
    assert reasons(debits_of(60, 50, 40, 1), wallet(100, floor=0), bank()) == [
        "",
        FLOOR,
        "",
        FLOOR,
    ]


def test_money_that_comes_in_earlier_in_the_set_may_be_spent_later_in_it() -> None:
    top_up = PostRequest(transfer("asset.bank.kcb", "liab.wallet.1", 50), "tests")

    assert reasons([*debits_of(30), top_up, *debits_of(30)], wallet(20, floor=0), bank()) == [
        FLOOR,
        "",
        "",
    ]


def test_an_account_below_its_floor_may_rise_and_not_fall_further() -> None:
    top_up = PostRequest(transfer("asset.bank.kcb", "liab.wallet.1", 5), "tests")

    assert reasons([*debits_of(1), top_up], wallet(-10, floor=0), bank()) == [FLOOR, ""]


def test_within_an_entry_only_the_end_counts() -> None:
    through = entry(
        debit("liab.wallet.1", Money("KES", 100)),
        credit("asset.bank.kcb", Money("KES", 100)),
        debit("asset.bank.kcb", Money("KES", 100)),
        credit("liab.wallet.1", Money("KES", 100)),
    )

    assert reasons([PostRequest(through, "tests")], wallet(0, floor=0, ceiling=0), bank()) == [""]


def test_a_refusal_says_what_is_there_and_what_must_remain() -> None:
    scene = Scene([wallet(100, floor=20), bank()], [], frozenset())

    (verdict,) = scene.decide(debits_of(81)).verdicts

    assert isinstance(verdict, Refused)
    assert isinstance(verdict.error, FloorWouldBreak)
    assert verdict.error.facts == {"account": "liab.wallet.1", "balance_minor_units": "100", "floor_minor_units": "20"}
    assert "KES 1.00" in verdict.error.message


def test_the_first_of_two_contents_under_one_key_wins_unless_it_is_refused() -> None:
    refused, other = (
        PostRequest(debits_of(amount)[0].entry, "tests", key_named("k", content=b"%d" % amount)) for amount in (500, 5)
    )

    assert reasons([refused, other, refused], wallet(100, floor=0), bank()) == [
        FLOOR,
        "",
        "IDEMPOTENCY_KEY_REUSED",
    ]


def test_a_transition_of_a_refused_item_may_still_happen_in_the_set() -> None:
    lines = [one.entry.postings for one in debits_of(500, 5, 5)]
    paid = [PostRequest(entry(*one, subject=Subject("order", "1"), once=True), "tests") for one in lines]

    assert reasons(paid, wallet(100, floor=0), bank()) == [FLOOR, "", "TRANSITION_REPEATED"]


def test_totals_may_reach_the_64_bit_range_and_not_leave_it() -> None:
    full = wallet(TOTAL_MAX - MINOR_UNITS_MAX)
    top_ups = [
        PostRequest(transfer("asset.bank.kcb", "liab.wallet.1", amount), "tests") for amount in (MINOR_UNITS_MAX, 1)
    ]

    assert reasons(top_ups, full, bank()) == ["", "BALANCE_WOULD_OVERFLOW"]
    assert full.credits == TOTAL_MAX
