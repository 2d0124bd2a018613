"""Kinds and subjects that are the products' own."""

from __future__ import annotations

import pytest

from ledger.errors import KindReserved
from ledger.journal.entry import Subject
from ledger.journal.reserved import RESERVED_SUBJECT_KINDS, check_not_reserved


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
