"""The question and the answer at the edge of the ledger, on one page. Pure: no I/O, no provider's name.

An *instruction* says what must happen outside; an *answer* is what one attempt at it brought back at once; an *outcome*
is what we learned, from an answer, a callback or a query, about what did happen.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from ledger.money import Money
from ledger.payee import Payee


@dataclass(frozen=True, slots=True)
class PayoutInstruction:
    """Pay `amount` from the shortcode to the payee, under our reference, which is chosen once and never changed.
    `platform` is where it is to go if it was sent before, "" for wherever the rail sends now."""

    provider_reference: str
    rail: str
    shortcode: str
    payee: Payee
    amount: Money
    purpose: str
    remarks: str
    platform: str = ""


@dataclass(frozen=True, slots=True)
class PayoutInquiry:
    """What became of the payout with this reference? `receipt` is the provider's, where one is known; `references` are
    what may be its ids for the payout, by kind; `asked_before` counts the questions so far: each is asked by.
    `platform` is where it was sent, as its rail called that; "" where that was not kept."""

    provider_reference: str
    rail: str
    shortcode: str
    amount: Money
    receipt: str | None
    references: tuple[tuple[str, str], ...] = ()
    asked_before: int = 0
    platform: str = ""


class Blame(enum.Enum):
    """Where the fault of a definite refusal lies: in the payment, or in our access, which fails every payment."""

    PAYMENT = "payment"
    ACCESS = "access"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The provider took the instruction in; nothing is known of the money. `references` are its ids by kind."""

    references: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider refused definitely: it queued nothing and will move nothing. Codes and text are the provider's."""

    code: str
    description: str
    blame: Blame = Blame.PAYMENT


@dataclass(frozen=True, slots=True)
class NotSent:
    """The instruction provably never reached the provider's core; the same attempt may be made again later."""

    reason: str
    retry_after_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """Anything may have happened: a timeout, a 5xx, an answer nobody can read. Never a reason to send again."""

    reason: str
    references: tuple[tuple[str, str], ...] = ()


Answer: TypeAlias = Acknowledged | Rejected | NotSent | OutcomeUnknown


@dataclass(frozen=True, slots=True)
class Settled:
    """The provider moved the money. `receipt` is unique at the provider; `completed_at` is the provider's time, UTC;
    `charge` is what it took for that, where it says so (None: by tariff)."""

    receipt: str
    amount: Money
    completed_at: datetime
    references: tuple[tuple[str, str], ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    charge: Money | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider says definitely that it did not move the money."""

    code: str
    description: str
    references: tuple[tuple[str, str], ...] = ()
    blame: Blame = Blame.PAYMENT


# What a status query may bring back at once; a rail that answers by callback only acknowledges.
QueryAnswer: TypeAlias = Acknowledged | NotSent | OutcomeUnknown | Settled | Failed
