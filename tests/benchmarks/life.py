"""The benchmark of whole lives: from a payout's request over gRPC to its webhook, through a simulated provider; results
called back as fast as they are taken; and requests at the pace of redemptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

from daftari.v1 import money_pb2
from daftari.v1 import payouts_pb2 as pb
from daftari.v1.payouts_pb2_grpc import PayoutCommandServiceStub

from adapters.dispatch import hash_token
from tests.benchmarks.life_rig import SHILLINGS, LifeRig, fresh_reference, open_life_rig
from tests.benchmarks.load import paced
from tests.benchmarks.measuring import Measured, Sample
from tests.benchmarks.plain_http import Caller, open_caller, receiving
from tests.journeys.messages import result
from tests.ledger.payouts.shop import PAYEE

IN_FLIGHT = 256
CALLBACKS_IN_FLIGHT = 64
PER_SECOND = 100
CALL_SECONDS_MAX, LIFE_SECONDS_MAX = 30.0, 120.0
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class LifePlan:
    """`rounds` of each figure: lives and redemptions for so many seconds, so many callbacks at once."""

    rounds: int
    seconds: float
    callbacks: int


FULL = LifePlan(rounds=3, seconds=10.0, callbacks=3_000)
QUICK = LifePlan(rounds=1, seconds=1.0, callbacks=500)


@dataclass(slots=True)
class Tally:
    """What must be equal at the end: payouts requested, settled, paid by the provider, told to the partner; and results
    called back and settled. `told` counts every settlement once, `repeated` the rest, `detours` events of other kinds:
    a payout that was unknown for a while."""

    requested: int = 0
    settled: int = 0
    paid: int = 0
    told: int = 0
    repeated: int = 0
    detours: int = 0
    called_back: int = 0
    booked: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing is lost and nothing happened twice."""
        return self.requested == self.settled == self.paid == self.told and self.called_back == self.booked


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What one run found."""

    plan: LifePlan
    lives: Measured
    callbacks: Measured
    redemptions: Measured
    tally: Tally
    facts: Mapping[str, str]


@dataclass(slots=True)
class Receiver:
    """The partner's receiver: whoever waits for a payout's settlement hears of it once. `detours` are other events."""

    waiting: dict[str, asyncio.Future[float]] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    repeated: int = 0
    detours: int = 0

    def heard(self, body: bytes) -> None:
        """One event."""
        event = json.loads(body)
        reference = event["client_request_id"]
        if event["type"] != "payout.settled":
            self.detours += 1
            return
        if reference in self.told:
            self.repeated += 1
            return
        self.told.add(reference)
        self.waiting.pop(reference).set_result(perf_counter())


@dataclass(slots=True)
class Living:
    """A partner who requests payouts and hears what became of them."""

    rig: LifeRig
    receiver: Receiver
    plan: LifePlan
    tally: Tally = field(default_factory=Tally)

    async def request(self) -> asyncio.Future[float]:
        """Requests a payout; the future brings the moment of its webhook."""
        reference = fresh_reference()
        told = self.receiver.waiting[reference] = asyncio.get_running_loop().create_future()
        draft = pb.PayoutDraft(
            request_id=reference,
            partner_reference=reference,
            msisdn=PAYEE,
            amount=money_pb2.Money(currency="KES", minor_units=SHILLINGS * 100),
        )
        stub = PayoutCommandServiceStub(self.rig.channel)
        wanted = pb.RequestPayoutRequest(ledger=self.rig.partner.shop.ledger.code, payout=draft)
        metadata = (("authorization", f"Bearer {self.rig.key}"),)
        await stub.RequestPayout(wanted, metadata=metadata, timeout=CALL_SECONDS_MAX)
        self.tally.requested += 1
        return told

    async def live(self) -> Sample:
        """As many lives at once as may be in flight; the time ends with the last webhook."""
        call_seconds: list[float] = []
        before, started = self.rig.processor_seconds(), perf_counter()
        until = started + self.plan.seconds

        async def caller() -> None:
            while (began := perf_counter()) < until:
                ended = await asyncio.wait_for(await self.request(), LIFE_SECONDS_MAX)
                call_seconds.append(ended - began)

        await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
        return self._sample(call_seconds, before, started)

    def _sample(self, call_seconds: list[float], before: Mapping[str, float], started: float) -> Sample:
        after, elapsed = self.rig.processor_seconds(), perf_counter() - started
        used = {part: after[part] - before[part] for part in after}
        return Sample(items=len(call_seconds), seconds=elapsed, call_seconds=call_seconds, processor_seconds=used)

    async def redeem(self) -> Sample:
        """Requests at an even pace, whether or not those before were answered; their lives go on behind them."""
        lives: list[asyncio.Future[float]] = []

        async def call() -> None:
            lives.append(await self.request())

        count, started = round(PER_SECOND * self.plan.seconds), perf_counter()
        call_seconds = await paced(call, per_second=PER_SECOND, count=count)
        elapsed = perf_counter() - started
        await asyncio.wait_for(asyncio.gather(*lives), LIFE_SECONDS_MAX)
        return Sample(items=count, seconds=elapsed, call_seconds=call_seconds)

    async def call_back(self) -> Sample:
        """True results of payouts in stock, as fast as they are answered; until the last one is settled."""
        stock, plan = self.rig.stock, self.plan
        taken = [stock.collector.taken.popleft() for _ in range(plan.callbacks)]
        bodies = iter(
            [(urls.result_url.removeprefix("http://127.0.0.1:9"), _result(reference)) for reference, urls in taken]
        )
        callers = [await open_caller(self.rig.edge_url) for _ in range(CALLBACKS_IN_FLIGHT)]
        call_seconds: list[float] = []

        async def call(caller: Caller) -> None:
            for path, body in bodies:
                began = perf_counter()
                assert await caller.post(path, body) == 200
                call_seconds.append(perf_counter() - began)

        before, started = self.rig.processor_seconds(), perf_counter()
        await asyncio.gather(*map(call, callers))
        while not await stock.all_judged():  # noqa: ASYNC110  (the worker is another process)
            await asyncio.sleep(POLL_SECONDS)
        sample = self._sample(call_seconds, before, started)
        for caller in callers:
            caller.close()
        self.tally.called_back += len(taken)
        return sample


def _result(reference: str) -> bytes:
    receipt = hash_token(reference).hex()[:10].upper()
    return result(
        reference,
        receipt=receipt,
        shillings=SHILLINGS,
        payee=f"{PAYEE} - JANE TESTER",
        ConversationID=f"AG_{reference}",
    )


async def measure(plan: LifePlan, *, starting: Callable[[int], None], told: Callable[[str], None]) -> Results:
    """Runs everything on a database of its own. `starting` hears how many runs come, `told` of each."""
    receiver = Receiver()
    told("starting everything, and stocking payouts")
    async with (
        receiving(receiver.heard) as receiver_url,
        open_life_rig(receiver_url=receiver_url, stocked=(plan.rounds + 1) * plan.callbacks) as rig,
    ):
        living = Living(rig, receiver, plan)
        figures = {"lives": living.live, "callbacks": living.call_back, "redemptions": living.redeem}
        measured = {name: Measured() for name in figures}
        starting(len(figures) * (plan.rounds + 1))
        for number in range(plan.rounds + 1):
            for name, run in figures.items():
                told(f"round {number} of {plan.rounds}: {name}" if number else f"warming up: {name}")
                sample = await run()
                if number:
                    measured[name].samples.append(sample)
        tally = living.tally
        tally.settled = tally.requested - await rig.unsettled()
        tally.paid, tally.booked = await rig.paid(), await rig.stock.settled()
        tally.told, tally.repeated, tally.detours = len(receiver.told), receiver.repeated, receiver.detours
        return Results(plan=plan, **measured, tally=tally, facts=rig.facts)
