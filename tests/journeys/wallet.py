"""All that a payout over MTN MoMo passes through, wired for tests: a shop in RWF, the doors, the adapter, the simulated
wallet, the callback edge. The clock stands still until a test moves it."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.dispatch import Dispatcher
from adapters.inbound import Inbound
from adapters.listener import Listener
from adapters.momo.client import MomoRail
from adapters.momo.collections import MomoCollections
from adapters.momo.credentials import ConstantSecrets, MomoAccess, MomoSecrets
from adapters.momo.declared import FLOATS
from adapters.momo.session import MomoSession
from adapters.provider import CallbackUrls
from adapters.sandbox.momo.settings import MomoSandboxSettings
from adapters.sandbox.momo.simulation import MomoSimulation
from adapters.sandbox.server import SandboxServer
from adapters.sandbox.settings import SandboxSettings
from adapters.transport import HttpLimits, Secret
from api.http import callbacks
from api.profile import Profile
from api.settings import Settings
from api.wiring import WorkerApplication
from ledger import partners
from ledger.collections import prompting, shortcodes
from ledger.collections.prompting import Prompt
from ledger.collections.shortcodes import Shortcode
from ledger.database import driver, run, transaction
from ledger.idempotency import claim
from ledger.ids import IdSource
from ledger.journal import accounts, chart
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger, create_ledger
from ledger.journal.chart import landing_path
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import Answer, PayoutInstruction
from ledger.parties import PartyKeys
from ledger.partners import Partner
from ledger.payouts.request import RACING_CONSTRAINTS, PayoutRequest, RequestResult, request_payouts
from ledger.prompts import RACING_CONSTRAINTS as PROMPT_RACES
from ledger.prompts import PromptRequest
from tests.journeys.rig import CALLS_MAX, LEASE_SECONDS, RESULT_DEADLINE_SECONDS, SEALER
from tests.ledger.payouts.agreement import disagreements
from tests.ledger.payouts.shop import BANK, OPENING, PARTY_KEYS, PREFUND, SECRET, Clock, Shop

WALLET = "kigali"
NUMBER = "250781234567"
FLOAT, COLLECTED = f"asset.float.momo.{WALLET}.disbursement", f"asset.float.momo.{WALLET}.collection"
IN_TRANSIT, UNKNOWN = f"liab.payout.in_transit.momo.{WALLET}", f"liab.payout.unknown.momo.{WALLET}"
UNALLOCATED = f"liab.receipts.unallocated.momo.{WALLET}"
PREFUNDED, FLOAT_OPENING = 1_000_000, 50_000_000


class ObservedMomo(MomoRail):
    """The real rail; the tokens of the callback paths that transfers were given are kept."""

    def __init__(self, session: MomoSession, *, now: Clock, tokens: list[str]) -> None:
        super().__init__(session, now=now)
        self._seen = tokens

    async def submit_payout(self, instruction: PayoutInstruction, callback_urls: CallbackUrls) -> Answer:
        """As the rail does."""
        self._seen.append(callback_urls.result_url.rpartition("/")[2])
        return await super().submit_payout(instruction, callback_urls)


@dataclass(kw_only=True)
class WalletRig(Shop):
    """A shop that pays from a wallet, and the machinery around it. Amounts are RWF, which has no decimals."""

    application: WorkerApplication
    sandbox: SandboxServer
    dispatcher: Dispatcher
    prompter: Dispatcher
    inbound: Inbound
    public_url: str
    sandbox_url: str
    tokens: list[str]

    @property
    def momo(self) -> MomoSimulation:
        """The simulated wallet, and its truth."""
        return self.sandbox.momo

    def draft(
        self, *, msisdn: str = NUMBER, shillings: int = 1500, key: str | None = None, reference: str | None = None
    ) -> PayoutRequest:
        """A request for a payout of so many francs."""
        drawn = super().draft(msisdn=msisdn, shillings=shillings, key=key, reference=reference)
        return replace(drawn, amount=Money("RWF", shillings))

    async def request_all(self, *drafts: PayoutRequest) -> list[RequestResult]:
        """The verdicts on a set of requests, committed."""

        async def command(connection: AsyncConnection) -> list[RequestResult]:
            return await request_payouts(
                await driver(connection),
                ledger=self.ledger,
                requests=drafts,
                limits=self.application.payout_limits,
                party_keys=PARTY_KEYS,
                directory=self.directory,
                ids=self.ids,
                now=self.now(),
            )

        return await run(self.engine, command, again_on=RACING_CONSTRAINTS)

    async def balance(self, path: str) -> int:
        """An account's balance on its normal side, in RWF."""
        async with transaction(self.engine) as connection:
            found = await accounts.find_account(connection, ledger_id=self.ledger.id, path=path, currency="RWF")
        return found.balance

    async def work(self) -> None:
        """Dispatches and judges until no instruction is due, no callback on its way and none awaits judgement."""
        while True:
            sent = await self.dispatcher.step() + await self.prompter.step()
            await self.sandbox.idle()
            judged = await self.inbound.step(limit=100)
            if not sent and not judged:
                return

    async def pass_time(self, *seconds: float) -> None:
        """Lets time pass, silence be called by its name, and the worker work, step by step."""
        for one in seconds:
            self.clock.advance(seconds=one)
            await self.application.silence_watch().step()
            await self.work()

    async def script(self, behaviour: str, *, count: int = 1) -> None:
        """The next requests to the wallet get this behaviour."""
        await self._control("faults", {"behaviour": behaviour, "count": count})

    async def ask(self, *, number: str = NUMBER, amount: int = 2_500, reference: str = "LOAN-77") -> int:
        """A request to a payer's phone; its id."""
        self.numbers += 1
        request = PromptRequest(
            key=claim(client_id=7, key=f"prompt-{self.numbers}", method="RequestPrompt", content=number.encode()),
            actor="tests",
            partner=self.partner,
            rail="momo",
            shortcode=WALLET,
            payer=Msisdn(number),
            amount=Money("RWF", amount),
            order_id=None,
            reference=reference,
            description="Instalment 3",
        )

        async def command(connection: AsyncConnection) -> int:
            prompt, _ = await self.application.prompt_recorder.request(
                await driver(connection),
                ledger=self.ledger,
                request=request,
                rules=self.application.prompt_rules,
                now=self.now(),
            )
            return prompt.id

        return await run(self.engine, command, again_on=PROMPT_RACES)

    async def prompt(self, prompt_id: int) -> Prompt:
        """As it is now."""

        async def command(connection: AsyncConnection) -> Prompt:
            session = await driver(connection)
            return (await prompting.read_prompts(session, ledger_id=self.ledger.id, prompt_ids=[prompt_id]))[prompt_id]

        return await run(self.engine, command)

    async def verdicts(self) -> list[str | None]:
        """What became of each stored message, oldest first."""
        found = await self.rows("SELECT verdict FROM inbox WHERE ledger_id = :ledger ORDER BY id")
        return [verdict for (verdict,) in found]

    async def call_back(self, token: str, body: bytes, *, method: str = "PUT") -> int:
        """A callback over HTTP, on any path; the status it is answered with."""
        async with httpx.AsyncClient(trust_env=False) as client:
            path = f"{self.public_url}/callbacks/{self.ledger.id}/momo/result/{token}"
            return (await client.request(method, path, content=body)).status_code

    async def pin(self, payout_id: int, platform: str) -> None:
        """As if the payout had been sent to another platform."""
        statement = text(
            "UPDATE instructions SET platform = :platform WHERE ledger_id = :ledger AND payout_id = :payout"
        )
        values = {"platform": platform, "ledger": self.ledger.id, "payout": payout_id}

        async def command(connection: AsyncConnection) -> None:
            await connection.execute(statement, values)

        await run(self.engine, command)

    async def agrees_with_the_rail(self) -> bool:
        """Whether the float accounts hold what the wallet does."""
        held = {"disbursement": await self.balance(FLOAT), "collection": await self.balance(COLLECTED)}
        return held == self.momo.world.balances

    async def _control(self, path: str, wanted: dict[str, object]) -> None:
        async with httpx.AsyncClient(base_url=self.sandbox_url, trust_env=False) as control:
            (await control.post(f"/sandbox/momo/{path}", json=wanted)).raise_for_status()


