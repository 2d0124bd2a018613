"""What every rail offers the rest of Daftari: a small Protocol, its declared capabilities, and what a callback
means."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias

from ledger.float_names import USUAL_FLOATS, FloatNames
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import (
    Acknowledged,
    Answer,
    Failed,
    NotSent,
    OutcomeUnknown,
    PayoutInquiry,
    PayoutInstruction,
    QueryAnswer,
    Rejected,
    Settled,
)
from ledger.payouts.limits import RailLimits


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a rail can carry. `payout_limits` are per currency; amounts outside them are refused, never rounded.
    `refuses_repeats`: a second submission to a person under the same reference is refused by the provider, so that
    sending again after silence cannot pay twice. `ask_after_seconds`: callbacks of this rail are hints and prove
    nothing, so that a payout it took in is asked about this much later, and at once after a hint; None where callbacks
    prove what they say. `floats` are the provider's words for the accounts of a shortcode."""

    rail: str
    payout_limits: dict[str, RailLimits]
    refuses_repeats: bool = False
    ask_after_seconds: float | None = None
    floats: FloatNames = USUAL_FLOATS


@dataclass(frozen=True, slots=True)
class CallbackUrls:
    """Where the provider is to answer this very attempt; both paths hold a secret token and are never logged."""

    result_url: str = field(repr=False)
    timeout_url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PayoutCallback:
    """One readable callback about a payout, as the provider tells it. `reference` is ours if the provider echoes it;
    the identifying fields are None where the message does not carry them; `outcome` is what it claims."""

    outcome: Settled | Failed | OutcomeUnknown
    reference: str | None
    conversation_id: str | None
    msisdn: Msisdn | None
    amount: Money | None
    shortcode: str | None
    receiver_shortcode: str | None = None


@dataclass(frozen=True, slots=True)
class CallbackUnreadable:
    """The bytes are not a message this rail documents; they stay stored and a person looks at them."""

    reason: str


@dataclass(frozen=True, slots=True)
class SubAccountBalance:
    """What the provider says one of our sub-accounts holds: "utility", "working", "charges_paid", ... `available` is
    minor units of the currency and may be negative."""

    sub_account: str
    currency: str
    available: int


@dataclass(frozen=True, slots=True)
class BalanceReport:
    """A provider's answer to a balance query; `asserted_at` is its own time, None where it names none."""

    shortcode: str | None
    balances: tuple[SubAccountBalance, ...]
    asserted_at: datetime | None


BalanceAnswer: TypeAlias = BalanceReport | Acknowledged | NotSent | OutcomeUnknown


class DeclaredRail(Protocol):
    """What any process may know of a rail: what it carries, and how to read what it calls back. Holds no credential,
    makes no call."""

    @property
    def capabilities(self) -> Capabilities:
        """What the rail carries; constant for its life."""

    def read_payout_callback(self, kind: str, body: bytes) -> PayoutCallback | CallbackUnreadable:
        """Reads a stored callback body; `kind` is "result" or "timeout", from the path it came by. Pure."""

    def read_query_callback(self, kind: str, body: bytes) -> PayoutCallback | CallbackUnreadable:
        """Reads the answer to a question, by the path it came by ("result" or "timeout"): what it says of the payout,
        OutcomeUnknown where it says nothing final. Pure."""

    def read_balance_callback(self, kind: str, body: bytes) -> BalanceReport | CallbackUnreadable:
        """Reads the answer to a balance query. Pure."""

    def callback_acknowledgement(self) -> bytes:
        """The JSON body the provider expects in answer to any callback, with status 200."""


class PayoutRail(DeclaredRail, Protocol):
    """A rail that pays out, for the worker alone. Implementations hold an HTTP client and credentials, and no database
    connection."""

    @property
    def platform(self) -> str:
        """Where its calls go now. What was sent to one platform is asked about there, also once another is in use."""

    async def check_payee(self, instruction: PayoutInstruction) -> Rejected | None:
        """What speaks against sending a payout that never left; None where nothing does, or nobody can tell. Asks at
        most, and moves no money. Never raises."""

    async def submit_payout(self, instruction: PayoutInstruction, callback_urls: CallbackUrls) -> Answer:
        """Sends once. Never raises for what the network or the provider does: that is an Answer."""

    async def query_payout(self, inquiry: PayoutInquiry, callback_urls: CallbackUrls) -> QueryAnswer:
        """Asks once what became of a payout. Never raises; an error proves nothing about the payout."""

    async def query_balance(self, shortcode: str, callback_urls: CallbackUrls) -> BalanceAnswer:
        """Asks once for the balances of a shortcode, which come by callback or at once. Never raises."""

    async def close(self) -> None:
        """Closes the HTTP client."""
