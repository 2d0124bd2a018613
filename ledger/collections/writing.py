"""The SQL of receipts, each statement for a whole set: adding, locking, moving. Decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.collections.allocation import Target, TargetKind
from ledger.collections.receipt import RECEIVED, Holdings
from ledger.database import Driver
from ledger.journal.entry import Posting, Side
from ledger.money import Money

_ADD = """
WITH told AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(provider)s::text[], %(shortcode)s::text[], %(receipt)s::text[],
        %(currency)s::text[], %(amount)s::bigint[], %(form)s::text[], %(payer)s::text[], %(index)s::bytea[],
        %(reference)s::text[], %(sealed)s::bytea[], %(completed)s::timestamptz[], %(entry)s::bigint[],
        %(actor)s::text[])
        AS t (id, provider, shortcode, receipt, currency, amount, form, payer, index, reference, sealed, completed,
            entry, actor)
), added AS (
    INSERT INTO receipts (ledger_id, id, provider, shortcode, receipt, currency, amount, payer_form, payer_shown,
        reference_index, reference_shown, sealed, completed_at, unallocated, suspended, allocated, returning_now,
        returned, version, created_at, updated_at)
    SELECT %(ledger)s, id, provider, shortcode, receipt, currency, amount, form, payer, index, reference, sealed,
        completed, amount, 0, 0, 0, 0, 1, %(now)s, %(now)s
    FROM told
)
INSERT INTO receipt_events (ledger_id, receipt_id, version, event, entry_id, amount, actor, recorded_at)
SELECT %(ledger)s, id, 1, %(received)s, entry, amount, actor, %(now)s FROM told
"""
_EVIDENCE = """
INSERT INTO receipt_evidence (ledger_id, receipt_id, channel, inbox_id, told_at)
SELECT DISTINCT ON (receipt_id, channel) %s, e.*, %s::timestamptz
FROM unnest(%s::bigint[], %s::text[], %s::bigint[]) AS e (receipt_id, channel, inbox_id)
ORDER BY receipt_id, channel ON CONFLICT DO NOTHING
"""
_LOCK = """
SELECT id, provider, shortcode, receipt, currency, amount, reference_index, reference_shown, payer_shown, completed_at,
    unallocated, suspended, allocated, returning_now, returned, version FROM receipts
WHERE ledger_id = %s AND id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""
_FIND = """
SELECT id, provider, shortcode, receipt, currency, amount, reference_index, reference_shown, payer_shown, completed_at,
    unallocated, suspended, allocated, returning_now, returned, version FROM receipts
WHERE ledger_id = %s AND (provider, receipt) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
"""
_WAITING = """
SELECT id, provider, shortcode, receipt, currency, amount, reference_index, reference_shown, payer_shown, completed_at,
    unallocated, suspended, allocated, returning_now, returned, version FROM receipts
WHERE ledger_id = %s AND unallocated > 0 AND created_at <= %s ORDER BY created_at, id LIMIT %s
FOR NO KEY UPDATE SKIP LOCKED
"""
_MOVE = """
WITH step AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(event)s::text[], %(amount)s::bigint[], %(entry)s::bigint[],
        %(detail)s::text[], %(actor)s::text[], %(unallocated)s::bigint[], %(suspended)s::bigint[],
        %(allocated)s::bigint[], %(returning)s::bigint[], %(returned)s::bigint[], %(version)s::int[],
        %(allocation)s::bigint[], %(from_suspense)s::bool[], %(target_kind)s::text[], %(target_id)s::text[],
        %(undoes)s::bigint[])
        AS s (id, event, amount, entry_id, detail, actor, unallocated, suspended, allocated, going_back, returned,
            version, allocation_id, from_suspense, target_kind, target_id, undoes)
), changed AS (
    UPDATE receipts AS r SET unallocated = s.unallocated, suspended = s.suspended, allocated = s.allocated,
        returning_now = s.going_back, returned = s.returned, version = s.version, updated_at = %(now)s
    FROM step AS s WHERE r.ledger_id = %(ledger)s AND r.id = s.id AND r.version = s.version - 1
    RETURNING r.id
), told AS (
    INSERT INTO receipt_events (ledger_id, receipt_id, version, event, entry_id, amount, detail, actor, recorded_at)
    SELECT %(ledger)s, id, version, event, entry_id, amount, detail, actor, %(now)s FROM step
), made AS (
    INSERT INTO allocations (ledger_id, id, receipt_id, from_suspense, target_kind, target_id, amount, entry_id,
        actor, created_at)
    SELECT %(ledger)s, allocation_id, id, from_suspense, target_kind, target_id, amount, entry_id, actor, %(now)s
    FROM step WHERE allocation_id IS NOT NULL
), taken_back AS (
    UPDATE allocations AS a SET undone_entry_id = s.entry_id
    FROM step AS s WHERE a.ledger_id = %(ledger)s AND a.id = s.undoes
)
SELECT count(*) FROM changed
"""
_WAITING_LEDGERS = """
SELECT DISTINCT ledger_id FROM (
    SELECT ledger_id FROM receipts WHERE unallocated > 0 AND created_at <= %s ORDER BY ledger_id LIMIT %s) AS waiting
"""
_ALLOCATIONS = """
SELECT id, receipt_id, from_suspense, target_kind, target_id, amount, entry_id FROM allocations
WHERE ledger_id = %s AND receipt_id = ANY(%s) AND undone_entry_id IS NULL ORDER BY receipt_id, id
"""
_LINES = """
SELECT p.entry_id, a.path, p.side, p.currency, p.amount
FROM postings AS p JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id
WHERE p.ledger_id = %s AND p.entry_id = ANY(%s) ORDER BY p.entry_id, p.line
"""


