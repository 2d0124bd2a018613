"""The gRPC and HTTP surfaces over a shop, with real keys: everything a partner and an operator can reach.

async with open_office(engine) as office:
    till = await office.partner_key()
    await office.queries(till).GetPartner(...)
"""

from __future__ import annotations

import random
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import grpc.aio
import httpx
from daftari.v1 import partners_pb2 as pb
from daftari.v1 import payouts_pb2
from daftari.v1.journal_pb2_grpc import JournalQueryServiceStub
from daftari.v1.partners_pb2_grpc import PartnerCommandServiceStub, PartnerQueryServiceStub
from daftari.v1.payouts_pb2_grpc import PayoutCommandServiceStub, PayoutQueryServiceStub
from daftari.v1.reviews_pb2_grpc import ReviewCommandServiceStub, ReviewQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.collecting import CollectionRail
from adapters.daraja.declared import DeclaredDarajaCollections
from adapters.provider import Capabilities, PayoutRail
from api.conversion.times import timestamp_of
from api.profile import Profile
from api.roles import Role
from api.serving import Service
from api.settings import Settings
from api.wiring import WorkerApplication
from ledger import partners
from ledger.database import run
from ledger.ids import IdSource
from ledger.parties import PartyKeys
from ledger.partners import Partner
from tests.fix_api import EVERYTHING, StreamWithKey, WithKey
from tests.journeys.rig import SEALER
from tests.ledger.payouts.shop import LIMITS, PAYEE, SECRET, Shop, open_shop
from tests.wire import money

if TYPE_CHECKING:
    from daftari.v1.journal_pb2_grpc import JournalQueryServiceAsyncStub
    from daftari.v1.partners_pb2_grpc import PartnerCommandServiceAsyncStub, PartnerQueryServiceAsyncStub
    from daftari.v1.payouts_pb2_grpc import PayoutCommandServiceAsyncStub, PayoutQueryServiceAsyncStub
    from daftari.v1.reviews_pb2_grpc import ReviewCommandServiceAsyncStub, ReviewQueryServiceAsyncStub

# Whom a client over plain HTTP trusts: the authorities of any other take longer to read than many a test.
_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class QuietRail:
    """A rail that carries payouts and is never reached: no worker runs here."""

    capabilities = Capabilities("daraja", LIMITS["daraja"])

    def callback_acknowledgement(self) -> bytes:
        """As Daraja's."""
        return b'{"ResultCode":0,"ResultDesc":"Accepted"}'


@dataclass(slots=True)
class Office:
    """A running process with the gRPC and HTTP roles. `operator` is a key that may do everything everywhere."""

    shop: Shop
    grpc_address: str
    http: httpx.AsyncClient
    operator: str
    _stack: AsyncExitStack
    _channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)

    @property
    def ledger(self) -> str:
        """The code of the shop's books."""
        return self.shop.ledger.code

    def channel(self, key: str) -> grpc.aio.Channel:
        """The key's connection."""
        if key not in self._channels:
            channel = grpc.aio.insecure_channel(self.grpc_address, interceptors=[WithKey(key), StreamWithKey(key)])
            self._stack.push_async_callback(channel.close)
            self._channels[key] = channel
        return self._channels[key]

    def commands(self, key: str = "") -> PartnerCommandServiceAsyncStub:
        """As the holder of the key; the operator for none."""
        return PartnerCommandServiceStub(self.channel(key or self.operator))

    def queries(self, key: str = "") -> PartnerQueryServiceAsyncStub:
        """As the holder of the key; the operator for none."""
        return PartnerQueryServiceStub(self.channel(key or self.operator))

    def payouts(self, key: str) -> PayoutCommandServiceAsyncStub:
        """As the holder of the key."""
        return PayoutCommandServiceStub(self.channel(key))

    def payout_queries(self, key: str) -> PayoutQueryServiceAsyncStub:
        """As the holder of the key."""
        return PayoutQueryServiceStub(self.channel(key))

    def review_commands(self, key: str = "") -> ReviewCommandServiceAsyncStub:
        """As the holder of the key; the operator for none."""
        return ReviewCommandServiceStub(self.channel(key or self.operator))

    def review_queries(self, key: str = "") -> ReviewQueryServiceAsyncStub:
        """As the holder of the key; the operator for none."""
        return ReviewQueryServiceStub(self.channel(key or self.operator))

    def journal(self, key: str) -> JournalQueryServiceAsyncStub:
        """As the holder of the key."""
        return JournalQueryServiceStub(self.channel(key))

    async def partner_key(
        self, *, partner: str = "shop", permissions: Sequence[str] = (), expires_at: datetime | None = None
    ) -> str:
        """A new key of a partner, made by the operator."""
        request = pb.CreateKeyRequest(ledger=self.ledger, partner=partner, name="till", permissions=permissions)
        if expires_at is not None:
            request.expire_time.CopyFrom(timestamp_of(expires_at))
        return (await self.commands().CreateKey(request)).key

    async def operator_key(
        self, *, ledger_id: int | None = None, permissions: frozenset[str] = EVERYTHING, name: str = ""
    ) -> str:
        """A key of an operator of one ledger, or of all."""
        return await create_operator_key(self.shop, ledger_id=ledger_id, permissions=permissions, name=name)

    async def post(self, path: str, *, key: str | None, **options: Any) -> httpx.Response:
        """A request over REST."""
        headers: Mapping[str, str] = {} if key is None else {"x-api-key": key}
        return await self.http.post(path, headers=headers, **options)

    async def get(self, path: str, *, key: str | None) -> httpx.Response:
        """A request over REST."""
        return await self.http.get(path, headers={} if key is None else {"x-api-key": key})


