"""The USSD gateway, put together from its settings: a client of the gRPC services like any other."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc.aio
from daftari.v1.loans_pb2_grpc import LoanCommandServiceStub, LoanQueryServiceStub
from daftari.v1.promotions_pb2_grpc import PromotionCommandServiceStub
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from adapters.listener import Listener
from api.profile import read_key
from api.server import AddressUnavailable, PlaintextRefused, is_local
from api.serving import parse_address
from api.settings import UssdSettings
from api.ussd.core import Core, Patience
from api.ussd.customers import Customers
from api.ussd.gateway import Gateway, application
from api.ussd.hops import Sessions
from api.ussd.lending import Lending
from api.ussd.menus import Menus
from api.ussd.redeeming import Redeeming
from api.ussd.texts import Language
from ledger.errors import TextInvalid

GRACE_SECONDS = 10
_HEALTH_SECONDS = 2.0
_PATH_SECRET_LENGTH_MIN = 32


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """Where the telco reaches it."""

    url: str


@asynccontextmanager
async def open_gateway(settings: UssdSettings) -> AsyncIterator[RunningGateway]:
    """A gateway that listens. Raises TextInvalid for settings that are missing, PlaintextRefused for services elsewhere
    without a certificate, AddressUnavailable."""
    check(settings)
    async with _channel(settings) as channel:
        core = Core(settings.key.get_secret_value(), patience=Patience(waiting=settings.answer_seconds_max))
        gateway = Gateway(
            menus_of(settings, channel),
            core=core,
            sessions=Sessions(monotonic=time.monotonic),
            language=Language(settings.language),
            characters_max=settings.screen_characters,
        )

        async def healthy() -> bool:
            return await _is_serving(channel)

        host, port = parse_address(settings.listen, field="DAFTARI_USSD_LISTEN")
        listener = Listener(host=host, port=port, grace_seconds=GRACE_SECONDS)
        app = application(gateway, secret=settings.path_secret.get_secret_value(), healthy=healthy)
        try:
            url = await listener.start(app)
        except OSError as error:
            raise AddressUnavailable(f"cannot listen on {settings.listen}: {error.strerror}") from error
        try:
            yield RunningGateway(url)
        finally:
            await listener.stop()
            await core.close(grace_seconds=GRACE_SECONDS)


def check(settings: UssdSettings) -> None:
    """Raises TextInvalid for what is missing, naming the setting."""
    if len(settings.path_secret.get_secret_value()) < _PATH_SECRET_LENGTH_MIN:
        raise TextInvalid(
            "set DAFTARI_USSD_PATH_SECRET to 32 characters or more, such as `openssl rand -hex 32` makes: the telco "
            "signs nothing, so whoever knows the path is believed",
            field="DAFTARI_USSD_PATH_SECRET",
        )
    if not settings.ledger or not settings.key.get_secret_value():
        raise TextInvalid(
            "set DAFTARI_USSD_LEDGER to the ledger's code and DAFTARI_USSD_KEY to what `daftari key create` prints",
            field="DAFTARI_USSD_KEY",
        )
    if not settings.promotions and not settings.loan_product:
        raise TextInvalid(
            "offer something: DAFTARI_USSD_PROMOTIONS=true, or a product of loans in DAFTARI_USSD_LOAN_PRODUCT",
            field="DAFTARI_USSD_PROMOTIONS",
        )


def menus_of(settings: UssdSettings, channel: grpc.aio.Channel) -> Menus:
    """What is on offer. Raises TextInvalid without the secret that loans need."""
    redeeming = Redeeming(settings.ledger, PromotionCommandServiceStub(channel)) if settings.promotions else None
    if not settings.loan_product:
        return Menus(settings.name, redeeming, None)
    customers = Customers(read_key(settings.customer_secret.get_secret_value(), field="ussd_customer_secret"))
    lending = Lending(
        settings.ledger,
        settings.loan_product,
        customers,
        LoanCommandServiceStub(channel),
        LoanQueryServiceStub(channel),
    )
    return Menus(settings.name, redeeming, lending)


@asynccontextmanager
async def _channel(settings: UssdSettings) -> AsyncIterator[grpc.aio.Channel]:
    if settings.core_certificate is not None:
        credentials = grpc.ssl_channel_credentials(settings.core_certificate.read_bytes())
        async with grpc.aio.secure_channel(settings.core, credentials) as channel:
            yield channel
        return
    if not is_local(settings.core):
        raise PlaintextRefused(
            "set DAFTARI_USSD_CORE_CERTIFICATE: without it the key and the callers' numbers leave this machine in clear"
        )
    async with grpc.aio.insecure_channel(settings.core) as channel:
        yield channel


async def _is_serving(channel: grpc.aio.Channel) -> bool:
    try:
        answer = await HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_HEALTH_SECONDS)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
