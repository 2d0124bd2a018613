"""A whole Daftari to look at: the sandbox rail, a service wired to it, books and a partner with money in its account.

For `daftari demo` and `daftari serve --sandbox`. Everything runs over real sockets in one process.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import grpc.aio
from daftari.v1 import journal_pb2, money_pb2
from daftari.v1.journal_pb2_grpc import JournalCommandServiceStub
from pydantic import SecretStr

from adapters.collecting import Registered
from adapters.sandbox.momo.settings import MomoSandboxSettings
from adapters.sandbox.server import SandboxServer
from adapters.sandbox.settings import SandboxSettings
from adapters.sandbox.sms.world import SMS_KEY, SMS_USERNAME
from adapters.sms import DELIVERY
from api.administration import add_collection_tariff, create_key, create_partner, open_books
from api.conversion.times import timestamp_of
from api.messaging import open_sms
from api.rails import float_names
from api.roles import ALL_ROLES
from api.serving import Addresses, Service
from api.settings import Settings
from api.wiring import WALL_CLOCK, Application, WorkerApplication, open_application
from ledger.collections.shortcodes import Shortcode, open_shortcode
from ledger.database import run
from ledger.errors import PartnerExists
from ledger.journal.books import Ledger
from ledger.journal.post import business_date
from ledger.sms.desk import SmsSettings
from ledger.sms.templates import Language, StopCovers, Told

LEDGER, PARTNER, RAIL = "demo", "web-shop", "daraja"
WALLET_LEDGER, WALLET_RAIL = "demo-rw", "momo"
SENDER, WALLET_SENDER = "DAFTARI", "DAFTARI-RW"
PREFUNDED_SHILLINGS = 100_000
MOMO = MomoSandboxSettings()
TARIFF_FROM = date(2026, 1, 1)
_DEBIT, _CREDIT = journal_pb2.SIDE_DEBIT, journal_pb2.SIDE_CREDIT


@dataclass(slots=True)
class StageClock:
    """The wall clock, until the story says that time has passed."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return WALL_CLOCK() + self.ahead

    def pass_time(self, span: timedelta) -> None:
        """From now on it is that much later, for everything on the stage."""
        self.ahead += span


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs, and the keys to it: the operator's, and the partner's to the books of either rail. New books hold what
    they do from the end of the day before `first_day` on."""

    application: Application
    clock: StageClock
    addresses: Addresses
    sandbox: SandboxServer
    sandbox_url: str
    ledger: Ledger
    operator_key: str = field(repr=False)
    partner_key: str = field(repr=False)
    wallet_partner_key: str = field(repr=False)
    first_day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class _Books:
    """Books of one rail to open: `fee` as people write it, amounts in minor units."""

    code: str
    name: str
    currency: str
    zone: str
    rail: str
    shortcode: str
    fee: str
    prefunded: int
    float_opening: int
    paid_from: str
    lands_on: str
    bank_narrative: str


@asynccontextmanager
async def open_stage(
    settings: Settings, *, certificate_directory: Path, ahead: timedelta = timedelta()
) -> AsyncIterator[Stage]:
    """Starts the sandbox and the service, opens the books, prefunds the partner over gRPC, and lets the shortcode take
    money in. Settings of rails are overruled by the sandbox's; books that are there already are used as they are."""
    sandbox_settings, clock = SandboxSettings(), StageClock(ahead)
    async with AsyncExitStack() as stack:
        sandbox = SandboxServer(sandbox_settings, clock=clock, randomness=random.SystemRandom())
        sandbox_url = await sandbox.start()
        stack.push_async_callback(sandbox.stop)
        certificate = certificate_directory / "sandbox-certificate.pem"
        certificate.parent.mkdir(parents=True, exist_ok=True)
        certificate.write_text(sandbox.certificate_pem)
        wired = settings.model_copy(update=_rail_settings(sandbox_url, sandbox_settings, certificate))
        application = await stack.enter_async_context(
            open_application(wired, name="stage", roles=ALL_ROLES, clock=clock)
        )
        operator_key = await create_key(
            application, name="operator", ledger_code="", partner_code="", permissions=None, days=1
        )
        service = Service(application)
        addresses = await service.start()
        stack.push_async_callback(service.stop)
        first_day = business_date(application.now(), ZoneInfo(_paybill_books(sandbox_settings).zone))
        opened = [
            await _open(application, addresses, operator_key, books, first_day)
            for books in (_paybill_books(sandbox_settings), _wallet_books(MOMO))
        ]
        await _collect(application, opened[0][0], addresses, sandbox_settings)
        for books, sender in ((LEDGER, SENDER), (WALLET_LEDGER, WALLET_SENDER)):
            await _text(application, books, sender, addresses, sandbox)
        (ledger, partner_key), (_, wallet_key) = opened
        keys = (operator_key, partner_key, wallet_key)
        yield Stage(application, clock, addresses, sandbox, sandbox_url, ledger, *keys, first_day)