@asynccontextmanager
async def open_wallet(
    engine: AsyncEngine, *, read_seconds: float = 2.0, checks_payees: bool = False
) -> AsyncIterator[WalletRig]:
    """A rig in a ledger of its own, prefunded. Leaving it asserts that books and payouts agree."""
    clock = Clock()
    await run(engine, _end_what_others_left)
    async with AsyncExitStack() as stack:
        settings = SandboxSettings(callback_delay_seconds=0.0)
        sandbox = SandboxServer(settings, clock=clock, randomness=random.Random(7))
        sandbox_url = await sandbox.start()
        stack.push_async_callback(sandbox.stop)
        session = _session(sandbox_url, read_seconds, checks_payees)
        stack.push_async_callback(session.close)
        shop = await _open_shop(engine, clock)
        tokens: list[str] = []
        application = _application(shop, session, tokens)
        inbound = application.inbound()
        listener = Listener(host="127.0.0.1", port=0, grace_seconds=1)
        edge = callbacks.application(inbound, questions=application.questions(), healthy=_healthy)
        public_url = await listener.start(edge)
        stack.push_async_callback(listener.stop)
        rig = WalletRig(
            **vars(shop),
            application=application,
            sandbox=sandbox,
            dispatcher=application.dispatcher(public_url=public_url),
            prompter=application.prompter(public_url=public_url),
            inbound=inbound,
            public_url=public_url,
            sandbox_url=sandbox_url,
            tokens=tokens,
        )
        yield rig
        assert await disagreements(engine, ledger_id=rig.ledger.id) == []


