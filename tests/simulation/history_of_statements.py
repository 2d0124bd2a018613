"""A history with statements: payouts and money in, a thief, fees, and people who hold all of it against what the
provider writes down. At its end comes one full cycle: a statement of everything, taken in, reconciled, put right, and
once more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from ledger.reconciliation.reading import Days
from tests.simulation import adversaries, bookkeepers, clerks, last_cycle
from tests.simulation.account import APART, CHARGES, UTILITY
from tests.simulation.actors import Actor, current
from tests.simulation.books import Opened
from tests.simulation.checks_of_statements import StatementChecker, StatementWatch
from tests.simulation.history import WORKERS, Act, History
from tests.simulation.history_of_money_in import MoneyInHistory
from tests.simulation.options import Options
from tests.simulation.outcome import Arena, Outcome
from tests.simulation.statement_files import Exported, day_of

NIGHTS_MAX = 2
# Amounts that others pay and send back, too.
THEFTS = (50_000, 150_000, 150_000, 250_000, 450_000)
# What is looked at as soon as it is done: nothing happens between its COMMIT and that.
_AT_ONE_GO = ("reconcile", "close")


class StatementHistory(MoneyInHistory):
    """Lives one through."""

    _keeps_prepared = True

    def __init__(self, options: Options, arena: Arena) -> None:
        super().__init__(options, arena)
        self.folder = Path()
        self.files: dict[str, Exported] = {}
        self.nights = 0
        self.is_last_cycle = False
        self.watch = StatementWatch(arena.ground.session, self.daraja, self.files, options)
        self._races = False

    @property
    def accounts(self) -> tuple[str, ...]:
        """Those that the provider writes statements of."""
        return (UTILITY, CHARGES) if self.options.fees == APART else (UTILITY,)

    async def live(self) -> Outcome:
        """Lives it and judges it; its statements are gone after it."""
        with tempfile.TemporaryDirectory(prefix="daftari-statements-") as folder:
            self.folder = Path(folder)
            return await super().live()

    def checker(self, opened: Opened) -> StatementChecker:
        """Who judges it."""
        return StatementChecker(self.arena.ground.session, opened, self.daraja, lambda: self.asks)

    def counts(self) -> dict[str, int]:
        """What there was of everything."""
        return {**super().counts(), "statements exported": len(self.files), **self.watch.counts()}

    def look_at_runs(self) -> None:
        """Every run that is new, while nothing has moved since."""
        self.violations += self.watch.look_at_runs()

    def look_at_closes(self) -> None:
        """What was signed is kept."""
        self.violations += self.watch.look_at_closes()

    # Its course.

    @property
    def _layout(self) -> str:
        return f"statements_{self.options.partners}_{self.options.validates}".lower()

    async def _open_books(self) -> Opened:
        """The books begin on the day before the first that statements are about."""
        opened = await super()._open_books()
        self.clock.advance(86_400)
        self.watch.begin(day_of(self.clock.now()))
        return opened

    def _waits(self) -> bool:
        waits, actor = super()._waits(), current.get()
        return waits and not self._races and (actor is None or actor.work not in _AT_ONE_GO)

    def _dies(self, actor: Actor, point: str) -> bool:
        return not self._races and super()._dies(actor, point)

    def _cut(self) -> str | None:
        return None if self._races else super()._cut()

    def _choices(self, opened: Opened) -> dict[str, tuple[float, Act]]:
        found = super()._choices(opened)
        if any(wish.is_open for wish in self.wishes):
            found["wish"] = (2.0, lambda: History._ask(self, opened))
        if self.nights < NIGHTS_MAX:
            found["night"] = (0.4, self._night)
        if self.daraja.account.rows:
            found["export"] = (1.0, self._export)
        if self.files:
            found["import"] = (1.5, self._import)
            found["reconcile"] = (1.0, self._reconcile)
            found["adjust"] = (1.2, lambda: bookkeepers.adjust(self, opened))
        return found

    def _adversaries(self, opened: Opened) -> Mapping[str, tuple[float, Act]]:
        return {
            **super()._adversaries(opened),
            "thief": (0.3, lambda: adversaries.steal(self, THEFTS)),
            "closer": (0.7, lambda: bookkeepers.close(self, opened)),
            "clerks-race": (0.4, self._race),
        }

    async def _night(self) -> None:
        self.nights += 1
        self.note("a night passes")
        self.clock.advance(self.chance.uniform(12, 22) * 3_600)

    async def _export(self) -> None:
        since = self.chance.choice([self.watch.first, self._today, self._today - timedelta(days=1)])
        bookkeepers.fetch(self, self.chance.choice(self.accounts), max(since, self.watch.first))

    async def _import(self) -> None:
        known = self.watch.taken_in()
        waiting = [one for name, one in self.files.items() if name not in known]
        if not waiting or self.troubled("file-twice", 0.3):
            waiting = list(self.files.values())
        await bookkeepers.take_in(self, self.chance.choice(waiting))

    async def _reconcile(self) -> None:
        first, today = self.watch.first, self._today
        yesterday = max(first, today - timedelta(days=1))
        days = self.chance.choice([None, Days(first, today), Days(yesterday, yesterday), Days(today, today)])
        await bookkeepers.reconcile(self, self.chance.choice(self.accounts), days)

    async def _race(self) -> None:
        """Two people take one file in at the same moment, each over a process of its own, and neither dies of it."""
        if not self.files or self.stage.waiting or self._at_a_time:
            return
        self.troubles["clerks-race"] += 1
        self._races = True
        try:
            file = self.chance.choice(list(self.files.values()))
            await bookkeepers.take_in(self, file, self.processes[WORKERS[0]])
        finally:
            self._races = False

    @property
    def _today(self) -> date:
        return day_of(self.clock.now())

    # Its end.

    async def _notice(self, opened: Opened) -> None:
        """Nobody looks, until the statement shows it."""
        if self.is_last_cycle:
            await clerks.notice_all(self, opened)

    async def _heal(self, opened: Opened) -> None:
        await super()._heal(opened)
        await last_cycle.live(self, opened)
        self.violations += self.watch.at_the_end()

    async def settle_down(self, opened: Opened, *, hours: float) -> None:
        """Everything works until nothing is due."""
        self.ends_at = self.clock.now() + timedelta(hours=hours)
        while self.clock.now() < self.ends_at:
            await self._work_for_good(opened)
            self.clock.advance(self._next_rest(self.ends_at))
