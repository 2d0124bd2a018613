"""Books, keys and a rail for `daftari` processes to work on, and how to see what became of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc.aio
import httpx
from pydantic import SecretStr
from sqlalchemy import text

from adapters.sandbox.control import CONTROL_PREFIX
from adapters.sandbox.server import SandboxServer
from adapters.sandbox.settings import SandboxSettings
from adapters.sandbox.world import Movement
from api.administration import create_key, create_partner, open_books
from api.credentials import WORKERS_ALONE
from api.roles import Role
from api.settings import Settings
from api.wiring import Application, open_application
from ledger.database import transaction
from ledger.journal.books import Ledger
from ledger.payouts import queries
from ledger.payouts.queries import Payout
from tests.builders import Books, transfer
from tests.fix_api import WithKey
from tests.fix_database import Database
from tests.journeys.processes import LongRunning, free_address
from tests.journeys.traffic import PayoutClients, PostingClients

LEDGER, PARTNER, RAIL = "kenya", "shop", "daraja"
PREFUNDED_MINOR_UNITS, FEE_MINOR_UNITS = 50_000_000, 1_000
CALLBACK_JITTER_SECONDS = 0.8
POLL_SECONDS = 0.02
WAIT_SECONDS_MAX = 60

# Short, so that what died is found and what stays silent is called unknown while a test waits.
_HASTE = {"lease_seconds": "2", "result_deadline_seconds": "1.5", "rail_timeout_seconds": "0.4"}
_SANDBOX = SandboxSettings(callback_delay_seconds=0.1, hang_seconds_max=10.0)
FLOAT_OPENING_MINOR_UNITS = _SANDBOX.opening_utility_cents
FLIGHT = f"{RAIL}.{_SANDBOX.shortcode}"
FLOAT_ACCOUNT = f"asset.float.{FLIGHT}.utility"
FUNDING_ACCOUNT = f"liab.partner_prefund.{PARTNER}"

_OPEN = "SELECT count(*) FROM payouts WHERE state IN ('RESERVED', 'SUBMITTING', 'SUBMITTED')"
_UNJUDGED = "SELECT count(*) FROM inbox WHERE judged_at IS NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One ledger on a database of its own, a prefunded partner, the sandbox, and the settings of processes that serve
    them, on the same addresses each time."""

    application: Application
    ledger: Ledger
    sandbox: SandboxServer
    settings: Mapping[str, str] = field(repr=False)
    operator_key: str = field(repr=False)
    partner_key: str = field(repr=False)
    files: Path

    @property
    def grpc_address(self) -> str:
        """Where the grpc role listens."""
        return self.settings["grpc_listen"]

    def service(self, *roles: str, **overrides: str) -> LongRunning:
        """A `daftari serve` process with these roles, all if none is named; not started yet."""
        arguments = [argument for role in roles for argument in ("--role", role)]
        is_worker = not roles or Role.WORKER.value in roles
        given = {name: value for name, value in self.settings.items() if is_worker or name not in WORKERS_ALONE}
        settings = {**given, **overrides}
        log = self.files / f"{'-'.join(roles) or 'all'}.log"
        return LongRunning("serve", *arguments, settings=settings, log=log, first_line="database")

    def posting_clients(self, *, clients: int, seed: int) -> PostingClients:
        """Clients with the operator's key."""
        address, key = self.grpc_address, self.operator_key
        return PostingClients(address=address, key=key, ledger=LEDGER, clients=clients, seed=seed)

    def payout_clients(self, *, clients: int, seed: int, msisdns: Sequence[str]) -> PayoutClients:
        """Clients with the partner's key."""
        address, key = self.grpc_address, self.partner_key
        return PayoutClients(address=address, key=key, ledger=LEDGER, clients=clients, seed=seed, msisdns=msisdns)

    def channel(self, key: str) -> grpc.aio.Channel:
        """A channel whose unary calls carry the key."""
        return grpc.aio.insecure_channel(self.grpc_address, interceptors=[WithKey(key)])

    async def until_quiet(self) -> None:
        """Returns once no payout is under way, no callback is on its way and none awaits its judgement."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await self._until_none(_OPEN)
            await self.sandbox.idle()
            await self._until_none(_UNJUDGED)

    async def until_sent(self, requests: int) -> None:
        """Returns once the rail has seen so many payment requests."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while len(self.submissions()) < requests:  # noqa: ASYNC110  (the sandbox sets no event)
                await asyncio.sleep(POLL_SECONDS)

    async def until_refused(self) -> None:
        """Returns once nobody listens where the grpc role did."""
        host, _, port = self.grpc_address.rpartition(":")
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                try:
                    _, writer = await asyncio.open_connection(host, int(port))
                except ConnectionRefusedError:
                    return
                except ConnectionResetError:  # it closed while we connected
                    continue
                writer.close()
                await asyncio.sleep(POLL_SECONDS)

    async def payouts(self) -> list[Payout]:
        """All payouts as they stand."""
        async with transaction(self.application.engine) as connection:
            return await queries.list_payouts(
                connection,
                ledger_id=self.ledger.id,
                partner_id=None,
                states=[],
                id_from=0,
                id_before=2**63 - 1,
                limit=100_000,
            )

    async def pairs(self, query: str) -> list[tuple[str, int]]:
        """The two columns of a query about the ledger."""
        async with transaction(self.application.engine) as connection:
            return [(row[0], row[1]) for row in await connection.execute(text(query), {"ledger": self.ledger.id})]

    def submissions(self) -> dict[int, str]:
        """Every payment request the rail could read, by its number: our reference."""
        requests = [one for one in self.sandbox.world.requests if "/b2c/" in one.path]
        return {one.number: one.originator_conversation_id for one in requests if one.originator_conversation_id}

    def movements(self) -> dict[str, Movement]:
        """What the rail paid, by our reference. No reference is paid twice."""
        world = self.sandbox.world
        paid = [(one.payment.originator_conversation_id, one) for one in world.movements if one.payment]
        assert len(paid) == len(dict(paid))
        return dict(paid)

    def results_taken(self) -> set[str]:
        """Our references of the payouts whose result was called back and answered 200."""
        deliveries, submissions = self.sandbox.world.deliveries, self.submissions()
        taken = {one.request_number for one in deliveries if (one.kind, one.outcome) == ("result", "200")}
        return {submissions[number] for number in taken & submissions.keys()}

    async def _until_none(self, query: str) -> None:
        count = -1
        while count:
            async with transaction(self.application.engine) as connection:
                count = (await connection.execute(text(query))).scalar_one()
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def open_scene(database: Database, *, files: Path, seed: int) -> AsyncIterator[Scene]:
    """A scene on an empty migrated database; `files` takes the certificate and the processes' logs."""
    async with AsyncExitStack() as stack:
        sandbox = SandboxServer(_SANDBOX, clock=lambda: datetime.now(UTC), randomness=random.Random(seed))
        base_url = await sandbox.start()
        stack.push_async_callback(sandbox.stop)
        await _shake_callbacks(base_url)
        settings = _settings(database, base_url, sandbox.certificate_pem, files)
        application = await stack.enter_async_context(open_application(_our_own(settings), name="tests"))
        ledger, operator_key, partner_key = await _open(application)
        yield Scene(
            application=application,
            ledger=ledger,
            sandbox=sandbox,
            settings=settings,
            operator_key=operator_key,
            partner_key=partner_key,
            files=files,
        )


