"""What is asked for, or told, about money of a receipt that goes back. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.idempotency import KeyClaim
from ledger.journal.entry import Source
from ledger.money import Money
from ledger.text import check_text

REASON_LENGTH_MAX, RECEIPT_LENGTH_MAX = 100, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnRequest:
    """Money of a receipt that is to go back; `amount` is None for all of it that is still here."""

    key: KeyClaim
    actor: str
    receipt_id: int
    amount: Money | None
    reason: str

    def __post_init__(self) -> None:
        check_text(self.reason, field="reason", length_max=REASON_LENGTH_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """Money of a receipt that the provider gave back to its payer, unasked: all that is still here where `amount` is
    None. `return_receipt` is the provider's own of that, "" where nobody knows it; `key` is a person's request."""

    receipt_id: int
    amount: Money | None
    return_receipt: str
    completed_at: datetime
    reason: str
    actor: str
    source: Source
    key: KeyClaim | None = None

    def __post_init__(self) -> None:
        check_text(self.reason, field="reason", length_max=REASON_LENGTH_MAX)
        if self.return_receipt:
            check_text(self.return_receipt, field="return_receipt", length_max=RECEIPT_LENGTH_MAX)


@dataclass(frozen=True, slots=True)
class Reversed:
    """The provider, asked about a receipt, says that all of it went back to its payer."""

    receipt_id: int
    actor: str
    inbox_id: int
