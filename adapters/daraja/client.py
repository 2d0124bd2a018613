"""The Daraja rail: sends a payout once and says what that proved. It keeps no state but its token; decides no entry.

Nothing it returns, raises or logs holds a token, a password, a SecurityCredential, a callback URL or an MSISDN.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx

from adapters import transport
from adapters.daraja import credentials, messages, oauth, results
from adapters.daraja.credentials import DarajaSettings
from adapters.provider import CallbackUnreadable, CallbackUrls, Capabilities, PayoutCallback
from adapters.transport import (
    HttpAnswer,
    HttpLimits,
    NeverSent,
    NoAnswer,
    Secret,
    TokenCache,
    TokenGrant,
    TokenUnavailable,
)
from ledger.errors import InvalidInput
from ledger.outbox.instruction import Answer, NotSent, OutcomeUnknown, PayoutInstruction, Rejected

CAPABILITIES = Capabilities(rail=messages.RAIL, payout_limits=messages.PAYOUT_LIMITS)

_CALLBACK_ACKNOWLEDGEMENT = b'{"ResultCode":0,"ResultDesc":"Success"}'


def open_rail(
    settings: DarajaSettings, *, monotonic: Callable[[], float], limits: HttpLimits = transport.DEFAULT_LIMITS
) -> DarajaRail:
    """A rail with an HTTP client of its own. Raises TextInvalid for a certificate or password that cannot be used."""
    client = transport.http_client(base_url=settings.base_url, limits=limits)
    return DarajaRail(settings, client=client, monotonic=monotonic, limits=limits)


class DarajaRail:
    """Implements adapters.provider.PayoutRail for one shortcode; owns and closes the HTTP client it is given.

    A new token ends the one before it, so one process should send for an app; where several must, each recovers from
    the others' refreshes by the one repeat that a refused token allows.
    """

    def __init__(
        self,
        settings: DarajaSettings,
        *,
        client: httpx.AsyncClient,
        monotonic: Callable[[], float],
        limits: HttpLimits = transport.DEFAULT_LIMITS,
    ) -> None:
        self._settings = settings
        self._security_credential = credentials.security_credential(settings.initiator_password, settings.certificate)
        self._client = client
        self._limits = limits
        self._tokens = TokenCache(self._fetch_token, monotonic=monotonic)

    @property
    def capabilities(self) -> Capabilities:
        """Whole shillings, KES 10 to 250,000."""
        return CAPABILITIES

    async def submit_payout(self, instruction: PayoutInstruction, callback_urls: CallbackUrls) -> Answer:
        """Sends the payment request once, and once more only if the gateway refused the token, which it does before the
        core sees the request. An instruction this rail cannot carry is Rejected under our own reason, not sent."""
        if instruction.shortcode != self._settings.shortcode:
            return NotSent("this rail holds the credentials of another shortcode")
        try:
            document = messages.payout_request(
                instruction,
                settings=self._settings,
                security_credential=self._security_credential,
                callback_urls=callback_urls,
            )
        except InvalidInput as refusal:
            return Rejected(refusal.reason, refusal.message)
        return await self._send_with_token(json.dumps(document).encode(), instruction.provider_reference)

    def read_payout_callback(self, kind: str, body: bytes) -> PayoutCallback | CallbackUnreadable:
        """See adapters.daraja.results. Pure."""
        return results.read_payout_callback(kind, body)

    def callback_acknowledgement(self) -> bytes:
        """What Daraja expects for any callback, the duplicate and the unreadable included."""
        return _CALLBACK_ACKNOWLEDGEMENT

    async def close(self) -> None:
        """Abandons a token request in progress and closes the HTTP client."""
        await self._tokens.close()
        await self._client.aclose()

    async def _send_with_token(self, body: bytes, provider_reference: str) -> Answer:
        for _ in range(2):
            grant = await self._tokens.current()
            if isinstance(grant, TokenUnavailable):
                return NotSent(grant.reason)
            answer = await self._send(body, grant.token, provider_reference)
            if not isinstance(answer, messages.TokenRefused):
                return answer
            self._tokens.forget(grant.token)
        return NotSent("the gateway refused two access tokens in a row")

    async def _send(self, body: bytes, token: Secret, provider_reference: str) -> messages.SubmissionAnswer:
        headers = {"Authorization": f"Bearer {token.reveal()}", "Content-Type": "application/json"}
        path = messages.payout_path(self._settings.api_version)
        request = self._client.build_request("POST", path, content=body, headers=headers)
        match await transport.exchange(self._client, request, limits=self._limits):
            case HttpAnswer(status, answer_body):
                return messages.read_payout_answer(status, answer_body, provider_reference=provider_reference)
            case NeverSent(reason):
                return NotSent(f"no connection: {reason}")
            case NoAnswer(reason):
                return OutcomeUnknown(f"no answer: {reason}")

    async def _fetch_token(self) -> TokenGrant | TokenUnavailable:
        headers = {"Authorization": oauth.authorization(self._settings)}
        request = self._client.build_request("GET", oauth.GRANT_PATH, headers=headers)
        match await transport.exchange(self._client, request, limits=self._limits):
            case HttpAnswer(status, body):
                return oauth.read_token_answer(status, body)
            case NeverSent(reason) | NoAnswer(reason):
                return TokenUnavailable(f"OAuth did not answer: {reason}")
