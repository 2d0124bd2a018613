"""Who may call the simulated wallet: API users and their keys, subscription keys, a token per product."""

from __future__ import annotations

import base64
import binascii
import random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters.sandbox.momo.settings import PRODUCTS, MomoSandboxSettings


@dataclass(slots=True)
class User:
    """An API user: where it may be called back, and its key, once it was made."""

    callback_hosts: frozenset[str]
    key: str | None = None


class Access:
    """Users, keys and tokens. A key can be made and checked, and never read."""

    def __init__(self, settings: MomoSandboxSettings, *, randomness: random.Random) -> None:
        self._settings = settings
        self._random = randomness
        self.users = {settings.user: User(settings.callback_hosts, settings.key)}
        self.tokens: dict[str, tuple[str, str, datetime]] = {}
        self.tokens_issued = 0

    def product_of(self, subscription_key: str | None) -> str | None:
        """The product that a subscription key is of."""
        return next((one for one in PRODUCTS if self._settings.subscription_keys[one] == subscription_key), None)

    def add_user(self, user_id: str, callback_host: str) -> bool:
        """Makes a user; False where there is one."""
        if user_id in self.users:
            return False
        self.users[user_id] = User(frozenset({callback_host}))
        return True

    def make_key(self, user_id: str) -> str | None:
        """A new key of a user; None where there is no such user."""
        user = self.users.get(user_id)
        if user is None:
            return None
        user.key = f"{self._random.getrandbits(128):032x}"
        return user.key

    def grant(self, basic: str, product: str, now: datetime) -> str | None:
        """A token for USER:KEY in a Basic header's value; None where it fits nobody."""
        try:
            user_id, _, key = base64.b64decode(basic.removeprefix("Basic "), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        user = self.users.get(user_id)
        if user is None or user.key is None or user.key != key:
            return None
        token = f"sandbox.{self._random.getrandbits(256):064x}"
        self.tokens[token] = (product, user_id, now + timedelta(seconds=self._settings.token_seconds))
        self.tokens_issued += 1
        return token

    def user_of(self, bearer: str, product: str, now: datetime) -> User | None:
        """Whose token it is; None for one that is over, or another product's."""
        granted = self.tokens.get(bearer.removeprefix("Bearer "))
        if granted is None or granted[0] != product or granted[2] <= now:
            return None
        return self.users[granted[1]]

    def expire(self) -> None:
        """Every token is over."""
        self.tokens.clear()


def is_uuid_4(text: str | None) -> bool:
    """Whether a reference is one that the API takes."""
    try:
        read = uuid.UUID(text or "")
    except ValueError:
        return False
    return read.version == 4 and str(read) == (text or "").lower()
