"""What the provider writes down of a shortcode's money, movement by movement: its statement is an excerpt of this.

Shares no code with the adapter or the ledger. Kept by histories that have statements; the others draw nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tests.simulation.clock import Clock
from tests.simulation.options import Options

if TYPE_CHECKING:
    from tests.simulation.daraja import Movement
    from tests.simulation.paybill import Taken

UTILITY, CHARGES = "utility", "charges_paid"
# Up to how many cents a payment costs how many: the B2C tariff of August 2023.
TARIFF_CENTS = ((10_000, 0), (150_000, 500), (500_000, 900), (2_000_000, 1_100), (25_000_000, 1_300))
# Where fees are taken: from an account of their own, or from the one that pays.
APART, INLINE = "apart", "inline"
LATE_SECONDS = (600.0, 5_000.0, 30_000.0)
# What takes money out: a payout of ours, somebody else's, money sent back as we asked, or unasked, a fee.
PAYOUT, THEFT, RETURN, CLAWED, FEE = "payout", "theft", "return", "clawed", "fee"
TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Row:
    """One movement of one account, in cents with its sign. `linked` is the receipt that it undoes; statements show it
    from `shown_from` on."""

    account: str
    kind: str
    receipt: str
    at: datetime
    cents: int
    details: str
    reason: str
    shown_from: datetime
    party: str = ""
    linked: str = ""
    typed: str = ""

    @property
    def second(self) -> datetime:
        """When it happened, as statements tell it."""
        return self.at.replace(microsecond=0)

    @property
    def key(self) -> tuple[str, int]:
        """No two rows of an account have the same."""
        return self.receipt, self.cents


class Account:
    """The movements in their order. `troubled` draws whether a trouble comes now."""

    def __init__(self, options: Options, *, clock: Clock, troubled: Callable[[str, float], bool]) -> None:
        self._options = options
        self._clock = clock
        self._troubled = troubled
        self.rows: list[Row] = []

    def pay(self, movement: Movement, originator: str) -> int:
        """Money left; what the account that paid loses by the fee."""
        if not self._options.fees:
            return 0
        party = f"{_masked(movement.msisdn)} - PAYEE"
        shown_from = self._shown_from(movement.at)
        reason = "Business Payment to Customer via API"
        details = f"{reason} to {party}. Original conversation ID is {originator}."
        kind = PAYOUT if movement.reference else THEFT
        self.rows.append(
            Row(UTILITY, kind, movement.receipt, movement.at, -movement.cents, details, reason, shown_from, party)
        )
        fee = next(fee for limit, fee in TARIFF_CENTS if movement.cents <= limit)
        if self._troubled("fee-changed", 0.3):
            fee += 200
        return self._charge(movement, fee, shown_from) if fee else 0

    def take(self, taken: Taken) -> None:
        """Money came in."""
        if self._options.fees:
            party = f"{_masked(taken.msisdn)} - PAYER"
            reason = "Pay Bill Online" if taken.checkout else "Pay Bill"
            details = f"{reason} from {party} Acc. {taken.typed}"
            shown_from = self._shown_from(taken.at)
            self.rows.append(
                Row(UTILITY, TAKEN, taken.receipt, taken.at, taken.cents, details, reason, shown_from, party,
                    typed=taken.typed)
            )  # fmt: skip

    def give_back(self, number: str, original: str, cents: int, *, unasked: bool) -> None:
        """Money went back to its payer, under a number of its own."""
        if self._options.fees:
            at = self._clock.now()
            who, kind = ("portal.agent", CLAWED) if unasked else ("daftari_api", RETURN)
            details, reason = f"Pay Utility Reversal by Duka\\{who}", "Pay Utility Reversal"
            self.rows.append(
                Row(UTILITY, kind, number, at, -cents, details, reason, self._shown_from(at), linked=original)
            )

    def balance(self, account: str, opening: int) -> int:
        """What it holds now."""
        return opening + sum(one.cents for one in self.rows if one.account == account)

    def _charge(self, movement: Movement, fee: int, shown_from: datetime) -> int:
        inline = self._options.fees == INLINE
        details = "Business Payment to Customer Withdrawal Charge Paid" if inline else "Fee For B2C Payment"
        account = UTILITY if inline else CHARGES
        self.rows.append(Row(account, FEE, movement.receipt, movement.at, -fee, details, details, shown_from, "SP"))
        return fee if inline else 0

    def _shown_from(self, at: datetime) -> datetime:
        """Some rows come late into statements."""
        if not self._troubled("row-late", 0.2):
            return at
        return at + timedelta(seconds=LATE_SECONDS[len(self.rows) % len(LATE_SECONDS)])


def _masked(msisdn: str) -> str:
    return f"{msisdn[:5]}****{msisdn[-3:]}"
