"""`daftari serve`: runs the service until interrupted, alone or with the sandbox rail and demonstration books."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import typer
import uvloop

from api import logs
from api.roles import ALL_ROLES, Role
from api.serving import Addresses, Service
from api.settings import Settings
from api.staging import LEDGER, WALLET_LEDGER, Stage, open_stage
from api.tables import console
from api.wiring import open_application


def serve(
    role: Annotated[list[Role] | None, typer.Option(help="Repeatable; all roles if none is named")] = None,
    with_sandbox: Annotated[
        bool, typer.Option("--sandbox", help="With the simulated rail and demonstration books")
    ] = False,
) -> None:
    """Serves gRPC, the callback edge and the worker until SIGINT or SIGTERM."""
    settings = Settings()
    logs.configure(settings.log_level)
    uvloop.run(_serve_stage(settings) if with_sandbox else _serve(settings, role or list(ALL_ROLES)))


async def _serve(settings: Settings, roles: Sequence[Role]) -> None:
    async with stop_signal() as stopped, open_application(settings, name="serve", roles=roles) as application:
        service = Service(application, roles=roles)
        addresses = await service.start()
        spare_the_collector()
        _announce(addresses, application.profile.description)
        await stopped.wait()
        await service.stop()


async def _serve_stage(settings: Settings) -> None:
    async with (
        stop_signal() as stopped,
        open_stage(settings, certificate_directory=settings.data_directory) as stage,
    ):
        _announce(stage.addresses, stage.application.profile.description)
        _invite(stage)
        await stopped.wait()


def spare_the_collector() -> None:
    """What is loaded now stays, so it need not be looked through again and again; what calls make dies by its reference
    count, so cycles may wait. Measured: a tenth to a quarter of the service's time, and half of its slowest answers."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@asynccontextmanager
async def stop_signal() -> AsyncIterator[asyncio.Event]:
    """An event that SIGINT or SIGTERM sets."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _announce(addresses: Addresses, database: str) -> None:
    out = console()
    out.print(f"database   {database}", soft_wrap=True)
    if addresses.grpc is not None:
        out.print(f"gRPC       {addresses.grpc}  (health and reflection are open)")
    if addresses.http is not None:
        out.print(f"callbacks  {addresses.http}  (GET /healthz)")


def _invite(stage: Stage) -> None:
    address = stage.addresses.grpc
    draft = (
        '{"request_id": "try-1", "partner_reference": "order-1", "msisdn": "254700000000",'
        ' "amount": {"currency": "KES", "minor_units": 150000}}'
    )
    wallet_draft = (
        '{"request_id": "try-1", "partner_reference": "order-1", "msisdn": "250781234567",'
        ' "amount": {"currency": "RWF", "minor_units": 1500}}'
    )
    lines = [
        f"sandbox    {stage.sandbox_url}  (magic numbers: GET /sandbox/magic)",
        "",
        "Keys of this demonstration, good for a day:",
        f"  operator  {stage.operator_key}",
        f"  partner   {stage.partner_key}",
        "",
        "Try a payout of KES 1,500:",
        f"  grpcurl -plaintext -H 'authorization: Bearer {stage.partner_key}' \\",
        f'    -d \'{{"ledger": "{LEDGER}", "payout": {draft}}}\' \\',
        f"    {address} daftari.v1.PayoutCommandService/RequestPayout",
        "",
        "and see what became of it:",
        f"  grpcurl -plaintext -H 'authorization: Bearer {stage.partner_key}' \\",
        f'    -d \'{{"ledger": "{LEDGER}", "partner_reference": "order-1"}}\' \\',
        f"    {address} daftari.v1.PayoutQueryService/GetPayout",
        "",
        f"The same over MTN MoMo, of RWF 1,500, from the books {WALLET_LEDGER} (numbers: GET /sandbox/momo/magic):",
        f"  grpcurl -plaintext -H 'authorization: Bearer {stage.wallet_partner_key}' \\",
        f'    -d \'{{"ledger": "{WALLET_LEDGER}", "payout": {wallet_draft}}}\' \\',
        f"    {address} daftari.v1.PayoutCommandService/RequestPayout",
    ]
    out = console()
    for line in lines:
        out.print(line, soft_wrap=True, markup=False)
