"""One wallet's access to MoMo at work: a token per product and platform, the exchange with its one repeat.

Whatever calls MoMo for a wallet shares one session. Nothing it returns, raises or logs holds a token, a key, a callback
URL or an MSISDN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

import httpx

from adapters import transport
from adapters.momo import oauth
from adapters.momo.answers import REFUSED_ACCESS_SECONDS, THROTTLED_SECONDS, Meaning, MomoAnswer, read_answer
from adapters.momo.credentials import MomoAccess, MomoSecrets, Platform, Product, SecretsProvider
from adapters.momo.request import Request
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
from ledger.errors import LedgerError
from ledger.outbox.instruction import NotSent, OutcomeUnknown

# Where the processes that call for a wallet share a token, by the name of what it is for; None where they do not.
Stores: TypeAlias = Callable[[str], TokenStore | None]


class MomoSession:
    """Calls for one wallet; closes its HTTP clients: one per platform by its name, its own unless others are given."""

    def __init__(
        self,
        access: MomoAccess,
        *,
        secrets: SecretsProvider,
        monotonic: Callable[[], float],
        limits: HttpLimits = transport.DEFAULT_LIMITS,
        stores: Stores = lambda _name: None,
        clients: Mapping[str, httpx.AsyncClient] | None = None,
    ) -> None:
        self.access = access
        self._secrets = secrets
        self._limits = limits
        self._clients: Mapping[str, httpx.AsyncClient] = clients or {
            platform.name: transport.http_client(base_url=platform.base_url, limits=limits)
            for platform in access.platforms
        }
        self._tokens = {
            (platform.name, product): TokenCache(
                partial(self._fetch_token, platform, product),
                monotonic=monotonic,
                store=stores(f"momo/{access.wallet}/{product.value}/{platform.name}"),
            )
            for platform in access.platforms
            for product in Product
        }

    @property
    def platform(self) -> Platform:
        """Where what is new goes."""
        return self.access.platforms[0]

    def platform_named(self, name: str) -> Platform | NotSent:
        """The platform that something is pinned to, the one in use where it is to none; nothing is asked elsewhere."""
        for platform in self.access.platforms:
            if name in ("", platform.name):
                return platform
        return NotSent("this process has no access to the platform where it was asked for", REFUSED_ACCESS_SECONDS)

    def check_own(self, wallet: str) -> NotSent | None:
        """Nothing is sent for another wallet than the one that the credentials are of."""
        if wallet != self.access.wallet:
            return NotSent("this rail holds the credentials of another wallet")
        return None

    async def call(self, sent: Request, *, platform: Platform) -> MomoAnswer | NotSent | OutcomeUnknown:
        """One exchange, repeated once after a refused token with the very same request. What the gateway refused
        without passing it on was not sent."""
        secrets = await self._read_secrets()
        if isinstance(secrets, str):
            return NotSent(secrets)
        key = secrets.subscription_key(sent.product)
        if key is None:
            return NotSent(f"this rail was given no subscription key for {sent.product.value}", REFUSED_ACCESS_SECONDS)
        for _ in range(2):
            tokens = self._tokens[platform.name, sent.product]
            token = await tokens.current()
            if isinstance(token, TokenUnavailable):
                return NotSent(token.reason)
            answer = await self._send(sent, platform, key, token)
            if not isinstance(answer, MomoAnswer) or answer.meaning is not Meaning.BEARER_REFUSED:
                return _passed_on(answer)
            tokens.forget(token)
        return NotSent("the gateway refused two access tokens in a row")

    async def close(self) -> None:
        """Abandons token requests in progress and closes the HTTP clients. Once is enough for all who share it."""
        for tokens in self._tokens.values():
            await tokens.close()
        for client in self._clients.values():
            await client.aclose()

    async def _send(
        self, sent: Request, platform: Platform, key: Secret, token: Secret
    ) -> MomoAnswer | NotSent | OutcomeUnknown:
        headers = {
            "Authorization": f"Bearer {token.reveal()}",
            "Ocp-Apim-Subscription-Key": key.reveal(),
            "X-Target-Environment": platform.target_environment,
        }
        if sent.reference is not None:
            headers["X-Reference-Id"] = sent.reference
        # Never empty: an empty one is answered with HTTP 400.
        if sent.callback_url:
            headers["X-Callback-Url"] = sent.callback_url
        if sent.body is not None:
            headers["Content-Type"] = "application/json"
        client = self._clients[platform.name]
        request = client.build_request(sent.method, sent.path, content=sent.body, headers=headers)
        match await transport.exchange(client, request, limits=self._limits):
            case HttpAnswer(status, body):
                return read_answer(status, body)
            case NeverSent(reason):
                return NotSent(f"no connection: {reason}")
            case NoAnswer(reason):
                return OutcomeUnknown(f"no answer: {reason}")

    async def _fetch_token(self, platform: Platform, product: Product) -> TokenGrant | TokenUnavailable:
        secrets = await self._read_secrets()
        if isinstance(secrets, str):
            return TokenUnavailable(secrets)
        key, credential = secrets.subscription_key(product), secrets.credential(product, platform)
        if key is None or credential is None:
            return TokenUnavailable(f"this rail was given no credential for {product.value} on {platform.name}")
        headers = {
            "Authorization": oauth.authorization(credential),
            "Ocp-Apim-Subscription-Key": key.reveal(),
            "X-Target-Environment": platform.target_environment,
        }
        client = self._clients[platform.name]
        request = client.build_request("POST", oauth.token_path(product), headers=headers)
        match await transport.exchange(client, request, limits=self._limits):
            case HttpAnswer(status, body):
                return oauth.read_token_answer(status, body)
            case NeverSent(reason) | NoAnswer(reason):
                return TokenUnavailable(f"no token: {reason}")

    async def _read_secrets(self) -> MomoSecrets | str:
        """The secrets, or in words why there are none."""
        try:
            return await self._secrets.momo_secrets()
        except LedgerError as refusal:
            return f"the secrets cannot be had: {refusal.message}"


def _passed_on(answer: MomoAnswer | NotSent | OutcomeUnknown) -> MomoAnswer | NotSent | OutcomeUnknown:
    """The answer; NotSent where the gateway kept the call from the wallet platform."""
    if isinstance(answer, MomoAnswer) and answer.meaning is Meaning.ACCESS_REFUSED:
        return NotSent(f"the gateway refuses our access: {answer}", REFUSED_ACCESS_SECONDS)
    if isinstance(answer, MomoAnswer) and answer.meaning is Meaning.THROTTLED:
        return NotSent(str(answer), THROTTLED_SECONDS)
    return answer
