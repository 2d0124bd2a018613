"""What came of the long form, as a page in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.lifecycle import telling
from tests.torture.crashes import CrashesTold
from tests.torture.cuts import CutsTold
from tests.torture.kills import KillsTold
from tests.torture.races import RacesTold

_HEAD = """\
Printed by `make torture`, which is `python -m tests.torture --report docs/simulation/torture.md`; with `--only` and a
part it makes that part anew. Nothing here is mocked: PostgreSQL, processes, connections and threads are real. Times are
those of the machine it ran on, and of whatever else that did meanwhile. What the search found wrong in the
product, and is right now, stands in `tests/lifecycle/test_found_by_the_search.py`.
"""
_FIGURES = "| what | figure |\n|---|---:|"


@dataclass(frozen=True, slots=True)
class Section:
    """One part: a heading, its tables, and what was wrong."""

    heading: str
    text: str
    faults: list[str]
    seconds: float = 0.0

    def lasting(self, seconds: float) -> Section:
        """The same with the time it took."""
        return replace(self, seconds=seconds)


def text_of(section: Section) -> str:
    """The section."""
    wrong = "; ".join(section.faults) or "nothing"
    return f"## {section.heading}\n\n{section.text}\n\nWrong: {wrong}. It took {section.seconds:,.0f} s.\n"


def with_section(before: str, section: Section) -> str:
    """The page with the section new, and the others as they were."""
    others = [part for part in before.split("\n## ")[1:] if not part.startswith(f"{section.heading}\n")]
    return "\n".join([_HEAD, *(f"## {part.rstrip()}\n" for part in others), text_of(section)])


def of_states(rows: Sequence[str], ways: Sequence[str], faults: list[str]) -> Section:
    """The search of the life cycle."""
    found = "| broken rule | worlds until found | steps to it | what breaks |\n|---|---:|---:|---|"
    text = "\n".join([telling.HEAD, *rows, "", found, *ways])
    return Section("Every order of steps in a payout's life", text, faults)


def of_cuts(told: CutsTold) -> Section:
    """Cuts at COMMIT."""
    rows = [
        _row("connections cut before COMMIT arrived", told.before),
        _row("cut after it was carried out, before the answer", told.after),
        _row("entries posted", told.posted),
        _row("payouts requested", told.requested),
        _row("calls that callers had to repeat", told.interrupted),
        _row("requests repeated in the end, each answered as at first", told.repeated),
    ]
    return Section("Connections cut at COMMIT", "\n".join([_FIGURES, *rows]), told.faults)


def of_crashes(sound: CrashesTold, lossy: CrashesTold, *, refused: bool) -> Section:
    """Crashes of PostgreSQL, and the control."""
    rows = [_row(f"crashes: {crash.value}", times) for crash, times in sound.crashes.items()]
    rows += [
        _row("posts acknowledged", sound.acknowledged),
        _row("committed, and their callers had heard nothing until they repeated", sound.unheard),
        _row("acknowledged and lost", sound.lost),
        _row("control with synchronous_commit off: crashes", lossy.crashes.total()),
        _row("control: posts acknowledged", lossy.acknowledged),
        _row("control: acknowledged and lost", lossy.lost),
        f"| control: the service refuses to start on such a server | {'yes' if refused else 'no'} |",
    ]
    faults = [*sound.faults, *[f"{sound.lost} acknowledged posts are lost"] * bool(sound.lost)]
    faults += ["the control lost nothing, so a loss would not be seen"] * (lossy.lost == 0)
    faults += ["the service would start on a server that loses"] * (not refused)
    return Section("Crashes of PostgreSQL under load", "\n".join([_FIGURES, *rows]), faults)


def of_races(told: Sequence[RacesTold]) -> Section:
    """Races of threads."""
    rows = ["| race of eight threads | times | endings | wrong |", "|---|---:|---|---:|"]
    for one in told:
        endings = ", ".join(f"{ending}: {times:,}" for ending, times in sorted(one.endings.items()))
        rows.append(f"| {one.name} | {one.races:,} | {endings} | {len(one.faults)} |")
    return Section("Races of real threads", "\n".join(rows), [fault for one in told for fault in one.faults[:3]])


def of_kills(posting: Sequence[KillsTold], paying: Sequence[KillsTold]) -> Section:
    """Processes killed, in rounds. What is wrong there ends the run."""
    rows = ["| kill -9 of | rounds | kills | requests answered | callers found nobody | carried out unheard |"]
    rows.append("|---|---:|---:|---:|---:|---:|")
    for name, told in (("the service while clients post", posting), ("one role of three while it pays", paying)):
        kills, answered = sum(one.kills for one in told), sum(one.answered for one in told)
        unheard = f"{sum(one.interrupted for one in told):,} | {sum(one.replayed for one in told):,}"
        rows.append(f"| {name} | {len(told)} | {kills:,} | {answered:,} | {unheard} |")
    return Section("Processes killed", "\n".join(rows), [])


def _row(what: str, figure: int) -> str:
    return f"| {what} | {figure:,} |"
