"""Fields of refusals in the request's words."""

from __future__ import annotations

import pytest

from api.conversion.fields import check_set_size, located
from api.conversion.money import total
from ledger.errors import BalanceWouldOverflow, FloorWouldBreak, SetTooLarge, TextInvalid


@pytest.mark.parametrize(
    ("field", "within", "names", "expected"),
    [
        ("kind", "entry", {}, "entry.kind"),
        ("postings[1].amount", "entry", {}, "entry.postings[1].amount"),
        ("", "entry", {}, "entry"),
        ("kind", "", {}, "kind"),
        ("", "", {}, ""),
        ("effective_at", "entry", {"effective_at": "entry.effective_time"}, "entry.effective_time"),
        ("request_id", "entry", {"request_id": "request_id"}, "request_id"),
        ("account[2].x", "entry", {"account": "path"}, "path[2].x"),
        ("accounts", "", {"account": "path"}, "accounts"),
    ],
)
def test_a_field_is_told_from_the_request_on(field: str, within: str, names: dict[str, str], expected: str) -> None:
    assert located(TextInvalid("wrong", field=field), within=within, names=names).field == expected


def test_a_relocated_refusal_keeps_all_else() -> None:
    refusal = FloorWouldBreak("too low", field="postings", account="liab.wallet.1", balance_minor_units=5)

    told = located(refusal, within="entry")

    assert isinstance(told, FloorWouldBreak)
    assert (told.message, told.facts) == (refusal.message, refusal.facts)


def test_a_set_may_be_as_large_as_allowed_and_no_larger() -> None:
    check_set_size(5, maximum=5, field="items")

    with pytest.raises(SetTooLarge) as caught:
        check_set_size(6, maximum=5, field="items")
    assert caught.value.field == "items"


def test_a_total_over_all_accounts_that_the_wire_cannot_carry_is_refused() -> None:
    assert total(2**63 - 1) == 2**63 - 1

    with pytest.raises(BalanceWouldOverflow):
        total(2**63)
