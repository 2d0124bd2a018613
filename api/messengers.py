"""The providers of text messages that are configured: declared for every process, connected for workers alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pydantic import SecretStr

from adapters.africastalking.client import AfricasTalking, DeclaredAfricasTalking
from adapters.pindo.client import DeclaredPindo, Pindo
from adapters.sms import ConstantKey, DeclaredMessenger, KeyProvider, Messenger
from adapters.transport import HttpLimits, Secret
from adapters.vaulted import VaultedKey
from api.credentials import vault_opener
from api.profile import Profile
from api.settings import Settings
from ledger.ids import IdSource


def declared_messengers(settings: Settings) -> dict[str, DeclaredMessenger]:
    """What the configured providers call back."""
    all_of_them: tuple[DeclaredMessenger, ...] = (DeclaredAfricasTalking(), DeclaredPindo())
    return {one.name: one for one in all_of_them if getattr(settings, f"{one.name}_base_url")}


def connect_messengers(
    settings: Settings, profile: Profile, *, ids: IdSource, now: Callable[[], datetime]
) -> dict[str, Messenger]:
    """The configured providers with what they call with; close them."""
    limits = HttpLimits(read_seconds=settings.rail_timeout_seconds)

    def keys(place: str, name: str, given: SecretStr, where: str) -> KeyProvider:
        if where == "environment":
            return ConstantKey(Secret(given.get_secret_value()))
        opener = vault_opener(settings, secret=profile.secret)
        return VaultedKey(engine=profile.engine, place=place, name=name, opener=opener, ids=ids, now=now)

    connected: dict[str, Messenger] = {}
    if settings.africastalking_base_url:
        username = settings.africastalking_username
        place = f"africastalking/{username}"
        key = keys(place, "key", settings.africastalking_key, settings.africastalking_secrets)
        connected["africastalking"] = AfricasTalking(
            base_url=settings.africastalking_base_url, username=username, keys=key, limits=limits
        )
    if settings.pindo_base_url:
        place = f"pindo/{settings.pindo_account}"
        token = keys(place, "token", settings.pindo_token, settings.pindo_secrets)
        connected["pindo"] = Pindo(
            base_url=settings.pindo_base_url, currency=settings.pindo_currency, keys=token, limits=limits
        )
    return connected
