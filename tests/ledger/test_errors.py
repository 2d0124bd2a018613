"""The tree of refusals: drawn as it is, each with a reason that callers may rest on."""

from __future__ import annotations

import re

import pytest

from ledger import errors
from ledger.errors import EntryDoesNotBalance, FloorWouldBreak, InvalidInput, LedgerError, MsisdnInvalid


def _all() -> list[type[LedgerError]]:
    return [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, LedgerError)]


def _drawn() -> set[tuple[str, str]]:
    """(name, name of the base) of every class in the module's drawing."""
    drawing = (errors.__doc__ or "").partition("LedgerError\n")[2].partition("\n\n")[0]
    found, branch = set(), ""
    for line in drawing.splitlines():
        if line.startswith(("├── ", "└── ")):
            branch = line.split()[1]
            found.add((branch, "LedgerError"))
        else:
            found |= {(name, branch) for name in re.findall(r"[A-Z]\w+", line)}
    return found


def test_the_drawn_tree_is_the_tree() -> None:
    assert _drawn() == {(one.__name__, one.__mro__[1].__name__) for one in _all() if one is not LedgerError}


def test_the_categories_drawn_are_those_of_the_classes() -> None:
    drawn = dict(re.findall(r"^[├└]── (\w+) +\((\w+)\)", errors.__doc__ or "", re.MULTILINE))
    branches = [one for one in _all() if one.__mro__[1] is LedgerError]

    assert drawn == {branch.__name__: branch.category.name for branch in branches}
    for branch in branches:
        assert {leaf.category for leaf in _all() if issubclass(leaf, branch)} == {branch.category}


def test_every_refusal_has_a_reason_of_its_own_and_says_what_it_is() -> None:
    reasons = {one: one.reason for one in _all()}

    assert len(set(reasons.values())) == len(reasons)
    for one, reason in reasons.items():
        assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", reason), one
        assert reason.replace("_", "").lower() in {one.__name__.lower(), "ledgererror"}
        assert "__doc__" in vars(one), one


def test_a_refusal_carries_its_values_beside_its_sentence() -> None:
    refusal = FloorWouldBreak("too little", field="postings", account="liab.wallet.1", balance_minor_units=-5)

    assert refusal.reason == "FLOOR_WOULD_BREAK"
    assert (str(refusal), refusal.message, refusal.field) == ("too little", "too little", "postings")
    assert refusal.facts == {"account": "liab.wallet.1", "balance_minor_units": "-5"}


@pytest.mark.parametrize(
    ("field", "told"),
    [("kind", "entries[3].kind"), ("postings[1].amount", "entries[3].postings[1].amount"), ("", "entries[3]")],
)
def test_a_refusal_names_its_field_from_further_out(field: str, told: str) -> None:
    inner = EntryDoesNotBalance("debits are 5 more", field=field, currency="KES")

    outer = inner.within("entries[3]")

    assert type(outer) is EntryDoesNotBalance
    assert (outer.field, outer.message, outer.facts) == (told, inner.message, inner.facts)
    assert inner.field == field


def test_a_refusal_can_be_caught_by_its_kind() -> None:
    with pytest.raises(InvalidInput):
        raise MsisdnInvalid("write it in international form")