async def _text(
    application: Application, ledger_code: str, sender: str, addresses: Addresses, sandbox: SandboxServer
) -> None:
    """Customers of these books are sent messages, and the sandbox reports on them."""
    wanted = SmsSettings(
        provider="africastalking",
        fallback="pindo",
        sender=sender,
        brand="Daftari",
        language=Language.ENGLISH,
        events=tuple(Told),
        stop_covers=StopCovers.ALL_BUT_ESSENTIAL,
    )
    paths = await open_sms(
        application,
        ledger_code=ledger_code,
        wanted=wanted,
        currencies=["KES", "USD"],
        public_url=application.settings.public_url or addresses.http or "",
    )
    sandbox.sms.reports_to |= {f"{provider}/{sender}": url for provider, url in paths[DELIVERY].items()}


def _paybill_books(sandbox: SandboxSettings) -> _Books:
    return _Books(
        code=LEDGER,
        name="Demonstration books",
        currency="KES",
        zone="Africa/Nairobi",
        rail=RAIL,
        shortcode=sandbox.shortcode,
        fee="10",
        prefunded=PREFUNDED_SHILLINGS * 100,
        float_opening=sandbox.opening_utility_cents,
        paid_from=utility_of(sandbox.shortcode),
        lands_on=utility_of(sandbox.shortcode),
        bank_narrative="Bank transfer to 333600584",
    )


def _wallet_books(momo: MomoSandboxSettings) -> _Books:
    floats = float_names(WALLET_RAIL)
    return _Books(
        code=WALLET_LEDGER,
        name="Demonstration books, Rwanda",
        currency=momo.currency,
        zone="Africa/Kigali",
        rail=WALLET_RAIL,
        shortcode=momo.wallet,
        fee="100",
        prefunded=1_000_000,
        float_opening=momo.opening_disbursement,
        paid_from=f"asset.float.{WALLET_RAIL}.{momo.wallet}.{floats.paying}",
        lands_on=f"asset.float.{WALLET_RAIL}.{momo.wallet}.{floats.collecting}",
        bank_narrative="Bank transfer to the disbursement account",
    )


async def _open(
    application: Application, addresses: Addresses, operator_key: str, books: _Books, first_day: date
) -> tuple[Ledger, str]:
    """The ledger and its partner's key; where the partner is new, with money in its account and in the float."""
    ledger, _ = await open_books(
        application,
        code=books.code,
        name=books.name,
        currency=books.currency,
        zone=books.zone,
        shortcodes=[(books.rail, books.shortcode)],
    )
    key, is_new = await _partner_key(application, books)
    if is_new:
        assert addresses.grpc is not None
        await _fund(addresses.grpc, operator_key, books, first_day)
    shortcode = Shortcode(books.rail, books.shortcode, books.currency, books.lands_on, accepts_unanswered=True)
    opening = partial(open_shortcode, ledger=ledger, shortcode=shortcode, ids=application.ids, now=application.now())
    await run(application.engine, opening)
    return ledger, key