@dataclass(frozen=True, slots=True)
class LockedReceipt:
    """A receipt as it was read, under its lock where money is to move."""

    id: int
    provider: str
    shortcode: str
    receipt: str
    amount: Money
    reference_index: bytes | None
    reference_shown: str
    payer_shown: str
    completed_at: datetime
    holdings: Holdings
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReceipt:
    """A row to add, with the entry that books it."""

    id: int
    provider: str
    shortcode: str
    receipt: str
    amount: Money
    payer_form: str | None
    payer_shown: str
    reference_index: bytes | None
    reference_shown: str
    sealed: bytes
    completed_at: datetime
    entry_id: int
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One move of a receipt's money that is posted: what it is, and what the receipt holds afterwards."""

    receipt_id: int
    event: str
    amount: int
    entry_id: int
    detail: str | None
    actor: str
    holdings: Holdings
    version: int
    allocation_id: int | None = None
    from_suspense: bool = False
    target: Target | None = None
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """A living allocation, with the lines of its entry that its undoing turns round."""

    id: int
    receipt_id: int
    from_suspense: bool
    target: Target
    amount: int
    entry_id: int


async def add_receipts(driver: Driver, *, ledger_id: int, receipts: Sequence[NewReceipt], now: datetime) -> None:
    """Adds receipts whose entries are posted, in one statement."""
    parameters = {
        "ledger": ledger_id,
        "now": now,
        "received": RECEIVED,
        "id": [one.id for one in receipts],
        "provider": [one.provider for one in receipts],
        "shortcode": [one.shortcode for one in receipts],
        "receipt": [one.receipt for one in receipts],
        "currency": [one.amount.currency for one in receipts],
        "amount": [one.amount.minor_units for one in receipts],
        "form": [one.payer_form for one in receipts],
        "payer": [one.payer_shown for one in receipts],
        "index": [one.reference_index for one in receipts],
        "reference": [one.reference_shown for one in receipts],
        "sealed": [one.sealed for one in receipts],
        "completed": [one.completed_at for one in receipts],
        "entry": [one.entry_id for one in receipts],
        "actor": [one.actor for one in receipts],
    }
    await driver.execute(_ADD, parameters)


async def add_evidence(
    driver: Driver, *, ledger_id: int, evidence: Sequence[tuple[int, str, int | None]], now: datetime
) -> None:
    """Keeps by which channels, in which messages, receipts were told: (receipt id, channel, inbox id)."""
    if evidence:
        columns = [list(column) for column in zip(*evidence, strict=True)]
        await driver.execute(_EVIDENCE, (ledger_id, now, *columns))


async def find_receipts(
    driver: Driver, *, ledger_id: int, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], LockedReceipt]:
    """Those that are booked, by (provider, receipt), unlocked."""
    columns = ([provider for provider, _ in names], [receipt for _, receipt in names])
    cursor = await driver.execute(_FIND, (ledger_id, *columns))
    return {(one.provider, one.receipt): one for one in map(_receipt, await cursor.fetchall())}


