"""The benchmark of guessing: somebody with many phones types codes at random, as fast as one caller can send them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from time import perf_counter

from daftari.v1 import promotions_pb2 as pb
from sqlalchemy import text

from ledger.database import transaction
from ledger.promotions.attempts import DEFAULT_RULES, ThrottleRules
from ledger.promotions.code import draw_codes, printed
from tests.benchmarks.promotions_rig import LEDGER, POSTGRESQL, PromotionRig, open_promotion_rig

SET = 500
LIVE = 1_000
JUDGED, KEPT_BACK = "CODE_NOT_VALID", "TOO_MANY_ATTEMPTS"
_WRONG = text("SELECT wrong FROM promo_throttles WHERE ledger_id = :ledger AND scope = 'all'")


@dataclass(frozen=True, slots=True)
class GuessingPlan:
    """So many phones, each with so many guesses in a row."""

    phones: int
    guesses_each: int


FULL = GuessingPlan(phones=1_000, guesses_each=100)
QUICK = GuessingPlan(phones=20, guesses_each=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guessed:
    """What one run found: answers by their reason, phones that were kept back, wrong codes as the database counts them,
    and whether a phone that types a genuine code afterwards gets its money."""

    plan: GuessingPlan
    answers: Mapping[str, int]
    locked_out: int
    counted: int
    seconds: float
    processor_seconds: Mapping[str, float]
    genuine_redeemed: bool
    agrees: bool
    facts: Mapping[str, str]

    @property
    def guesses(self) -> int:
        """All of them."""
        return sum(self.answers.values())

    @property
    def sound(self) -> bool:
        """Whether as many were held against the codes as the rules allow, none hit, and nobody else was kept back."""
        allowed = wrong_an_hour(self.plan.phones)
        judged, back = self.answers.get(JUDGED, 0), self.answers.get(KEPT_BACK, 0)
        return judged == allowed == self.counted and judged + back == self.guesses and self.genuine_redeemed


def wrong_an_hour(phones: int, rules: ThrottleRules = DEFAULT_RULES) -> int:
    """The most wrong codes that phones behind one caller may type in an hour: all they have until the brake is on, then
    one of each that typed none yet."""
    unbraked = min(phones, rules.caller_max // rules.phone_max)
    return unbraked * rules.phone_max + (phones - unbraked) * rules.phone_braked_max


async def measure(plan: GuessingPlan, *, starting: Callable[[int], None], told: Callable[[str], None]) -> Guessed:
    """Runs it on a database of its own, without a worker."""
    told("starting PostgreSQL and a core")
    async with open_promotion_rig() as rig:
        starting(1)
        genuine = await rig.active("guessed", count=LIVE)
        told(f"{plan.phones * plan.guesses_each:,} guesses of {plan.phones:,} phones")
        orders = _orders(rig, plan)
        answers: Counter[str] = Counter()
        locked_out: set[str] = set()
        before, began = rig.processor_seconds(), perf_counter()
        for at in range(0, len(orders), SET):
            part = orders[at : at + SET]
            response = await rig.call(rig.commands.RedeemCodes, pb.RedeemCodesRequest(ledger=LEDGER, orders=part))
            reasons = [one.error.reason for one in response.results]
            answers.update(reasons)
            locked_out |= {one.msisdn for one, reason in zip(part, reasons, strict=True) if reason == KEPT_BACK}
        seconds, after = perf_counter() - began, rig.processor_seconds()
        order = pb.RedemptionOrder(request_id="genuine", code=genuine[0], msisdn=_phone(plan.phones), session="genuine")
        redeemed = await rig.call(rig.commands.Redeem, pb.RedeemRequest(ledger=LEDGER, order=order))
        return Guessed(
            plan=plan,
            answers=answers,
            locked_out=len(locked_out),
            counted=await _counted(rig),
            seconds=seconds,
            processor_seconds={part: after[part] - before[part] for part in ("grpc", POSTGRESQL)},
            genuine_redeemed=redeemed.redemption.state == pb.Redemption.STATE_PAYING,
            agrees=await rig.agrees(),
            facts=rig.facts,
        )


def _orders(rig: PromotionRig, plan: GuessingPlan) -> list[pb.RedemptionOrder]:
    """Codes of today's form, phone by phone: nobody gets more out of the rules by another order."""
    count = plan.phones * plan.guesses_each
    codes = draw_codes(Random(7).randbytes, count=count, issued_on=rig.application.now().date())
    return [
        pb.RedemptionOrder(
            request_id=f"g{number}",
            code=printed(code),
            msisdn=_phone(number // plan.guesses_each),
            session=f"g{number}",
        )
        for number, code in enumerate(codes)
    ]


def _phone(number: int) -> str:
    return f"25078{number:07d}"


async def _counted(rig: PromotionRig) -> int:
    async with transaction(rig.application.engine) as connection:
        return int((await connection.execute(_WRONG, {"ledger": rig.ledger.id})).scalar_one())
