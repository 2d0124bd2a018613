"""What errands share: rails that this process may not run, tries whose answer was lost, rests before the next try."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from adapters.dispatch import Call, Done
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.outbox import queue
from ledger.outbox.instruction import NotSent
from ledger.outbox.queue import Claimed, Finished

RETRY_SECONDS_MAX = 900.0
Rail = TypeVar("Rail")


def find_rail(rails: Mapping[str, Rail], name: str) -> Rail | NotSent:
    """The rail; or, where another process runs it, the answer to that: nothing was sent."""
    return rails.get(name) or NotSent(f"this process does not run {name}")


async def finish_lost(
    session: Driver, ledger: Ledger, claimed: Sequence[Claimed], *, reason: str, now: datetime
) -> list[Claimed]:
    """Those whose last try has no answer; the try is closed as lost."""
    lost = [one for one in claimed if one.lost]
    finished = [Finished(one.id, one.attempt - 1, "lost", reason) for one in lost]
    await queue.finish_attempts(session, ledger_id=ledger.id, finished=finished, now=now)
    return lost


async def complete_sent(
    session: Driver, ledger: Ledger, results: Sequence[tuple[Call, Any]], *, now: datetime
) -> list[Done]:
    """Ends what was sent, and what was refused; what provably was not sent is tried again, later and later."""
    over = [call.claimed.id for call, answer in results if not isinstance(answer, NotSent)]
    await queue.complete_these(session, ledger_id=ledger.id, ids=over, now=now)
    return told(results, again_at=lambda call, answer: again_at(call, answer, now=now))


def told(results: Sequence[tuple[Call, Any]], *, again_at: Callable[[Call, Any], datetime | None]) -> list[Done]:
    """What became of calls, in words for their attempts."""
    return [Done(type(answer).__name__, describe(answer), again_at(call, answer)) for call, answer in results]


def again_at(call: Call, answer: Any, *, now: datetime) -> datetime | None:
    """When to try again what was not sent; None for everything else."""
    return now + backoff(call.claimed.attempt, answer) if isinstance(answer, NotSent) else None


def backoff(attempt: int, answer: NotSent) -> timedelta:
    """Back off from the provider's own figure, doubling with every try up to a quarter of an hour."""
    return timedelta(seconds=min(answer.retry_after_seconds * 2 ** min(attempt - 1, 10), RETRY_SECONDS_MAX))


def describe(answer: object) -> str:
    """Words for an attempt: the reason, or the provider's code and text. They hold no secret, and no id of a prompt,
    which holds the payer's number."""
    reason = getattr(answer, "reason", None)
    words = reason if isinstance(reason, str) else f"{getattr(answer, 'code', '')} {getattr(answer, 'description', '')}"
    return words.strip()[:200]
