"""Africa's Talking at work: what its requests and answers look like, and which callbacks are its own."""

from __future__ import annotations

import httpx

from adapters.africastalking import messages
from adapters.messenger import HttpMessenger
from adapters.provider import CallbackUnreadable
from adapters.sms import KeyProvider, SmsCallback
from adapters.transport import HttpLimits, Secret
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


class AfricasTalking(DeclaredAfricasTalking, HttpMessenger):
    """Implements adapters.sms.Messenger for one account."""

    def __init__(self, *, base_url: str, username: str, keys: KeyProvider, limits: HttpLimits) -> None:
        super().__init__(base_url=base_url, keys=keys, limits=limits)
        self._username = username

    def _request(self, client: httpx.AsyncClient, text: Text, key: Secret) -> httpx.Request:
        headers = {"apiKey": key.reveal(), "Content-Type": "application/x-www-form-urlencoded"}
        content = messages.form(text, username=self._username)
        return client.build_request("POST", messages.PATH, content=content, headers=headers)

    def _read_answer(self, status: int, body: bytes, text: Text) -> SmsAnswer:
        return messages.read_answer(status, body, text)
