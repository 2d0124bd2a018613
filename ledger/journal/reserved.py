"""Words that belong to the products: the kinds of their entries begin with them, and their subjects are named by them.

An entry that anybody else posts may use neither; an entry about such a subject is reversed by its product alone. Pure.
"""

from __future__ import annotations

from ledger.errors import KindReserved
from ledger.journal.entry import Subject

RESERVED_SUBJECT_KINDS = frozenset(
    {
        "payout",
        "payout_receipt",
        "collection",
        "loan",
        "loan_payout",
        "loan_day",
        "loan_charge",
        "loan_repayment",
        "loan_loss",
        "promotion",
        "promotion_change",
        "promotion_redemption",
        "sms",
        "reversal",
        "reconciliation",
    }
)

# The kind of every entry that reverses another. It is not "reversal.<something>": the original says what is undone.
REVERSAL_KIND = "reversal"


def check_not_reserved(*, kind: str, subject: Subject | None) -> None:
    """Raises KindReserved when the kind ("loan", "loan.repayment") or the subject's ("loan") is a product's own."""
    word = kind.partition(".")[0]
    if word in RESERVED_SUBJECT_KINDS:
        raise KindReserved(f"kinds that begin with {word} are posted by Daftari itself; choose another", field="kind")
    if subject is not None and is_reserved(subject):
        raise KindReserved(f"subjects of kind {subject.kind} are Daftari's own; choose another", field="subject.kind")


def is_reserved(subject: Subject) -> bool:
    """Whether the subject is a product's own."""
    return subject.kind in RESERVED_SUBJECT_KINDS
