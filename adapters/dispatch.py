"""The outbound door: claims due instructions, commits the attempt, makes the call, records the answer. Decides no
entry.

No transaction is open during a call. An instruction whose last attempt has no answer is never sent again: what became
of it is unknown, and only evidence moves it on."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.provider import CallbackUrls, PayoutRail
from ledger.database import Driver, driver, run
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger, find_ledgers
from ledger.journal.entry import Source
from ledger.outbox import queue
from ledger.outbox.instruction import Answer, NotSent, OutcomeUnknown, PayoutInstruction
from ledger.outbox.queue import Claimed, Finished
from ledger.outcomes import Applied, Report, Started, record
from ledger.parties import PartyKeys, read_msisdns
from ledger.payouts import writing
from ledger.payouts.writing import LockedPayout

log = structlog.get_logger(__name__)

ACTOR = "daftari.dispatch"
RETRY_SECONDS_MAX = 900.0
_LOST = OutcomeUnknown("the submission was interrupted before its answer was stored")


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """`public_url` is where providers reach our callback edge, without a trailing slash. The lease must outlast the
    slowest call by far; `calls_max` bounds the calls under way at once."""

    public_url: str
    lease: timedelta
    calls_max: int


@dataclass(frozen=True, slots=True)
class _Call:
    claimed: Claimed
    ledger: Ledger
    rail: PayoutRail
    instruction: PayoutInstruction
    urls: CallbackUrls


class Dispatcher:
    """Carries instructions out over the rails given, a batch per step."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        rails: Mapping[str, PayoutRail],
        party_keys: PartyKeys,
        directory: AccountDirectory,
        ids: IdSource,
        now: Callable[[], datetime],
        settings: DispatchSettings,
    ) -> None:
        self._engine = engine
        self._rails = rails
        self._party_keys = party_keys
        self._directory = directory
        self._ids = ids
        self._now = now
        self._settings = settings

    async def step(self) -> int:
        """Claims one batch, makes its calls and records their answers; returns how many instructions were claimed."""
        token = self._ids.next(self._now())
        claimed, calls = await run(self._engine, lambda connection: self._claim(connection, token))
        if calls:
            answers = await asyncio.gather(*(self._submit(call) for call in calls))
            for _, group in groupby(zip(calls, answers, strict=True), key=lambda pair: pair[0].ledger.id):
                await run(self._engine, partial(self._record, pairs=list(group), token=token))
        return claimed

    async def _claim(self, connection: AsyncConnection, token: int) -> tuple[int, list[_Call]]:
        session = await driver(connection)
        now = self._now()
        limit = self._settings.calls_max
        claimed = await queue.claim(session, now=now, lease=self._settings.lease, token=token, limit=limit)
        ledgers = await find_ledgers(connection, ids={one.ledger_id for one in claimed})
        calls: list[_Call] = []
        for ledger_id, group in groupby(claimed, key=lambda one: one.ledger_id):
            calls += await self._start(session, ledgers[ledger_id], list(group), token)
        return len(claimed), calls

    async def _start(self, session: Driver, ledger: Ledger, claimed: Sequence[Claimed], token: int) -> list[_Call]:
        now = self._now()
        await self._give_up_lost(session, ledger, [one for one in claimed if one.lost])
        fresh = [one for one in claimed if not one.lost]
        reports = [self._report(one.payout_id, Started()) for one in fresh]
        recorded = await self._record_reports(session, ledger, reports)
        started = [one for one, verdict in zip(fresh, recorded, strict=True) if isinstance(verdict, Applied)]
        needless = [
            one.payout_id for one, verdict in zip(fresh, recorded, strict=True) if not isinstance(verdict, Applied)
        ]
        await queue.complete(session, ledger_id=ledger.id, payout_ids=needless, now=now)
        tokens = [secrets.token_hex(32) for _ in started]
        hashed = [hash_token(one) for one in tokens]
        await queue.start_attempts(
            session, ledger_id=ledger.id, attempts=list(zip(started, hashed, strict=True)), now=now
        )
        return await self._prepare(session, ledger, started, tokens)

    async def _give_up_lost(self, session: Driver, ledger: Ledger, lost: Sequence[Claimed]) -> None:
        if not lost:
            return
        log.warning("instruction.lost", ledger=ledger.code, count=len(lost))
        await self._record_reports(session, ledger, [self._report(one.payout_id, _LOST) for one in lost])
        finished = [Finished(one.id, one.attempt - 1, "lost", _LOST.reason) for one in lost]
        await queue.finish_attempts(session, ledger_id=ledger.id, finished=finished, now=self._now())
        await queue.complete(session, ledger_id=ledger.id, payout_ids=[one.payout_id for one in lost], now=self._now())

    async def _prepare(
        self, session: Driver, ledger: Ledger, started: Sequence[Claimed], tokens: Sequence[str]
    ) -> list[_Call]:
        payouts = await writing.lock_payouts(
            session, ledger_id=ledger.id, payout_ids=[one.payout_id for one in started]
        )
        msisdns = await read_msisdns(
            session, ledger_id=ledger.id, party_ids=[one.party_id for one in payouts.values()], keys=self._party_keys
        )
        calls = []
        for one, token in zip(started, tokens, strict=True):
            payout = payouts[one.payout_id]
            instruction = PayoutInstruction(
                provider_reference=payout.provider_reference,
                rail=payout.rail,
                shortcode=payout.shortcode,
                msisdn=msisdns[payout.party_id],
                amount=payout.amount,
                purpose=payout.purpose,
                remarks=payout.remarks,
            )
            calls.append(_Call(one, ledger, self._rails[payout.rail], instruction, self._urls(ledger, payout, token)))
        return calls

    def _urls(self, ledger: Ledger, payout: LockedPayout, token: str) -> CallbackUrls:
        # Hexadecimal tokens cannot spell the words Daraja forbids in a URL ("exec", "sql", ...), as base 64 in time
        # would.
        base = f"{self._settings.public_url}/callbacks/{ledger.id}/{payout.rail}"
        return CallbackUrls(f"{base}/result/{token}", f"{base}/timeout/{token}")

    async def _submit(self, call: _Call) -> Answer:
        try:
            return await call.rail.submit_payout(call.instruction, call.urls)
        except Exception as error:  # noqa: BLE001 -- the process edge: an adapter's bug must not lose the attempt
            log.error("submission.crashed", payout_id=call.claimed.payout_id, error=type(error).__name__)
            return OutcomeUnknown(f"the adapter failed with {type(error).__name__}")

    async def _record(self, connection: AsyncConnection, pairs: Sequence[tuple[_Call, Answer]], token: int) -> None:
        session = await driver(connection)
        ledger = pairs[0][0].ledger
        reports = [self._report(call.claimed.payout_id, answer) for call, answer in pairs]
        await self._record_reports(session, ledger, reports)
        finished = [
            Finished(call.claimed.id, call.claimed.attempt, type(answer).__name__, _describe(answer))
            for call, answer in pairs
        ]
        await queue.finish_attempts(session, ledger_id=ledger.id, finished=finished, now=self._now())
        retries = [(call.claimed, answer) for call, answer in pairs if isinstance(answer, NotSent)]
        due = [(one.id, self._now() + _delay(one.attempt, answer)) for one, answer in retries]
        await queue.put_back(session, ledger_id=ledger.id, token=token, due=due)
        for call, answer in pairs:
            log.info("payout.answered", payout_id=call.claimed.payout_id, answer=type(answer).__name__)

    def _report(self, payout_id: int, outcome: Started | Answer) -> Report:
        return Report(payout_id=payout_id, outcome=outcome, source=Source.API, actor=ACTOR)

    async def _record_reports(self, session: Driver, ledger: Ledger, reports: Sequence[Report]) -> list[object]:
        recorded = await record(
            session, ledger=ledger, reports=reports, directory=self._directory, ids=self._ids, now=self._now()
        )
        return list(recorded)


def hash_token(token: str) -> bytes:
    """What is stored of a callback path's token."""
    return hashlib.sha256(token.encode()).digest()


def _delay(attempt: int, answer: NotSent) -> timedelta:
    """Back off from the provider's own figure, doubling with every try up to a quarter of an hour."""
    return timedelta(seconds=min(answer.retry_after_seconds * 2 ** min(attempt - 1, 10), RETRY_SECONDS_MAX))


def _describe(answer: Answer) -> str:
    match answer:
        case NotSent(reason=text) | OutcomeUnknown(reason=text):
            return text[:200]
        case _:
            code = getattr(answer, "code", "")
            return f"{code} {getattr(answer, 'description', '')}".strip()[:200]
