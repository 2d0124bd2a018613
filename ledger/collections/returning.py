"""The return of a receipt's money to its payer: its states, the moves that are drawn, and the SQL of it.

    REQUESTED ⇄ SUBMITTING ──taken in──▶ SUBMITTED ──▶ RETURNED ◀──known too late──┐
                    └──nobody knows──▶ UNKNOWN ◀┘└──▶ FAILED ──────────────────────┘

The money is reserved when a return is asked for, and leaves `returning` by the provider's definite word alone: to the
payer, or back into suspense. What stays unknown stays there, and is never sent again on a guess; the provider is asked,
and a person may decide. What a provider took back unasked is a return that begins RETURNED.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.database import Driver
from ledger.money import Money

PREFIX = "rtn"


class State(enum.Enum):
    """Where a return stands; RETURNED is final, and FAILED is unless evidence says otherwise."""

    REQUESTED = "REQUESTED"
    SUBMITTING = "SUBMITTING"
    SUBMITTED = "SUBMITTED"
    UNKNOWN = "UNKNOWN"
    RETURNED = "RETURNED"
    FAILED = "FAILED"


class Event(enum.Enum):
    """What happened to a return."""

    REQUESTED = "requested"
    STARTED = "started"
    NOT_SENT = "not_sent"
    TAKEN_IN = "taken_in"
    LOST = "lost"
    RETURNED = "returned"
    FAILED = "failed"
    TAKEN_BACK = "taken_back"


class Standing(enum.Enum):
    """Why an event changes nothing."""

    REPEATED = "repeated"
    OUTDATED = "outdated"
    CONFLICT = "conflict"


_S = State
OPEN_STATES = frozenset({_S.REQUESTED, _S.SUBMITTING, _S.SUBMITTED, _S.UNKNOWN})
_DRAWN: dict[Event, dict[State, State]] = {
    Event.STARTED: {_S.REQUESTED: _S.SUBMITTING},
    Event.NOT_SENT: {_S.SUBMITTING: _S.REQUESTED},
    Event.TAKEN_IN: {_S.SUBMITTING: _S.SUBMITTED, _S.UNKNOWN: _S.SUBMITTED},
    Event.LOST: {_S.SUBMITTING: _S.UNKNOWN, _S.SUBMITTED: _S.UNKNOWN},
    Event.RETURNED: dict.fromkeys(OPEN_STATES | {_S.FAILED}, _S.RETURNED),
    Event.FAILED: dict.fromkeys(OPEN_STATES, _S.FAILED),
}
# All ways from one state to another. The database holds the same; a test compares the two.
EDGES: frozenset[tuple[Event, State, State]] = frozenset(
    (event, source, target) for event, ways in _DRAWN.items() for source, target in ways.items()
)
_ENDS = {Event.RETURNED: State.RETURNED, Event.FAILED: State.FAILED}


def transition(event: Event, state: State) -> State | Standing:
    """What an event makes of a return, or why nothing. The contrary of how it ended is a contradiction."""
    target = _DRAWN.get(event, {}).get(state)
    if target is not None:
        return target
    if event in _ENDS:
        return Standing.REPEATED if _ENDS[event] is state else Standing.CONFLICT
    return Standing.OUTDATED


_ADD = """
WITH added AS (
    INSERT INTO returns (ledger_id, id, receipt_id, rail, shortcode, currency, amount, reason, reserve_entry_id, state,
        unasked, return_receipt, version, created_at, updated_at)
    VALUES (%(ledger)s, %(id)s, %(receipt)s, %(rail)s, %(shortcode)s, %(currency)s, %(amount)s, %(reason)s, %(entry)s,
        %(state)s, %(unasked)s, %(return_receipt)s, 1, %(now)s, %(now)s)
)
INSERT INTO return_events (ledger_id, return_id, version, state, event, entry_id, actor, recorded_at)
VALUES (%(ledger)s, %(id)s, 1, %(state)s, %(event)s, %(entry)s, %(actor)s, %(now)s)
"""
_READ = """
SELECT t.id, t.receipt_id, r.receipt, t.rail, t.shortcode, t.currency, t.amount, t.reason, t.state, t.version,
    t.conversation, t.return_receipt, t.failure_code, t.failure_text, t.created_at, t.updated_at, t.originator,
    t.unasked
