"""One history: the seed's choices, one after another, until its steps are used up; then everything heals and must end.

Everything that happens is drawn from the seed and written into a trace, so that the same seed is the same history.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, LiteralString, TypeAlias

import psycopg
from sqlalchemy.exc import OperationalError

from ledger.errors import CommitUnknown, DatabaseUnavailable, Overloaded
from ledger.ids import IdSource
from tests.simulation import adversaries, clients, operator, processes
from tests.simulation.actors import Actor, Stage, current
from tests.simulation.books import Opened, open_books
from tests.simulation.checker import Checker, Witness
from tests.simulation.clients import Wish, make_wishes
from tests.simulation.clock import Clock, SkewedClock
from tests.simulation.daraja import Daraja
from tests.simulation.mail import Letter, Rail
from tests.simulation.network import ProviderLine, Receiver, ReceiverLine
from tests.simulation.options import Options
from tests.simulation.outcome import Arena, Outcome
from tests.simulation.processes import WORKS, Process, Surroundings

Act: TypeAlias = Callable[[], Awaitable[None]]
WORKERS, API, EDGE = ("worker-1", "worker-2"), "api", "edge"
# Liveness: when the troubles have stopped, everything must have ended within this.
HEALING = timedelta(hours=5)
# What a step may raise because of the troubles; anything else is a bug.
EXPECTED = (CommitUnknown, DatabaseUnavailable, Overloaded, psycopg.OperationalError, OperationalError)


class History:
    """Lives one history through."""

    def __init__(self, options: Options, arena: Arena) -> None:
        self.options = options
        self.arena = arena
        self.chance = random.Random(f"history {options.seed}")
        self.doom = self.chance.randint(2, 50)
        self.clock = Clock()
        self.healed = False
        self.troubles: Counter[str] = Counter()
        self.trace: list[str] = []
        self.violations: list[str] = []
        self.delivered: list[Letter] = []
        self.acknowledged: list[Letter] = []
        self.told: list[tuple[str, str]] = []
        self.stage = Stage(decide=self._dies, may_wait=self._waits)
        self.daraja = Daraja(options, clock=self.clock, chance=self.chance, troubled=self.troubled)
        self.rail: Rail = self.daraja
        self.receivers: dict[str, Receiver] = {}
        self.processes: dict[str, Process] = {}
        self.wishes: list[Wish] = []
        self.ends_at = self.clock.now()
        self._looked: tuple[int, dict[str, datetime]] = (-1, {})

    # What the seed decides.

    def troubled(self, trouble: str, share: float) -> bool:
        """Whether a trouble comes now."""
        # Drawn whether it is wanted or not, so that a history with fewer troubles stays much the same.
        if self.healed or self.chance.random() >= self.options.share(trouble, share):
            return False
        self.troubles[trouble] += 1
        return True

    def _dies(self, actor: Actor, point: str) -> bool:
        """By chance, and once for certain: at a point drawn beforehand."""
        if "crash" in self.options.troubles and self.stage.passed.total() == self.doom:
            self.troubles["crash"] += 1
            return True
        return self.troubled("crash", 0.03)

    def _waits(self) -> bool:
        return not self.healed and self.options.calls_max == 1 and self.chance.random() < 0.3

    def _cut(self) -> str | None:
        if current.get() is None:
            return None
        if self.troubled("commit-lost", 0.02):
            return "lost"
        return "unheard" if self.troubled("commit-unheard", 0.02) else None

    # Its course.

    async def live(self) -> Outcome:
        """Lives it and judges it."""
        opened = await self._begin()
        checker = self.checker(opened)
        for _ in range(self.options.steps):
            await self._step(opened)
        self.violations += checker.books()
        before, healed_at = checker.journal(), self.clock.now()
        await self._heal(opened)
        witness = Witness(
            options=self.options,
            wishes=self.wishes,
            receivers=self.receivers,
            acknowledged=self.acknowledged,
            journal_before=before,
            told=self.told,
            troubles=self.troubles,
            healed_at=healed_at,
            ended_at=self.clock.now(),
        )
        self.violations += checker.everything(witness)
        for process in self.processes.values():
            await process.die()
        return self._outcome(self.violations, parked=checker.parked())

    def checker(self, opened: Opened) -> Checker:
        """Who judges it."""
        return Checker(self.arena.ground.session, opened, self.daraja)

    def counts(self) -> dict[str, int]:
        """What there was of everything, for the tables; of payouts they tell anyway."""
        return {}

    def broken_by(self, error: Exception) -> Outcome:
        """What became of a history that could not be lived to its end."""
        where = f"after {len(self.trace)} lines" if self.trace else "at its beginning"
        violations = [*self.violations, f"I7 the history broke {where}: {type(error).__name__}: {error}"]
        return self._outcome(violations, parked=0)

    def _outcome(self, violations: list[str], *, parked: int) -> Outcome:
        return Outcome(
            options=self.options,
            violations=violations,
            trace=self.trace,
            troubles=self.troubles,
            passed=self.stage.passed,
            deaths=self.stage.deaths,
            commits=self.arena.engines.watch.commits,
            parked=parked,
            payouts=len({one for wish in self.wishes for one in wish.answers}),
            counts=self.counts(),
        )

    async def _begin(self) -> Opened:
        self.arena.ground.clean()
        watch = self.arena.engines.watch
        watch.stage, watch.cut, watch.commits = self.stage, self._cut, 0
        watch.at_a_time, watch.keeps_prepared = self._at_a_time, self._keeps_prepared
        around = Surroundings(
            options=self.options,
            engines=self.arena.engines,
            provider=self._provider(),
            receivers=ReceiverLine(self.receivers, stage=self.stage),
            chance=self.chance,
        )
        for name in self._process_names:
            skew = self.chance.uniform(-4, 4) if "clock" in self.options.troubles else 0.0
            process = self._process(name=name, clock=SkewedClock(self.clock, skew_seconds=skew), surroundings=around)
            (self.processes.setdefault(name, process)).start()
        opened = await self._open_books()
        self.receivers.update({url: Receiver(one, self.clock, self.troubled) for url, one in opened.endpoints.items()})
        self.clock.advance(3_600)
        watch.commits, self._looked = 0, (-1, {})
        self.wishes = make_wishes(self.chance, opened.partners, self.options.payouts)
        return opened

    # Whether the database is spoken to by one task at a time; see postgres.Watch.
    _at_a_time = _keeps_prepared = False
    _process_names: tuple[str, ...] = (*WORKERS, API, EDGE)
    _process: type[Process] = Process
    _healing, _stuck_seconds = HEALING, 60.0

    def _provider(self) -> Any:
        return ProviderLine(self.daraja, stage=self.stage, troubled=self.troubled)

    @property
    def _layout(self) -> str:
        return f"partners_{self.options.partners}"

    async def _open_books(self) -> Opened:
        """The same for every history with as many partners: opened once, and laid out for those that follow."""
        layout, ground, known = self._layout, self.arena.ground, self.arena.opened
        if not ground.lay_out(layout):
            known[layout] = await self._lay_books(self.processes[API])
            ground.remember(layout)
        return known[layout]

    async def _lay_books(self, process: Process) -> Opened:
        ids = IdSource(random.Random(self._layout))
        return await open_books(process.engine, count=self.options.partners, ids=ids, now=self.clock.now())

    async def _step(self, opened: Opened) -> None:
        names = list(choices := self._choices(opened))
        (name,) = self.chance.choices(names, [choices[one][0] for one in names])
        await choices[name][1]()

    def _choices(self, opened: Opened) -> dict[str, tuple[float, Act]]:
        """What may happen next, each with its weight."""
        found: dict[str, tuple[float, Act]] = {
            "time": (2.5, self._pass_time),
            "work": (6.0, self._start_work),
        }
        if self.stage.waiting:
            found["go on"] = (2.0 * len(self.stage.waiting), self._go_on)
        if any(wish.is_open for wish in self.wishes):
            found["ask"] = (2.5, lambda: self._ask(opened))
        if any(not one.is_done for one in self.daraja.orders):
            found["provider"] = (2.0, self._provider_works)
        if self.daraja.mail:
            found["mail"] = (3.0, self._bring_mail)
        for trouble, (weight, act) in self._adversaries(opened).items():
            if trouble in self.options.troubles:
                found[trouble] = (weight * self.options.storm, act)
        return found

    def _adversaries(self, opened: Opened) -> Mapping[str, tuple[float, Act]]:
        return adversaries.acts(self, opened)

    @property
    def _works(self) -> Mapping[str, Callable[[Process], Coroutine[Any, Any, int]]]:
        return WORKS

    # What may happen.

    async def act(self, process: str, name: str, work: Coroutine[Any, Any, Any]) -> Actor:
        """Starts an actor and sees to what becomes of it."""
        self.note(f"{process} {name}")
        actor = await self.stage.start(process, name, work)
        await self._after(actor)
        return actor

    def note(self, text: str) -> None:
        """One line of the trace."""
        self.trace.append(f"{self.clock.monotonic():9.1f}s {text}")

    async def _go_on(self) -> None:
        actor = self.chance.choice(self.stage.waiting)
        self.note(f"{actor.process} goes on with {actor.name} from {actor.waits_at}")
        await self.stage.go_on(actor)
        await self._after(actor)

    async def _after(self, actor: Actor) -> None:
        task = actor.task
        if task is None or not task.done():
            return
        error = None if task.cancelled() else task.exception()
        if actor.died_at is not None:  # in this task, or in one that it started
            self.note(f"{actor.process} dies {actor.died_at}")
            await self._restart(actor.process)
        elif error is not None:
            self.note(f"{actor.process} {actor.name} failed: {type(error).__name__}")
            if not isinstance(error, EXPECTED):
                self.violations.append(f"{actor.name} raised {type(error).__name__}: {error}")

    async def _restart(self, name: str) -> None:
        """A process died: everything it was doing is gone with it."""
        for actor in [one for one in self.stage.waiting if one.process == name]:
            await self.stage.end(actor)
        await self.processes[name].die()
        self.processes[name].start()

    async def _start_work(self) -> None:
        # Mostly what has something to do; now and then anything, for a worker looks often and finds little.
        due = self._due_now() if self.chance.random() < 0.95 else []
        process, name = self.chance.choice(WORKERS), self.chance.choice(due or [*self._works])
        busy = [one for one in self.stage.waiting if (one.process, one.name) == (process, name)]
        # A process has one loop that tells partners, and several that send.
        if len(busy) < (1 if name == "webhooks" else 2):
            await self.act(process, name, self._works[name](self.processes[process]))

    async def _ask(self, opened: Opened) -> None:
        waiting = [wish for wish in self.wishes if wish.is_open]
        chosen = self.chance.sample(waiting, min(len(waiting), self.chance.choice([1, 1, 2, 3])))
        asking = {one.name for one in self.stage.waiting if one.process == API}
        free = [wish for wish in chosen if f"ask {wish.number}" not in asking]
        if free:
            name = f"ask {' '.join(str(wish.number) for wish in free)}"
            await self.act(API, name, clients.ask(self.processes[API], opened.ledger, *free))

    async def _provider_works(self) -> None:
        if self.rail.work():
            self.note("the provider carries out what is due")

    async def _bring_mail(self) -> None:
        if (letter := self.rail.collect()) is not None:
            await self.bring(letter)

    @property
    def paths(self) -> list[str]:
        """Where the provider was told to answer."""
        return [one.result_url for one in self.daraja.orders]

    async def bring(self, letter: Letter) -> None:
        """The provider calls back once; what our edge does not acknowledge is lost."""
        self.delivered.append(letter)
        ledger_id, rail, kind, token = letter.url.split("/")[-4:]

        async def receive() -> None:
            await self.processes[EDGE].inbound.receive(
                ledger_id=int(ledger_id), rail=rail, kind=kind, token=token, raw=letter.body, remote_address=None
            )
            self.acknowledged.append(letter)

        await self.act(EDGE, f"callback about {letter.about}", receive())

    async def _pass_time(self) -> None:
        seconds = self.chance.choice([self.chance.expovariate(1 / 5), self.chance.expovariate(1 / 60), 0.0])
        due = self.daraja.next_due()
        if seconds == 0.0 and due is not None:
            seconds = (due - self.clock.now()).total_seconds()
        patient = not self.stage.waiting or "pause" in self.options.troubles
        if patient and self.chance.random() < 0.25:
            seconds = self.chance.choice([700.0, 1_000.0, 2_500.0, 8_000.0])
            if self.stage.waiting:
                self.troubles["pause"] += 1
        self.clock.advance(seconds)

    # Its end.

    async def _heal(self, opened: Opened) -> None:
        """The troubles stop; every process starts anew, and works until there is nothing more to do."""
        self.note("the troubles stop")
        self.healed = True
        for name, process in self.processes.items():
            process.clock.skew = timedelta(0)
            await self._restart(name)
        for receiver in self.receivers.values():
            receiver.away_until = None
        await self._begin_healing(opened)
        self.ends_at = self.clock.now() + self._healing
        while self.clock.now() < self.ends_at:
            await self._work_for_good(opened)
            self.clock.advance(self._next_rest(self.ends_at))
        await self._ask_for_balances()

    async def _begin_healing(self, opened: Opened) -> None:
        """What people see to first when all is well again."""

    async def _work_for_good(self, opened: Opened) -> None:
        """Everybody does what is due now, over and over until nothing is."""
        await self._ask_again(opened)
        for _ in range(_ROUNDS_MAX):
            done = self.rail.work()
            await self._resume_if_stopped(opened)
            while (letter := self.rail.collect()) is not None:
                await self.bring(letter)
                done += 1
            for work in self._due_now():
                actor = await self.act(WORKERS[0], work, self._works[work](self.processes[WORKERS[0]]))
                done += actor.result
            if not done:
                return

    async def _ask_again(self, opened: Opened) -> None:
        for wish in [one for one in self.wishes if one.is_open]:
            await self.act(API, f"ask {wish.number}", clients.ask(self.processes[API], opened.ledger, wish))

    async def _resume_if_stopped(self, opened: Opened) -> None:
        """An operator is at hand: a refusal of before the troubles stopped may be told after."""
        if self.arena.ground.session.execute("SELECT FROM rail_stops WHERE resumed_at IS NULL").rowcount:
            await operator.resume(self.processes[API], opened.ledger)

    async def _ask_for_balances(self) -> None:
        """The provider says a last time what it holds."""
        worker = self.processes[WORKERS[0]]
        self.clock.advance(processes.BALANCE_INTERVAL.total_seconds() + 1)
        await self.act(WORKERS[0], "balances", processes.watch_balances(worker))
        self.clock.advance(60)
        while (letter := self.daraja.collect()) is not None:
            await self.bring(letter)
        await self.act(WORKERS[0], "judge", processes.judge(worker))

    def _due_now(self) -> list[str]:
        return [work for work, moment in self._due().items() if moment <= self.clock.now()]

    def _due(self) -> dict[str, datetime]:
        """When each kind of work has something to do next: as it stands in the books, until somebody commits."""
        commits = self.arena.engines.watch.commits
        if self._looked[0] != commits:
            found = self.arena.ground.session.execute(*self._due_query())
            self._looked = commits, {work: moment for work, moment in found.fetchall() if moment is not None}
        return dict(self._looked[1])

    def _due_query(self) -> tuple[LiteralString, dict[str, timedelta]]:
        return processes.DUE, {"patience": processes.RESULT_DEADLINE}

    def _next_rest(self, end: datetime) -> float:
        """To the next moment at which anything is due, with a second to spare; else to when to look again."""
        moments = [*self._due().values(), self.rail.next_due() or end, end]
        later = [one for one in moments if one > self.clock.now()]
        seconds = (min(later, default=end) - self.clock.now()).total_seconds() + 1.0
        return seconds if len(later) == len(moments) else min(seconds, self._stuck_seconds)


_ROUNDS_MAX = 40
