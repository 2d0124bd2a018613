"""What becomes of a history, and where it is lived."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.books import Opened
from tests.simulation.options import Options
from tests.simulation.postgres import Engines, Ground


@dataclass(slots=True)
class Outcome:
    """What became of a history."""

    options: Options
    violations: list[str]
    trace: list[str]
    troubles: Counter[str]
    passed: Counter[str]
    deaths: Counter[str]
    commits: int
    parked: int
    payouts: int
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """The same for the same history."""
        told = "\n".join([*self.trace, *self.violations, str(self.commits)])
        return hashlib.sha256(told.encode()).hexdigest()[:16]


@dataclass(slots=True)
class Arena:
    """Where histories are lived: a database, emptied before each, and its connections."""

    ground: Ground
    engines: Engines
    opened: dict[str, Opened] = field(default_factory=dict)
