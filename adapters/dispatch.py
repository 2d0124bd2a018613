"""The outbound door: claims due instructions, commits the attempt, makes the call, records the answer. Decides no
entry.

No transaction is open during a call. What an instruction's kind means is its errand's matter (submission, inquiry);
this is the part they share."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any, Protocol, TypeAlias

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.grants import granted
from adapters.provider import CallbackUrls
from ledger.database import Driver, driver, run
from ledger.ids import IdSource
from ledger.journal.books import Ledger, find_ledgers
from ledger.outbox import queue
from ledger.outbox.instruction import OutcomeUnknown
from ledger.outbox.queue import Claimed, Finished
from ledger.outcomes import RACING_CONSTRAINTS
from ledger.vault import Grant

log = structlog.get_logger(__name__)

ACTOR = "daftari.dispatch"
# An instruction that the books refuse to start waits this long: an account it needs is closed or capped.
REST_AFTER_FAILURE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """`public_url` is where providers reach our callback edge, without a trailing slash. The lease must outlast the
    slowest call by far; `calls_max` bounds the calls of one step; what goes over other `rails` is left to others. An
    answer waits `gather_seconds` for company before it is recorded."""

    public_url: str
    lease: timedelta
    calls_max: int
    rails: tuple[str, ...]
    gather_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call to make: the claim it serves, where the provider is to answer, and what only its errand knows."""

    claimed: Claimed
    ledger: Ledger
    urls: CallbackUrls
    token_hash: bytes
    content: Any


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a call: words for the attempt, and when to try again (None for never)."""

    answer: str
    detail: str
    again_at: datetime | None


_Calling: TypeAlias = asyncio.Task[tuple[Call, Any]]


class Errand(Protocol):
    """One kind of instruction. `start` and `finish` run inside a transaction, `carry_out` outside of any."""

    async def start(
        self, session: Driver, ledger: Ledger, claimed: Sequence[Claimed]
    ) -> list[tuple[Claimed, str, Any]]:
        """What is to be called: (claim, rail, content); claims that need no call are finished here."""

    async def carry_out(self, call: Call) -> Any:
        """Makes the call. Never raises for what the network or the provider does."""

    async def finish(self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, Any]]) -> list[Done]:
        """Records what the calls brought back, and says what became of each."""

    def crashed(self, error: Exception) -> Any:
        """The answer of a call whose adapter raised: a bug, which proves nothing about the money."""
        return OutcomeUnknown(f"the adapter failed with {type(error).__name__}")


class Dispatcher:
    """Carries instructions of some kinds out, all about one subject, a batch per step; several may run side by
    side."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        errands: Mapping[str, Errand],
        ids: IdSource,
        tokens: Callable[[], str],
        now: Callable[[], datetime],
        settings: DispatchSettings,
    ) -> None:
        self._engine = engine
        self._errands = errands
        self._ids = ids
        self._tokens = tokens
        self._now = now
        self._settings = settings

    async def step(self) -> int:
        """Claims one batch, makes its calls, records each answer as it comes; returns how many were claimed."""
        token = self._ids.next(self._now())
        claimed, calls = await self._claim_some(token)
        pending = {asyncio.ensure_future(self._carry_out(call)) for call in calls}
        try:
            while pending:
                finished, pending = await self._some_of(pending)
                results = [task.result() for task in finished]
                await self._record_all(sorted(results, key=lambda result: result[0].claimed.id), token)
        finally:
            # A step that is itself cut off takes its calls with it: none goes out behind the back of the lease.
            for call in pending:
                call.cancel()
        return claimed

    async def _some_of(self, pending: set[_Calling]) -> tuple[set[_Calling], set[_Calling]]:
        """The calls that ended, one at least, and the others."""
        finished, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if pending and self._settings.gather_seconds:
            company, pending = await asyncio.wait(pending, timeout=self._settings.gather_seconds)
            finished |= company
        return finished, pending

    async def _claim_some(self, token: int) -> tuple[int, list[Call]]:
        """A batch; or, where the books refuse one of its instructions, the first alone; or none, and that one rests: an
        instruction that cannot be started delays no other."""
        for limit in (self._settings.calls_max, 1):
            try:
                claim = partial(self._claim, token=token, limit=limit)
                return await run(self._engine, claim, again_on=RACING_CONSTRAINTS)
            except Exception as error:  # noqa: BLE001 -- the process edge: found out one by one, then put to rest
                log.error("claim.failed", limit=limit, error=type(error).__name__)
        subject_id = await run(self._engine, self._rest_oldest)
        log.error("instruction.put_to_rest", kinds=list(self._errands), subject_id=subject_id)
        return 1, []

    async def _rest_oldest(self, connection: AsyncConnection) -> int | None:
        now = self._now()
        return await queue.rest_oldest(
            await driver(connection),
            kinds=list(self._errands),
            rails=self._settings.rails,
            now=now,
            until=now + REST_AFTER_FAILURE,
        )

    async def _claim(self, connection: AsyncConnection, *, token: int, limit: int) -> tuple[int, list[Call]]:
        session = await driver(connection)
        settings = self._settings
        claimed = await queue.claim(
            session,
            kinds=list(self._errands),
            rails=settings.rails,
            now=self._now(),
            lease=settings.lease,
            token=token,
            limit=limit,
        )
        ledgers = await find_ledgers(connection, ids={one.ledger_id for one in claimed})
        calls: list[Call] = []
        for (ledger_id, kind), group in groupby(claimed, key=lambda one: (one.ledger_id, one.kind)):
            calls += await self._start(session, ledgers[ledger_id], self._errands[kind], list(group))
        return len(claimed), calls

    async def _start(self, session: Driver, ledger: Ledger, errand: Errand, claimed: Sequence[Claimed]) -> list[Call]:
        settings = self._settings
        started = await errand.start(session, ledger, claimed)
        tokens = [self._tokens() for _ in started]
        attempts = [(one, hash_token(token)) for (one, _, _), token in zip(started, tokens, strict=True)]
        await queue.start_attempts(session, ledger_id=ledger.id, attempts=attempts, now=self._now())
        return [
            Call(
                one,
                ledger,
                callback_urls(settings.public_url, ledger_id=ledger.id, rail=rail, token=token),
                hash_token(token),
                content,
            )
            for (one, rail, content), token in zip(started, tokens, strict=True)
        ]

    async def _carry_out(self, call: Call) -> tuple[Call, Any]:
        errand = self._errands[call.claimed.kind]
        grant = Grant(call.ledger.id, call.token_hash, f"{call.claimed.kind} {call.claimed.id} {call.claimed.attempt}")
        try:
            with granted(grant):
                return call, await errand.carry_out(call)
        except Exception as error:  # noqa: BLE001 -- the process edge: an adapter's bug must not lose the attempt
            log.error("call.crashed", **_names(call), error=type(error).__name__)
            return call, errand.crashed(error)

    async def _record_all(self, results: Sequence[tuple[Call, Any]], token: int) -> None:
        def place(result: tuple[Call, Any]) -> tuple[int, str]:
            return (result[0].ledger.id, result[0].claimed.kind)

        for _, group in groupby(sorted(results, key=place), key=place):
            await self._record_group(list(group), token)

    async def _record_group(self, results: Sequence[tuple[Call, Any]], token: int) -> None:
        """Together, or one by one where that fails: an answer the books refuse loses no other. Its own attempt stays
        without an answer, and is found as lost when its lease ends."""
        try:
            await run(self._engine, partial(self._record, results=results, token=token), again_on=RACING_CONSTRAINTS)
        except Exception as error:  # noqa: BLE001 -- the process edge: found out one by one, then left to the lease
            log.error("answers.not_recorded", count=len(results), error=type(error).__name__)
            if len(results) > 1:
                for one in results:
                    await self._record_group([one], token)

    async def _record(self, connection: AsyncConnection, *, results: Sequence[tuple[Call, Any]], token: int) -> None:
        session = await driver(connection)
        first = results[0][0]
        done = await self._errands[first.claimed.kind].finish(session, first.ledger, results)
        finished = [
            Finished(call.claimed.id, call.claimed.attempt, one.answer, one.detail)
            for (call, _), one in zip(results, done, strict=True)
        ]
        await queue.finish_attempts(session, ledger_id=first.ledger.id, finished=finished, now=self._now())
        due = [
            (call.claimed.id, one.again_at)
            for (call, _), one in zip(results, done, strict=True)
            if one.again_at is not None
        ]
        await queue.put_back(session, ledger_id=first.ledger.id, token=token, due=due)
        for (call, _), one in zip(results, done, strict=True):
            log.info("call.answered", **_names(call), answer=one.answer)


def _names(call: Call) -> dict[str, Any]:
    return {"kind": call.claimed.kind, "subject_id": call.claimed.subject_id}


def fresh_token() -> str:
    """256 bits for a callback path, in hexadecimal: it cannot spell the words Daraja forbids in a URL ("exec", "sql",
    ...), as base 64 in time would."""
    return secrets.token_hex(32)


def hash_token(token: str) -> bytes:
    """What is stored of a callback path's token."""
    return hashlib.sha256(token.encode()).digest()


def callback_urls(public_url: str, *, ledger_id: int, rail: str, token: str) -> CallbackUrls:
    """Where a provider is to answer one call."""
    base = f"{public_url}/callbacks/{ledger_id}/{rail}"
    return CallbackUrls(f"{base}/result/{token}", f"{base}/timeout/{token}")
