"""Provider credentials from an operator's call to the rail: written by one process, opened by another, rotated
meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from daftari.v1 import vault_pb2 as pb
from daftari.v1.payouts_pb2_grpc import PayoutCommandServiceStub
from daftari.v1.vault_pb2_grpc import VaultCommandServiceStub

from adapters.sandbox.settings import SandboxSettings
from adapters.vaulted import DARAJA_NAMES
from ledger.vault_keys import PrivateKey
from tests.fix_database import Database
from tests.journeys.processes import SECONDS_MAX, daftari, running
from tests.journeys.scene import LEDGER, Scene, open_scene
from tests.journeys.traffic import payout_request
from tests.wire import refusal

OLD, NEW = bytes(range(1, 33)), bytes(range(32, 64))
WRITING = {"daraja_secrets": "vault", "vault_public_key": PrivateKey(OLD).public.text}
WRITING_NEW = {"daraja_secrets": "vault", "vault_public_key": PrivateKey(NEW).public.text}
BOTH = {"vault_key": NEW.hex(), "vault_key_old": OLD.hex()}
# Nothing of the environment: all that these workers know of the provider's secrets is the key that opens the vault.
NO_SECRETS = {"daraja_secrets": "vault"} | {f"daraja_{name}": "" for name in DARAJA_NAMES}
# However busy the machine is: no call and no result of these payouts may count as late.
PATIENCE = {"rail_timeout_seconds": "30", "result_deadline_seconds": "900"}
MSISDN = "254700000000"


@pytest.fixture
async def scene(fresh_database: Database, tmp_path: Path) -> AsyncIterator[Scene]:
    """Books, keys and a rail; no process yet."""
    async with open_scene(fresh_database, files=tmp_path, seed=20260901) as opened:
        yield opened


async def test_secrets_written_over_grpc_pay_and_are_rotated_while_payouts_go_on(scene: Scene) -> None:
    clients = scene.payout_clients(clients=4, seed=7, msisdns=[MSISDN])
    writer, edge = scene.service("grpc", **WRITING), scene.service("http")
    worker = scene.service("worker", **NO_SECRETS, **PATIENCE, **BOTH)

    async with running(writer, edge, worker):
        await write_secrets(scene, "first")
        async with clients.calling():
            await clients.progress(20)
            rotated = await asyncio.to_thread(daftari, "vault", "rotate", settings=dict(scene.settings) | BOTH)
            await clients.progress(20)
        await scene.until_quiet()
        outdated = await refusal(put(scene, "late", DARAJA_NAMES[0]))

    assert rotated.out.splitlines()[0] == "3 wrapped anew, 0 left"
    assert (outdated.code, outdated.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "VAULT_KEY_UNUSABLE")
    assert {one.state.value for one in await scene.payouts()} == {"SETTLED"}
    await check_new_key_alone(scene)


async def check_new_key_alone(scene: Scene) -> None:
    """With the old key destroyed, the rotated secrets pay, and so does one that is written now."""
    roles = [
        scene.service("grpc", **WRITING_NEW),
        scene.service("http"),
        scene.service("worker", **NO_SECRETS, **PATIENCE, vault_key=NEW.hex()),
    ]
    async with running(*roles):
        await put(scene, "second", DARAJA_NAMES[0])
        async with scene.channel(scene.partner_key) as channel:
            request = payout_request(LEDGER, "afterwards", msisdn=MSISDN, shillings=100)
            await PayoutCommandServiceStub(channel).RequestPayout(request, timeout=SECONDS_MAX)
        await scene.until_quiet()

    states = {one.partner_reference: one.state.value for one in await scene.payouts()}
    assert states["afterwards"] == "SETTLED"
    opened = dict(
        await scene.pairs("SELECT name, max(version) FROM vault_openings WHERE ledger_id = :ledger GROUP BY 1")
    )
    assert opened == {place(name): 2 if name == DARAJA_NAMES[0] else 1 for name in DARAJA_NAMES}


async def write_secrets(scene: Scene, request_id: str) -> None:
    """The rail's three."""
    for name in DARAJA_NAMES:
        await put(scene, f"{request_id}-{name}", name)


async def put(scene: Scene, request_id: str, name: str) -> pb.PutSecretResponse:
    """Writes one of the rail's secrets as the operator."""
    secret = str(getattr(SandboxSettings(), name))
    request = pb.PutSecretRequest(ledger=LEDGER, request_id=request_id, name=place(name), secret=secret.encode())
    async with scene.channel(scene.operator_key) as channel:
        return await VaultCommandServiceStub(channel).PutSecret(request, timeout=SECONDS_MAX)


def place(name: str) -> str:
    """Its name in the vault."""
    return f"daraja/{SandboxSettings().shortcode}/{name}"