async def lock_receipts(driver: Driver, *, ledger_id: int, receipt_ids: Collection[int]) -> dict[int, LockedReceipt]:
    """Locks receipts in id order and reads them."""
    cursor = await driver.execute(_LOCK, (ledger_id, list(receipt_ids)))
    return {one.id: one for one in map(_receipt, await cursor.fetchall())}


async def lock_waiting(driver: Driver, *, ledger_id: int, told_before: datetime, limit: int) -> list[LockedReceipt]:
    """Locks receipts with money nobody could place, told before then, oldest first; those others work on are left
    out."""
    cursor = await driver.execute(_WAITING, (ledger_id, told_before, limit))
    return [_receipt(row) for row in await cursor.fetchall()]


async def find_waiting_ledgers(driver: Driver, *, told_before: datetime, limit: int) -> set[int]:
    """Ledgers in which money nobody could place was told before then; some of them, where many receipts wait."""
    cursor = await driver.execute(_WAITING_LEDGERS, (told_before, limit))
    return {ledger_id for (ledger_id,) in await cursor.fetchall()}


async def write_moves(driver: Driver, *, ledger_id: int, steps: Sequence[Step], now: datetime) -> None:
    """Moves money of receipts, at most one step of each, with its event and its allocation."""
    parameters = {
        "ledger": ledger_id,
        "now": now,
        "id": [one.receipt_id for one in steps],
        "event": [one.event for one in steps],
        "amount": [one.amount for one in steps],
        "entry": [one.entry_id for one in steps],
        "detail": [one.detail for one in steps],
        "actor": [one.actor for one in steps],
        "unallocated": [one.holdings.unallocated for one in steps],
        "suspended": [one.holdings.suspended for one in steps],
        "allocated": [one.holdings.allocated for one in steps],
        "returning": [one.holdings.returning for one in steps],
        "returned": [one.holdings.returned for one in steps],
        "version": [one.version for one in steps],
        "allocation": [one.allocation_id for one in steps],
        "from_suspense": [one.from_suspense for one in steps],
        "target_kind": [one.target.kind.value if one.target else None for one in steps],
        "target_id": [one.target.id if one.target else None for one in steps],
        "undoes": [one.undoes for one in steps],
    }
    row = await (await driver.execute(_MOVE, parameters)).fetchone()
    assert row is not None
    assert row[0] == len(steps), "a locked receipt changed"


async def find_allocations(driver: Driver, *, ledger_id: int, receipt_ids: Collection[int]) -> list[Allocation]:
    """The living allocations of receipts, oldest first. The caller holds the receipts' locks."""
    cursor = await driver.execute(_ALLOCATIONS, (ledger_id, list(receipt_ids)))
    return [
        Allocation(row[0], row[1], row[2], Target(TargetKind(row[3]), row[4]), row[5], row[6])
        for row in await cursor.fetchall()
    ]


async def find_lines(driver: Driver, *, ledger_id: int, entry_ids: Collection[int]) -> dict[int, list[Posting]]:
    """The lines of entries, in order."""
    cursor = await driver.execute(_LINES, (ledger_id, list(entry_ids)))
    lines: dict[int, list[Posting]] = {}
    for entry_id, path, side, currency, amount in await cursor.fetchall():
        lines.setdefault(entry_id, []).append(Posting(path, Side(side), Money(currency, amount)))
    return lines


def _receipt(row: Sequence[object]) -> LockedReceipt:
    (
        receipt_id, provider, shortcode, receipt, currency, amount, index, reference, payer, completed_at,
        unallocated, suspended, allocated, returning, returned, version,
    ) = row  # fmt: skip
    return LockedReceipt(
        id=_int(receipt_id),
        provider=str(provider),
        shortcode=str(shortcode),
        receipt=str(receipt),
        amount=Money(str(currency), _int(amount)),
        reference_index=bytes(index) if isinstance(index, bytes | memoryview) else None,
        reference_shown=str(reference),
        payer_shown=str(payer),
        completed_at=_moment(completed_at),
        holdings=Holdings(_int(unallocated), _int(suspended), _int(allocated), _int(returning), _int(returned)),
        version=_int(version),
    )


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _moment(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value