FROM returns AS t JOIN receipts AS r ON r.ledger_id = t.ledger_id AND r.id = t.receipt_id
WHERE t.ledger_id = %s AND t.id = ANY(%s) ORDER BY t.id
"""
_LOCK = """
SELECT t.id, t.receipt_id, r.receipt, t.rail, t.shortcode, t.currency, t.amount, t.reason, t.state, t.version,
    t.conversation, t.return_receipt, t.failure_code, t.failure_text, t.created_at, t.updated_at, t.originator,
    t.unasked
FROM returns AS t JOIN receipts AS r ON r.ledger_id = t.ledger_id AND r.id = t.receipt_id
WHERE t.ledger_id = %s AND t.id = ANY(%s) ORDER BY t.id FOR NO KEY UPDATE OF t
"""
_CHANGE = """
WITH change AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(version)s::int[], %(state)s::text[], %(event)s::text[],
        %(entry)s::bigint[], %(detail)s::text[], %(actor)s::text[], %(conversation)s::text[], %(receipt)s::text[],
        %(code)s::text[], %(text)s::text[], %(originator)s::text[])
        AS c (id, version, state, event, entry_id, detail, actor, conversation, return_receipt, code, text, originator)
), changed AS (
    UPDATE returns AS t SET state = c.state, version = c.version,
        conversation = coalesce(t.conversation, c.conversation),
        originator = coalesce(t.originator, c.originator),
        return_receipt = coalesce(t.return_receipt, c.return_receipt),
        failure_code = coalesce(c.code, t.failure_code), failure_text = coalesce(c.text, t.failure_text),
        updated_at = %(now)s
    FROM change AS c WHERE t.ledger_id = %(ledger)s AND t.id = c.id AND t.version = c.version - 1
    RETURNING t.id
), told AS (
    INSERT INTO return_events (ledger_id, return_id, version, state, event, entry_id, detail, actor, recorded_at)
    SELECT %(ledger)s, id, version, state, event, entry_id, detail, actor, %(now)s FROM change
)
SELECT count(*) FROM changed
"""
_ASKED = """
SELECT a.token_hash, i.return_id, i.kind FROM attempts AS a
JOIN instructions AS i ON i.ledger_id = a.ledger_id AND i.id = a.instruction_id
WHERE a.ledger_id = %s AND a.token_hash = ANY(%s) AND i.return_id IS NOT NULL
"""
_BY_RECEIPT = """
SELECT rail, return_receipt, id FROM returns WHERE ledger_id = %s AND return_receipt = ANY(%s)
"""
_LAST_ENTRY = """
SELECT entry_id FROM return_events WHERE ledger_id = %s AND return_id = %s ORDER BY version DESC LIMIT 1
"""
_EVENTS = """
SELECT version, state, event, entry_id, detail, actor, recorded_at FROM return_events
WHERE ledger_id = %s AND return_id = %s ORDER BY version
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """A return as it was read, under its lock where it is to change. `receipt` is the provider's number of what goes
    back, `return_receipt` that of its going back; `conversation` is the provider's id under which its result is
    believed, `originator` the one it is asked about by; `unasked` is what the provider did of its own accord."""

    id: int
    receipt_id: int
    receipt: str
    rail: str
    shortcode: str
    amount: Money
    reason: str
    state: State
    version: int
    conversation: str | None
    return_receipt: str | None
    failure_code: str | None
    failure_text: str | None
    created_at: datetime
    updated_at: datetime
    originator: str | None
    unasked: bool


