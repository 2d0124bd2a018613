"""A scripted server in MoMo's place, and a wallet's session that talks to it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from adapters.momo.client import MomoRail
from adapters.momo.collections import MomoCollections
from adapters.momo.credentials import ConstantSecrets, MomoAccess, MomoSecrets
from adapters.momo.session import MomoSession
from adapters.transport import HttpLimits, Secret
from tests.adapters.daraja.scripted_server import ScriptedServer, reply
from tests.adapters.momo.examples import ENVIRONMENT, NOW, WALLET, example

SECRETS = MomoSecrets(
    disbursement_subscription_key=Secret("disbursement-subscription"),
    disbursement_credential=Secret("api-user:api-key"),
    collection_subscription_key=Secret("collection-subscription"),
    collection_credential=Secret("collector:its-key"),
    old_disbursement_credential=Secret("old-user:old-key"),
)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    await server.start()
    for product in ("disbursement", "collection"):
        server.on(f"/{product}/token/", reply(200, example("token_response_200").body))
    yield server
    await server.close()


@pytest.fixture
async def old_server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    await server.start()
    server.on("/disbursement/token/", reply(200, b'{"access_token":"old-token","expires_in":3600}'))
    yield server
    await server.close()


@pytest.fixture
async def session(server: ScriptedServer, old_server: ScriptedServer) -> AsyncIterator[MomoSession]:
    access = MomoAccess(base_url=server.url, target_environment=ENVIRONMENT, wallet=WALLET, old_base_url=old_server.url)
    session = MomoSession(
        access,
        secrets=ConstantSecrets(SECRETS),
        monotonic=time.monotonic,
        limits=HttpLimits(read_seconds=2.0),
    )
    yield session
    await session.close()


@pytest.fixture
def rail(session: MomoSession) -> MomoRail:
    return MomoRail(session, now=lambda: NOW)


@pytest.fixture
def collections(session: MomoSession) -> MomoCollections:
    return MomoCollections(session, now=lambda: NOW)
