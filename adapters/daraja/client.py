"""The Daraja rail: sends a payout or a question once and says what that proved. Keeps a token; decides no entry.

Nothing it returns, raises or logs holds a token, a password, a SecurityCredential, a callback URL or an MSISDN.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import httpx

from adapters import transport
from adapters.daraja import answers, b2b, b2c, credentials, oauth, queries
from adapters.daraja.answers import TokenRefused
from adapters.daraja.credentials import ConstantSecrets, DarajaAccess, DarajaSecrets, DarajaSettings, SecretsProvider
from adapters.daraja.declared import CAPABILITIES, DeclaredDaraja
from adapters.daraja.request import Request
from adapters.provider import BalanceAnswer, CallbackUrls, Capabilities
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
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import (
    Answer,
    NotSent,
    OutcomeUnknown,
    PayoutInquiry,
    PayoutInstruction,
    QueryAnswer,
    Rejected,
)

_Told = TypeVar("_Told")


def open_rail(
    settings: DarajaSettings,
    *,
    monotonic: Callable[[], float],
    limits: HttpLimits = transport.DEFAULT_LIMITS,
    token_store: TokenStore | None = None,
) -> DarajaRail:
    """A rail whose secrets are in its settings. Raises TextInvalid for a certificate or password of no use."""
    credentials.security_credential(settings.initiator_password, credentials.certificate_key(settings.certificate))
    secrets = ConstantSecrets(settings.secrets)
    return connect_rail(settings, secrets=secrets, monotonic=monotonic, limits=limits, token_store=token_store)


def connect_rail(
    access: DarajaAccess,
    *,
    secrets: SecretsProvider,
    monotonic: Callable[[], float],
    limits: HttpLimits = transport.DEFAULT_LIMITS,
    token_store: TokenStore | None = None,
) -> DarajaRail:
    """A rail with an HTTP client of its own that asks for its secrets at each call. Raises TextInvalid for a
    certificate of no use."""
    client = transport.http_client(base_url=access.base_url, limits=limits)
    return DarajaRail(
        access, secrets=secrets, client=client, monotonic=monotonic, limits=limits, token_store=token_store
    )


class DarajaRail(DeclaredDaraja):
    """Implements adapters.provider.PayoutRail for one shortcode; owns and closes the HTTP client it is given.

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
        self._access = access
        self._secrets = secrets
        self._key = credentials.certificate_key(access.certificate)
        self._client = client
        self._limits = limits
        self._tokens = TokenCache(self._fetch_token, monotonic=monotonic, store=token_store)

    @property
    def capabilities(self) -> Capabilities:
        """Whole shillings, KES 10 to 250,000; whether repeats are refused is for the operator to say."""
        return replace(CAPABILITIES, refuses_repeats=self._access.resubmits)

    async def submit_payout(self, instruction: PayoutInstruction, callback_urls: CallbackUrls) -> Answer:
        """Sends the payment request once, and once more only if the gateway refused the token, which it does before the
        core sees the request. An instruction this rail cannot carry is Rejected under our own reason, not sent.

        To a person under v3, Daraja refuses a second payment of the same reference; B2B and v1 have no such guard, so
        there an answer is NotSent only where the gateway itself says so."""
        credential = await self._credential_for(instruction.shortcode)
        if isinstance(credential, NotSent):
            return credential
        try:
            payment = self._payment(instruction, credential, callback_urls)
        except InvalidInput as refusal:
            return Rejected(refusal.reason, refusal.message)
        return await self._call(payment, partial(answers.read_payout_answer, sent_under=payment.sent_under))

    async def query_payout(self, inquiry: PayoutInquiry, callback_urls: CallbackUrls) -> QueryAnswer:
        """Asks the core, which answers by callback. Whatever comes back at once says nothing of the payout."""
        credential = await self._credential_for(inquiry.shortcode)
        if isinstance(credential, NotSent):
            return credential
        question = queries.status_query(
            inquiry, access=self._access, security_credential=credential, callback_urls=callback_urls
        )
        return await self._call(question, answers.read_question_answer)

    async def query_balance(self, shortcode: str, callback_urls: CallbackUrls) -> BalanceAnswer:
        """Asks for the balances of all sub-accounts, which come by callback."""
        credential = await self._credential_for(shortcode)
        if isinstance(credential, NotSent):
            return credential
        question = queries.balance_query(
            shortcode, access=self._access, security_credential=credential, callback_urls=callback_urls
        )
        return await self._call(question, answers.read_question_answer)

    async def close(self) -> None:
        """Abandons a token request in progress and closes the HTTP client."""
        await self._tokens.close()
        await self._client.aclose()

    def _payment(self, instruction: PayoutInstruction, credential: Secret, callback_urls: CallbackUrls) -> Request:
        payee = instruction.payee
        if isinstance(payee, Msisdn):
            return b2c.payment(
                instruction,
                payee,
                access=self._access,
                security_credential=credential,
                callback_urls=callback_urls,
            )
        return b2b.payment(
            instruction, payee, access=self._access, security_credential=credential, callback_urls=callback_urls
        )

    async def _credential_for(self, shortcode: str) -> Secret | NotSent:
        """The SecurityCredential, made anew for each call; nothing was sent where it cannot be made."""
        if shortcode != self._access.shortcode:
            return NotSent("this rail holds the credentials of another shortcode")
        secrets = await self._read_secrets()
        if isinstance(secrets, str):
            return NotSent(secrets)
        try:
            return credentials.security_credential(secrets.initiator_password, self._key)
        except InvalidInput as refusal:
            return NotSent(refusal.message)

    async def _read_secrets(self) -> DarajaSecrets | str:
        """The secrets, or in words why there are none."""
        try:
            return await self._secrets.daraja_secrets()
        except LedgerError as refusal:
            return f"the secrets cannot be had: {refusal.message}"

    async def _call(
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