def _rail_settings(base_url: str, sandbox: SandboxSettings, certificate: Path) -> dict[str, object]:
    return {
        "daraja_base_url": base_url,
        "daraja_consumer_key": SecretStr(sandbox.consumer_key),
        "daraja_consumer_secret": SecretStr(sandbox.consumer_secret),
        "daraja_initiator_name": sandbox.initiator_name,
        "daraja_initiator_password": SecretStr(sandbox.initiator_password),
        "daraja_passkey": SecretStr(sandbox.passkey),
        "daraja_certificate": certificate,
        "daraja_shortcode": sandbox.shortcode,
        "daraja_api_version": "v3",
        "daraja_secrets": "environment",
        "webhook_allow_loopback": True,
        "momo_base_url": base_url,
        "momo_target_environment": MOMO.target_environment,
        "momo_wallet": MOMO.wallet,
        "momo_secrets": "environment",
        "momo_disbursement_subscription_key": SecretStr(MOMO.subscription_keys["disbursement"]),
        "momo_disbursement_credential": SecretStr(MOMO.credential),
        "momo_collection_subscription_key": SecretStr(MOMO.subscription_keys["collection"]),
        "momo_collection_credential": SecretStr(MOMO.credential),
        "momo_old_base_url": "",
        "africastalking_base_url": base_url,
        "africastalking_username": SMS_USERNAME,
        "africastalking_key": SecretStr(SMS_KEY),
        "africastalking_secrets": "environment",
        "pindo_base_url": base_url,
        "pindo_token": SecretStr(SMS_KEY),
        "pindo_secrets": "environment",
    }


async def _partner_key(application: Application, books: _Books) -> tuple[str, bool]:
    """A key of the partner, and whether the partner is new."""
    try:
        _, key = await create_partner(
            application,
            ledger_code=books.code,
            code=PARTNER,
            name="Web shop",
            currency=books.currency,
            fee=books.fee,
        )
    except PartnerExists:
        return await create_key(
            application, name=PARTNER, ledger_code=books.code, partner_code=PARTNER, permissions=None, days=1
        ), False
    return key, True


async def _collect(application: Application, ledger: Ledger, addresses: Addresses, sandbox: SandboxSettings) -> None:
    """The rail is told where to tell of money: the sandbox forgets at every start."""
    assert isinstance(application, WorkerApplication), "the stage has every role"
    paybill = Shortcode(
        RAIL, sandbox.shortcode, ledger.base_currency, utility_of(sandbox.shortcode), accepts_unanswered=True
    )
    public_url = application.settings.public_url or addresses.http or ""
    await add_collection_tariff(
        application,
        ledger_code=LEDGER,
        provider=RAIL,
        shortcode=sandbox.shortcode,
        valid_from=TARIFF_FROM,
        steps=[(shillings * 100, cents) for shillings, cents in sandbox.collection_bands],
    )
    registered = await application.recovery(public_url=public_url).register(ledger, paybill)
    assert isinstance(registered, Registered), registered


def utility_of(shortcode: str) -> str:
    """The account of the float that pays out, and takes in."""
    return f"asset.float.{RAIL}.{shortcode}.utility"


async def _fund(address: str, operator_key: str, books: _Books, first_day: date) -> None:
    """The partner pays into our bank; the bank account tops the float up: entries a finance person would post, at the
    end of the day before."""
    evening = datetime.combine(first_day, time(), tzinfo=ZoneInfo(books.zone)) - timedelta(seconds=1)
    bank, transit, opening = "asset.bank.main", "asset.transit.to_provider", books.float_opening
    prefund = f"liab.partner_prefund.{PARTNER}"
    moves = [
        ("opening.equity", bank, "equity.opening", opening, "Owners' money in the bank"),
        ("partner.topup", bank, prefund, books.prefunded, "Web shop's deposit"),
        ("float.topup.sent", transit, bank, opening, books.bank_narrative),
        ("float.topup.received", books.paid_from, transit, opening, "Provider credits the float"),
    ]
    items = [
        journal_pb2.EntryItem(
            request_id=f"stage-{number}",
            entry=journal_pb2.EntryDraft(
                kind=kind,
                postings=[
                    _line(debited, _DEBIT, books.currency, units),
                    _line(credited, _CREDIT, books.currency, units),
                ],
                narrative=narrative,
                effective_time=timestamp_of(evening),
            ),
        )
        for number, (kind, debited, credited, units, narrative) in enumerate(moves)
    ]
    async with grpc.aio.insecure_channel(address) as channel:
        answer = await JournalCommandServiceStub(channel).PostEntries(
            journal_pb2.PostEntriesRequest(ledger=books.code, items=items),
            metadata=[("authorization", f"Bearer {operator_key}")],
            timeout=30,
        )
    refused = [result.error.message for result in answer.results if result.HasField("error")]
    assert not refused, refused


def _line(account: str, side: journal_pb2.Side.ValueType, currency: str, units: int) -> journal_pb2.Posting:
    return journal_pb2.Posting(account=account, side=side, amount=money_pb2.Money(currency=currency, minor_units=units))
