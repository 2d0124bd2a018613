"""Counting redemption attempts by what became of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ledger.journal.decide import Refused
from ledger.promotions.redeeming import RedeemResult


@dataclass(frozen=True, slots=True)
class RedemptionCounts:
    """Tells `count` the result of each attempt in a word: "redeemed", "repeated", or the reason of its refusal."""

    count: Callable[[str], None]

    def add(self, result: RedeemResult) -> None:
        """One attempt."""
        if isinstance(result, Refused):
            self.count(result.error.reason.lower())
        else:
            self.count("repeated" if result.replayed else "redeemed")
