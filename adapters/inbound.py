"""The inbound door: stores raw callbacks first, then judges them against what we asked for. Believes nothing else.

A callback names its attempt by an unguessable token in its path; what it says must match the stored intent, or no entry
is posted at its figure. Whatever a provider sends can only park its own message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import TypeVar

import psycopg
import sqlalchemy.exc
import structlog
from cryptography.exceptions import InvalidTag
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.balances import BalanceReports
from adapters.dispatch import hash_token
from adapters.inquiry import ASKED_ABOUT_IF_HINTED
from adapters.judging import (
    CONVERSATION_KIND,
    RESTS,
    Intent,
    Judged,
    assertions_of,
    conclude,
    judge_callback,
    verdict_on,
)
from adapters.provider import CallbackUnreadable, DeclaredRail
from adapters.receiving import CollectionJudge
from ledger import floats
from ledger.database import Driver, driver, run
from ledger.errors import CommitUnknown, LedgerNotFound, Overloaded
from ledger.ids import IdSource
from ledger.journal.books import Ledger, find_ledgers
from ledger.outbox import inbox, queue
from ledger.outbox.inbox import Message, Received, Verdict
from ledger.outcomes import RACING_CONSTRAINTS as OUTCOMES_RACES
from ledger.outcomes import OutcomeRecorder
from ledger.parties import PartyKeys, read_payees
from ledger.payouts import reviews, writing
from ledger.payouts.posting import OutcomeNotPostable
from ledger.payouts.reviews import Case
from ledger.payouts.writing import LockedPayout
from ledger.receiving import RACING_CONSTRAINTS as RECEIPTS_RACES
from ledger.sealing import Sealer

log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")

BODY_BYTES_MAX = 256 * 1024
TRIES_MAX = 3
RETRY_AFTER = timedelta(seconds=5)
# What goes wrong with these is not the message's fault: it waits this long, as often as it takes.
WAITING = (
    OutcomeNotPostable,
    Overloaded,
    CommitUnknown,
    InvalidTag,
    psycopg.OperationalError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
)
WAIT_AFTER = timedelta(minutes=1)
# Another process may choose the same id in the same millisecond: the message is stored under another one then.
_RACING = frozenset({"inbox_pkey"})
_JUDGING_RACES = OUTCOMES_RACES | RECEIPTS_RACES


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Callback:
    """What came by a callback path, in full: nothing of it is ever shown."""

    ledger_id: int
    rail: str
    kind: str
    token: str
    raw: bytes
    remote_address: str | None


class Inbound:
    """Stores and judges callbacks of the rails given. A payout over more than `confirm_above` minor units ends by
    the answer to a status query alone, which comes by a path of its own; None for never. `messengers` are the
    providers of text messages."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        rails: Mapping[str, DeclaredRail],
        party_keys: PartyKeys,
        sealer: Sealer,
        recorder: OutcomeRecorder,
        collections: CollectionJudge,
        ids: IdSource,
        now: Callable[[], datetime],
        confirm_above: int | None = None,
        messengers: Collection[str] = (),
    ) -> None:
        self._engine = engine
        self._rails = rails
        self._party_keys = party_keys
        self._sealer = sealer
        self._recorder = recorder
        self._collections = collections
        self._confirm_above = confirm_above
        self._messengers = messengers
        self._reports = BalanceReports(ids=ids, now=now, asked=collections.asked)
        self._ids = ids
        self._now = now

    def acknowledgement(self, rail: str) -> bytes | None:
        """What the rail expects in answer to a callback; None for a rail we do not run."""
        if rail in self._messengers:
            return b"{}"
        return self._rails[rail].callback_acknowledgement() if rail in self._rails else None

    async def receive(
        self, *, ledger_id: int, rail: str, kind: str, token: str, raw: bytes, remote_address: str | None
    ) -> None:
        """Stores one callback. Raises LedgerNotFound for a path that nobody can have been given."""
        callback = Callback(
            ledger_id=ledger_id, rail=rail, kind=kind, token=token, raw=raw, remote_address=remote_address
        )
        if await self.receive_all([callback]) == [False]:
            raise LedgerNotFound("no such ledger", field="ledger_id")

    async def receive_all(self, callbacks: Sequence[Callback]) -> list[bool]:
        """Stores callbacks as they came, committed before they are answered. Only a hash of each token is kept. Says of
        each whether it was kept: not by a path of no ledger, which nobody can have been given."""

        async def store(connection: AsyncConnection) -> list[bool]:
            now = self._now()
            messages = [_received(one, self._ids.next(now)) for one in callbacks]
            kept = await inbox.store(await driver(connection), messages=messages, sealer=self._sealer, now=now)
            return [one.id in kept for one in messages]

        return await run(self._engine, store, again_on=_RACING)

    async def step(self, *, limit: int) -> int:
        """Judges one batch of stored messages; returns how many. A batch that fails is judged one by one, so that one
        poisonous message delays no other."""
        try:
            return await self._run(partial(self._judge_batch, limit=limit))
        except Exception as error:  # noqa: BLE001 -- the process edge: found out one by one below
            log.warning("inbox.batch_failed", error=type(error).__name__)
            return await self._judge_singly(limit)

    async def _judge_singly(self, limit: int) -> int:
        due = await run(self._engine, lambda connection: self._list_due(connection, limit))
        for ledger_id, message_id in due:
            try:
                await self._run(partial(self._judge_one, ledger_id=ledger_id, message_id=message_id))
            except Exception as error:  # noqa: BLE001 -- the process edge: the message is put off or put aside
                reason = type(error).__name__
                log.error("inbox.message_failed", message_id=message_id, error=reason)
                put = self._put_off if isinstance(error, WAITING) else self._put_aside
                await self._run(partial(put, ledger_id=ledger_id, message_id=message_id, reason=reason))
        return len(due)

    async def _run(self, function: Callable[[AsyncConnection], Awaitable[_Result]]) -> _Result:
        return await run(self._engine, function, again_on=_JUDGING_RACES)

    async def _list_due(self, connection: AsyncConnection, limit: int) -> list[tuple[int, int]]:
        return await inbox.list_due(await driver(connection), now=self._now(), limit=limit)

    async def _judge_one(self, connection: AsyncConnection, *, ledger_id: int, message_id: int) -> None:
        messages = await inbox.claim_one(
            await driver(connection), sealer=self._sealer, ledger_id=ledger_id, message_id=message_id
        )
        await self._judge_messages(connection, messages)

    async def _put_off(self, connection: AsyncConnection, *, ledger_id: int, message_id: int, reason: str) -> None:
        """The books could not take the outcome now, or the database was busy: the message waits."""
        log.warning("inbox.message_waits", message_id=message_id, reason=reason)
        session, due_at = await driver(connection), self._now() + WAIT_AFTER
        await inbox.postpone(session, ledger_id=ledger_id, message_id=message_id, failures=0, due_at=due_at)

    async def _put_aside(self, connection: AsyncConnection, *, ledger_id: int, message_id: int, reason: str) -> None:
        """Counts a failed try; after the last one the message is parked as poison for a person."""
        session, now = await driver(connection), self._now()
        postponed = await inbox.postpone(
            session, ledger_id=ledger_id, message_id=message_id, failures=1, due_at=now + RETRY_AFTER
        )
        if postponed is None or postponed[0] < TRIES_MAX:
            return
        owners = await inbox.find_owners(session, ledger_id=ledger_id, token_hashes=[postponed[1]], now=self._now())
        payout_id, _ = owners.get(postponed[1], (None, ""))
        await inbox.settle(session, verdicts=[Verdict(ledger_id, message_id, "poison", reason, payout_id)], now=now)
        await self._review(session, ledger_id, "poison-message", [Case(payout_id, reason, inbox_id=message_id)])

    async def _judge_batch(self, connection: AsyncConnection, *, limit: int) -> int:
        messages = await inbox.claim(await driver(connection), sealer=self._sealer, now=self._now(), limit=limit)
        await self._judge_messages(connection, messages)
        return len(messages)

    async def _judge_messages(self, connection: AsyncConnection, messages: Sequence[Message]) -> None:
        session = await driver(connection)
        ledgers = await find_ledgers(connection, ids={one.ledger_id for one in messages})
        for ledger_id, group in groupby(messages, key=lambda one: one.ledger_id):
            await self._judge_ledger(session, ledgers[ledger_id], list(group))

    async def _judge_ledger(self, session: Driver, ledger: Ledger, messages: Sequence[Message]) -> None:
        owners = await inbox.find_owners(
            session, ledger_id=ledger.id, token_hashes=[m.token_hash for m in messages], now=self._now()
        )
        payout_ids = [payout_id for payout_id, _ in owners.values()]
        payouts = await writing.lock_payouts(session, ledger_id=ledger.id, payout_ids=payout_ids)
        intents = await self._find_intents(session, ledger, payouts)
        unowned = [m for m in messages if m.token_hash not in owners]
        answers = await self._keep_balances(session, ledger, unowned)
        answers += await self._collections.judge(session, ledger, unowned, now=self._now())
        judged = [Judged(message, None, verdict) for message, verdict in answers]
        for message in [m for m in messages if m.id not in {answer.id for answer, _ in answers}]:
            payout_id, kind = owners.get(message.token_hash, (0, ""))
            payout = payouts.get(payout_id)
            if payout is not None and payout.rail == message.rail and message.rail in self._rails:
                rail, intent = self._rails[message.rail], intents[payout_id]
                judged.append(judge_callback(message, rail, kind, intent, confirm_above=self._confirm_above))
            else:
                judged.append(_orphan(message))
        reports = [one.report for one in judged if one.report is not None]
        recorded = iter(await self._recorder.record(session, ledger=ledger, reports=reports, now=self._now()))
        verdicts = [
            one.verdict if one.report is None else conclude(one.verdict, next(recorded))
            for one in judged
            if one.verdict is not None
        ]
        told = [assertion for one in judged for assertion in assertions_of(one, payouts)]
        await floats.write_assertions(session, ledger_id=ledger.id, assertions=told, ids=self._ids, now=self._now())
        await inbox.settle(session, verdicts=verdicts, now=self._now())
        waiting = [(one.message, self._now() + RESTS[one.message.tries]) for one in judged if one.verdict is None]
        await inbox.let_rest(session, rests=waiting)
        await self._follow_up(session, ledger, judged, payouts)
        for verdict in verdicts:
            log.info(
                "callback.judged", message_id=verdict.message_id, verdict=verdict.verdict, payout_id=verdict.payout_id
            )

    async def _find_intents(
        self, session: Driver, ledger: Ledger, payouts: Mapping[int, LockedPayout]
    ) -> dict[int, Intent]:
        party_ids = [payout.party_id for payout in payouts.values()]
        payees = await read_payees(session, ledger_id=ledger.id, party_ids=party_ids, keys=self._party_keys)
        known = await writing.find_references(session, ledger_id=ledger.id, payout_ids=list(payouts))
        taken_in = {one: _conversations(known.get(one, ())) for one in payouts}
        untied = [one for one, conversations in taken_in.items() if not conversations]
        twins = await writing.find_twins(session, ledger_id=ledger.id, payout_ids=untied)
        return {
            one: Intent(payout, payees[payout.party_id], taken_in[one], one in twins) for one, payout in payouts.items()
        }

    async def _follow_up(
        self, session: Driver, ledger: Ledger, judged: Sequence[Judged], payouts: Mapping[int, LockedPayout]
    ) -> None:
        """Shows persons what they must look at, and asks the provider after hints."""
        await self._open_reviews(session, ledger, judged)
        hinted = {one.verdict.payout_id for one in judged if one.hints and one.verdict is not None}
        asked = [one.id for one in payouts.values() if one.id in hinted and one.state in ASKED_ABOUT_IF_HINTED]
        await queue.hint(
            session, ledger_id=ledger.id, kind=queue.QUERY, subject_ids=asked, ids=self._ids, now=self._now()
        )

    async def _keep_balances(
        self, session: Driver, ledger: Ledger, messages: Sequence[Message]
    ) -> list[tuple[Message, Verdict]]:
        """Keeps the answers to balance queries as assertions, and says which messages were such answers."""
        asked = await floats.find_queries(
            session, ledger_id=ledger.id, token_hashes=[message.token_hash for message in messages]
        )
        found: list[tuple[Message, Verdict]] = []
        for message in messages:
            provider, shortcode = asked.get(message.token_hash, ("", ""))
            if provider != message.rail or provider not in self._rails:
                continue
            read = self._rails[provider].read_balance_callback(message.kind, message.raw)
            if isinstance(read, CallbackUnreadable):
                # An unanswered question is simply asked again: nobody needs to look at it.
                found.append((message, verdict_on(message, "unanswered", read.reason, None)))
                continue
            told = await self._reports.keep(session, ledger.id, provider, shortcode, read, inbox_id=message.id)
            found.append((message, verdict_on(message, "applied", f"{told} balances", None)))
        return found

    async def _open_reviews(self, session: Driver, ledger: Ledger, judged: Sequence[Judged]) -> None:
        queues = {"mismatch": "amount-mismatch", "unreadable": "poison-message", "orphan": "callback-orphan"}
        for verdict, name in queues.items():
            cases = [
                Case(one.verdict.payout_id, one.verdict.detail or verdict, inbox_id=one.message.id)
                for one in judged
                if one.verdict is not None and one.verdict.verdict == verdict
            ]
            await self._review(session, ledger.id, name, cases)

    async def _review(self, session: Driver, ledger_id: int, name: str, cases: Sequence[Case]) -> None:
        await reviews.open_reviews(
            session, ledger_id=ledger_id, queue=name, cases=cases, ids=self._ids, now=self._now()
        )


def _received(callback: Callback, message_id: int) -> Received:
    return Received(
        callback.ledger_id,
        message_id,
        callback.rail,
        callback.kind,
        hash_token(callback.token),
        callback.raw[:BODY_BYTES_MAX],
        callback.remote_address,
    )


def _conversations(references: Sequence[tuple[str, str]]) -> frozenset[str]:
    return frozenset(value for kind, value in references if kind.endswith(CONVERSATION_KIND))


def _orphan(message: Message) -> Judged:
    """Nobody's, unless there is time left for its attempt to appear."""
    if message.tries < len(RESTS):
        return Judged(message, None, None)
    return Judged(message, None, verdict_on(message, "orphan", "no attempt of ours has this path", None))
