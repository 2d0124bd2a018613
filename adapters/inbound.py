"""The inbound door: stores raw callbacks first, then judges them against what we asked for. Believes nothing else.

A callback names its attempt by an unguessable token in its path; what it says must match the stored intent, or no entry
is posted at its figure. Whatever a provider sends can only park its own message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
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

from adapters.dispatch import hash_token
from adapters.provider import CallbackUnreadable, PayoutCallback, PayoutRail
from ledger import floats
from ledger.database import Driver, driver, run
from ledger.errors import CommitUnknown, Overloaded
from ledger.floats import Assertion
from ledger.ids import IdSource
from ledger.journal.books import Ledger, find_ledgers
from ledger.journal.entry import Source
from ledger.outbox import inbox, queue
from ledger.outbox.inbox import Message, Verdict
from ledger.outbox.instruction import Failed, OutcomeUnknown, Settled
from ledger.outcomes import RACING_CONSTRAINTS, Applied, OutcomeRecorder, Recorded, Unchanged
from ledger.parties import PartyKeys, read_payees
from ledger.payee import BusinessKind, BusinessPayee, Payee
from ledger.payouts import reviews, writing
from ledger.payouts.outcome import Report
from ledger.payouts.payout import Standing
from ledger.payouts.posting import OutcomeNotPostable
from ledger.payouts.reviews import Case
from ledger.payouts.writing import LockedPayout
from ledger.sealing import Sealer

log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")

ACTOR = "daftari.inbound"
# How rails name a balance among a success's facts: "utility_available_minor_units".
BALANCE_FACT = "_available_minor_units"
BODY_BYTES_MAX = 256 * 1024
TRIES_MAX = 3
RETRY_AFTER = timedelta(seconds=5)
# A path that no attempt of ours has may be one whose commit is seen late, after a failover say: looked up again after
# each of these, and then a person's matter.
ORPHAN_RESTS = (timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=5))
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


@dataclass(frozen=True, slots=True)
class _Judged:
    """A message and what it turned out to be; no verdict yet for one whose owner may still appear."""

    message: Message
    report: Report | None
    verdict: Verdict | None


class Inbound:
    """Stores and judges callbacks of the rails given."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        rails: Mapping[str, PayoutRail],
        party_keys: PartyKeys,
        sealer: Sealer,
        recorder: OutcomeRecorder,
        ids: IdSource,
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._rails = rails
        self._party_keys = party_keys
        self._sealer = sealer
        self._recorder = recorder
        self._ids = ids
        self._now = now

    def acknowledgement(self, rail: str) -> bytes | None:
        """What the rail expects in answer to a callback; None for a rail we do not run."""
        return self._rails[rail].callback_acknowledgement() if rail in self._rails else None

    async def receive(
        self, *, ledger_id: int, rail: str, kind: str, token: str, raw: bytes, remote_address: str | None
    ) -> None:
        """Stores a callback as it came, committed before it is answered. Only a hash of its token is kept. Raises
        LedgerNotFound for a path that nobody can have been given."""

        async def store(connection: AsyncConnection) -> None:
            now = self._now()
            message = inbox.Received(
                ledger_id, self._ids.next(now), rail, kind, hash_token(token), raw[:BODY_BYTES_MAX], remote_address
            )
            await inbox.store(await driver(connection), message=message, sealer=self._sealer, now=now)

        await run(self._engine, store, again_on=_RACING)

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
        return await run(self._engine, function, again_on=RACING_CONSTRAINTS)

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
        party_ids = [payout.party_id for payout in payouts.values()]
        payees = await read_payees(session, ledger_id=ledger.id, party_ids=party_ids, keys=self._party_keys)
        answers = await self._keep_balances(session, ledger, [m for m in messages if m.token_hash not in owners])
        judged = [_Judged(message, None, verdict) for message, verdict in answers]
        for message in [m for m in messages if m.id not in {answer.id for answer, _ in answers}]:
            payout_id, kind = owners.get(message.token_hash, (0, ""))
            judged.append(self._judge(message, kind, payouts.get(payout_id), payees))
        reports = [one.report for one in judged if one.report is not None]
        recorded = iter(await self._recorder.record(session, ledger=ledger, reports=reports, now=self._now()))
        verdicts = [
            one.verdict if one.report is None else _conclude(one.verdict, next(recorded))
            for one in judged
            if one.verdict is not None
        ]
        told = [assertion for one in judged for assertion in _assertions_of(one, payouts)]
        await floats.write_assertions(session, ledger_id=ledger.id, assertions=told, ids=self._ids, now=self._now())
        await inbox.settle(session, verdicts=verdicts, now=self._now())
        waiting = [one.message for one in judged if one.verdict is None]
        await inbox.let_rest(session, rests=[(one, self._now() + ORPHAN_RESTS[one.tries]) for one in waiting])
        await self._open_reviews(session, ledger, judged)
        for verdict in verdicts:
            log.info(
                "callback.judged", message_id=verdict.message_id, verdict=verdict.verdict, payout_id=verdict.payout_id
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
                found.append((message, _verdict(message, "unanswered", read.reason, None)))
                continue
            told = [
                Assertion(
                    provider=provider,
                    shortcode=shortcode,
                    sub_account=balance.sub_account,
                    available=balance.available,
                    currency=balance.currency,
                    asserted_at=read.asserted_at or self._now(),
                    source="query",
                )
                for balance in read.balances
            ]
            await floats.write_assertions(session, ledger_id=ledger.id, assertions=told, ids=self._ids, now=self._now())
            found.append((message, _verdict(message, "applied", f"{len(told)} balances", None)))
        return found

    def _judge(self, message: Message, kind: str, payout: LockedPayout | None, payees: Mapping[int, Payee]) -> _Judged:
        if payout is None or payout.rail != message.rail or message.rail not in self._rails:
            if message.tries < len(ORPHAN_RESTS):
                return _Judged(message, None, None)
            return _Judged(message, None, _verdict(message, "orphan", "no attempt of ours has this path", None))
        # The path's token says what was asked, and so how the answer is to be read: never the message itself.
        rail, is_query = self._rails[message.rail], kind == queue.QUERY
        read = (rail.read_query_callback if is_query else rail.read_payout_callback)(message.kind, message.raw)
        if isinstance(read, CallbackUnreadable):
            return _Judged(message, None, _verdict(message, "unreadable", read.reason, payout.id))
        mismatch = find_mismatch(read, payout, payees[payout.party_id])
        outcome = (
            read.outcome if mismatch is None else OutcomeUnknown(f"a callback contradicts the request: {mismatch}")
        )
        if is_query and isinstance(outcome, Failed) and not _names_a_payment(read):
            outcome = OutcomeUnknown("a status answer tells of a failure without saying whose")
        source = Source.QUERY if is_query else Source.CALLBACK
        report = Report(payout_id=payout.id, outcome=outcome, source=source, actor=ACTOR)
        word = "matched" if mismatch is None else "mismatch"
        return _Judged(message, report, _verdict(message, word, mismatch, payout.id))

    async def _open_reviews(self, session: Driver, ledger: Ledger, judged: Sequence[_Judged]) -> None:
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


def find_mismatch(callback: PayoutCallback, payout: LockedPayout, payee: Payee) -> str | None:
    """What in a callback contradicts the intent it is about; None where all it carries agrees. Pure.

    `callback.reference` is None where the gateway put an id of its own (v1 of the B2C API, and documented v3 samples).
    """
    if callback.reference not in (None, payout.provider_reference):
        return "it names another reference of ours"
    if callback.amount is not None and callback.amount != payout.amount:
        return f"it says {callback.amount}, we asked for {payout.amount}"
    if not _may_be(payee, callback):
        return "it names another payee"
    if callback.shortcode is not None and callback.shortcode != payout.shortcode:
        return "it names another shortcode"
    if isinstance(callback.outcome, Settled) and callback.outcome.amount != payout.amount:
        return f"it settles {callback.outcome.amount}, we asked for {payout.amount}"
    return None


def _may_be(payee: Payee, told: PayoutCallback) -> bool:
    """A till's result may name its head office instead; a pay bill's names the pay bill."""
    if told.msisdn is not None and told.msisdn != payee:
        return False
    if isinstance(payee, BusinessPayee) and payee.kind is BusinessKind.PAYBILL:
        return told.receiver_shortcode in (None, payee.shortcode)
    return True


def _assertions_of(one: _Judged, payouts: Mapping[int, LockedPayout]) -> list[Assertion]:
    """What a success says the provider's sub-accounts hold after it. Only matched messages are listened to."""
    matched = one.verdict is not None and one.verdict.verdict == "matched"
    if not matched or one.report is None or not isinstance(one.report.outcome, Settled):
        return []
    payout, outcome = payouts[one.report.payout_id], one.report.outcome
    return [
        Assertion(
            provider=payout.rail,
            shortcode=payout.shortcode,
            sub_account=name.removesuffix(BALANCE_FACT),
            available=int(value),
            currency=payout.amount.currency,
            asserted_at=outcome.completed_at,
            source="payout",
            payout_id=payout.id,
        )
        for name, value in outcome.facts.items()
        if name.endswith(BALANCE_FACT)
    ]


def _names_a_payment(read: PayoutCallback) -> bool:
    return read.reference is not None or read.amount is not None or read.msisdn is not None


def _verdict(message: Message, verdict: str, detail: str | None, payout_id: int | None) -> Verdict:
    return Verdict(message.ledger_id, message.id, verdict, detail, payout_id)


def _conclude(verdict: Verdict, recorded: Recorded) -> Verdict:
    """The verdict on a message once its outcome is recorded: what it did, or why it did nothing."""
    if verdict.verdict != "matched":
        return verdict
    match recorded:
        case Applied(state=state):
            return Verdict(verdict.ledger_id, verdict.message_id, "applied", state.value, verdict.payout_id)
        case Unchanged(standing=Standing.REPEATED):
            return Verdict(
                verdict.ledger_id, verdict.message_id, "repeated", recorded.standing.value, verdict.payout_id
            )
        case Unchanged(standing=Standing.OUTDATED):
            return Verdict(
                verdict.ledger_id, verdict.message_id, "outdated", recorded.standing.value, verdict.payout_id
            )
        case Unchanged():
            return Verdict(
                verdict.ledger_id, verdict.message_id, "conflict", recorded.standing.value, verdict.payout_id
            )
