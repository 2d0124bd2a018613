"""The composition root: one object holding everything a process is made of. The only place that chooses clock and
chance."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.balances import BalanceWatch
from adapters.daraja.client import connect_rail
from adapters.daraja.credentials import ConstantSecrets, DarajaAccess, DarajaSecrets, SecretsProvider
from adapters.daraja.tariff import B2C_TARIFF_2023_08
from adapters.dispatch import Dispatcher, DispatchSettings, Errand
from adapters.egress import Egress, EgressLimits, EgressRules, SystemResolver
from adapters.inbound import Inbound
from adapters.inquiry import Inquiry
from adapters.provider import PayoutRail
from adapters.submission import Submission
from adapters.tariffs import TariffBand
from adapters.transport import HttpLimits, Secret
from adapters.vaulted import SharedTokens, VaultedDaraja
from adapters.webhooks import Deliverer, DelivererSettings
from api.clock_guard import ClockGuard
from api.profile import Profile, open_profile, read_key
from api.settings import Settings
from ledger.clock import check_clock
from ledger.database import transaction
from ledger.errors import TextInvalid
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.outbox import queue
from ledger.outcomes import OutcomeRecorder
from ledger.parties import PartyKeys
from ledger.payouts.request import Limits
from ledger.payouts.tariffs import Band
from ledger.sealing import Sealer, derive_key
from ledger.vault import VaultKey
from ledger.webhooks.deliveries import RetryPolicy


@dataclass(frozen=True, slots=True)
class Application:
    """What services, doors and commands share. Every part takes its clock, ids and keys from here."""

    settings: Settings
    profile: Profile
    rails: Mapping[str, PayoutRail]
    party_keys: PartyKeys
    sealer: Sealer
    vault_key: VaultKey
    ids: IdSource
    directory: AccountDirectory = field(default_factory=AccountDirectory)

    @property
    def engine(self) -> AsyncEngine:
        """The application role's connections."""
        return self.profile.engine

    @staticmethod
    def now() -> datetime:
        """The wall clock, aware, UTC."""
        return datetime.now(UTC)

    @property
    def clock_bound(self) -> timedelta:
        """How far this host's clock may be from the database's."""
        return timedelta(seconds=self.settings.clock_skew_seconds_max)

    def clock_guard(self) -> ClockGuard:
        """Keeps a worker from claiming while the clock is off."""
        return ClockGuard(self.engine, now=self.now, monotonic=time.monotonic, bound=self.clock_bound)

    @property
    def recorder(self) -> OutcomeRecorder:
        """The door for outcomes."""
        first = timedelta(seconds=self.settings.query_schedule_seconds[0])
        return OutcomeRecorder(directory=self.directory, ids=self.ids, query_after=first)

    @property
    def payout_limits(self) -> Limits:
        """What the running rails carry, by rail and currency."""
        return {name: rail.capabilities.payout_limits for name, rail in self.rails.items()}

    def dispatcher(self, *, public_url: str) -> Dispatcher:
        """The outbound door; providers reach our callback edge under `public_url`."""
        settings = DispatchSettings(
            public_url=public_url.rstrip("/"),
            lease=timedelta(seconds=self.settings.lease_seconds),
            calls_max=self.settings.worker_calls_max,
            rails=tuple(self.rails),
        )
        errands: dict[str, Errand] = {
            queue.SUBMIT: Submission(
                rails=self.rails, party_keys=self.party_keys, recorder=self.recorder, now=self.now
            ),
            queue.QUERY: Inquiry(
                rails=self.rails,
                recorder=self.recorder,
                ids=self.ids,
                now=self.now,
                schedule=[timedelta(seconds=seconds) for seconds in self.settings.query_schedule_seconds],
                patience=timedelta(seconds=self.settings.query_patience_seconds),
            ),
        }
        return Dispatcher(engine=self.engine, errands=errands, ids=self.ids, now=self.now, settings=settings)

    def balance_watch(self, *, public_url: str) -> BalanceWatch:
        """Asks providers what they hold."""
        return BalanceWatch(
            engine=self.engine,
            rails=self.rails,
            ids=self.ids,
            now=self.now,
            public_url=public_url.rstrip("/"),
            interval=timedelta(seconds=self.settings.balance_query_seconds),
        )

    @property
    def webhook_sealer(self) -> Sealer:
        """Seals the secrets that sign webhooks."""
        return Sealer(self.profile.secret, purpose="webhook secrets")

    @property
    def webhook_rules(self) -> EgressRules:
        """Which URLs of partners may be called."""
        settings = self.settings
        return EgressRules(frozenset(settings.webhook_ports), allow_loopback=settings.webhook_allow_loopback)

    def deliverer(self) -> Deliverer:
        """The way out for webhooks; close it."""
        settings = self.settings
        call_seconds = settings.webhook_timeout_seconds
        egress = Egress(
            rules=self.webhook_rules,
            limits=EgressLimits(connect_seconds=min(5.0, call_seconds), call_seconds=call_seconds),
            resolver=SystemResolver(),
            tls=ssl.create_default_context(),
        )
        retry = RetryPolicy(
            rests=tuple(timedelta(seconds=seconds) for seconds in settings.webhook_retry_seconds),
            probe=timedelta(seconds=settings.webhook_probe_seconds),
            randomness=random.SystemRandom(),
        )
        limits = DelivererSettings(
            calls_max=settings.webhook_calls_max,
            endpoint_calls_max=settings.webhook_endpoint_calls_max,
            # A worker that died leaves its tries to the others after this; one that lives has ended them long before.
            lease=timedelta(seconds=4 * call_seconds + 30),
        )
        return Deliverer(
            engine=self.engine,
            egress=egress,
            sealer=self.webhook_sealer,
            retry=retry,
            ids=self.ids,
            now=self.now,
            settings=limits,
        )

    def inbound(self) -> Inbound:
        """The inbound door."""
        return Inbound(
            engine=self.engine,
            rails=self.rails,
            party_keys=self.party_keys,
            sealer=self.sealer,
            recorder=self.recorder,
            ids=self.ids,
            now=self.now,
        )


