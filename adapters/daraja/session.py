"""One app's access to Daraja at work: the token, the credential of a call, the exchange with its one repeat.

Whatever calls Daraja for a shortcode shares one session, and with it one token. Nothing it returns, raises or logs
holds a token, a password, a SecurityCredential, a callback URL or an MSISDN.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

import httpx

from adapters import transport
from adapters.daraja import credentials, oauth
from adapters.daraja.answers import TokenRefused
from adapters.daraja.credentials import ConstantSecrets, DarajaAccess, DarajaSecrets, DarajaSettings, SecretsProvider
from adapters.daraja.request import Request
from adapters.transport import (
    HttpAnswer,
    HttpLimits,
    NeverSent,
    NoAnswer,
    Secret,
    TokenCache,
    TokenGrant,
    TokenStore,
    TokenUnavailable,
)
from ledger.errors import InvalidInput, LedgerError
from ledger.outbox.instruction import NotSent, OutcomeUnknown

_Told = TypeVar("_Told")

# A secret that nobody has written is not there a moment later.
_NO_PASSKEY_SECONDS = 300.0


def open_session(
    settings: DarajaSettings,
    *,
    monotonic: Callable[[], float],
    limits: HttpLimits = transport.DEFAULT_LIMITS,
    token_store: TokenStore | None = None,
) -> DarajaSession:
    """A session whose secrets are in its settings. Raises TextInvalid for a certificate or password of no use."""
    credentials.security_credential(settings.initiator_password, credentials.certificate_key(settings.certificate))
    secrets = ConstantSecrets(settings.secrets)
    return connect_session(settings, secrets=secrets, monotonic=monotonic, limits=limits, token_store=token_store)


def connect_session(
    access: DarajaAccess,
    *,
    secrets: SecretsProvider,
    monotonic: Callable[[], float],
    limits: HttpLimits = transport.DEFAULT_LIMITS,
    token_store: TokenStore | None = None,
) -> DarajaSession:
    """A session with an HTTP client of its own that asks for its secrets at each call. Raises TextInvalid for a
    certificate of no use."""
    client = transport.http_client(base_url=access.base_url, limits=limits)
    return DarajaSession(
        access, secrets=secrets, client=client, monotonic=monotonic, limits=limits, token_store=token_store
    )


class DarajaSession:
    """Calls for one shortcode; owns and closes the HTTP client it is given.

    A new token ends the one before it: where several processes send for an app, they share a `token_store`; without one
    each recovers from the others' refreshes by the one repeat that a refused token allows.
    """

    def __init__(
        self,
        access: DarajaAccess,
        *,
        secrets: SecretsProvider,
        client: httpx.AsyncClient,
        monotonic: Callable[[], float],
        limits: HttpLimits = transport.DEFAULT_LIMITS,
        token_store: TokenStore | None = None,
    ) -> None:
        self.access = access
        self._secrets = secrets
        self._key = credentials.certificate_key(access.certificate)
        self._client = client
        self._limits = limits
        self._tokens = TokenCache(self._fetch_token, monotonic=monotonic, store=token_store)

    async def credential_for(self, shortcode: str) -> Secret | NotSent:
        """The SecurityCredential, made anew for each call; nothing was sent where it cannot be made."""
        secrets = await self._secrets_for(shortcode)
        if isinstance(secrets, NotSent):
            return secrets
        try:
            return credentials.security_credential(secrets.initiator_password, self._key)
        except InvalidInput as refusal:
            return NotSent(refusal.message)

    async def passkey_for(self, shortcode: str) -> Secret | NotSent:
        """What a prompt's password is made of; nothing was sent where there is none."""
        secrets = await self._secrets_for(shortcode)
        if isinstance(secrets, NotSent):
            return secrets
        if secrets.passkey is None:
            return NotSent("this rail was given no passkey, and prompts no payer without one", _NO_PASSKEY_SECONDS)
        return secrets.passkey

    def check_own(self, shortcode: str) -> NotSent | None:
        """Nothing is sent for another shortcode than the one that the credentials are of."""
        if shortcode != self.access.shortcode:
            return NotSent("this rail holds the credentials of another shortcode")
        return None

    async def call(
        self, sent: Request, read: Callable[[int, bytes], _Told | TokenRefused]
    ) -> _Told | NotSent | OutcomeUnknown:
        """One exchange, repeated once after a refused token with the very same body."""
        body = json.dumps(sent.document).encode()
        for _ in range(2):
            token = await self._tokens.current()
            if isinstance(token, TokenUnavailable):
                return NotSent(token.reason)
            answer = await self._send(sent.path, body, token, read)
            if not isinstance(answer, TokenRefused):
                return answer
            self._tokens.forget(token)
        return NotSent("the gateway refused two access tokens in a row")

    async def close(self) -> None:
        """Abandons a token request in progress and closes the HTTP client. Once is enough for all who share it."""
        await self._tokens.close()
        await self._client.aclose()

    async def _secrets_for(self, shortcode: str) -> DarajaSecrets | NotSent:
        refused = self.check_own(shortcode)
        if refused is not None:
            return refused
        secrets = await self._read_secrets()
        return NotSent(secrets) if isinstance(secrets, str) else secrets

    async def _read_secrets(self) -> DarajaSecrets | str:
        """The secrets, or in words why there are none."""
        try:
            return await self._secrets.daraja_secrets()
        except LedgerError as refusal:
            return f"the secrets cannot be had: {refusal.message}"

    async def _send(
        self, path: str, body: bytes, token: Secret, read: Callable[[int, bytes], _Told | TokenRefused]
    ) -> _Told | TokenRefused | NotSent | OutcomeUnknown:
        headers = {"Authorization": f"Bearer {token.reveal()}", "Content-Type": "application/json"}
        http_request = self._client.build_request("POST", path, content=body, headers=headers)
        match await transport.exchange(self._client, http_request, limits=self._limits):
            case HttpAnswer(status, answer_body):
                return read(status, answer_body)
            case NeverSent(reason):
                return NotSent(f"no connection: {reason}")
            case NoAnswer(reason):
                return OutcomeUnknown(f"no answer: {reason}")

    async def _fetch_token(self) -> TokenGrant | TokenUnavailable:
        secrets = await self._read_secrets()
        if isinstance(secrets, str):
            return TokenUnavailable(secrets)
        headers = {"Authorization": oauth.authorization(secrets)}
        http_request = self._client.build_request("GET", oauth.GRANT_PATH, headers=headers)
        match await transport.exchange(self._client, http_request, limits=self._limits):
            case HttpAnswer(status, body):
                return oauth.read_token_answer(status, body)
            case NeverSent(reason) | NoAnswer(reason):
                return TokenUnavailable(f"OAuth did not answer: {reason}")
