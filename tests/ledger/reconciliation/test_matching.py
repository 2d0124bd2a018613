"""Matching decides every line and every entry once, explains the whole difference, and says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.reconciliation.matching import Adjusted, Booked, Books, Decision, Known, Line, Payout, State, match
from ledger.reconciliation.statement import LineKind, LineStatus

AT = datetime(2026, 9, 1, 9, tzinfo=UTC)
UNTIL = AT + timedelta(days=2)


def line(number: int, amount: int, **changes: Any) -> Line:
    """A completed payment under a receipt of its own."""
    told: dict[str, Any] = {
        "id": number,
        "receipt": f"R{number}",
        "at": AT,
        "amount": amount,
        "kind": LineKind.PAYOUT if amount < 0 else LineKind.COLLECTION,
        "status": LineStatus.COMPLETED,
    }
    return Line(**(told | changes))


def booked(number: int, amount: int, **changes: Any) -> Booked:
    """An entry under the receipt of the same number."""
    told: dict[str, Any] = {
        "entry_id": number,
        "amount": amount,
        "at": AT,
        "source": "callback",
        "receipt": f"R{number}",
    }
    return Booked(**(told | changes))


def books(*entries: Booked, **changes: Any) -> Books:
    """The entries, and nothing else known."""
    told: dict[str, Any] = {"booked": entries, "payouts": {}, "charges": {}, "elsewhere": {}, "told_until": UNTIL}
    return Books(**(told | changes))


def outcome(lines: list[Line], known: Books) -> list[tuple[State, str]]:
    """State and rule of each decision."""
    return [(one.state, one.rule) for one in match(lines, known)]


_OPEN, _PAID, _RELEASED = (Payout(7, known, -500, "R9" if known is Known.SETTLED else None) for known in Known)
CASES: list[tuple[str, list[Line], Books, list[tuple[State, str]]]] = [
    ("one to one", [line(1, -500)], books(booked(1, -500)), [(State.MATCHED, "receipt")]),
    (
        "a payout of ours that is booked behind a close",
        [line(9, -500, originator="ours")],
        books(payouts={"ours": _PAID}, later={"R9": (-500, (AT + timedelta(days=1)).date())}),
        [(State.ACCEPTED, "late")],
    ),
    (
        "a second payment under its reference",
        [line(8, -500, originator="ours")],
        books(payouts={"ours": _PAID}),
        [(State.DUPLICATE, "originator")],
    ),
    (
        "one to many",
        [line(1, -500)],
        books(booked(1, -300), booked(2, -200, receipt="R1")),
        [(State.MATCHED, "receipt")],
    ),
    ("many to one", [line(1, -300), line(2, -200, receipt="R1")], books(booked(1, -500)), [(State.MATCHED, "receipt")]),
    ("over", [line(1, -600)], books(booked(1, -500)), [(State.OVER, "receipt")]),
    ("under", [line(1, -400)], books(booked(1, -500)), [(State.UNDER, "receipt")]),
    (
        "duplicate",
        [line(1, -500), line(2, -500, receipt="R1")],
        books(booked(1, -500)),
        [(State.MATCHED, "receipt"), (State.DUPLICATE, "receipt")],
    ),
    ("a sweep's pair", [line(1, -500), line(2, 500, receipt="R1")], books(), [(State.MATCHED, "pair")]),
    ("nobody ordered it", [line(1, -500)], books(), [(State.MISSING_HERE, "none")]),
    ("no line shows it", [], books(booked(1, -500)), [(State.MISSING_THERE, "none")]),
    (
        "booked and undone",
        [],
        books(booked(1, -500), booked(2, 500, receipt="R1")),
        [(State.MATCHED, "undone")],
    ),
    (
        "two persons put them together",
        [line(1, -500)],
        books(booked(2, -500), adjusted=[Adjusted(frozenset({1}), frozenset({2}), "so")]),
        [(State.MATCHED, "adjustment")],
    ),
    (
        "two persons let it stay",
        [line(1, -500), line(2, -500)],
        books(booked(2, -500), adjusted=[Adjusted(frozenset({1}), frozenset({9}), "so")]),
        [(State.ACCEPTED, "adjustment"), (State.MATCHED, "receipt")],
    ),
    ("not shown yet", [], books(booked(1, -500, at=UNTIL)), [(State.AWAITED, "none")]),
    ("elsewhere", [line(1, 500)], books(elsewhere={"R1": "asset.x"}), [(State.OTHER_SUB_ACCOUNT, "receipt")]),
    (
        "an open payout was paid",
        [line(1, -500, originator="o")],
        books(payouts={"o": _OPEN}),
        [(State.RESOLVES, "originator")],
    ),
    (
        "a released one too",
        [line(1, -500, originator="o")],
        books(payouts={"o": _RELEASED}),
        [(State.RESOLVES, "originator")],
    ),
    (
        "an open payout failed",
        [line(1, -500, originator="o", status=LineStatus.FAILED)],
        books(payouts={"o": _OPEN}),
        [(State.RESOLVES, "originator")],
    ),
    (
        "paid with another amount",
        [line(1, -400, originator="o")],
        books(payouts={"o": _OPEN}),
        [(State.STATUS_CONFLICT, "originator")],
    ),
    (
        "failed, and settled here",
        [line(1, -500, originator="o", status=LineStatus.FAILED)],
        books(payouts={"o": _PAID}),
        [(State.STATUS_CONFLICT, "originator")],
    ),
    (
        "under another receipt",
        [line(1, -500, originator="o")],
        books(booked(9, -500), payouts={"o": _PAID}),
        [(State.MATCHED, "originator")],
    ),
    (
        "paid twice",
        [line(9, -500, originator="o"), line(1, -500, originator="o")],
        books(booked(9, -500), payouts={"o": _PAID}),
        [(State.DUPLICATE, "originator"), (State.MATCHED, "receipt")],
    ),
    (
        "a payer typed a payout's reference",
        [line(1, 500, originator="o", status=LineStatus.FAILED)],
        books(payouts={"o": _OPEN}),
        [(State.NO_MOVEMENT, "status")],
    ),
    (
        "a payer typed the reference of a payout that is paid",
        [line(1, 500, originator="o")],
        books(booked(9, -500), payouts={"o": _PAID}),
        [(State.MISSING_HERE, "none"), (State.MISSING_THERE, "none")],
    ),
    (
        "declared as a collection, whatever its sign",
        [line(1, -500, originator="o", kind=LineKind.COLLECTION, status=LineStatus.FAILED)],
        books(payouts={"o": _OPEN}),
        [(State.NO_MOVEMENT, "status")],
    ),
    (
        "pending",
        [line(1, -500, originator="o", status=LineStatus.PENDING)],
        books(payouts={"o": _OPEN}),
        [(State.NO_MOVEMENT, "status")],
    ),
    (
        "a reversal",
        [line(1, -500, linked="R8")],
        books(booked(2, -500, receipt=None, original="R8")),
        [(State.MATCHED, "linked")],
    ),
    (
        "many lines of one account typed",
        [line(1, 300, reference="INV1"), line(2, 200, reference="INV1")],
        books(booked(5, 500, receipt="INV1")),
        [(State.MATCHED, "reference")],
    ),
    ("the only amount", [line(1, 700)], books(booked(5, 700, receipt=None)), [(State.MATCHED, "amount")]),
    (
        "two of an amount are guessed at by nobody",
        [line(1, 700), line(2, 700)],
        books(booked(5, 700, receipt=None)),
        [(State.MISSING_THERE, "none"), (State.MISSING_HERE, "none"), (State.MISSING_HERE, "none")],
    ),
    (
        "a charge as accrued",
        [line(1, -500), line(2, -5, receipt="R1", kind=LineKind.CHARGE)],
        books(booked(1, -500), charges={"R1": 5}),
        [(State.MATCHED, "receipt"), (State.MATCHED, "charge")],
    ),
    (
        "a charge that is not",
        [line(1, -500), line(2, -9, receipt="R1", kind=LineKind.CHARGE)],
        books(booked(1, -500), charges={"R1": 5}),
        [(State.MATCHED, "receipt"), (State.FEE_MISMATCH, "charge")],
    ),
    (
        "on the account of the charges",
        [line(1, -9, kind=LineKind.CHARGE)],
        books(booked(1, -5), charges=None),
        [(State.FEE_MISMATCH, "receipt")],
    ),
]


@pytest.mark.parametrize(("lines", "known", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_rule_decides_its_case(lines: list[Line], known: Books, expected: list[tuple[State, str]]) -> None:
    assert outcome(lines, known) == expected


_RECEIPTS = st.sampled_from(["R1", "R2", "R3", "R4", "INV"])
_AMOUNTS = st.sampled_from([-500, -300, -200, -5, 200, 300, 500])
_LINES = st.builds(
    line,
    st.just(0),
    _AMOUNTS,
    receipt=_RECEIPTS,
    kind=st.sampled_from(LineKind),
    status=st.sampled_from(LineStatus),
    originator=st.sampled_from([None, "o", "p", "q"]),
    reference=st.sampled_from([None, "INV"]),
    linked=st.sampled_from([None, "R1"]),
)
_ENTRIES = st.builds(
    booked,
    st.just(0),
    _AMOUNTS,
    receipt=st.one_of(st.none(), _RECEIPTS),
    original=st.sampled_from([None, "R1"]),
    at=st.sampled_from([AT, UNTIL]),
)

_SOME = st.frozensets(st.integers(0, 9), max_size=3)
_ADJUSTED = st.builds(Adjusted, _SOME, _SOME, st.just("so"))


def _numbered(items: list[Any], name: str) -> list[Any]:
    return [replace(one, **{name: number}) for number, one in enumerate(items)]


@given(
    lines=st.lists(_LINES, max_size=8),
    entries=st.lists(_ENTRIES, max_size=8),
    charges=st.sampled_from([None, {}, {"R1": 5}]),
    adjusted=st.lists(_ADJUSTED, max_size=2),
    shuffled=st.randoms(use_true_random=False),
)
def test_everything_is_decided_once_and_the_differences_are_the_difference(
    lines: list[Line],
    entries: list[Booked],
    charges: dict[str, int] | None,
    adjusted: list[Adjusted],
    shuffled: Any,
) -> None:
    lines, entries = _numbered(lines, "id"), _numbered(entries, "entry_id")
    payouts = {"o": _OPEN, "p": _PAID, "q": _RELEASED}
    known = books(*entries, charges=charges, payouts=payouts, adjusted=adjusted)

    decisions = match(lines, known)

    assert sorted(number for one in decisions for number in one.lines) == [one.id for one in lines]
    assert sorted(number for one in decisions for number in one.entries) == [one.entry_id for one in entries]
    moved = sum(one.amount for one in lines if one.status is LineStatus.COMPLETED)
    assert sum(one.difference for one in decisions) == moved - sum(one.amount for one in entries)
    assert all(one.reason and one.rule for one in decisions)
    for one in decisions:
        if one.state is State.MATCHED and one.rule != "charge":
            assert one.difference == 0
    shuffled.shuffle(lines)
    assert _totals(match(lines, known)) == _totals(decisions)


@given(
    lines=st.lists(_LINES, max_size=8),
    entries=st.lists(_ENTRIES, max_size=8),
    charges=st.sampled_from([None, {}, {"R1": 5}]),
    adjusted=st.lists(_ADJUSTED, max_size=2),
)
def test_receipts_that_decide_themselves_are_decided_alike_without_the_others(
    lines: list[Line], entries: list[Booked], charges: dict[str, int] | None, adjusted: list[Adjusted]
) -> None:
    lines, entries = _numbered(lines, "id"), _numbered(entries, "entry_id")
    known = books(*entries, charges=charges, payouts={"o": _OPEN, "p": _PAID}, adjusted=adjusted)
    apart = {one.receipt for one in lines if _decides_itself(one.receipt, lines, known)}

    alone = [
        decision
        for receipt in apart
        for decision in match(
            [one for one in lines if one.receipt == receipt],
            replace(known, booked=[one for one in entries if one.receipt == receipt], payouts={}, adjusted=()),
        )
    ]
    others = replace(known, booked=[one for one in entries if one.receipt not in apart])
    rest = match([one for one in lines if one.receipt not in apart], others)

    assert sorted([*alone, *rest], key=lambda one: one.order) == match(lines, known)
    assert {one.rule for one in alone} <= {"receipt", "charge"}


def _decides_itself(receipt: str, lines: list[Line], known: Books) -> bool:
    """What `comparing` asks the database."""
    own, booked = [one for one in lines if one.receipt == receipt], [x for x in known.booked if x.receipt == receipt]
    adjusted = {("line", x) for one in known.adjusted for x in one.lines}
    adjusted |= {("entry", x) for one in known.adjusted for x in one.entries}
    return (
        any(known.charges is None or not one.kind.is_charge for one in own)
        and bool(booked)
        and all(one.status is LineStatus.COMPLETED and ("line", one.id) not in adjusted for one in own)
        and all(("entry", one.entry_id) not in adjusted for one in booked)
    )


def _totals(decisions: list[Decision]) -> int:
    return sum(one.difference for one in decisions)
