"""What lives through whole lives: a partner with a receiver, the sandbox and each role of the service as processes of
their own, and payouts that a provider of ours took in, for whom it may be called back at will."""

from __future__ import annotations

import secrets
import time
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import grpc.aio
import httpx
from pydantic import SecretStr
from sqlalchemy import TextClause, text

from adapters.daraja.declared import DeclaredDaraja
from adapters.dispatch import Dispatcher, DispatchSettings, fresh_token
from adapters.provider import BalanceAnswer, CallbackUrls
from adapters.sandbox.control import CONTROL_PREFIX
from adapters.sandbox.settings import SandboxSettings
from adapters.submission import Submission
from api.administration import create_key
from api.settings import Settings
from api.wiring import Application, open_application
from ledger.database import transaction
from ledger.embedded_directory import reachable_directory
from ledger.outbox import queue
from ledger.outbox.instruction import (
    Acknowledged,
    Answer,
    NotSent,
    PayoutInquiry,
    PayoutInstruction,
    QueryAnswer,
    Rejected,
)
from tests.benchmarks import machine
from tests.benchmarks.machine import machine_facts, server_facts
from tests.benchmarks.partners import PREFUNDED_MINOR_UNITS, Partner, RunningClock
from tests.benchmarks.processes import daftari, own_directory, serving
from tests.ledger.payouts.shop import SECRET, Shop, open_shop

RAIL, SHORTCODE, SHILLINGS = "daraja", "600584", 10
SANDBOX, POSTGRESQL, CLIENT = "sandbox", "PostgreSQL", "client"
ROLES = ("grpc", "http", "worker")
PARTS = (*ROLES, SANDBOX, POSTGRESQL, CLIENT)
STOCKED_AT_ONCE = 500
# What an operator with such a partner sets: the shipped figures spare a provider and receivers of unknown strength.
BUSY = {"worker_calls_max": "128", "webhook_endpoint_calls_max": "64", "webhook_calls_max": "128"}

_OPEN = text("SELECT count(*) FROM payouts WHERE ledger_id = :ledger AND state <> 'SETTLED'")
_SETTLED = text("SELECT count(*) FROM payouts WHERE ledger_id = :ledger AND state = 'SETTLED'")
_UNJUDGED = text("SELECT EXISTS (SELECT FROM inbox WHERE judged_at IS NULL)")


class Collector(DeclaredDaraja):
    """A rail that takes every payout in and keeps where to call back: the provider's side of the callbacks."""

    def __init__(self) -> None:
        self.taken: deque[tuple[str, CallbackUrls]] = deque()

    @property
    def platform(self) -> str:
        """There is one."""
        return "collector"

    async def check_payee(self, instruction: PayoutInstruction) -> Rejected | None:
        """Everybody may be paid."""
        return None

    async def submit_payout(self, instruction: PayoutInstruction, callback_urls: CallbackUrls) -> Answer:
        """Taken in."""
        self.taken.append((instruction.provider_reference, callback_urls))
        return Acknowledged((("daraja.conversation_id", f"AG_{instruction.provider_reference}"),))

    async def query_payout(self, inquiry: PayoutInquiry, callback_urls: CallbackUrls) -> QueryAnswer:
        """Nobody asks."""
        return NotSent("the collector answers no questions")

    async def query_balance(self, shortcode: str, callback_urls: CallbackUrls) -> BalanceAnswer:
        """Nobody asks."""
        return NotSent("the collector answers no questions")

    async def close(self) -> None:
        """Holds nothing open."""


@dataclass(slots=True)
class Stock:
    """Payouts of a ledger of their own that were taken in and await their results."""

    application: Application
    shop: Shop
    collector: Collector = field(default_factory=Collector)

    async def fill(self, count: int) -> None:
        """So many payouts submitted. No other worker may run meanwhile."""
        application = self.application
        submission = Submission(
            rails={RAIL: self.collector},
            party_keys=application.party_keys,
            recorder=application.recorder,
            now=application.now,
        )
        settings = DispatchSettings(
            public_url="http://127.0.0.1:9", lease=timedelta(minutes=10), calls_max=STOCKED_AT_ONCE, rails=(RAIL,)
        )
        dispatcher = Dispatcher(
            engine=application.engine,
            errands={queue.SUBMIT: submission},
            ids=application.ids,
            tokens=fresh_token,
            now=application.now,
            settings=settings,
        )
        for _ in range(0, count, STOCKED_AT_ONCE):
            await self.shop.request_many(STOCKED_AT_ONCE, shillings=SHILLINGS)
        while await dispatcher.step():
            pass

    async def settled(self) -> int:
        """How many have ended."""
        return await _number(self.application, _SETTLED, self.shop)

    async def all_judged(self) -> bool:
        """Whether no callback awaits its judgement."""
        async with transaction(self.application.engine) as connection:
            return not (await connection.execute(_UNJUDGED)).scalar_one()


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeRig:
    """The running parts."""

    application: Application
    partner: Partner
    stock: Stock
    channel: grpc.aio.Channel
    sandbox_url: str
    edge_url: str
    processes: Mapping[str, Process]
    facts: Mapping[str, str]
    key: str = field(repr=False)

    def processor_seconds(self) -> Mapping[str, float]:
        """What each part has used so far."""
        directory = reachable_directory(self.application.settings.data_directory / "postgres")
        postmaster = int((directory / "cluster" / "postmaster.pid").read_text().split()[0])
        return {
            **{name: machine.processor_seconds(process.pid) for name, process in self.processes.items()},
            POSTGRESQL: machine.processor_seconds_of_children(postmaster),
            CLIENT: time.process_time(),
        }

    async def unsettled(self) -> int:
        """The partner's payouts that have not ended, or ended otherwise."""
        return await _number(self.application, _OPEN, self.partner.shop)

    async def paid(self) -> int:
        """How many payouts the provider's own books show."""
        async with httpx.AsyncClient(base_url=self.sandbox_url, trust_env=False, timeout=30) as http:
            truth = (await http.get(f"{CONTROL_PREFIX}/truth", params={"limit": 1})).raise_for_status().json()
        return int(truth["movements_total"])


