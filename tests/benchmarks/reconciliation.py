"""The reconciliation benchmark: statements of a month taken in and held against the books by an operator's commands."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter, sleep
from types import MappingProxyType
from typing import Any

from ledger.journal.verify import VerifyReport
from tests.benchmarks.machine import KILOBYTE, machine_facts, peak_megabytes, server_facts
from tests.benchmarks.processes import environment_of
from tests.benchmarks.rig import LEDGER, POSTGRESQL, Rig, open_rig
from tests.benchmarks.statement_books import PROVIDER, account_specs, load_month, sets_of
from tests.benchmarks.statement_world import CHARGES_PAID, DAYS, SHORTCODE, UTILITY, Month, make_month

QUICK, FULL, LARGE = (2_000,), (100_000,), (100_000, 1_000_000)
STEPS = 11
IMPORTING, MATCHING = "import", "match"
PROPOSING, APPROVING = "propose the true-up of charges", "approve it"
_ROOT = Path(__file__).parents[2]
_LOOK_SECONDS = 0.02
_WEEK = timedelta(days=7)
_ADJUSTMENT = re.compile(r"\badj_[0-9A-Z]{13}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command: its wall clock, the processor time of it and of PostgreSQL, its most resident memory, and what it
    answered, with the movements or lines that it was about."""

    name: str
    lines: int
    seconds: float
    own_seconds: float
    postgresql_seconds: float
    megabytes: float
    told: Mapping[str, Any]

    @property
    def processor_seconds(self) -> float:
        """Of both."""
        return self.own_seconds + self.postgresql_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """All that was found of one month."""

    movements: int
    statement_megabytes: float
    planted: Mapping[str, int]
    expected: Mapping[str, int]
    steps: Sequence[Step]
    verified: VerifyReport

    def step(self, name: str) -> Step:
        """By its name."""
        return next(one for one in self.steps if one.name == name)

    def unexplained(self, sub_account: str) -> int:
        """What the run of the whole month could not explain, in cents."""
        return int(self.step(f"{MATCHING}, {sub_account}").told["unexplained"])

    @property
    def is_exact(self) -> bool:
        """Whether the unexplained is what was planted, to the cent."""
        return all(self.unexplained(one) == self.expected[one] for one in (UTILITY, CHARGES_PAID))


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The smallest month first."""

    sizes: Sequence[Size]
    facts: Mapping[str, str]


async def measure(sizes: Sequence[int], *, starting: Callable[[int], None], told: Callable[[str], None]) -> Results:
    """Each month on a PostgreSQL of its own."""
    starting(sum(sets_of(size) + STEPS for size in sizes))
    found, facts = [], dict[str, str]()
    for movements in sizes:
        told(f"{movements:,} movements: PostgreSQL starts, the rail moves money")
        async with open_rig(account_specs()) as rig:
            application = rig.application
            facts = facts or {
                **machine_facts(application.settings.data_directory),
                **await server_facts(application.engine),
            }
            found.append(await _size(rig, movements, told))
    return Results(sizes=found, facts=facts)


async def _size(rig: Rig, movements: int, told: Callable[[str], None]) -> Size:
    month = make_month(movements, first_at=_first_day(rig))
    await load_month(rig.owner_url, ledger=rig.ledger, month=month, told=told)
    with tempfile.TemporaryDirectory(prefix="daftari-statements-") as name:
        directory, size = Path(name), 0
        for sub_account in (UTILITY, CHARGES_PAID):
            size += (directory / f"{sub_account}.csv").write_bytes(month.write(sub_account).encode())
        week = month.write(UTILITY, since=month.until - _WEEK)
        (directory / "week.csv").write_text(week, newline="")
        planted, expected = month.planted, month.unexplained
        del month.world, month.happenings
        steps = [await asyncio.to_thread(_run, rig, one, told) for one in _orders(directory, month)]
        steps += await asyncio.to_thread(_true_up, rig, steps, told)
    told("rebuilding the books from their postings")
    return Size(
        movements=movements,
        statement_megabytes=size / KILOBYTE**2,
        planted=planted,
        expected=expected,
        steps=steps,
        verified=await rig.verified(),
    )


def _first_day(rig: Rig) -> datetime:
    """A start of day so long ago that the month is over."""
    local = rig.application.now().astimezone(rig.ledger.zone) - timedelta(days=DAYS + 2)
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _orders(directory: Path, month: Month) -> list[tuple[str, list[str]]]:
    """The commands, in order, by what they are called in the tables."""
    whose, last = [LEDGER, f"{PROVIDER}:{SHORTCODE}"], f"{month.until:%Y-%m-%d}"

    def taken(file: str, sub_account: str) -> list[str]:
        return ["statement", "import", *whose, str(directory / file), *_of(sub_account)]

    def held(sub_account: str, *more: str) -> list[str]:
        return ["reconcile", "run", *whose, *_of(sub_account), *more]

    return [
        (f"{IMPORTING}, {UTILITY}", taken("utility.csv", UTILITY)),
        (f"{IMPORTING}, {CHARGES_PAID}", taken("charges_paid.csv", CHARGES_PAID)),
        (f"{MATCHING}, {UTILITY}", held(UTILITY)),
        (f"{MATCHING}, {CHARGES_PAID}", held(CHARGES_PAID)),
        (f"{IMPORTING} again, the last week", taken("week.csv", UTILITY)),
        (f"{MATCHING}, the last week", held(UTILITY)),
        (f"{MATCHING}, the last day", held(UTILITY, "--since", last, "--until", last)),
    ]


def _of(sub_account: str) -> list[str]:
    return ["--account", sub_account, "--actor", "benchmarks", "--json"]


def _run(rig: Rig, order: tuple[str, list[str]], told: Callable[[str], None]) -> Step:
    """A command as a process of its own; 1 is the answer of a run that found breaks."""
    name, arguments = order
    told(name)
    used = _command(rig, arguments)
    document: dict[str, Any] = json.loads(used.answer)
    return used.step(name, lines=document["lines"], told=document)


def _true_up(rig: Rig, steps: Sequence[Step], told: Callable[[str], None]) -> list[Step]:
    """What rules are certain of, proposed by one and approved by another, which matches all lines again."""
    run = next(one for one in steps if one.name == f"{MATCHING}, {CHARGES_PAID}")
    told(PROPOSING)
    proposed = _command(rig, ["adjustment", "propose", LEDGER, run.told["run"], "--actor", "benchmarks"])
    (adjustment,) = _ADJUSTMENT.findall(proposed.answer)
    told(APPROVING)
    approved = _command(rig, ["adjustment", "approve", LEDGER, adjustment, "--actor", "another"])
    return [proposed.step(PROPOSING, lines=run.lines), approved.step(APPROVING, lines=run.lines)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Used:
    """What a command took, and its answer."""

    seconds: float
    own_seconds: float
    postgresql_seconds: float
    megabytes: float
    answer: str

    def step(self, name: str, *, lines: int, told: Mapping[str, Any] = MappingProxyType({})) -> Step:
        """As it is shown."""
        return Step(
            name=name,
            lines=lines,
            seconds=self.seconds,
            own_seconds=self.own_seconds,
            postgresql_seconds=self.postgresql_seconds,
            megabytes=self.megabytes,
            told=told,
        )


def _command(rig: Rig, arguments: Sequence[str]) -> _Used:
    environment = environment_of({"data_directory": str(rig.application.settings.data_directory)})
    before, began = rig.processor_seconds()[POSTGRESQL], perf_counter()
    with tempfile.TemporaryFile() as out:
        program = (sys.executable, "-m", "api.cli", *arguments)
        process = subprocess.Popen(program, stdout=out, env=environment, cwd=_ROOT)
        megabytes = 0.0
        while not (waited := os.wait4(process.pid, os.WNOHANG))[0]:
            megabytes = peak_megabytes(process.pid) or megabytes
            sleep(_LOOK_SECONDS)
        _, status, used = waited
        seconds, after = perf_counter() - began, rig.processor_seconds()[POSTGRESQL]
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        answer = out.read().decode()
    if process.returncode not in (0, 1) or not answer:
        raise RuntimeError(f"{' '.join(arguments[:2])}: the command ended with {process.returncode}")
    return _Used(
        seconds=seconds,
        own_seconds=used.ru_utime + used.ru_stime,
        postgresql_seconds=after - before,
        megabytes=megabytes,
        answer=answer,
    )