async def create_operator_key(
    shop: Shop, *, ledger_id: int | None, permissions: frozenset[str] = EVERYTHING, name: str = ""
) -> str:
    """A key that no partner has."""

    async def command(connection: AsyncConnection) -> str:
        return await partners.create_key(
            connection,
            name=name or f"operator-{secrets.token_hex(4)}",
            ledger_id=ledger_id,
            partner_id=None,
            permissions=permissions,
            expires_at=None,
            secret=secrets.token_bytes(32),
            ids=shop.ids,
            now=shop.now(),
        )

    return await run(shop.engine, command)


def application_of(shop: Shop, **settings: Any) -> WorkerApplication:
    """The shop's composition root, listening on ports of its own."""
    # As with a database of our own, wherever the tests' is: the keys come from the shop's secret.
    own: dict[str, Any] = {"database_url": None, "grpc_listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"}
    chosen = Settings(**(own | settings))
    profile = Profile(shop.engine, "tests", SECRET)
    return WorkerApplication(
        settings=chosen,
        profile=profile,
        rails={"daraja": cast(PayoutRail, QuietRail())},
        collections={"daraja": cast(CollectionRail, DeclaredDarajaCollections())},
        party_keys=PartyKeys(SECRET),
        sealer=SEALER,
        directory=shop.directory,
        ids=IdSource(random.SystemRandom()),
        clock=shop.clock,
    )


@asynccontextmanager
async def open_office(engine: AsyncEngine, *, prefunded: int = 20_000_000, **settings: Any) -> AsyncIterator[Office]:
    """A process over books of its own."""
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(open_shop(engine, prefunded=prefunded))
        service = Service(application_of(shop, **settings), roles=(Role.GRPC, Role.HTTP))
        addresses = await service.start()
        stack.push_async_callback(service.stop)
        assert addresses.grpc is not None
        assert addresses.http is not None
        client = httpx.AsyncClient(base_url=addresses.http, trust_env=False, verify=_NOBODY)
        http = await stack.enter_async_context(client)
        operator = await create_operator_key(shop, ledger_id=None)
        yield Office(shop, addresses.grpc, http, operator, stack)


async def add_partner(shop: Shop, code: str) -> Partner:
    """Another partner of the shop's ledger."""

    async def command(connection: AsyncConnection) -> Partner:
        return await partners.create_partner(
            connection,
            ledger=shop.ledger,
            code=code,
            name=code.title(),
            payout_fee=shop.partner.payout_fee,
            ids=shop.ids,
            now=shop.now(),
        )

    return await run(shop.engine, command)


def draft(request_id: str, *, shillings: int = 100) -> payouts_pb2.PayoutDraft:
    """A payout to ask for."""
    return payouts_pb2.PayoutDraft(
        request_id=request_id, partner_reference=request_id, msisdn=PAYEE, amount=money(shillings * 100)
    )


async def request_payout(
    office: Office, key: str, request_id: str, *, shillings: int = 100
) -> payouts_pb2.RequestPayoutResponse:
    """Asks for a payout."""
    request = payouts_pb2.RequestPayoutRequest(ledger=office.ledger, payout=draft(request_id, shillings=shillings))
    return await office.payouts(key).RequestPayout(request)


def top_up(office: Office, request_id: str, *, minor_units: int = 500_000, **changes: Any) -> pb.TopUpPartnerRequest:
    """Money that came in at the bank."""
    fields: dict[str, Any] = {
        "ledger": office.ledger,
        "partner": "shop",
        "reference": "KCB-77",
        "amount": money(minor_units),
    } | changes
    return pb.TopUpPartnerRequest(request_id=request_id, **fields)
