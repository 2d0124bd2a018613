"""What a simulated wallet is started with: credentials it accepts, opening balances, habits. Holds no state."""

from __future__ import annotations

from dataclasses import dataclass, field

PRODUCTS = ("collection", "disbursement")


@dataclass(frozen=True, slots=True)
class MomoSandboxSettings:
    """One wallet in one target environment. Amounts are integers of the currency's minor units, times are seconds.

    `user` and `key` exist from the start, for callbacks to `callback_hosts`; others are provisioned. `callback_method`
    is how a callback comes: MTN's pages say PUT, and POST. `reason_as_object` follows the published schema, a plain
    string MTN's samples. `demands_environment` is the new platform's: without X-Target-Environment there is no token.
    """

    wallet: str = "kigali"
    target_environment: str = "mtnrwanda"
    currency: str = "RWF"
    exponent: int = 0
    user: str = "7d0c1f52-2f6e-4c0b-9a51-3be0d7c4a801"
    key: str = field(default="c3a9f0b27e5d4c1896ab43e07d512f60", repr=False)
    subscription_keys: dict[str, str] = field(
        default_factory=lambda: {product: f"daftari-sandbox-{product}" for product in PRODUCTS}, repr=False
    )
    opening_disbursement: int = 50_000_000
    opening_collection: int = 0
    callback_hosts: frozenset[str] = frozenset({"127.0.0.1", "localhost"})
    callback_method: str = "PUT"
    reason_as_object: bool = False
    demands_environment: bool = True
    token_seconds: int = 3_600
    ongoing_seconds: int = 30

    @property
    def credential(self) -> str:
        """USER:KEY of the user that exists from the start, as clients are given it."""
        return f"{self.user}:{self.key}"
