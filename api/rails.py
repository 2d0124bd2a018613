"""The rails that are configured: declared for every process, connected with credentials for workers alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from pydantic import SecretStr

from adapters.collecting import CollectionRail, DeclaredCollections
from adapters.daraja.client import DarajaRail
from adapters.daraja.collections import DarajaCollections
from adapters.daraja.credentials import ConstantSecrets, DarajaAccess, DarajaSecrets, SecretsProvider
from adapters.daraja.declared import DeclaredDaraja, DeclaredDarajaCollections
from adapters.daraja.session import DarajaSession, connect_session
from adapters.daraja.tariff import B2C_TARIFF_2023_08
from adapters.momo import credentials as momo_credentials
from adapters.momo.client import MomoRail
from adapters.momo.collections import MomoCollections
from adapters.momo.credentials import MomoAccess, MomoSecrets
from adapters.momo.declared import FLOATS as MOMO_FLOATS
from adapters.momo.declared import DeclaredMomo, DeclaredMomoCollections
from adapters.momo.session import MomoSession
from adapters.provider import DeclaredRail, PayoutRail
from adapters.tariffs import TariffBand
from adapters.transport import HttpLimits, Secret
from adapters.vaulted import MOMO_NAMES, SharedTokens, VaultedDaraja, VaultedMomo
from api.credentials import vault_opener
from api.profile import Profile
from api.settings import Settings
from ledger.errors import TextInvalid
from ledger.float_names import USUAL_FLOATS, FloatNames
from ledger.ids import IdSource
from ledger.tariffs import Band
from ledger.vault_keys import Opener


@dataclass(frozen=True, slots=True)
class ConnectedRails:
    """The configured rails with what they call with, by name: those that pay out, and those that take money in. The two
    of a provider share one session, which either closes."""

    payouts: dict[str, PayoutRail]
    collections: dict[str, CollectionRail]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a rail's connection is made of beside its settings."""

    profile: Profile
    ids: IdSource
    now: Callable[[], datetime]


_Declared: TypeAlias = tuple[DeclaredRail, DeclaredCollections]
_Connected: TypeAlias = tuple[PayoutRail, CollectionRail]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rail:
    """How one rail is opened, and what its books need whether it is configured here or not. `tariff` is what its
    provider publishes; where that is a matter of contract, nothing."""

    floats: FloatNames
    tariff: tuple[TariffBand, ...]
    is_configured: Callable[[Settings], bool]
    declare: Callable[[Settings], _Declared]
    connect: Callable[[Settings, Surroundings], _Connected]


def declared_rails(settings: Settings) -> dict[str, DeclaredRail]:
    """What the configured rails carry and how their callbacks read."""
    return {name: rail.declare(settings)[0] for name, rail in _configured(settings).items()}


def declared_collections(settings: Settings) -> dict[str, DeclaredCollections]:
    """What the configured rails take in and how messages about it read."""
    return {name: rail.declare(settings)[1] for name, rail in _configured(settings).items()}


def connect_rails(
    settings: Settings, profile: Profile, *, ids: IdSource, now: Callable[[], datetime]
) -> ConnectedRails:
    """The configured rails; close those that pay out. Raises TextInvalid where one is half configured."""
    surroundings = Surroundings(profile=profile, ids=ids, now=now)
    connected = {name: rail.connect(settings, surroundings) for name, rail in _configured(settings).items()}
    return ConnectedRails(
        {name: payouts for name, (payouts, _) in connected.items()},
        {name: collections for name, (_, collections) in connected.items()},
    )


def float_names(provider: str) -> FloatNames:
    """What a provider calls the accounts of a shortcode."""
    return _RAILS[provider].floats if provider in _RAILS else USUAL_FLOATS


def shipped_tariffs() -> list[Band]:
    """The published payout tariffs of every rail, for opening books."""
    return [_band(band) for rail in _RAILS.values() for band in rail.tariff]


def _configured(settings: Settings) -> dict[str, _Rail]:
    return {name: rail for name, rail in _RAILS.items() if rail.is_configured(settings)}


def _declare_daraja(_settings: Settings) -> _Declared:
    return DeclaredDaraja(), DeclaredDarajaCollections()


def _connect_daraja(settings: Settings, around: Surroundings) -> _Connected:
    session = _daraja_session(settings, around.profile, ids=around.ids, now=around.now)
    return DarajaRail(session), DarajaCollections(session, now=around.now)


def _declare_momo(settings: Settings) -> _Declared:
    environment = settings.momo_target_environment
    return DeclaredMomo(environment), DeclaredMomoCollections(environment)


def _connect_momo(settings: Settings, around: Surroundings) -> _Connected:
    access = MomoAccess(
        base_url=settings.momo_base_url,
        target_environment=settings.momo_target_environment,
        wallet=settings.momo_wallet,
        old_base_url=settings.momo_old_base_url,
        checks_payees=settings.momo_checks_payees,
    )
    opener = vault_opener(settings, secret=around.profile.secret)
    session = MomoSession(
        access,
        secrets=_momo_secrets(settings, around, opener=opener),
        monotonic=time.monotonic,
        limits=HttpLimits(read_seconds=settings.rail_timeout_seconds),
        stores=lambda name: SharedTokens(
            engine=around.profile.engine, app=name, sealer=opener.sealer(), now=around.now
        ),
    )
    return MomoRail(session, now=around.now), MomoCollections(session, now=around.now)


def _momo_secrets(settings: Settings, around: Surroundings, *, opener: Opener) -> momo_credentials.SecretsProvider:
    if settings.momo_secrets == "vault":
        return VaultedMomo(
            engine=around.profile.engine, wallet=settings.momo_wallet, opener=opener, ids=around.ids, now=around.now
        )
    given = {name: _given(getattr(settings, f"momo_{name}")) for name in MOMO_NAMES}
    return momo_credentials.ConstantSecrets(MomoSecrets(**given))


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


def _band(band: TariffBand) -> Band:
    return Band(
        band.provider,
        band.currency,
        band.valid_from,
        band.from_minor_units,
        band.to_minor_units,
        band.charge_minor_units,
    )


_RAILS = {
    "daraja": _Rail(
        floats=USUAL_FLOATS,
        tariff=B2C_TARIFF_2023_08,
        is_configured=lambda settings: bool(settings.daraja_base_url),
        declare=_declare_daraja,
        connect=_connect_daraja,
    ),
    "momo": _Rail(
        floats=MOMO_FLOATS,
        # MTN publishes none for disbursements: what they cost is agreed on with each business.
        tariff=(),
        is_configured=lambda settings: bool(settings.momo_base_url),
        declare=_declare_momo,
        connect=_connect_momo,
    ),
}
