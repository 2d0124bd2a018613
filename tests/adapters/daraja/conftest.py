"""A certificate like Safaricom's, settings that use it, a scripted server, and a rail that talks to it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from adapters.daraja.client import DarajaRail, open_rail
from adapters.daraja.collections import DarajaCollections
from adapters.daraja.credentials import DarajaSettings
from adapters.daraja.session import DarajaSession, open_session
from adapters.transport import HttpLimits, Secret
from tests.adapters.daraja.collecting import NOW, PASSKEY
from tests.adapters.daraja.scripted_server import ScriptedServer

# For answers that never come; every other test waits as long as a busy machine may need.
HASTY = HttpLimits(read_seconds=0.5)


@pytest.fixture(scope="session")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@pytest.fixture(scope="session")
def expired_certificate(private_key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "apigee.example")])
    builder = x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=private_key.public_key())
    return (
        builder.serial_number(7)
        .not_valid_before(datetime(2017, 4, 25, tzinfo=UTC))
        .not_valid_after(datetime(2018, 4, 25, tzinfo=UTC))
        .sign(private_key, hashes.SHA256())
    )


@pytest.fixture(scope="session")
def certificate_pem(expired_certificate: x509.Certificate) -> bytes:
    return expired_certificate.public_bytes(Encoding.PEM)


@pytest.fixture
def settings(certificate_pem: bytes) -> DarajaSettings:
    return settings_for("http://127.0.0.1:9", certificate_pem)


def settings_for(base_url: str, certificate: bytes) -> DarajaSettings:
    return DarajaSettings(
        base_url=base_url,
        consumer_key=Secret("consumer-key"),
        consumer_secret=Secret("consumer-secret"),
        initiator_name="daftari_api",
        initiator_password=Secret("Safaricom999!*!"),
        certificate=certificate,
        shortcode="600584",
    )


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    await server.close()


@pytest.fixture
async def base_url(server: ScriptedServer) -> str:
    return await server.start()


@pytest.fixture
async def rail(base_url: str, certificate_pem: bytes) -> AsyncIterator[DarajaRail]:
    rail = open_rail(settings_for(base_url, certificate_pem), monotonic=time.monotonic)
    yield rail
    await rail.close()


@pytest.fixture
async def session(base_url: str, certificate_pem: bytes) -> AsyncIterator[DarajaSession]:
    """With a passkey."""
    settings = dataclasses.replace(settings_for(base_url, certificate_pem), passkey=PASSKEY)
    session = open_session(settings, monotonic=time.monotonic)
    yield session
    await session.close()


@pytest.fixture
def collections(session: DarajaSession) -> DarajaCollections:
    return DarajaCollections(session, now=lambda: NOW)


@pytest.fixture
async def open_rail_at(certificate_pem: bytes) -> AsyncIterator[Callable[[str, HttpLimits], DarajaRail]]:
    """For tests that need an address or limits of their own."""
    rails: list[DarajaRail] = []

    def open_at(url: str, limits: HttpLimits) -> DarajaRail:
        rails.append(open_rail(settings_for(url, certificate_pem), monotonic=time.monotonic, limits=limits))
        return rails[-1]

    yield open_at
    for rail in rails:
        await rail.close()
