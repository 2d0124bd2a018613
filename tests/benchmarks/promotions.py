"""The benchmark of promotions: a large batch of codes, phones that redeem over USSD at an even pace, and threads that
race for one code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection
from itertools import pairwise
from time import perf_counter
from urllib.parse import urlencode, urlsplit

from daftari.v1 import promotions_pb2 as pb

from api.ussd.texts import Language, Text, say
from ledger.money import Money
from tests.benchmarks.load import paced
from tests.benchmarks.machine import resident_megabytes
from tests.benchmarks.measuring import Measured, Sample
from tests.benchmarks.plain_http import Caller, open_caller
from tests.benchmarks.promotions_rig import CURRENCY, FACE, LEDGER, PATH_SECRET, Counts, PromotionRig, lively
from tests.benchmarks.promotions_rig import open_promotion_rig as open_rig

PER_SECOND, THREADS, CONNECTIONS = 100, 16, 64
PAID_SECONDS_MAX = 300.0
_FORM = "application/x-www-form-urlencoded"
_PATH = f"/ussd/{PATH_SECRET}"
# What a phone of Rwanda is thanked with.
THANKS = f"END {say(Language.KINYARWANDA, Text.REDEEMED, amount=str(Money(CURRENCY, FACE)))}".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionsPlan:
    """Codes of the large batch; `rounds` of redemptions for so many seconds; so many races for one code each."""

    codes: int
    rounds: int
    seconds: float
    races: int


FULL = PromotionsPlan(codes=1_000_000, rounds=3, seconds=30.0, races=2_000)
QUICK = PromotionsPlan(codes=6_000, rounds=1, seconds=1.0, races=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    """A large batch: seconds that each step took, the core's megabytes before and at most, bytes kept of each code."""

    codes: int
    making: float
    exporting: float
    activating: float
    expiring: float
    megabytes_before: float
    megabytes_most: float
    bytes_per_code: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Races:
    """How many codes were raced for, how many had one winner, how many requests that took, and how long."""

    codes: int
    won_once: int
    attempts: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What one run found. `answers` are the screens that end a redemption, `hops` all screens; `behind` is how long the
    last payout was waited for after the last redemption; `transfers` those that the wallet made."""

    plan: PromotionsPlan
    large: Large
    answers: Measured
    hops: Measured
    behind: float
    races: Races
    thanked: int
    counts: Counts
    transfers: int
    agrees: bool
    facts: Mapping[str, str]

    @property
    def sound(self) -> bool:
        """Whether each code was won once, and each winner thanked and paid once."""
        same = {self.thanked, self.counts.redeemed, self.counts.paid, self.counts.codes, self.counts.payouts}
        return same == {self.transfers} and self.races.won_once == self.races.codes and self.agrees


@dataclass(slots=True)
class Telco:
    """Phones that redeem over a gateway, on connections that are kept."""

    callers: asyncio.LifoQueue[Caller]
    phones: int = 0
    thanked: int = 0
    answer_seconds: list[float] = field(default_factory=list)
    hop_seconds: list[float] = field(default_factory=list)

    async def redeem(self, code: str) -> None:
        """One session: dial, choose, type the code."""
        self.phones += 1
        number, caller = self.phones, await self.callers.get()
        for text in ("", "1", f"1*{code}"):
            began = perf_counter()
            status, screen = await caller.ask(_PATH, form(number, text), media_type=_FORM)
            self.hop_seconds.append(perf_counter() - began)
            assert status == 200, screen
        self.answer_seconds.append(self.hop_seconds[-1])
        self.thanked += screen == THANKS
        self.callers.put_nowait(caller)

    def told(self) -> tuple[list[float], list[float]]:
        """The seconds since the last time."""
        told = self.answer_seconds, self.hop_seconds
        self.answer_seconds, self.hop_seconds = [], []
        return told


def form(phone: int, text: str) -> bytes:
    """One hop as the telco posts it, of a phone in its only session."""
    about = {"sessionId": f"ATUid_{phone:032x}", "phoneNumber": f"+25078{phone:07d}", "networkCode": "63510"}
    return urlencode({**about, "serviceCode": "*384#", "text": text}).encode()


async def large_batch(rig: PromotionRig, count: int) -> Large:
    """A batch from its draft to its expiry, in one core and without a worker."""
    server = rig.processes["grpc"].pid
    lasting = timedelta(seconds=8 + count / 8_000)
    ends = perf_counter() + lasting.total_seconds()
    sizes, megabytes = [await rig.size()], [resident_megabytes(server) or 0.0]
    batch_id = await rig.draft("large", count=count, lasting=lasting)
    seconds = [perf_counter()]
    parts = rig.stream(rig.commands.GenerateCodes, pb.GenerateCodesRequest(ledger=LEDGER, batch_id=batch_id))
    megabytes.extend([resident_megabytes(server) or 0.0 async for _ in parts])
    seconds.append(perf_counter())
    assert len(await rig.printed(batch_id)) == count
    seconds.append(perf_counter())
    await rig.activate(batch_id)
    seconds.append(perf_counter())
    sizes.append(await rig.size())
    megabytes.append(resident_megabytes(server) or 0.0)
    await asyncio.sleep(max(0.0, ends - perf_counter()) + 1)
    began = perf_counter()
    await rig.call(rig.commands.ExpireBatch, pb.ExpireBatchRequest(ledger=LEDGER, request_id="over", batch_id=batch_id))
    making, exporting, activating = (after - before for before, after in pairwise(seconds))
    return Large(
        codes=count,
        making=making,
        exporting=exporting,
        activating=activating,
        expiring=perf_counter() - began,
        megabytes_before=megabytes[0],
        megabytes_most=max(megabytes),
        bytes_per_code=(sizes[1] - sizes[0]) / count,
    )


async def at_a_pace(rig: PromotionRig, telco: Telco, codes: list[str]) -> tuple[Sample, Sample]:
    """Sessions begun at an even pace, whether or not those before were answered: the answers, and all hops."""
    waiting = iter(codes)

    async def session() -> None:
        await telco.redeem(next(waiting))

    before, started = rig.processor_seconds(), perf_counter()
    await paced(session, per_second=PER_SECOND, count=len(codes))
    elapsed, after = perf_counter() - started, rig.processor_seconds()
    used = {part: after[part] - before[part] for part in after}
    answers, hops = telco.told()
    return (
        Sample(items=len(answers), seconds=elapsed, call_seconds=answers, processor_seconds=used),
        Sample(items=len(hops), seconds=elapsed, call_seconds=hops),
    )


def race(gateways: tuple[str, ...], codes: list[str], *, first_phone: int) -> Races:
    """Threads at one code after another, spread over the gateways; each thread of each race is another phone."""
    start, winners = threading.Barrier(THREADS), [[0] * THREADS for _ in codes]

    def run(thread: int) -> None:
        connection = HTTPConnection(urlsplit(gateways[thread % len(gateways)]).netloc, timeout=60)
        for number, code in enumerate(codes):
            body = form(first_phone + number * THREADS + thread, f"1*{code}")
            start.wait()
            connection.request("POST", _PATH, body, {"Content-Type": _FORM})
            winners[number][thread] = int(connection.getresponse().read() == THANKS)
        connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    began = perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return Races(
        codes=len(codes),
        won_once=sum(sum(one) == 1 for one in winners),
        attempts=len(codes) * THREADS,
        seconds=perf_counter() - began,
    )


async def measure(plan: PromotionsPlan, *, starting: Callable[[int], None], told: Callable[[str], None]) -> Results:
    """Runs everything on a database of its own. `starting` hears how many runs come, `told` of each."""
    told("starting PostgreSQL, the wallet and a core")
    async with open_rig() as still:
        starting(plan.rounds + 3)
        told(f"a batch of {plan.codes:,} codes")
        large = await large_batch(still, plan.codes)
        count = round(PER_SECOND * plan.seconds)
        codes = await still.active("paced", count=count * (plan.rounds + 1))
        contested = await still.active("raced", count=plan.races)
        answers, hops = Measured(), Measured()
        async with lively(still, gateways=2) as rig:
            telco = Telco(asyncio.LifoQueue())
            for _ in range(CONNECTIONS):
                telco.callers.put_nowait(await open_caller(rig.gateways[0]))
            for number in range(plan.rounds + 1):
                told(f"round {number} of {plan.rounds}: redemptions" if number else "warming up: redemptions")
                answer, hop = await at_a_pace(rig, telco, codes[number * count : (number + 1) * count])
                if number:
                    answers.samples.append(answer)
                    hops.samples.append(hop)
            behind = await all_paid(rig)
            told(f"{THREADS} threads at one code, {plan.races:,} times")
            races = await asyncio.to_thread(race, tuple(rig.gateways), contested, first_phone=telco.phones + 1)
            await all_paid(rig)
            while telco.callers.qsize():
                telco.callers.get_nowait().close()
            return Results(
                plan=plan,
                large=large,
                answers=answers,
                hops=hops,
                behind=behind,
                races=races,
                thanked=telco.thanked + races.won_once,
                counts=await rig.counts(),
                transfers=await rig.transfers(),
                agrees=await rig.agrees(),
                facts=rig.facts,
            )


async def all_paid(rig: PromotionRig) -> float:
    """Waits until every redemption is paid, or long enough; how long that was."""
    began = perf_counter()
    while perf_counter() - began < PAID_SECONDS_MAX:
        counts = await rig.counts()
        if counts.paid == counts.redeemed:
            break
        await asyncio.sleep(0.1)
    return perf_counter() - began
