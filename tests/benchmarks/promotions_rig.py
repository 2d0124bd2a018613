"""What the benchmark of promotions runs on: books in RWF, the simulated wallet, each role of the service and USSD
gateways as processes of their own, and batches of codes made over gRPC."""

from __future__ import annotations

import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import grpc.aio
import httpx
from daftari.v1 import journal_pb2, money_pb2
from daftari.v1 import promotions_pb2 as pb
from daftari.v1.journal_pb2_grpc import JournalCommandServiceStub
from daftari.v1.promotions_pb2_grpc import PromotionCommandServiceStub
from pydantic import SecretStr
from sqlalchemy import text

from adapters.sandbox.momo.settings import MomoSandboxSettings
from api.administration import create_key, create_partner, open_books
from api.conversion.times import timestamp_of
from api.permissions import Permission
from api.settings import Settings
from api.wiring import Application, open_application
from ledger.database import transaction
from ledger.embedded_directory import reachable_directory
from ledger.journal.books import Ledger
from tests.benchmarks import machine
from tests.benchmarks.machine import machine_facts, server_facts
from tests.benchmarks.processes import daftari, own_directory, serving
from tests.ledger.payouts.agreement import disagreements
from tests.ledger.payouts.shop import SECRET

LEDGER, PARTNER, CAMPAIGN, CURRENCY, FACE = "kigali", "brewery", "caps", "RWF", 500
PATH_SECRET = "5e" * 32
SANDBOX, POSTGRESQL, CLIENT, GATEWAY = "sandbox", "PostgreSQL", "client", "ussd"
PARTS = (GATEWAY, "grpc", "http", "worker", SANDBOX, POSTGRESQL, CLIENT)
MOMO = MomoSandboxSettings()
CALL_SECONDS_MAX = 900.0

_COUNTS = text("""
SELECT count(*) AS redeemed, count(*) FILTER (WHERE r.state = 'PAID') AS paid,
    count(DISTINCT (r.batch_id, r.number)) AS codes, count(DISTINCT r.payout_id) AS payouts
FROM promo_redemptions AS r WHERE r.ledger_id = :ledger
""")
_SIZE = text("SELECT pg_total_relation_size('promo_codes') + pg_total_relation_size('promo_sheets')")


