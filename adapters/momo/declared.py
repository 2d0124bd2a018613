"""MoMo as any process may know it: what it carries and how its callbacks read. No credential, no call."""

from __future__ import annotations

from adapters.collecting import CollectionCapabilities, PromptCallback, ReversalCallback
from adapters.momo import amounts, outcomes, request
from adapters.momo.references import reference_id
from adapters.provider import BalanceReport, CallbackUnreadable, Capabilities, PayoutCallback
from ledger.float_names import FloatNames
from ledger.outbox.collecting import ReceiptStatus, Received, Refusal

# MTN asks for the status five minutes after a request that no callback followed; most are decided in seconds.
ASK_AFTER_SECONDS = 20.0

# Each product has an account of its own. Businesses are not paid, so nothing leaves the other one.
FLOATS = FloatNames(paying="disbursement", working="collection", collecting="collection")

_NO_SUCH_MESSAGE = CallbackUnreadable("this rail documents no such message")


class DeclaredMomo:
    """Implements adapters.provider.DeclaredRail for the wallets of one target environment."""

    def __init__(self, target_environment: str) -> None:
        self._capabilities = Capabilities(
            rail=amounts.RAIL,
            payout_limits=amounts.limits_of(target_environment),
            refuses_repeats=True,
            ask_after_seconds=ASK_AFTER_SECONDS,
            floats=FLOATS,
        )

    @property
    def capabilities(self) -> Capabilities:
        """The environment's currency; a repeated X-Reference-Id is refused with HTTP 409, and callbacks are hints."""
        return self._capabilities

    def read_payout_callback(self, kind: str, body: bytes) -> PayoutCallback | CallbackUnreadable:
        """See adapters.momo.outcomes. Pure."""
        return outcomes.read_payout_callback(body)

    def read_query_callback(self, kind: str, body: bytes) -> PayoutCallback | CallbackUnreadable:
        """Questions are answered at once: nothing is called back."""
        return _NO_SUCH_MESSAGE

    def read_balance_callback(self, kind: str, body: bytes) -> BalanceReport | CallbackUnreadable:
        """Questions are answered at once: nothing is called back."""
        return _NO_SUCH_MESSAGE

    def callback_acknowledgement(self) -> bytes:
        """Any 2xx will do, within two seconds."""
        return b"{}"


class DeclaredMomoCollections:
    """Implements adapters.collecting.DeclaredCollections. Nobody pays this rail unasked: there is no message for it."""

    def __init__(self, target_environment: str) -> None:
        self._capabilities = CollectionCapabilities(
            rail=amounts.RAIL,
            prompt_limits=amounts.limits_of(target_environment),
            account_reference_max=request.EXTERNAL_ID_LENGTH_MAX,
            description_max=request.NOTE_LENGTH_MAX,
            reverses=False,
        )

    @property
    def collection_capabilities(self) -> CollectionCapabilities:
        """The environment's currency."""
        return self._capabilities

    def chosen_checkout(self, provider_reference: str) -> str | None:
        """The X-Reference-Id: known before the request is made, and whatever is answered."""
        return reference_id(provider_reference)

    def read_confirmation(self, body: bytes) -> Received | CallbackUnreadable:
        """There is none."""
        return _NO_SUCH_MESSAGE

    def read_validation(self, body: bytes) -> Received | CallbackUnreadable:
        """There is none."""
        return _NO_SUCH_MESSAGE

    def answer_validation(self, refusal: Refusal | None) -> bytes:
        """Nobody asks."""
        return b"{}"

    def read_prompt_callback(self, body: bytes) -> PromptCallback | CallbackUnreadable:
        """See adapters.momo.outcomes. Pure."""
        return outcomes.read_prompt_callback(body)

    def read_reversal_callback(self, kind: str, body: bytes) -> ReversalCallback | CallbackUnreadable:
        """There is none."""
        return _NO_SUCH_MESSAGE

    def read_reversal_query_callback(self, kind: str, body: bytes) -> ReversalCallback | CallbackUnreadable:
        """There is none."""
        return _NO_SUCH_MESSAGE

    def read_receipt_query_callback(self, kind: str, body: bytes) -> ReceiptStatus | CallbackUnreadable:
        """There is none."""
        return _NO_SUCH_MESSAGE
