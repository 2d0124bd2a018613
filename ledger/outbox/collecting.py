"""Money in, and money back to its payer, at the edge of the ledger: what is asked for, what is told. Pure.

A *prompt* asks a payer's phone for money (an STK push); a *receipt* is money that a provider says it took in for us; a
*reversal* returns one to whoever paid it. Knows no provider's name.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import Acknowledged, Blame, NotSent, OutcomeUnknown, Rejected


class PayerForm(enum.Enum):
    """How much of the payer's number the provider shows; which of them it is changes without notice."""

    PLAIN = "plain"
    MASKED = "masked"
    HASHED = "hashed"


@dataclass(frozen=True, slots=True)
class Payer:
    """Who paid, as it was told: the digits, the digits with some hidden, or the SHA-256 of the digits in hexadecimal.
    `name` is what the provider says of it, empty where it says none. No customer is known by either."""

    form: PayerForm
    number: str = field(repr=False)
    name: str = field(default="", repr=False)


class Channel(enum.Enum):
    """How a receipt was told. The same one may be told by all of them."""

    CONFIRMATION = "confirmation"
    PROMPT = "prompt"
    PULL = "pull"
    STATEMENT = "statement"
    QUERY = "query"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Received:
    """Money that the provider took in for one of our shortcodes. `receipt` is unique at the provider; `shortcode` is ""
    where the message names none, as the answer to a prompt, which is for the prompt's own; `completed_at` is the
    provider's time, UTC; `reference` is what the payer typed as the account, "" for none: free text, often a phone
    number. `balance_after` is what the provider says that the shortcode held then, where it does."""

    receipt: str
    shortcode: str
    amount: Money
    completed_at: datetime
    payer: Payer | None = None
    reference: str = field(default="", repr=False)
    balance_after: Money | None = None


@dataclass(frozen=True, slots=True)
class PromptInstruction:
    """Ask the payer's phone for `amount`, into the shortcode or into the till below it. `account_reference` is what the
    receipt will carry as the account; `description` is shown to the payer; `provider_reference` is ours, chosen once,
    for rails that let us choose."""

    rail: str
    shortcode: str
    till: str
    payer: Msisdn
    amount: Money
    account_reference: str
    description: str
    provider_reference: str = ""


@dataclass(frozen=True, slots=True)
class PromptInquiry:
    """What became of the prompt that the provider calls `checkout`? That id may hold the payer's number. `platform` is
    where it was sent, as its rail called that; "" where that was not kept."""

    rail: str
    shortcode: str
    till: str
    checkout: str = field(repr=False)
    amount: Money | None = None
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Prompted:
    """The provider took the prompt in; nothing is known of the money. `checkout` is its id for it."""

    checkout: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PromptPaid:
    """The payer paid, by the provider's own word. `received` is the receipt, None where the answer names none."""

    received: Received | None


@dataclass(frozen=True, slots=True)
class PromptFailed:
    """The prompt came to nothing: declined, cancelled, expired. Codes and text are the provider's. A receipt that comes
    all the same is money nonetheless."""

    code: str
    description: str
    blame: Blame = Blame.PAYMENT


@dataclass(frozen=True, slots=True)
class PromptPending:
    """The provider still works on it, or says something that nobody documents: neither paid nor failed."""

    reason: str


PromptAnswer: TypeAlias = Prompted | Rejected | NotSent | OutcomeUnknown
PromptOutcome: TypeAlias = PromptPaid | PromptFailed | PromptPending
PromptQueryAnswer: TypeAlias = PromptPaid | PromptFailed | PromptPending | NotSent | OutcomeUnknown


@dataclass(frozen=True, slots=True)
class ReversalInstruction:
    """Return `amount` of the receipt to whoever paid it; `remarks` are kept by the provider."""

    rail: str
    shortcode: str
    receipt: str
    amount: Money
    remarks: str


@dataclass(frozen=True, slots=True)
class ReversalInquiry:
    """What became of the reversal that the provider took in as `originator`, of this receipt?"""

    rail: str
    shortcode: str
    receipt: str
    originator: str


@dataclass(frozen=True, slots=True)
class ReceiptInquiry:
    """What became of money that the provider took in under this receipt?"""

    rail: str
    shortcode: str
    receipt: str


class ReceiptFate(enum.Enum):
    """What a provider says of a receipt: it stands; all of it went back to its payer; nothing that is final."""

    STANDS = "stands"
    REVERSED = "reversed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ReceiptStatus:
    """The answer to that question, about the receipt and the amount it names; None where it names none."""

    fate: ReceiptFate
    receipt: str | None
    amount: Money | None


@dataclass(frozen=True, slots=True)
class Returned:
    """The provider returned money of a receipt. `receipt` is the return's own; `original_receipt` is None where the
    message does not name it."""

    receipt: str
    original_receipt: str | None
    amount: Money
    completed_at: datetime
    charge: Money | None = None


@dataclass(frozen=True, slots=True)
class ReturnFailed:
    """The provider says definitely that it returned nothing. `returned_before`: because it had been returned before."""

    code: str
    description: str
    returned_before: bool = False
    blame: Blame = Blame.PAYMENT


ReversalAnswer: TypeAlias = Acknowledged | Rejected | NotSent | OutcomeUnknown
ReversalOutcome: TypeAlias = Returned | ReturnFailed | OutcomeUnknown


class Refusal(enum.Enum):
    """Why a payment about to be made is not wanted."""

    PAYER = "payer"
    ACCOUNT = "account"
    AMOUNT = "amount"
    SHORTCODE = "shortcode"
    OTHER = "other"