@dataclass(frozen=True, slots=True)
class Counts:
    """Redemptions, those paid, and the codes and payouts they are of: all equal once everything is paid."""

    redeemed: int
    paid: int
    codes: int
    payouts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRig:
    """The running parts. `gateways` are the addresses that a telco posts to, each before a core of its own."""

    application: Application
    ledger: Ledger
    core: grpc.aio.Channel
    sandbox_url: str
    processes: Mapping[str, Process]
    facts: Mapping[str, str]
    gateways: Sequence[str] = ()
    key: str = field(repr=False)
    settings: Mapping[str, str] = field(repr=False)

    @property
    def _metadata(self) -> Sequence[tuple[str, str]]:
        return (("authorization", f"Bearer {self.key}"),)

    @property
    def commands(self) -> Any:
        """Promotions over gRPC."""
        return PromotionCommandServiceStub(self.core)

    async def call(self, method: Any, request: Any) -> Any:
        """One call with the operator's key."""
        return await method(request, metadata=self._metadata, timeout=CALL_SECONDS_MAX)

    def stream(self, method: Any, request: Any) -> Any:
        """A call that is answered by many messages."""
        return method(request, metadata=self._metadata, timeout=CALL_SECONDS_MAX)

    async def draft(self, code: str, *, count: int, lasting: timedelta) -> str:
        """A batch without codes; its id."""
        request = pb.CreateBatchRequest(
            ledger=LEDGER,
            request_id=code,
            code=code,
            campaign=CAMPAIGN,
            amount=money_pb2.Money(currency=CURRENCY, minor_units=FACE),
            count=count,
            funding=pb.Batch.FUNDING_BUDGET,
            partner=PARTNER,
            expire_time=timestamp_of(self.application.now() + lasting),
        )
        return str((await self.call(self.commands.CreateBatch, request)).batch.id)

    async def activate(self, batch_id: str) -> None:
        """Its codes are worth their money from now on."""
        request = pb.ActivateBatchRequest(ledger=LEDGER, request_id=f"on-{batch_id}", batch_id=batch_id)
        await self.call(self.commands.ActivateBatch, request)

    async def printed(self, batch_id: str) -> list[str]:
        """All codes of a batch."""
        request = pb.ExportCodesRequest(ledger=LEDGER, request_id=f"x-{batch_id}", batch_id=batch_id, reason="printer")
        return [code.code async for part in self.stream(self.commands.ExportCodes, request) for code in part.codes]

    async def active(self, code: str, *, count: int) -> list[str]:
        """The codes of a batch that is active."""
        batch_id = await self.draft(code, count=count, lasting=timedelta(days=30))
        async for _ in self.stream(
            self.commands.GenerateCodes, pb.GenerateCodesRequest(ledger=LEDGER, batch_id=batch_id)
        ):
            pass
        codes = await self.printed(batch_id)
        await self.activate(batch_id)
        return codes

    async def counts(self) -> Counts:
        """What was redeemed and paid so far."""
        async with transaction(self.application.engine) as connection:
            row = (await connection.execute(_COUNTS, {"ledger": self.ledger.id})).one()
        return Counts(row.redeemed, row.paid, row.codes, row.payouts)

    async def size(self) -> int:
        """Bytes of codes and sheets, with their indexes."""
        async with transaction(self.application.engine) as connection:
            return int((await connection.execute(_SIZE)).scalar_one())

    async def transfers(self) -> int:
        """How many transfers the wallet itself has made."""
        async with httpx.AsyncClient(base_url=self.sandbox_url, trust_env=False, timeout=30) as http:
            truth = (await http.get("/sandbox/momo/truth")).raise_for_status().json()
        return int(truth["transactions_total"])

    async def agrees(self) -> bool:
        """Whether payouts and entries agree."""
        return await disagreements(self.application.engine, ledger_id=self.ledger.id) == []

    def processor_seconds(self) -> Mapping[str, float]:
        """What each part has used so far; the processes of one role together."""
        directory = reachable_directory(self.application.settings.data_directory / "postgres")
        postmaster = int((directory / "cluster" / "postmaster.pid").read_text().split()[0])
        used = dict.fromkeys(PARTS, 0.0)
        for name, process in self.processes.items():
            used[name.partition("-")[0]] += machine.processor_seconds(process.pid)
        used[POSTGRESQL], used[CLIENT] = machine.processor_seconds_of_children(postmaster), time.process_time()
        return used