async def _number(application: Application, query: TextClause, shop: Shop) -> int:
    async with transaction(application.engine) as connection:
        return int((await connection.execute(query, {"ledger": shop.ledger.id})).scalar_one())


@asynccontextmanager
async def open_life_rig(*, receiver_url: str, stocked: int) -> AsyncIterator[LifeRig]:
    """Everything started, with so many payouts in stock. At the end the books must agree with the payouts."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(own_directory())
        given = {
            "data_directory": str(directory),
            "secret": SECRET.hex(),
            "grpc_listen": "127.0.0.1:0",
            "http_listen": "127.0.0.1:0",
        }
        settings = Settings(database_url=None, data_directory=directory, secret=SecretStr(SECRET.hex()))
        application = await stack.enter_async_context(open_application(settings, name="benchmarks"))
        facts = {**machine_facts(directory), **await server_facts(application.engine)}
        shop, stock_shop = [
            await stack.enter_async_context(
                open_shop(application.engine, clock=RunningClock(), prefunded=PREFUNDED_MINOR_UNITS)
            )
            for _ in range(2)
        ]
        partner, stock = Partner(application, shop), Stock(application, stock_shop)
        await partner.open_endpoint(f"{receiver_url}/hooks")
        await stock.fill(stocked)
        key = await create_key(
            application, name="life", ledger_code=shop.ledger.code, partner_code="shop", permissions=None, days=1
        )
        processes, rail, address = await _start(stack, directory, given)
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        await channel.channel_ready()  # by then it knows how many calls may be under way
        yield LifeRig(
            application=application,
            partner=partner,
            stock=stock,
            channel=channel,
            sandbox_url=rail["daraja_base_url"],
            edge_url=rail["public_url"],
            processes=processes,
            facts=facts,
            key=key,
        )


async def _start(
    stack: AsyncExitStack, directory: Path, given: Mapping[str, str]
) -> tuple[dict[str, Process], dict[str, str], str]:
    """The processes by name, the settings they share, and where the grpc role listens."""
    command = ("sandbox", "--listen", "127.0.0.1:0")
    sandbox, line = await stack.enter_async_context(daftari(command, settings={}, told_by="Daftari sandbox"))
    rail = dict(given) | await _rail_settings(line.split()[-1], directory)
    edge, rail["public_url"] = await stack.enter_async_context(serving("http", settings=rail, told_by="callbacks"))
    grpc_server, address = await stack.enter_async_context(serving("grpc", settings=rail, told_by="gRPC"))
    worker_settings = rail | _credentials() | BUSY
    worker, _ = await stack.enter_async_context(serving("worker", settings=worker_settings, told_by="database"))
    return {"grpc": grpc_server, "http": edge, "worker": worker, SANDBOX: sandbox}, rail, address


async def _rail_settings(sandbox_url: str, directory: Path) -> dict[str, str]:
    async with httpx.AsyncClient(base_url=sandbox_url, trust_env=False, timeout=30) as http:
        answer = (await http.get(f"{CONTROL_PREFIX}/certificate")).raise_for_status()
    certificate = directory / "certificate.pem"
    certificate.write_text(answer.text)
    return {
        "daraja_base_url": sandbox_url,
        "daraja_certificate": str(certificate),
        "daraja_shortcode": SHORTCODE,
        "balance_query_seconds": "0",
        "webhook_allow_loopback": "true",
    }


def _credentials() -> dict[str, str]:
    sandbox = SandboxSettings()
    return {
        "daraja_consumer_key": sandbox.consumer_key,
        "daraja_consumer_secret": sandbox.consumer_secret,
        "daraja_initiator_name": sandbox.initiator_name,
        "daraja_initiator_password": sandbox.initiator_password,
    }


def fresh_reference() -> str:
    """A partner's reference for one payout."""
    return f"order-{secrets.token_hex(8)}"
