"""What the demonstration prints of its promotion: what it owes at each step, what phones saw, what they were told."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from api.tables import table

_REFERENCE = re.compile(r"\S+\.$")
_COLUMNS = (
    "step", "batch", ">live codes", ">liab.promo", ">owed to winners", ">in transit", ">prefund", ">float",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Owed:
    """A batch at one moment: its live codes, and what is held for them, for winners who wait, on its way to others, by
    the partner, and in the float that pays. In francs, which have no decimals."""

    state: str
    live_codes: int
    liability: int
    winners: int
    in_transit: int
    prefund: int
    float_units: int

    def is_face_times_live(self, face: int) -> bool:
        """Whether the liability is what it must be: nothing before the batch is active, and after its end."""
        return self.liability == (face * self.live_codes if self.state in ("ACTIVE", "PAUSED") else 0)


Steps = Sequence[tuple[str, Owed]]


def print_steps(out: Console, steps: Steps, *, face: int) -> None:
    """A row per step."""
    rows = [
        (
            step,
            owed.state,
            f"{owed.live_codes:,}",
            f"{owed.liability:,}" + ("" if owed.is_face_times_live(face) else " !"),
            f"{owed.winners:,}",
            f"{owed.in_transit:,}",
            f"{owed.prefund:,}",
            f"{owed.float_units:,}",
        )
        for step, owed in steps
    ]
    out.print(table("\nWhat the batch owes, in RWF", _COLUMNS, rows))


def print_screens(out: Console, screens: Sequence[tuple[str, str]]) -> None:
    """What phones saw, the first line of each screen; alike for all codes that cannot be redeemed."""
    rows = [(who, screen.splitlines()[0]) for who, screen in screens]
    out.print(table("Screens", ("what was typed", "what the phone shows"), list(dict.fromkeys(rows))))


def print_texts(out: Console, texts: Sequence[str]) -> None:
    """One message of each sort, and how many were sent."""
    first: dict[str, str] = {}
    counted: Counter[str] = Counter()
    for text in texts:
        sort = _REFERENCE.sub("", text)
        first.setdefault(sort, text)
        counted[sort] += 1
    rows = [(f"{counted[sort]}", text) for sort, text in first.items()]
    out.print(table("Text messages", (">sent", "such as"), rows))


def print_proof(
    out: Console,
    steps: Steps,
    *,
    face: int,
    winners: int,
    paid: Sequence[int],
    float_of_wallet: int,
    messages: bool,
) -> bool:
    """Whether the liability was face value times live codes at every step, each winner was paid once, nothing is left,
    and the float is the wallet's."""
    last = steps[-1][1]
    is_owed = all(owed.is_face_times_live(face) for _, owed in steps)
    once = list(paid) == [face] * winners
    over = (last.state, last.liability, last.winners, last.in_transit) == ("EXPIRED", 0, 0, 0)
    agrees = last.float_units == float_of_wallet
    wrong = [
        words
        for words, holds in (
            ("its liability was not its live codes", is_owed),
            (f"the wallet paid {list(paid)}", once),
            ("something is left of it", over),
            ("the wallet holds another float", agrees),
            ("messages are missing", messages),
        )
        if not holds
    ]
    told = f"liability = {face} x live codes at all {len(steps)} steps; {winners} winners paid once; nothing is left"
    out.print(f"[bold]Batch {last.state}[/]: " + (told if not wrong else f"[bold red]{', '.join(wrong)}[/]") + ".\n")
    return not wrong
