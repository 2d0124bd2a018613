"""What a rail that takes money in offers the rest of Daftari: prompts, confirmations, recovery, reversals.

The part of it that holds no credential reads messages; the part that calls is the worker's alone, as with payouts
(adapters/provider.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias

from adapters.provider import CallbackUnreadable, CallbackUrls
from ledger.msisdn import Msisdn
from ledger.outbox.collecting import (
    PromptAnswer,
    PromptInquiry,
    PromptInstruction,
    PromptOutcome,
    PromptQueryAnswer,
    ReceiptInquiry,
    ReceiptStatus,
    Received,
    Refusal,
    ReversalAnswer,
    ReversalInquiry,
    ReversalInstruction,
    ReversalOutcome,
)
from ledger.outbox.instruction import Acknowledged, NotSent, OutcomeUnknown, Rejected
from ledger.payouts.limits import RailLimits


@dataclass(frozen=True, slots=True)
class CollectionCapabilities:
    """What a rail can take in: per currency, the amounts one prompt may ask for; how long an account reference and a
    description may be, in characters; and whether what came in can be reversed by API."""

    rail: str
    prompt_limits: dict[str, RailLimits]
    account_reference_max: int
    description_max: int
    reverses: bool


@dataclass(frozen=True, slots=True)
class PromptCallback:
    """One readable answer to a prompt. `checkout` is the provider's id for the prompt it is about, None where the
    message names none."""

    checkout: str | None = field(repr=False)
    outcome: PromptOutcome


@dataclass(frozen=True, slots=True)
class ReversalCallback:
    """One readable answer to a reversal, or to the question about one. `conversation_id` is the provider's id for our
    request, where it names one."""

    conversation_id: str | None
    outcome: ReversalOutcome


@dataclass(frozen=True, slots=True)
class Registration:
    """Where the provider is to tell of money that comes in unasked, and whether it takes money if the question before
    it stays unanswered. Both addresses hold a secret token and are never logged. `nominated` is the number by which the
    provider knows whoever may list what came in; None leaves listing as it is."""

    shortcode: str
    confirmation_url: str = field(repr=False)
    validation_url: str = field(repr=False)
    accepts_unanswered: bool = True
    nominated: Msisdn | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """The addresses are in force. `before`: they had been registered, and the provider keeps the first ones."""

    before: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what came in within a span of time, oldest first; pages come in the provider's order. `next_offset` is
    None on the last one. `unreadable` counts rows that say nothing that could be booked."""

    received: tuple[Received, ...]
    next_offset: int | None
    unreadable: int = 0


RegistrationAnswer: TypeAlias = Registered | Rejected | NotSent | OutcomeUnknown
PageAnswer: TypeAlias = Page | Rejected | NotSent | OutcomeUnknown
QuestionAnswer: TypeAlias = Acknowledged | NotSent | OutcomeUnknown


class DeclaredCollections(Protocol):
    """What any process may know: how messages about money in are read and answered. Pure; no method raises on bytes."""

    @property
    def collection_capabilities(self) -> CollectionCapabilities:
        """What the rail takes in; constant for its life."""

    def chosen_checkout(self, provider_reference: str) -> str | None:
        """The id that a prompt under this reference of ours has at the provider, where we choose it; None where the
        provider does, and tells."""

    def read_confirmation(self, body: bytes) -> Received | CallbackUnreadable:
        """Money that came in: a confirmation is settled money, whatever it is answered."""

    def read_validation(self, body: bytes) -> Received | CallbackUnreadable:
        """The question before a payment, whether it is wanted; its receipt is not money yet."""

    def answer_validation(self, refusal: Refusal | None) -> bytes:
        """The answer to that question: None for yes."""

    def read_prompt_callback(self, body: bytes) -> PromptCallback | CallbackUnreadable:
        """The answer to a prompt."""

    def read_reversal_callback(self, kind: str, body: bytes) -> ReversalCallback | CallbackUnreadable:
        """The answer to a reversal; `kind` is "result" or "timeout", from the path it came by."""

    def read_reversal_query_callback(self, kind: str, body: bytes) -> ReversalCallback | CallbackUnreadable:
        """The answer to the question what became of a reversal; `conversation_id` is the reversal's."""

    def read_receipt_query_callback(self, kind: str, body: bytes) -> ReceiptStatus | CallbackUnreadable:
        """The answer to the question what became of a receipt."""


class CollectionRail(DeclaredCollections, Protocol):
    """A rail that takes money in, for the worker alone. No method raises for what the network or the provider does."""

    @property
    def platform(self) -> str:
        """Where its calls go now, as for payouts."""

    async def submit_prompt(self, instruction: PromptInstruction, callback_urls: CallbackUrls) -> PromptAnswer:
        """Asks the payer's phone, once."""

    async def query_prompt(self, inquiry: PromptInquiry) -> PromptQueryAnswer:
        """Asks once what became of a prompt; answered at once."""

    async def submit_reversal(self, instruction: ReversalInstruction, callback_urls: CallbackUrls) -> ReversalAnswer:
        """Asks once for money to be returned; the result comes by callback."""

    async def query_reversal(self, inquiry: ReversalInquiry, callback_urls: CallbackUrls) -> QuestionAnswer:
        """Asks what became of a reversal; the answer comes by callback."""

    async def query_receipt(self, inquiry: ReceiptInquiry, callback_urls: CallbackUrls) -> QuestionAnswer:
        """Asks what became of a receipt; the answer comes by callback."""

    async def register_collections(self, registration: Registration) -> RegistrationAnswer:
        """Tells the provider where to tell of money."""

    async def list_received(self, shortcode: str, *, since: datetime, until: datetime, offset: int) -> PageAnswer:
        """What came in, `since <= t < until`, from row `offset` on: the recovery of what no callback told."""

    async def close(self) -> None:
        """Closes the HTTP client."""