@asynccontextmanager
async def open_application(settings: Settings, *, name: str) -> AsyncIterator[Application]:
    """Everything opened, and closed again at the end. Raises ClockOff, and what open_profile and open_rails raise."""
    async with AsyncExitStack() as stack:
        profile = await stack.enter_async_context(open_profile(settings, application_name=f"daftari-{name}"))
        ids, key = IdSource(random.SystemRandom()), vault_key(settings, profile)
        rails = open_rails(settings, profile, keys=(key, *older_vault_keys(settings)), ids=ids)
        for rail in rails.values():
            stack.push_async_callback(rail.close)
        sealer = Sealer(profile.secret, purpose="inbox messages")
        application = Application(settings, profile, rails, PartyKeys(profile.secret), sealer, key, ids)
        async with transaction(application.engine) as connection:
            await check_clock(connection, now=application.now, bound=application.clock_bound)
        yield application


def open_rails(
    settings: Settings, profile: Profile, *, keys: Sequence[VaultKey], ids: IdSource
) -> dict[str, PayoutRail]:
    """The rails that are configured. Raises TextInvalid where one is half configured."""
    if not settings.daraja_base_url:
        return {}
    if settings.daraja_certificate is None:
        raise TextInvalid("set DAFTARI_DARAJA_CERTIFICATE to Safaricom's certificate file", field="daraja_certificate")
    access = DarajaAccess(
        base_url=settings.daraja_base_url,
        initiator_name=settings.daraja_initiator_name,
        certificate=settings.daraja_certificate.read_bytes(),
        shortcode=settings.daraja_shortcode,
        api_version=settings.daraja_api_version,
    )
    tokens = SharedTokens(
        engine=profile.engine,
        app=f"daraja/{settings.daraja_shortcode}",
        sealer=Sealer(profile.secret, purpose="provider tokens"),
        now=Application.now,
    )
    rail = connect_rail(
        access,
        secrets=_daraja_secrets(settings, profile, keys=keys, ids=ids),
        monotonic=time.monotonic,
        limits=HttpLimits(read_seconds=settings.rail_timeout_seconds),
        token_store=tokens,
    )
    return {rail.capabilities.rail: rail}


def _daraja_secrets(
    settings: Settings, profile: Profile, *, keys: Sequence[VaultKey], ids: IdSource
) -> SecretsProvider:
    if settings.daraja_secrets == "vault":
        return VaultedDaraja(
            engine=profile.engine, shortcode=settings.daraja_shortcode, keys=keys, ids=ids, now=Application.now
        )
    return ConstantSecrets(
        DarajaSecrets(
            consumer_key=Secret(settings.daraja_consumer_key.get_secret_value()),
            consumer_secret=Secret(settings.daraja_consumer_secret.get_secret_value()),
            initiator_password=Secret(settings.daraja_initiator_password.get_secret_value()),
        )
    )


def vault_key(settings: Settings, profile: Profile) -> VaultKey:
    """The key in force: given, mounted, or derived from the installation's secret."""
    if settings.vault_key_file is not None:
        return VaultKey(read_key(settings.vault_key_file.read_text().strip(), field="vault_key_file"))
    if settings.vault_key is not None:
        return VaultKey(read_key(settings.vault_key.get_secret_value(), field="vault_key"))
    return VaultKey(derive_key(profile.secret, purpose="vault"))


def older_vault_keys(settings: Settings) -> list[VaultKey]:
    """The key before, if it is given: with both, a process reads every row while the vault's key is rotated."""
    old = settings.vault_key_old
    return [] if old is None else [VaultKey(read_key(old.get_secret_value(), field="vault_key_old"))]


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
