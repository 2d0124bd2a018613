"""Commands under a request id, as clients send them: once, again after a doubt, changed, and never with two answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.collections.ordering import RACING_CONSTRAINTS as ORDERS_RACE
from ledger.database import run
from ledger.errors import CommitUnknown, DatabaseUnavailable, LedgerError, Overloaded
from ledger.idempotency import KeyClaim, claim
from ledger.journal.books import Ledger
from ledger.loans.commands import RACING_CONSTRAINTS as LOANS_RACE
from ledger.outcomes import RACING_CONSTRAINTS as OUTCOMES_RACE
from ledger.prompts import RACING_CONSTRAINTS as PROMPTS_RACE
from ledger.returns import RACING_CONSTRAINTS as RETURNS_RACE
from tests.simulation.processes import Process

CLIENT_ID = 7
RACES = ORDERS_RACE | LOANS_RACE | PROMPTS_RACE | RETURNS_RACE | OUTCOMES_RACE
# What says nothing about the command: its sender asks again.
_NO_ANSWER = (CommitUnknown, DatabaseUnavailable, Overloaded)

Send: TypeAlias = Callable[[Process, Ledger, AsyncConnection, KeyClaim], Awaitable[int]]


@dataclass(slots=True, eq=False)
class Ask:
    """One command that somebody wants carried out. `answers` are the ids it was told, by every try; `refusals` the
    reasons; `broken` those that came after an answer."""

    name: str
    method: str
    content: str
    send: Send
    answers: list[int] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether its sender still waits for a word."""
        return not self.answers and not self.refusals

    @property
    def answer(self) -> int | None:
        """The id that was told first."""
        return self.answers[0] if self.answers else None


async def ask(process: Process, ledger: Ledger, wanted: Ask) -> None:
    """Sends the command, and keeps what is answered."""
    try:
        wanted.answers.append(await _send(process, ledger, wanted, wanted.content))
    except _NO_ANSWER:
        raise
    except LedgerError as refusal:
        (wanted.broken if wanted.answers else wanted.refusals).append(refusal.reason)


async def ask_changed(process: Process, ledger: Ledger, wanted: Ask, told: list[str]) -> None:
    """Sends other content under the same request id; what comes back goes to `told`."""
    try:
        told.append(f"answered with {await _send(process, ledger, wanted, wanted.content + ' changed')}")
    except _NO_ANSWER:
        raise
    except LedgerError as refusal:
        told.append(refusal.reason)


async def _send(process: Process, ledger: Ledger, wanted: Ask, content: str) -> int:
    key = claim(client_id=CLIENT_ID, key=wanted.name, method=wanted.method, content=content.encode())

    async def command(connection: AsyncConnection) -> int:
        return await wanted.send(process, ledger, connection, key)

    return await run(process.engine, command, again_on=RACES)
