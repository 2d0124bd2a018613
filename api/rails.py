"""The rails that are configured: declared for every process, connected with credentials for workers alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr

from adapters.collecting import CollectionRail, DeclaredCollections
from adapters.daraja.client import DarajaRail
from adapters.daraja.collections import DarajaCollections
from adapters.daraja.credentials import ConstantSecrets, DarajaAccess, DarajaSecrets, SecretsProvider
from adapters.daraja.declared import DeclaredDaraja, DeclaredDarajaCollections
from adapters.daraja.session import DarajaSession, connect_session
from adapters.daraja.tariff import B2C_TARIFF_2023_08
from adapters.provider import DeclaredRail, PayoutRail
from adapters.tariffs import TariffBand
from adapters.transport import HttpLimits, Secret
from adapters.vaulted import SharedTokens, VaultedDaraja
from api.credentials import vault_opener
from api.profile import Profile
from api.settings import Settings
from ledger.errors import TextInvalid
from ledger.ids import IdSource
from ledger.tariffs import Band
from ledger.vault_keys import Opener


@dataclass(frozen=True, slots=True)
class ConnectedRails:
    """The configured rails with what they call with, by name: those that pay out, and those that take money in. The two
    of a provider share one session, which either closes."""

    payouts: dict[str, PayoutRail]
    collections: dict[str, CollectionRail]


def declared_rails(settings: Settings) -> dict[str, DeclaredRail]:
    """What the configured rails carry and how their callbacks read."""
    if not settings.daraja_base_url:
        return {}
    daraja = DeclaredDaraja()
    return {daraja.capabilities.rail: daraja}


def declared_collections(settings: Settings) -> dict[str, DeclaredCollections]:
    """What the configured rails take in and how messages about it read."""
    if not settings.daraja_base_url:
        return {}
    daraja = DeclaredDarajaCollections()
    return {daraja.collection_capabilities.rail: daraja}


def connect_rails(
    settings: Settings, profile: Profile, *, ids: IdSource, now: Callable[[], datetime]
) -> ConnectedRails:
    """The configured rails; close those that pay out. Raises TextInvalid where one is half configured."""
    if not settings.daraja_base_url:
        return ConnectedRails({}, {})
    session = _daraja_session(settings, profile, ids=ids, now=now)
    payouts, collections = DarajaRail(session), DarajaCollections(session, now=now)
    return ConnectedRails({payouts.capabilities.rail: payouts}, {collections.collection_capabilities.rail: collections})


def _daraja_session(
    settings: Settings, profile: Profile, *, ids: IdSource, now: Callable[[], datetime]
) -> DarajaSession:
    if settings.daraja_certificate is None:
        raise TextInvalid("set DAFTARI_DARAJA_CERTIFICATE to Safaricom's certificate file", field="daraja_certificate")
    access = DarajaAccess(
        base_url=settings.daraja_base_url,
        initiator_name=settings.daraja_initiator_name,
        certificate=settings.daraja_certificate.read_bytes(),
        shortcode=settings.daraja_shortcode,
        api_version=settings.daraja_api_version,
        resubmits=settings.daraja_resubmit,
    )
    opener = vault_opener(settings, secret=profile.secret)
    tokens = SharedTokens(
        engine=profile.engine, app=f"daraja/{settings.daraja_shortcode}", sealer=opener.sealer(), now=now
    )
    return connect_session(
        access,
        secrets=_daraja_secrets(settings, profile, opener=opener, ids=ids, now=now),
        monotonic=time.monotonic,
        limits=HttpLimits(read_seconds=settings.rail_timeout_seconds),
        token_store=tokens,
    )


def _daraja_secrets(
    settings: Settings, profile: Profile, *, opener: Opener, ids: IdSource, now: Callable[[], datetime]
) -> SecretsProvider:
    if settings.daraja_secrets == "vault":
        return VaultedDaraja(
            engine=profile.engine, shortcode=settings.daraja_shortcode, opener=opener, ids=ids, now=now
        )
    return ConstantSecrets(
        DarajaSecrets(
            consumer_key=Secret(settings.daraja_consumer_key.get_secret_value()),
            consumer_secret=Secret(settings.daraja_consumer_secret.get_secret_value()),
            initiator_password=Secret(settings.daraja_initiator_password.get_secret_value()),
            passkey=_given(settings.daraja_passkey),
        )
    )


def _given(setting: SecretStr) -> Secret | None:
    """None for an empty one."""
    return Secret(setting.get_secret_value()) if setting.get_secret_value() else None


def shipped_tariffs() -> list[Band]:
    """The published payout tariffs of every rail, for opening books."""
    return [_band(band) for band in B2C_TARIFF_2023_08]


def _band(band: TariffBand) -> Band:
    return Band(
        band.provider,
        band.currency,
        band.valid_from,
        band.from_minor_units,
        band.to_minor_units,
        band.charge_minor_units,
    )
