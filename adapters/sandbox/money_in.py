"""What customers pay in, and what is taken back of it, as facts of the books. Moves nothing."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime

SHILLINGS_MIN, SHILLINGS_MAX = 1, 250_000  # Daraja: limits of one payment by a customer


class Command(enum.Enum):
    """What a customer pays: a paybill with an account number, or a till."""

    PAY_BILL = "CustomerPayBillOnline"
    BUY_GOODS = "CustomerBuyGoodsOnline"


class ReversedBy(enum.Enum):
    """Who took money back: the organisation by API, or the provider of its own accord."""

    ORGANISATION = "organisation"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Collection:
    """What a customer pays in. `reference` is the account number as the customer typed it, or as the prompt said it.
    `checkout_request_id` names the prompt, which has the payer's number in it; empty where there was none."""

    command: Command
    msisdn: str = field(repr=False)
    shortcode: str
    reference: str
    amount_cents: int
    charge_cents: int
    initiated_at: datetime
    checkout_request_id: str = field(default="", repr=False)

    @property
    def is_prompted(self) -> bool:
        """Whether a prompt asked for it."""
        return bool(self.checkout_request_id)

    @property
    def reason_type(self) -> str:
        """The provider's word for it, in statements and status results."""
        if self.command is Command.BUY_GOODS:
            return "Merchant Payment"
        return "Pay Bill Online" if self.is_prompted else "Pay Utility"


@dataclass(frozen=True, slots=True)
class Reversal:
    """Money to be taken back of an earlier movement, as it was asked for; `charge_cents` is what the provider gives
    back of its charge. The ids are the request's; empty where the provider acts by itself."""

    original_receipt: str
    amount_cents: int
    charge_cents: int
    by: ReversedBy
    operator: str
    occasion: str = ""
    originator_conversation_id: str = ""
    conversation_id: str = ""
