"""Who we are to MoMo: one wallet's access, on which platforms, and where its secrets come from.

MTN moves its production to another platform, with other credentials, and runs both side by side for a month: what was
asked for on one can be read back on that one alone. Secrets are asked for when a call needs them and kept by nobody.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from adapters.momo import amounts
from adapters.transport import Secret
from ledger.errors import TextInvalid


class Product(enum.Enum):
    """A product of the API: it has a subscription key, a token and a balance of its own."""

    DISBURSEMENT = "disbursement"
    COLLECTION = "collection"


@dataclass(frozen=True, slots=True)
class Platform:
    """Where calls go. `name` is what an instruction is pinned to."""

    base_url: str
    target_environment: str
    is_old: bool = False

    @property
    def name(self) -> str:
        """Host and environment, in one word."""
        return f"{self.target_environment}@{self.base_url.partition('://')[2].rstrip('/')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MomoAccess:
    """Access to one wallet, without its secrets. `wallet` is what the books call it. `old_base_url` is the platform in
    use before, while what was asked for there may still be unknown; empty for none. `checks_payees`: whether a payee
    has an active wallet is asked before its transfer is first sent."""

    base_url: str
    target_environment: str
    wallet: str
    old_base_url: str = ""
    checks_payees: bool = False

    def __post_init__(self) -> None:
        amounts.currency_of(self.target_environment)
        for url in (self.base_url, self.old_base_url or self.base_url):
            if not url.startswith(("https://", "http://")):
                raise TextInvalid("MoMo's base URL starts with https://", field="base_url")
        if not self.wallet:
            raise TextInvalid("say what the books call the wallet", field="wallet")

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The one in use, then the one before."""
        now = Platform(self.base_url, self.target_environment)
        before = Platform(self.old_base_url, self.target_environment, is_old=True)
        return (now, before) if self.old_base_url else (now,)


@dataclass(frozen=True, slots=True, kw_only=True)
class MomoSecrets:
    """Per product: the subscription key, and USER:KEY (API user and key, or user id and credential token) as the token
    call sends it. None where a product, or the old platform, is not used; subscription keys are the same on both."""

    disbursement_subscription_key: Secret | None = None
    disbursement_credential: Secret | None = None
    collection_subscription_key: Secret | None = None
    collection_credential: Secret | None = None
    old_disbursement_credential: Secret | None = None
    old_collection_credential: Secret | None = None

    def subscription_key(self, product: Product) -> Secret | None:
        """The key of a product."""
        keys = {
            Product.DISBURSEMENT: self.disbursement_subscription_key,
            Product.COLLECTION: self.collection_subscription_key,
        }
        return keys[product]

    def credential(self, product: Product, platform: Platform) -> Secret | None:
        """The credential of a product on a platform."""
        credentials = {
            (Product.DISBURSEMENT, False): self.disbursement_credential,
            (Product.COLLECTION, False): self.collection_credential,
            (Product.DISBURSEMENT, True): self.old_disbursement_credential,
            (Product.COLLECTION, True): self.old_collection_credential,
        }
        return credentials[product, platform.is_old]


class SecretsProvider(Protocol):
    """Where the secrets are kept. Asked at each call and token request, and never between them."""

    async def momo_secrets(self) -> MomoSecrets:
        """The secrets now in force. Raises LedgerError, and nothing else, where they cannot be had; its message must be
        safe to show."""


@dataclass(frozen=True, slots=True)
class ConstantSecrets:
    """A SecretsProvider of secrets that are known from the start, such as those of the environment."""

    secrets: MomoSecrets

    async def momo_secrets(self) -> MomoSecrets:
        """Always the same."""
        return self.secrets
