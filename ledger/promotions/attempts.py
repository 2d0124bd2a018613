"""How many wrong codes a phone may type. Pure.

Five an hour from one phone. Where a caller, or all together, bring in more wrong codes than people mistype, each phone
has one an hour: a guesser is slowed to as many tries as it has phones, and nobody who types a genuine code at the first
go is kept from its money.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

# Digests of wrong attempts that a row keeps; above any wrong_max.
RECENT_MAX = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleRules:
    """Wrong codes within a window: of one phone; of one phone while the brake is on; and of one caller, or of all, from
    which on it is."""

    window: timedelta = timedelta(hours=1)
    phone_max: int = 5
    phone_braked_max: int = 1
    caller_max: int = 2_000
    all_max: int = 10_000

    def __post_init__(self) -> None:
        assert 0 < self.phone_braked_max <= self.phone_max <= RECENT_MAX, "a phone may err, and is remembered"


DEFAULT_RULES = ThrottleRules()


@dataclass(frozen=True, slots=True)
class Tally:
    """What was typed wrong since a moment; `recent` are digests of the wrong attempts, of phones alone."""

    started_at: datetime
    wrong: int = 0
    recent: tuple[bytes, ...] = ()

    def at(self, now: datetime, rules: ThrottleRules) -> Tally:
        """The tally that counts now: another window begins where the last is over."""
        return Tally(now) if self.started_at + rules.window <= now else self

    def with_wrong(self, digest: bytes | None, *, now: datetime) -> Tally:
        """One wrong attempt more. The window begins with the first."""
        started_at = self.started_at if self.wrong else now
        recent = self.recent if digest is None else (*self.recent, digest)[-RECENT_MAX:]
        return replace(self, started_at=started_at, wrong=self.wrong + 1, recent=recent)

    def seconds_left(self, now: datetime, rules: ThrottleRules) -> int:
        """Until the window is over."""
        return max(1, -((now - self.started_at - rules.window) // timedelta(seconds=1)))


def allowance(*, caller: Tally, everybody: Tally, rules: ThrottleRules) -> int:
    """How many wrong codes a phone may type within its window."""
    braked = caller.wrong >= rules.caller_max or everybody.wrong >= rules.all_max
    return rules.phone_braked_max if braked else rules.phone_max
