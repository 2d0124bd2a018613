"""The server itself: where it listens, health, reflection, and an end that lets calls finish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from daftari.v1 import journal_pb2 as pb
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from api.authentication import Authenticator
from api.interceptors import Door
from api.server import AddressUnavailable, GrpcServer, PlaintextRefused, Tls
from api.services.journal import journal_services
from tests.builders import NOW, WALLET
from tests.fix_api import Api
from tests.wire import transfer


def another_server(api: Api) -> GrpcServer:
    door = Door(Authenticator(api.keys.authenticate, monotonic=api.clock.monotonic), monotonic=api.clock.monotonic)
    return GrpcServer(journal_services(api.core), door=door)


async def test_health_is_told_without_a_key(api: Api) -> None:
    nobody = await api.client(None)
    health = health_pb2_grpc.HealthStub(nobody.channel)

    statuses = [
        (await health.Check(health_pb2.HealthCheckRequest(service=name))).status
        for name in ("", "daftari.v1.JournalCommandService", "daftari.v1.JournalQueryService")
    ]

    assert statuses == [health_pb2.HealthCheckResponse.SERVING] * 3


async def test_a_connection_with_256_calls_in_flight_is_not_cut_off(api: Api) -> None:
    nobody = await api.client(None)
    health, calls = health_pb2_grpc.HealthStub(nobody.channel), iter(range(4_000))

    async def caller() -> None:
        for _ in calls:
            await health.Check(health_pb2.HealthCheckRequest())

    await asyncio.gather(*(caller() for _ in range(256)))


async def test_reflection_lists_the_services_without_a_key(api: Api) -> None:
    nobody = await api.client(None)
    reflection = reflection_pb2_grpc.ServerReflectionStub(nobody.channel)

    async def requests() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    (answer,) = [one async for one in reflection.ServerReflectionInfo(requests())]

    assert {service.name for service in answer.list_services_response.service} == {
        "daftari.v1.JournalCommandService",
        "daftari.v1.JournalQueryService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


async def test_a_method_nobody_serves_is_unimplemented(api: Api) -> None:
    nobody = await api.client(None)
    path = "/daftari.v1.JournalQueryService/NoSuchMethod"
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = nobody.channel.unary_unary(path)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"")

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "", "nonsense"])
async def test_plaintext_beyond_this_machine_is_refused(api: Api, address: str) -> None:
    server = another_server(api)

    with pytest.raises(PlaintextRefused, match="TLS"):
        await server.start(address, tls=None)

    await server.stop(grace_seconds=0)


async def test_a_taken_port_is_not_shared(api: Api) -> None:
    server = another_server(api)

    with pytest.raises(AddressUnavailable, match="cannot listen"):
        await server.start(f"127.0.0.1:{api.port}", tls=None)

    await server.stop(grace_seconds=0)


def self_signed() -> Tls:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=3650))
        .not_valid_after(NOW + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Tls(certificate_chain=certificate.public_bytes(serialization.Encoding.PEM), private_key=private_key)


async def test_with_a_certificate_the_server_speaks_tls(api: Api) -> None:
    tls = self_signed()
    server = another_server(api)
    port = await server.start("127.0.0.1:0", tls=tls)
    credentials = grpc.ssl_channel_credentials(tls.certificate_chain)
    options = (("grpc.ssl_target_name_override", "localhost"),)

    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    await server.stop(grace_seconds=0)

    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert "PRIVATE" not in repr(tls)


async def posted(api: Api, request: pb.PostEntryRequest) -> pb.JournalEntry:
    return (await api.commands.PostEntry(request)).entry


async def test_a_stopping_server_lets_an_entry_under_way_finish(api: Api) -> None:
    request = pb.PostEntryRequest(ledger=api.ledger, request_id="1", entry=transfer(5))

    async with api.held(WALLET):
        under_way = asyncio.ensure_future(posted(api, request))
        await api.until_somebody_waits()
        stopping = asyncio.create_task(api.server.stop(grace_seconds=30))
        await asyncio.sleep(0.1)
        stopped_early = stopping.done()
    entry = await under_way
    await stopping

    assert not stopped_early
    assert entry.postings[1].balance_after_minor_units == 5