def _settings(database: Database, base_url: str, certificate_pem: str, files: Path) -> dict[str, str]:
    certificate = files / "certificate.pem"
    certificate.write_text(certificate_pem)
    http_listen = free_address()
    return _HASTE | {
        "database_url": database.app.render_as_string(hide_password=False),
        "secret": bytes(range(32)).hex(),
        "grpc_listen": free_address(),
        "http_listen": http_listen,
        "public_url": f"http://{http_listen}",
        "daraja_base_url": base_url,
        "daraja_consumer_key": _SANDBOX.consumer_key,
        "daraja_consumer_secret": _SANDBOX.consumer_secret,
        "daraja_initiator_name": _SANDBOX.initiator_name,
        "daraja_initiator_password": _SANDBOX.initiator_password,
        "daraja_certificate": str(certificate),
        "daraja_shortcode": _SANDBOX.shortcode,
    }


def _our_own(settings: Mapping[str, str]) -> Settings:
    """For the test's own hands on the books: the same database, no rail."""
    secret, url = SecretStr(settings["secret"]), SecretStr(settings["database_url"])
    return Settings(database_url=url, secret=secret, database_pool_size=2, daraja_base_url="")


async def _shake_callbacks(base_url: str) -> None:
    """Callbacks come late, out of order, some of them twice: they meet a dead service, and its successor."""
    callbacks = {
        "delay_seconds": _SANDBOX.callback_delay_seconds,
        "jitter_seconds": CALLBACK_JITTER_SECONDS,
        "duplicate_rate": 0.1,
    }
    async with httpx.AsyncClient(base_url=base_url, trust_env=False) as client:
        answer = await client.post(f"{CONTROL_PREFIX}/faults", json={"callbacks": callbacks})
    answer.raise_for_status()


async def _open(application: Application) -> tuple[Ledger, str, str]:
    """The ledger, the operator's and the partner's key; float and prefunded account hold their opening balances."""
    ledger, _ = await open_books(
        application,
        code=LEDGER,
        name="Kenya",
        currency="KES",
        zone="Africa/Nairobi",
        shortcodes=[(RAIL, _SANDBOX.shortcode)],
    )
    operator_key = await create_key(
        application, name="operator", ledger_code="", partner_code="", permissions=None, days=1
    )
    _, partner_key = await create_partner(
        application, ledger_code=LEDGER, code=PARTNER, name="Shop", currency="KES", fee="10"
    )
    now = application.now()
    opening = [
        transfer(FLOAT_ACCOUNT, "equity.retained", FLOAT_OPENING_MINOR_UNITS, effective_at=now),
        transfer("equity.retained", FUNDING_ACCOUNT, PREFUNDED_MINOR_UNITS, effective_at=now),
    ]
    await Books(application.engine, ledger, application.ids).post_all(opening, now=now)
    return ledger, operator_key, partner_key
