"""Africa's Talking at work: sends a message once and says what that proved."""

from __future__ import annotations

from adapters import transport
from adapters.africastalking import messages
from adapters.provider import CallbackUnreadable
from adapters.sms import KeyProvider, SmsCallback
from adapters.transport import HttpAnswer, HttpLimits, NeverSent, NoAnswer
from ledger.errors import LedgerError
from ledger.outbox.instruction import NotSent, OutcomeUnknown
from ledger.sms.message import SmsAnswer, Text


class DeclaredAfricasTalking:
    """Implements adapters.sms.DeclaredMessenger."""

    @property
    def name(self) -> str:
        """As books and settings call it."""
        return messages.NAME

    def read_callback(self, kind: str, body: bytes) -> SmsCallback | CallbackUnreadable:
        """See adapters.africastalking.messages. Pure."""
        return messages.read_callback(kind, body)


class AfricasTalking(DeclaredAfricasTalking):
    """Implements adapters.sms.Messenger for one account."""

    def __init__(self, *, base_url: str, username: str, keys: KeyProvider, limits: HttpLimits) -> None:
        self._username = username
        self._keys = keys
        self._limits = limits
        self._client = transport.http_client(base_url=base_url, limits=limits)

    async def send(self, text: Text) -> SmsAnswer:
        """One request for one recipient."""
        try:
            key = await self._keys.key()
        except LedgerError as refusal:
            return NotSent(f"the key cannot be had: {refusal.message}")
        headers = {"apiKey": key.reveal(), "Content-Type": "application/x-www-form-urlencoded"}
        content = messages.form(text, username=self._username)
        request = self._client.build_request("POST", messages.PATH, content=content, headers=headers)
        match await transport.exchange(self._client, request, limits=self._limits):
            case HttpAnswer(status, body):
                return messages.read_answer(status, body, text)
            case NeverSent(reason):
                return NotSent(f"no connection: {reason}")
            case NoAnswer(reason):
                return OutcomeUnknown(f"no answer: {reason}")

    async def close(self) -> None:
        """Closes the HTTP client."""
        await self._client.aclose()
