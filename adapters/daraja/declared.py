"""Daraja as any process may know it: what it carries and how its callbacks read. No credential, no call."""

from __future__ import annotations

from adapters.daraja import query_results, request, results
from adapters.provider import BalanceReport, CallbackUnreadable, Capabilities, PayoutCallback

CAPABILITIES = Capabilities(rail=request.RAIL, payout_limits=request.PAYOUT_LIMITS)

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
