"""Pindo at work: what its requests and answers look like, and which callbacks are its own."""

from __future__ import annotations

import httpx

from adapters.messenger import HttpMessenger
from adapters.pindo import messages
from adapters.provider import CallbackUnreadable
from adapters.sms import KeyProvider, SmsCallback
from adapters.transport import HttpLimits, Secret
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


class Pindo(DeclaredPindo, HttpMessenger):
    """Implements adapters.sms.Messenger for one account, whose costs are in `currency`."""

    def __init__(self, *, base_url: str, currency: str, keys: KeyProvider, limits: HttpLimits) -> None:
        super().__init__(base_url=base_url, keys=keys, limits=limits)
        self._currency = currency

    def _request(self, client: httpx.AsyncClient, text: Text, key: Secret) -> httpx.Request:
        headers = {"Authorization": f"Bearer {key.reveal()}", "Content-Type": "application/json"}
        return client.build_request("POST", messages.PATH, content=messages.document(text), headers=headers)

    def _read_answer(self, status: int, body: bytes, text: Text) -> SmsAnswer:
        return messages.read_answer(status, body, currency=self._currency)