@dataclass(frozen=True, slots=True)
class ReturnEvent:
    """One change of a return."""

    version: int
    state: State
    event: str
    entry_id: int | None
    detail: str | None
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a locked return, with what is newly known of it."""

    subject: Return
    event: Event
    state: State
    actor: str
    entry_id: int | None = None
    detail: str | None = None
    conversation: str | None = None
    originator: str | None = None
    return_receipt: str | None = None
    failure: tuple[str, str] | None = None


async def add_return(
    driver: Driver,
    *,
    ledger_id: int,
    return_id: int,
    receipt_id: int,
    place: tuple[str, str],
    amount: Money,
    reason: str,
    entry_id: int,
    actor: str,
    now: datetime,
    event: Event = Event.REQUESTED,
    return_receipt: str | None = None,
) -> None:
    """Adds a return whose money is reserved by that entry, or, TAKEN_BACK, gone by it; `place` is the rail and the
    shortcode."""
    unasked = event is Event.TAKEN_BACK
    parameters = {
        "ledger": ledger_id,
        "id": return_id,
        "receipt": receipt_id,
        "rail": place[0],
        "shortcode": place[1],
        "currency": amount.currency,
        "amount": amount.minor_units,
        "reason": reason,
        "state": (State.RETURNED if unasked else State.REQUESTED).value,
        "event": event.value,
        "unasked": unasked,
        "return_receipt": return_receipt,
        "entry": entry_id,
        "actor": actor,
        "now": now,
    }
    await driver.execute(_ADD, parameters)


async def read_returns(driver: Driver, *, ledger_id: int, return_ids: Collection[int]) -> dict[int, Return]:
    """Returns by id, unlocked."""
    cursor = await driver.execute(_READ, (ledger_id, list(return_ids)))
    return {row[0]: _return(row) for row in await cursor.fetchall()}


async def lock_returns(driver: Driver, *, ledger_id: int, return_ids: Collection[int]) -> dict[int, Return]:
    """Locks returns in id order and reads them. Their receipts are locked after them, and accounts last."""
    cursor = await driver.execute(_LOCK, (ledger_id, list(return_ids)))
    return {row[0]: _return(row) for row in await cursor.fetchall()}


async def write_changes(driver: Driver, *, ledger_id: int, changes: Sequence[Change], now: datetime) -> None:
    """Changes locked returns, at most once each, with their events."""
    if not changes:
        return
    parameters = {
        "ledger": ledger_id,
        "now": now,
        "id": [one.subject.id for one in changes],
        "version": [one.subject.version + 1 for one in changes],
        "state": [one.state.value for one in changes],
        "event": [one.event.value for one in changes],
        "entry": [one.entry_id for one in changes],
        "detail": [one.detail[:200] if one.detail else None for one in changes],
        "actor": [one.actor for one in changes],
        "conversation": [one.conversation for one in changes],
        "originator": [one.originator for one in changes],
        "receipt": [one.return_receipt for one in changes],
        "code": [one.failure[0] if one.failure else None for one in changes],
        "text": [one.failure[1][:200] if one.failure else None for one in changes],
    }
    row = await (await driver.execute(_CHANGE, parameters)).fetchone()
    assert row is not None
    assert row[0] == len(changes), "a locked return changed"


async def find_asked(driver: Driver, *, ledger_id: int, token_hashes: Sequence[bytes]) -> dict[bytes, tuple[int, str]]:
    """The returns that were sent or asked about with these callback paths, and by which kind of instruction."""
    cursor = await driver.execute(_ASKED, (ledger_id, list(token_hashes)))
    return {bytes(token_hash): (return_id, kind) for token_hash, return_id, kind in await cursor.fetchall()}


async def find_by_receipts(
    driver: Driver, *, ledger_id: int, return_receipts: Sequence[str]
) -> dict[tuple[str, str], int]:
    """The returns that were made under these receipts of their own, by rail and receipt."""
    if not return_receipts:
        return {}
    cursor = await driver.execute(_BY_RECEIPT, (ledger_id, list(return_receipts)))
    return {(rail, receipt): return_id for rail, receipt, return_id in await cursor.fetchall()}


async def find_last_entry(driver: Driver, *, ledger_id: int, return_id: int) -> int | None:
    """The entry of a return's newest change; None where that moved no money."""
    row = await (await driver.execute(_LAST_ENTRY, (ledger_id, return_id))).fetchone()
    return row[0] if row is not None else None


async def list_events(driver: Driver, *, ledger_id: int, return_id: int) -> list[ReturnEvent]:
    """What happened to a return, oldest first."""
    cursor = await driver.execute(_EVENTS, (ledger_id, return_id))
    return [ReturnEvent(row[0], State(row[1]), *row[2:]) for row in await cursor.fetchall()]


def _return(row: Sequence[Any]) -> Return:
    return Return(
        id=row[0],
        receipt_id=row[1],
        receipt=row[2],
        rail=row[3],
        shortcode=row[4],
        amount=Money(row[5], row[6]),
        reason=row[7],
        state=State(row[8]),
        version=row[9],
        conversation=row[10],
        return_receipt=row[11],
        failure_code=row[12],
        failure_text=row[13],
        created_at=row[14],
        updated_at=row[15],
        originator=row[16],
        unasked=row[17],
    )
