"""Pindo at work: sends a message once and says what that proved."""

from __future__ import annotations

from adapters import transport
from adapters.pindo import messages
from adapters.provider import CallbackUnreadable
from adapters.sms import KeyProvider, SmsCallback
from adapters.transport import HttpAnswer, HttpLimits, NeverSent, NoAnswer
from ledger.errors import LedgerError
from ledger.outbox.instruction import NotSent, OutcomeUnknown
from ledger.sms.message import SmsAnswer, Text


class DeclaredPindo:
    """Implements adapters.sms.DeclaredMessenger."""

    @property
    def name(self) -> str:
        """As books and settings call it."""
        return messages.NAME

    def read_callback(self, kind: str, body: bytes) -> SmsCallback | CallbackUnreadable:
        """See adapters.pindo.messages. Pure."""
        return messages.read_callback(kind, body)


class Pindo(DeclaredPindo):
    """Implements adapters.sms.Messenger for one account, whose costs are in `currency`."""

    def __init__(self, *, base_url: str, currency: str, keys: KeyProvider, limits: HttpLimits) -> None:
        self._currency = currency
        self._keys = keys
        self._limits = limits
        self._client = transport.http_client(base_url=base_url, limits=limits)

    async def send(self, text: Text) -> SmsAnswer:
        """One request for one recipient."""
        try:
            key = await self._keys.key()
        except LedgerError as refusal:
            return NotSent(f"the token cannot be had: {refusal.message}")
        headers = {"Authorization": f"Bearer {key.reveal()}", "Content-Type": "application/json"}
        request = self._client.build_request("POST", messages.PATH, content=messages.document(text), headers=headers)
        match await transport.exchange(self._client, request, limits=self._limits):
            case HttpAnswer(status, body):
                return messages.read_answer(status, body, currency=self._currency)
            case NeverSent(reason):
                return NotSent(f"no connection: {reason}")
            case NoAnswer(reason):
                return OutcomeUnknown(f"no answer: {reason}")

    async def close(self) -> None:
        """Closes the HTTP client."""
        await self._client.aclose()
