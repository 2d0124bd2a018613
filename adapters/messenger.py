"""One message over HTTP, whoever the provider: one request, and what its end proves."""

from __future__ import annotations

from abc import ABC, abstractmethod

import httpx

from adapters import transport
from adapters.sms import KeyProvider
from adapters.transport import HttpAnswer, HttpLimits, NeverSent, NoAnswer, Secret
from ledger.errors import LedgerError
from ledger.outbox.instruction import NotSent, OutcomeUnknown
from ledger.sms.message import SmsAnswer, Text


class HttpMessenger(ABC):
    """Sends as adapters.sms.Messenger says; what a request and an answer look like is the provider's."""

    def __init__(self, *, base_url: str, keys: KeyProvider, limits: HttpLimits) -> None:
        self._keys = keys
        self._limits = limits
        self._client = transport.http_client(base_url=base_url, limits=limits)

    async def send(self, text: Text) -> SmsAnswer:
        """One request for one recipient."""
        try:
            key = await self._keys.key()
        except LedgerError as refusal:
            return NotSent(f"the key cannot be had: {refusal.message}")
        request = self._request(self._client, text, key)
        match await transport.exchange(self._client, request, limits=self._limits):
            case HttpAnswer(status, body):
                return self._read_answer(status, body, text)
            case NeverSent(reason):
                return NotSent(f"no connection: {reason}")
            case NoAnswer(reason):
                return OutcomeUnknown(f"no answer: {reason}")

    async def close(self) -> None:
        """Closes the HTTP client."""
        await self._client.aclose()

    @abstractmethod
    def _request(self, client: httpx.AsyncClient, text: Text, key: Secret) -> httpx.Request:
        """The request that sends it."""

    @abstractmethod
    def _read_answer(self, status: int, body: bytes, text: Text) -> SmsAnswer:
        """What the provider said to it. Pure."""