@asynccontextmanager
async def open_promotion_rig() -> AsyncIterator[PromotionRig]:
    """Books, a wallet and one core; no worker yet, so that nothing is done by the clock."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(own_directory())
        settings = Settings(database_url=None, data_directory=directory, secret=SecretStr(SECRET.hex()))
        application = await stack.enter_async_context(open_application(settings, name="benchmarks"))
        facts = {**machine_facts(directory), **await server_facts(application.engine)}
        ledger, key = await _open_books(application)
        command = ("sandbox", "--listen", "127.0.0.1:0")
        sandbox, line = await stack.enter_async_context(daftari(command, settings={}, told_by="Daftari sandbox"))
        given = {
            "data_directory": str(directory),
            "secret": SECRET.hex(),
            "grpc_listen": "127.0.0.1:0",
            "http_listen": "127.0.0.1:0",
            "momo_base_url": line.split()[-1],
            "momo_target_environment": MOMO.target_environment,
            "momo_wallet": MOMO.wallet,
            "balance_query_seconds": "0",
        }
        server, address = await stack.enter_async_context(serving("grpc", settings=given, told_by="gRPC"))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        await channel.channel_ready()
        rig = PromotionRig(
            application=application,
            ledger=ledger,
            core=channel,
            sandbox_url=given["momo_base_url"],
            processes={"grpc": server, SANDBOX: sandbox},
            facts=facts,
            key=key,
            settings={**given, "core": address},
        )
        await _prepare(rig)
        yield rig


async def _open_books(application: Application) -> tuple[Ledger, str]:
    """The books, and a key that may do everything."""
    place = {"code": LEDGER, "name": "Kigali", "currency": CURRENCY, "zone": "Africa/Kigali"}
    ledger, _ = await open_books(application, **place, shortcodes=[("momo", MOMO.wallet)])
    await create_partner(application, ledger_code=LEDGER, code=PARTNER, name="Brewery", currency=CURRENCY, fee="0")
    key = await create_key(application, name="people", ledger_code="", partner_code="", permissions=None, days=1)
    return ledger, key


async def _prepare(rig: PromotionRig) -> None:
    """The float as the wallet has it, and a campaign."""
    lines = [
        (f"asset.float.momo.{MOMO.wallet}.disbursement", journal_pb2.SIDE_DEBIT),
        ("equity.opening", journal_pb2.SIDE_CREDIT),
    ]
    amount = money_pb2.Money(currency=CURRENCY, minor_units=MOMO.opening_disbursement)
    postings = [journal_pb2.Posting(account=account, side=side, amount=amount) for account, side in lines]
    draft = journal_pb2.EntryDraft(kind="opening.equity", postings=postings)
    entry = journal_pb2.PostEntryRequest(ledger=LEDGER, request_id="opening", entry=draft)
    await rig.call(JournalCommandServiceStub(rig.core).PostEntry, entry)
    campaign = pb.CreateCampaignRequest(
        ledger=LEDGER, request_id="campaign", campaign=pb.Campaign(code=CAMPAIGN, name="Crown caps")
    )
    await rig.call(rig.commands.CreateCampaign, campaign)


@asynccontextmanager
async def lively(rig: PromotionRig, *, gateways: int) -> AsyncIterator[PromotionRig]:
    """With the callback edge, a worker, and so many USSD gateways, each before a core of its own."""
    async with AsyncExitStack() as stack:
        given, processes = dict(rig.settings), dict(rig.processes)
        cores = [given.pop("core")]
        processes["http"], public_url = await stack.enter_async_context(
            serving("http", settings=given, told_by="callbacks")
        )
        for number in range(1, gateways):
            server, address = await stack.enter_async_context(serving("grpc", settings=given, told_by="gRPC"))
            processes[f"grpc-{number}"] = server
            cores.append(address)
        working = {**given, "public_url": public_url, **_credentials()}
        processes["worker"], _ = await stack.enter_async_context(
            serving("worker", settings=working, told_by="database")
        )
        key = await create_key(
            rig.application, name="gateway", ledger_code=LEDGER, partner_code="",
            permissions=[Permission.PROMOTIONS_REDEEM], days=1,
        )  # fmt: skip
        urls = []
        for number, core in enumerate(cores):
            own = {"listen": "127.0.0.1:0", "path_secret": PATH_SECRET, "core": core, "key": key, "ledger": LEDGER}
            named = {f"ussd_{name}": value for name, value in own.items()}
            gateway, line = await stack.enter_async_context(daftari(("ussd",), settings=named, told_by="USSD"))
            processes[f"{GATEWAY}-{number}"] = gateway
            urls.append(line.split()[1].partition("/ussd/")[0])
        yield replace(rig, processes=processes, gateways=urls)


def _credentials() -> dict[str, str]:
    return {
        "momo_disbursement_subscription_key": MOMO.subscription_keys["disbursement"],
        "momo_disbursement_credential": MOMO.credential,
    }
