"""The overload benchmark: many times more calls than the service can take, and how it looks before, under and after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from daftari.v1 import journal_pb2, money_pb2, payouts_pb2
from sqlalchemy import text

from api.administration import create_key
from ledger.database import transaction
from ledger.journal.verify import VerifyReport
from tests.benchmarks.entries import HOT, KIND, WALLETS, account_specs
from tests.benchmarks.flood import NUMBER, Ending, Method, Second, Target, flood, open_target
from tests.benchmarks.load import closed_loop
from tests.benchmarks.machine import machine_facts, resident_megabytes, server_facts
from tests.benchmarks.measuring import MILLISECONDS
from tests.benchmarks.partners import PREFUNDED_MINOR_UNITS, RunningClock
from tests.benchmarks.rig import LEDGER, Rig, open_rig
from tests.ledger.payouts.shop import PAYEE, Shop, open_shop

TIMES = 10
BULK = 100
# What callers of a payments core wait for an answer.
CALL_SECONDS_MAX = 2.0
IN_FLIGHT = 64
WINDOW_SECONDS = 0.5
_MEMORY_SECONDS = 0.5
# Rails are declared by their address; nothing is sent, for no worker runs.
_RAIL = {"daraja_base_url": "http://127.0.0.1:9"}
_STORED = text("SELECT count(*) FROM idempotency_keys WHERE starts_with(key, :prefix)")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverloadPlan:
    """Seconds of each phase, and how many calls a second this client begins at most."""

    sustained_seconds: float
    calm_seconds: float
    flood_seconds: float
    recovery_seconds: float
    calls_per_second_max: float


QUICK = OverloadPlan(
    sustained_seconds=0.5, calm_seconds=0.5, flood_seconds=1.0, recovery_seconds=1.0, calls_per_second_max=500
)
FULL = OverloadPlan(
    sustained_seconds=5, calm_seconds=5, flood_seconds=20, recovery_seconds=10, calls_per_second_max=20_000
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """What became of one method. Rates are items a second; `calm` and `recovery` hold the milliseconds of calls at half
    the sustained rate, the latter by window of WINDOW_SECONDS from the flood's last call on."""

    name: str
    items: int
    sustained: float
    sustained_milliseconds: float
    calm: Sequence[float]
    flood_seconds: float
    seconds: Sequence[Second]
    recovery: Sequence[Sequence[float]]
    memory: Sequence[tuple[float, float]]
    stored: int

    def total(self, ending: Ending) -> int:
        """Calls of the flood that ended so."""
        return sum(second.ended[ending] for second in self.seconds)

    @property
    def answered(self) -> int:
        """Items of the flood that were answered as done."""
        return self.total(Ending.DONE) * self.items

    @property
    def begun(self) -> int:
        """Calls of the flood."""
        return sum(second.begun for second in self.seconds)

    @property
    def offered(self) -> float:
        """Items a second that the flood brought."""
        return self.begun * self.items / self.flood_seconds

    @property
    def goodput(self) -> float:
        """Items a second that were done while the flood went on."""
        seconds = self.seconds[: max(1, int(self.flood_seconds))]
        return sum(second.ended[Ending.DONE] for second in seconds) * self.items / len(seconds)

    @property
    def done_milliseconds(self) -> Sequence[float]:
        """How long each call took that was done."""
        return sorted(one * MILLISECONDS for second in self.seconds for one in second.done_seconds) or [0.0]

    @property
    def recovered_seconds(self) -> float | None:
        """From the end of the flood to the first window whose median is at most twice the calm one; None if none is."""
        normal = 2 * median(self.calm)
        for number, window in enumerate(self.recovery):
            if window and median(window) <= normal:
                return (number + 1) * WINDOW_SECONDS
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What one run found."""

    plan: OverloadPlan
    methods: Sequence[Overload]
    books: VerifyReport
    facts: Mapping[str, str]


async def measure(plan: OverloadPlan, *, starting: Callable[[int], None], told: Callable[[str], None]) -> Results:
    """Floods one method after another. At the end the books are rebuilt, and payouts must agree with them."""
    async with AsyncExitStack() as stack:
        told("starting PostgreSQL and the service")
        rig = await stack.enter_async_context(open_rig(account_specs(), serving_with=_RAIL))
        application = rig.application
        facts = {**machine_facts(application.settings.data_directory), **await server_facts(application.engine)}
        shop = await stack.enter_async_context(
            open_shop(application.engine, clock=RunningClock(), prefunded=PREFUNDED_MINOR_UNITS)
        )
        methods = await _methods(rig, shop)
        starting(4 * len(methods))
        found = []
        for method in methods:
            async with open_target(rig.address, method, call_seconds_max=CALL_SECONDS_MAX) as target:
                found.append(await _overload(rig, target, plan, told))
        return Results(plan=plan, methods=found, books=await rig.verified(), facts=facts)


async def _overload(rig: Rig, target: Target, plan: OverloadPlan, told: Callable[[str], None]) -> Overload:
    told(f"sustained: {target.method.name}")
    await _sustained(target, plan.calm_seconds)  # warms everything up
    rate, milliseconds = await _sustained(target, plan.sustained_seconds)
    told(f"calm: {target.method.name}")
    half = rate / target.method.items / 2
    calm = await _windows(target, per_second=half, seconds=plan.calm_seconds)
    told(f"flooded: {target.method.name}")
    per_second = min(TIMES * rate / target.method.items, plan.calls_per_second_max)
    async with _memory(rig) as memory:
        flooding = asyncio.create_task(
            flood(target, per_second=per_second, seconds=plan.flood_seconds, call_seconds_max=CALL_SECONDS_MAX)
        )
        await asyncio.sleep(plan.flood_seconds)
        told(f"afterwards: {target.method.name}")
        recovery = await _windows(target, per_second=half, seconds=plan.recovery_seconds)
        seconds = await flooding
    async with transaction(rig.application.engine) as connection:
        stored = (await connection.execute(_STORED, {"prefix": target.method.prefix})).scalar_one()
    return Overload(
        name=target.method.name,
        items=target.method.items,
        sustained=rate,
        sustained_milliseconds=milliseconds,
        calm=[one for window in calm for one in window],
        flood_seconds=plan.flood_seconds,
        seconds=seconds,
        recovery=recovery,
        memory=memory,
        stored=stored,
    )


async def _sustained(target: Target, seconds: float) -> tuple[float, float]:
    """Items a second that callers who wait for their answers get done, and the median milliseconds of a call."""
    method, done = target.method, 0

    async def call() -> None:
        nonlocal done
        ending = await target.call()
        done += ending is Ending.DONE

    sample = await closed_loop(call, in_flight=max(4, IN_FLIGHT // method.items), seconds=seconds)
    assert done, "nothing is done without a flood"
    return done * method.items / sample.seconds, sample.percentile(50)


async def _windows(target: Target, *, per_second: float, seconds: float) -> list[list[float]]:
    """Milliseconds of the calls done, by the window in which they began; a call that was not done counts as slowest."""
    windows: list[list[float]] = [[] for _ in range(int(seconds / WINDOW_SECONDS) + 1)]
    started = perf_counter()

    async def one(began: float) -> None:
        ending = await target.call()
        took = perf_counter() - began if ending is Ending.DONE else CALL_SECONDS_MAX
        windows[int((began - started) / WINDOW_SECONDS)].append(took * MILLISECONDS)

    async with asyncio.TaskGroup() as group:
        while (now := perf_counter()) - started < seconds:
            group.create_task(one(now))
            await asyncio.sleep(1 / per_second)
    return windows


@asynccontextmanager
async def _memory(rig: Rig) -> AsyncIterator[list[tuple[float, float]]]:
    """The service's resident megabytes as (seconds, megabytes), while the block runs."""
    samples: list[tuple[float, float]] = []
    started = perf_counter()

    async def watch() -> None:
        while True:
            samples.append((perf_counter() - started, resident_megabytes(rig.server.pid) or 0.0))
            await asyncio.sleep(_MEMORY_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield samples
    finally:
        watching.cancel()


async def _methods(rig: Rig, shop: Shop) -> list[Method]:
    key = await create_key(
        rig.application, name="overload", ledger_code=shop.ledger.code, partner_code="shop", permissions=None, days=1
    )
    items = [
        journal_pb2.EntryItem(request_id=f"set-{NUMBER}", entry=_entry(number % len(WALLETS))) for number in range(BULK)
    ]
    return [
        Method(
            name="PostEntry",
            path="/daftari.v1.JournalCommandService/PostEntry",
            template=journal_pb2.PostEntryRequest(ledger=LEDGER, request_id=f"one-{NUMBER}", entry=_entry(0)),
            prefix="one-",
            metadata=dict(rig.metadata),
        ),
        Method(
            name=f"PostEntries of {BULK}",
            path="/daftari.v1.JournalCommandService/PostEntries",
            template=journal_pb2.PostEntriesRequest(ledger=LEDGER, items=items),
            prefix="set-",
            items=BULK,
            metadata=dict(rig.metadata),
            all_done=_all_posted,
        ),
        Method(
            name="RequestPayout",
            path="/daftari.v1.PayoutCommandService/RequestPayout",
            template=_payout(shop),
            prefix="pay-",
            metadata={"authorization": f"Bearer {key}"},
        ),
    ]


def _all_posted(message: bytes) -> bool:
    return all(result.HasField("posted") for result in journal_pb2.PostEntriesResponse.FromString(message).results)


def _entry(wallet: int) -> journal_pb2.EntryDraft:
    amount = money_pb2.Money(currency="KES", minor_units=100)
    lines = (
        journal_pb2.Posting(account=HOT, side=journal_pb2.SIDE_DEBIT, amount=amount),
        journal_pb2.Posting(account=WALLETS[wallet], side=journal_pb2.SIDE_CREDIT, amount=amount),
    )
    return journal_pb2.EntryDraft(kind=KIND, postings=lines)


def _payout(shop: Shop) -> payouts_pb2.RequestPayoutRequest:
    draft = payouts_pb2.PayoutDraft(
        request_id=f"pay-{NUMBER}",
        partner_reference=f"ref-{NUMBER}",
        msisdn=PAYEE,
        amount=money_pb2.Money(currency="KES", minor_units=1_000),
    )
    return payouts_pb2.RequestPayoutRequest(ledger=shop.ledger.code, payout=draft)
