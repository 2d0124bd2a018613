"""Daraja as any process may know it: what it carries and how its callbacks read. No credential, no call."""

from __future__ import annotations

from adapters.collecting import CollectionCapabilities, PromptCallback, ReversalCallback
from adapters.daraja import c2b, query_results, request, results, reversal_results, stk, stk_results
from adapters.provider import BalanceReport, CallbackUnreadable, Capabilities, PayoutCallback
from ledger.outbox.collecting import ReceiptStatus, Received, Refusal

CAPABILITIES = Capabilities(rail=request.RAIL, payout_limits=request.PAYOUT_LIMITS)
COLLECTION_CAPABILITIES = CollectionCapabilities(
    rail=request.RAIL,
    prompt_limits=stk.PROMPT_LIMITS,
    account_reference_max=stk.ACCOUNT_REFERENCE_LENGTH_MAX,
    description_max=stk.DESCRIPTION_LENGTH_MAX,
    reverses=True,
)

_CALLBACK_ACKNOWLEDGEMENT = b'{"ResultCode":0,"ResultDesc":"Success"}'


class DeclaredDaraja:
    """Implements adapters.provider.DeclaredRail."""

    @property
    def capabilities(self) -> Capabilities:
        """Whole shillings, KES 10 to 250,000."""
        return CAPABILITIES

    def read_payout_callback(self, kind: str, body: bytes) -> PayoutCallback | CallbackUnreadable:
        """See adapters.daraja.results. Pure."""
        return results.read_payout_callback(kind, body)

    def read_query_callback(self, kind: str, body: bytes) -> PayoutCallback | CallbackUnreadable:
        """See adapters.daraja.query_results. Pure."""
        return query_results.read_query_callback(kind, body)

    def read_balance_callback(self, kind: str, body: bytes) -> BalanceReport | CallbackUnreadable:
        """See adapters.daraja.query_results. Pure."""
        return query_results.read_balance_callback(kind, body)

    def callback_acknowledgement(self) -> bytes:
        """What Daraja expects for any callback, the duplicate and the unreadable included."""
        return _CALLBACK_ACKNOWLEDGEMENT


class DeclaredDarajaCollections:
    """Implements adapters.collecting.DeclaredCollections. A confirmation is acknowledged like any callback."""

    @property
    def collection_capabilities(self) -> CollectionCapabilities:
        """Whole shillings, KES 1 to 250,000 a prompt."""
        return COLLECTION_CAPABILITIES

    def chosen_checkout(self, provider_reference: str) -> str | None:
        """Daraja chooses it."""
        return None

    def read_confirmation(self, body: bytes) -> Received | CallbackUnreadable:
        """See adapters.daraja.c2b. Pure."""
        return c2b.read_payment(body)

    def read_validation(self, body: bytes) -> Received | CallbackUnreadable:
        """See adapters.daraja.c2b: a validation has the shape of the confirmation. Pure."""
        return c2b.read_payment(body)

    def answer_validation(self, refusal: Refusal | None) -> bytes:
        """See adapters.daraja.c2b. Pure."""
        return c2b.answer_validation(refusal)

    def read_prompt_callback(self, body: bytes) -> PromptCallback | CallbackUnreadable:
        """See adapters.daraja.stk_results. Pure."""
        return stk_results.read_prompt_callback(body)

    def read_reversal_callback(self, kind: str, body: bytes) -> ReversalCallback | CallbackUnreadable:
        """See adapters.daraja.reversal_results. Pure."""
        return reversal_results.read_reversal_callback(kind, body)

    def read_reversal_query_callback(self, kind: str, body: bytes) -> ReversalCallback | CallbackUnreadable:
        """See adapters.daraja.reversal_results. Pure."""
        return reversal_results.read_reversal_query_callback(kind, body)

    def read_receipt_query_callback(self, kind: str, body: bytes) -> ReceiptStatus | CallbackUnreadable:
        """See adapters.daraja.query_results. Pure."""
        return query_results.read_receipt_query_callback(kind, body)