def _session(base_url: str, read_seconds: float, checks_payees: bool) -> MomoSession:
    momo = MomoSandboxSettings()
    keys = {name: Secret(key) for name, key in momo.subscription_keys.items()}
    environment = momo.target_environment
    return MomoSession(
        MomoAccess(base_url=base_url, target_environment=environment, wallet=WALLET, checks_payees=checks_payees),
        secrets=ConstantSecrets(
            MomoSecrets(
                disbursement_subscription_key=keys["disbursement"],
                disbursement_credential=Secret(momo.credential),
                collection_subscription_key=keys["collection"],
                collection_credential=Secret(momo.credential),
            )
        ),
        monotonic=time.monotonic,
        limits=HttpLimits(read_seconds=read_seconds),
    )


def _application(shop: Shop, session: MomoSession, tokens: list[str]) -> WorkerApplication:
    settings = Settings(
        lease_seconds=LEASE_SECONDS,
        worker_calls_max=CALLS_MAX,
        worker_poll_seconds=0.01,
        result_deadline_seconds=RESULT_DEADLINE_SECONDS,
        balance_query_seconds=300,
        clock_skew_seconds_max=1e9,  # the test's clock stands where the test puts it
    )
    return WorkerApplication(
        settings=settings,
        profile=Profile(shop.engine, "tests", SECRET),
        rails={"momo": ObservedMomo(session, now=shop.clock, tokens=tokens)},
        collections={"momo": MomoCollections(session, now=shop.clock)},
        party_keys=PartyKeys(SECRET),
        sealer=SEALER,
        directory=shop.directory,
        ids=shop.ids,
        clock=shop.clock,
    )


async def _open_shop(engine: AsyncEngine, clock: Clock) -> Shop:
    code = f"wallet-{secrets.token_hex(8)}"
    ids = IdSource(random.Random(code))
    ledger, partner = await run(engine, partial(_open_books, code=code, ids=ids, clock=clock))
    shop = Shop(
        engine=engine,
        clock=clock,
        ids=ids,
        directory=AccountDirectory(),
        ledger=ledger,
        partner=partner,
        float_opening=FLOAT_OPENING,
        prefunded=PREFUNDED,
    )
    await shop.post(_opening(FLOAT, OPENING, FLOAT_OPENING, clock), _opening(BANK, PREFUND, PREFUNDED, clock))
    return shop


async def _open_books(connection: AsyncConnection, *, code: str, ids: IdSource, clock: Clock) -> tuple[Ledger, Partner]:
    now = clock()
    ledger = await create_ledger(
        connection, code=code, name="Rwanda", base_currency="RWF", time_zone="Africa/Kigali", now=now
    )
    specs = chart.common_accounts(currency="RWF")
    specs += chart.shortcode_accounts(provider="momo", shortcode=WALLET, currency="RWF", floats=FLOATS)
    await accounts.open_accounts(connection, ledger_id=ledger.id, specs=specs, ids=ids, now=now)
    partner = await partners.create_partner(
        connection, ledger=ledger, code="shop", name="Shop", payout_fee=Money("RWF", 0), ids=ids, now=now
    )
    collects = Shortcode(
        "momo", WALLET, "RWF", landing_path(provider="momo", shortcode=WALLET, floats=FLOATS), True, False
    )
    await shortcodes.open_shortcode(connection, ledger=ledger, shortcode=collects, ids=ids, now=now)
    return ledger, partner


async def _end_what_others_left(connection: AsyncConnection) -> None:
    """Workers' queues span ledgers: what earlier tests left in theirs is not to be carried out over this rail."""
    await connection.execute(text("UPDATE instructions SET done_at = now(), lease_token = NULL WHERE done_at IS NULL"))


async def _healthy() -> bool:
    return True


def _opening(debited: str, credited: str, minor_units: int, clock: Clock) -> JournalEntry:
    money = Money("RWF", minor_units)
    lines = (debit(debited, money), credit(credited, money))
    return JournalEntry(
        kind="opening", postings=lines, effective_at=clock() - timedelta(seconds=1), source=Source.OPENING
    )
