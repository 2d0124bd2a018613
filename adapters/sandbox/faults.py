"""Faults put in on purpose: scripted ones, seeded rates, and what may happen to a callback on its way.

Chooses behaviours and draws lots; carries nothing out.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from adapters.sandbox import magic
from adapters.sandbox.apis import COLLECTING, ENDPOINTS, MOVING_OUT, PAYMENTS, Api
from adapters.sandbox.behaviours import Behaviour

NOT_FOUND_CODES = ("2033", "25")
"""The result codes that integrators met where a status query found nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a request asks of whom: for a payment the receiver's MSISDN or shortcode, for a collection or its reversal
    the payer's MSISDN; otherwise both are empty."""

    api: Api
    msisdn: str = field(default="", repr=False)
    shortcode: str = ""


@dataclass(frozen=True, slots=True)
class Scripted:
    """The next `count` requests get this behaviour, whatever their number says: those to `msisdn` or `shortcode` (None:
    to anyone) of `api` (None: of any that pays out; what collects, reverses or asks, and OAuth, have to be named)."""

    behaviour: str
    count: int
    msisdn: str | None = field(default=None, repr=False)
    shortcode: str | None = None
    api: Api | None = None

    def meets(self, target: Target) -> bool:
        """Whether this line of the script is for such a request."""
        of_this_api = target.api in PAYMENTS if self.api is None else target.api is self.api
        to_this_one = self.msisdn in {None, target.msisdn} and self.shortcode in {None, target.shortcode}
        return of_this_api and to_this_one


class Allowance:
    """What the gateway lets through: so many requests within a window that slides; `requests_max` None is no limit."""

    def __init__(self, *, requests_max: int | None, seconds: float) -> None:
        self.requests_max = requests_max
        self.seconds = seconds
        self._admitted_at: deque[datetime] = deque()

    def admits(self, now: datetime) -> bool:
        """Whether one more may pass at `now`; counts it if so."""
        if self.requests_max is None:
            return True
        while self._admitted_at and now - self._admitted_at[0] >= timedelta(seconds=self.seconds):
            self._admitted_at.popleft()
        if len(self._admitted_at) >= self.requests_max:
            return False
        self._admitted_at.append(now)
        return True


@dataclass(frozen=True, slots=True)
class Rate:
    """The share, 0 to 1, of otherwise plain requests of one sort (payments and reversals, collections, questions) that
    get this behaviour."""

    behaviour: str
    share: float


@dataclass(frozen=True, slots=True)
class CallbackFaults:
    """On the way of every callback: a delay in seconds plus up to `jitter_seconds` (which reorders), and the shares,
    0 to 1, that never arrive or arrive twice."""

    delay_seconds: float = 0.05
    jitter_seconds: float = 0.0
    drop_rate: float = 0.0
    duplicate_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Journey:
    """What one callback meets on its way: how long it waits, and how many copies of it leave (none: it is lost)."""

    delay_seconds: float
    copies: int


class Faults:
    """Scripted faults come first, then the magic numbers, then the rates."""

    def __init__(self, *, callbacks: CallbackFaults, seed: int) -> None:
        self._callbacks_at_start = callbacks
        self._seed_at_start = seed
        self.clear()

    def clear(self) -> None:
        """No script, no rates, callbacks as at start, the first seed again."""
        self.scripted: list[Scripted] = []
        self.rates: tuple[Rate, ...] = ()
        self.query_rates: tuple[Rate, ...] = ()
        self.collection_rates: tuple[Rate, ...] = ()
        self.allowance = Allowance(requests_max=None, seconds=1)
        self.token_errors = {api: endpoint.token_error for api, endpoint in ENDPOINTS.items()}
        self.not_found_code = NOT_FOUND_CODES[0]
        self.callbacks = self._callbacks_at_start
        self.reseed(self._seed_at_start)

    def reseed(self, seed: int) -> None:
        """Starts the lots over: a seed and an order of requests give the same faults again."""
        self._random = random.Random(seed)

    def script(self, scripted: Sequence[Scripted]) -> None:
        """Appends to the script; earlier lines are used up first."""
        self.scripted.extend(scripted)

    def choose(self, target: Target, by_number: Behaviour) -> Behaviour:
        """The behaviour for one request, using up a scripted fault if one matches; `by_number` is what the magic
        numbers say. A behaviour that this API does not have gives way to plain success."""
        drawn = self._drawn if by_number is magic.SUCCESS else lambda _api: by_number
        behaviour = self._scripted(target) or drawn(target.api)
        return behaviour if behaviour.suits(target.api) else magic.SUCCESS

    def journey(self) -> Journey:
        """What the next callback will meet."""
        delay_seconds = self.callbacks.delay_seconds + self._random.uniform(0, self.callbacks.jitter_seconds)
        lot = self._random.random()
        if lot < self.callbacks.drop_rate:
            return Journey(delay_seconds, copies=0)
        doubled = lot < self.callbacks.drop_rate + self.callbacks.duplicate_rate
        return Journey(delay_seconds, copies=2 if doubled else 1)

    def _scripted(self, target: Target) -> Behaviour | None:
        for index, fault in enumerate(self.scripted):
            if fault.meets(target):
                left = [replace(fault, count=fault.count - 1)] if fault.count > 1 else []
                self.scripted[index : index + 1] = left
                return magic.BEHAVIOURS[fault.behaviour]
        return None

    def _drawn(self, api: Api) -> Behaviour:
        if api is Api.OAUTH:
            return magic.SUCCESS
        lot = self._random.random()
        for rate in self._rates_of(api):
            if lot < rate.share:
                return magic.BEHAVIOURS[rate.behaviour]
            lot -= rate.share
        return magic.SUCCESS

    def _rates_of(self, api: Api) -> tuple[Rate, ...]:
        if api in COLLECTING:
            return self.collection_rates
        return self.rates if api in MOVING_OUT else self.query_rates
