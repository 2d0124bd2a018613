"""The SQL of payout changes, each for a whole set: locking, changing, and what hangs on a payout. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.database import Driver
from ledger.journal.entry import Posting, Side, Subject
from ledger.money import Money
from ledger.payouts.payout import State, Suspended

RECEIPT = "receipt"
# What was sent or learned less than this before a question was too new for it: the provider was still at work.
SETTLING = timedelta(minutes=1)

_LOCK = """
SELECT p.id, p.state, p.currency, p.amount, p.fee, p.rail, p.shortcode,
       p.provider_reference, p.reserve_entry_id, p.receipt,
       p.party_id, partner.code, p.purpose, p.remarks, party.payee_masked NOT LIKE '%%****%%', p.funding
FROM payouts AS p JOIN partners AS partner ON partner.ledger_id = p.ledger_id AND partner.id = p.partner_id
JOIN parties AS party ON party.ledger_id = p.ledger_id AND party.id = p.party_id
WHERE p.ledger_id = %s AND p.id = ANY(%s) ORDER BY p.id FOR NO KEY UPDATE OF p
"""
_CHANGE = """
WITH change AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(state)s::text[], %(event)s::text[], %(entry)s::bigint[],
        %(detail)s::text[],
        %(receipt)s::text[], %(completed)s::timestamptz[], %(charge)s::bigint[], %(code)s::text[], %(text)s::text[])
        AS c (id, state, event, entry_id, detail, receipt, completed_at, charge, failure_code, failure_text)
), changed AS (
    UPDATE payouts AS p SET state = c.state, version = p.version + 1, updated_at = %(now)s,
        receipt = coalesce(c.receipt, p.receipt), completed_at = coalesce(c.completed_at, p.completed_at),
        provider_charge = coalesce(c.charge, p.provider_charge),
        failure_code = coalesce(c.failure_code, p.failure_code), failure_text = coalesce(c.failure_text, p.failure_text)
    FROM change AS c WHERE p.ledger_id = %(ledger)s AND p.id = ANY(%(id)s) AND p.id = c.id
    RETURNING p.id, p.version, c.state, c.event, c.entry_id, c.detail
)
INSERT INTO payout_events (ledger_id, payout_id, version, state, event, entry_id, detail, recorded_at)
SELECT %(ledger)s, changed.*, %(now)s FROM changed
"""
# Served by payouts_open: only payouts still under way are in it.
_SILENT = """
SELECT ledger_id, id FROM payouts WHERE state = 'SUBMITTED' AND updated_at < %s
ORDER BY ledger_id, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
"""
_RECEIPTS = """
SELECT provider, value, payout_id FROM provider_references
WHERE ledger_id = %s AND kind = 'receipt' AND (provider, value) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
"""
_FIND_REFERENCES = """
SELECT payout_id, kind, value FROM provider_references WHERE ledger_id = %s AND payout_id = ANY(%s) ORDER BY 1, 2, 3
"""
# A twin that has settled keeps its receipt, under which nothing else settles; one that was cancelled never left.
_TWINS = """
SELECT p.id FROM payouts AS p WHERE p.ledger_id = %s AND p.id = ANY(%s) AND EXISTS (
    SELECT FROM payouts AS t WHERE t.ledger_id = p.ledger_id AND t.party_id = p.party_id AND t.id <> p.id
       AND t.rail = p.rail AND t.currency = p.currency AND t.amount = p.amount
       AND t.state NOT IN ('SETTLED', 'CANCELLED'))
"""
_REFERENCES = """
INSERT INTO provider_references (ledger_id, provider, kind, value, payout_id, created_at)
SELECT %s, r.*, %s FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS r ON CONFLICT DO NOTHING
RETURNING payout_id
"""
_LEARNED = """
WITH asked AS (
    SELECT i.payout_id, max(a.started_at) - %(settling)s AS at FROM instructions AS i
    JOIN attempts AS a ON a.ledger_id = i.ledger_id AND a.instruction_id = i.id
    WHERE i.ledger_id = %(ledger)s AND i.payout_id = ANY(%(payouts)s) AND i.kind = 'payout.query' GROUP BY 1
)
SELECT asked.payout_id FROM asked WHERE EXISTS (
    SELECT FROM provider_references AS r
    WHERE r.ledger_id = %(ledger)s AND r.payout_id = asked.payout_id AND r.created_at > asked.at
) OR EXISTS (
    SELECT FROM instructions AS i JOIN attempts AS a ON a.ledger_id = i.ledger_id AND a.instruction_id = i.id
    WHERE i.ledger_id = %(ledger)s AND i.payout_id = asked.payout_id AND i.kind = 'payout.resubmit'
      AND a.finished_at > asked.at)
"""
_SUSPENDED = """
SELECT subject_id, id FROM journal_entries
WHERE ledger_id = %s AND subject_kind = 'payout_receipt' AND subject_id = ANY(%s) AND kind = 'payout.late_success'
"""
_HELD = """
SELECT e.id, e.reference, e.effective_at, a.path, p.side, p.currency, p.amount
FROM journal_entries AS e JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id
JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id
WHERE e.ledger_id = %s AND e.id = ANY(%s) ORDER BY e.id, p.line
"""


@dataclass(frozen=True, slots=True)
class LockedPayout:
    """What judging and posting need of a payout, read under its lock."""

    id: int
    state: State
    amount: Money
    fee: Money
    rail: str
    shortcode: str
    provider_reference: str
    reserve_entry_id: int
    receipt: str | None
    party_id: int
    partner: str
    purpose: str
    remarks: str
    pays_business: bool
    funding: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A payout's next state with everything that is stored beside it; None leaves a column as it is."""

    payout_id: int
    state: State
    event: str
    entry_id: int | None
    detail: str | None
    receipt: str | None
    completed_at: datetime | None
    provider_charge: int | None
    failure_code: str | None
    failure_text: str | None


async def lock_payouts(driver: Driver, *, ledger_id: int, payout_ids: Sequence[int]) -> dict[int, LockedPayout]:
    """Locks payouts in id order, so that two sets never wait for each other, and reads them."""
    cursor = await driver.execute(_LOCK, (ledger_id, sorted(set(payout_ids))))
    return {
        row[0]: LockedPayout(row[0], State(row[1]), Money(row[2], row[3]), Money(row[2], row[4]), *row[5:])
        for row in await cursor.fetchall()
    }


async def find_silent(driver: Driver, *, before: datetime, limit: int) -> dict[int, list[int]]:
    """Submitted payouts without news since `before`, locked, by ledger; those somebody else works on are left out."""
    silent: dict[int, list[int]] = {}
    for ledger_id, payout_id in await (await driver.execute(_SILENT, (before, limit))).fetchall():
        silent.setdefault(ledger_id, []).append(payout_id)
    return silent


async def write_changes(driver: Driver, *, ledger_id: int, changes: Sequence[Change], now: datetime) -> None:
    """Moves locked payouts on and keeps an event of each."""
    parameters = {
        "ledger": ledger_id,
        "now": now,
        "id": [one.payout_id for one in changes],
        "state": [one.state.value for one in changes],
        "event": [one.event for one in changes],
        "entry": [one.entry_id for one in changes],
        "detail": [one.detail for one in changes],
        "receipt": [one.receipt for one in changes],
        "completed": [one.completed_at for one in changes],
        "charge": [one.provider_charge for one in changes],
        "code": [one.failure_code for one in changes],
        "text": [one.failure_text for one in changes],
    }
    cursor = await driver.execute(_CHANGE, parameters)
    assert cursor.rowcount == len(changes), "a locked payout vanished"


async def claim_receipts(
    driver: Driver, *, ledger_id: int, receipts: Sequence[tuple[str, str, int]], now: datetime
) -> dict[tuple[str, str], int]:
    """Gives each (rail, receipt, payout id) to the payout that names it first, ever, and returns whose each is. Another
    transaction that claims the same receipt is waited for: looking first and storing later would let both have it."""
    if not receipts:
        return {}
    first: dict[tuple[str, str], int] = {}
    for rail, receipt, payout_id in receipts:
        first.setdefault((rail, receipt), payout_id)
    claims = [(rail, RECEIPT, receipt, payout_id) for (rail, receipt), payout_id in first.items()]
    await add_references(driver, ledger_id=ledger_id, references=claims, now=now)
    columns = ([rail for rail, _ in first], [receipt for _, receipt in first])
    cursor = await driver.execute(_RECEIPTS, (ledger_id, *columns))
    return {(provider, value): payout_id for provider, value, payout_id in await cursor.fetchall()}


async def find_references(
    driver: Driver, *, ledger_id: int, payout_ids: Sequence[int]
) -> dict[int, tuple[tuple[str, str], ...]]:
    """What the provider calls these payouts: (kind, value) pairs, receipts included."""
    found: dict[int, tuple[tuple[str, str], ...]] = {}
    cursor = await driver.execute(_FIND_REFERENCES, (ledger_id, list(payout_ids)))
    for payout_id, kind, value in await cursor.fetchall():
        found[payout_id] = (*found.get(payout_id, ()), (kind, value))
    return found


async def find_twins(driver: Driver, *, ledger_id: int, payout_ids: Sequence[int]) -> frozenset[int]:
    """Those that nothing in what a provider tells parts from another that has not settled: the same amount to the same
    payee over the same rail."""
    if not payout_ids:
        return frozenset()
    cursor = await driver.execute(_TWINS, (ledger_id, list(payout_ids)))
    return frozenset(payout_id for (payout_id,) in await cursor.fetchall())


async def add_references(
    driver: Driver, *, ledger_id: int, references: Sequence[tuple[str, str, str, int]], now: datetime
) -> frozenset[int]:
    """Stores what the provider calls payouts: (rail, kind, value, payout id); known ones stay with their first payout.
    Returns the payouts that something new is known of."""
    if not references:
        return frozenset()
    columns = [list(column) for column in zip(*sorted(set(references)), strict=True)]
    cursor = await driver.execute(_REFERENCES, (ledger_id, now, *columns))
    return frozenset(payout_id for (payout_id,) in await cursor.fetchall())


async def find_learned(driver: Driver, *, ledger_id: int, payout_ids: Sequence[int]) -> frozenset[int]:
    """The payouts whose last question came too early for what was learned or sent again since or just before it."""
    parameters = {"ledger": ledger_id, "payouts": list(payout_ids), "settling": SETTLING}
    cursor = await driver.execute(_LEARNED, parameters)
    return frozenset(payout_id for (payout_id,) in await cursor.fetchall())


async def find_suspended(driver: Driver, *, ledger_id: int, subjects: Sequence[Subject]) -> frozenset[str]:
    """Which of these receipts, by subject id, were booked as money in suspense, whatever became of it."""
    if not subjects:
        return frozenset()
    cursor = await driver.execute(_SUSPENDED, (ledger_id, [one.id for one in subjects]))
    return frozenset(subject_id for subject_id, _ in await cursor.fetchall())


async def read_suspended(driver: Driver, *, ledger_id: int, entry_ids: Sequence[int]) -> dict[int, Suspended]:
    """The entries that put money into suspense, by id."""
    found: dict[int, Suspended] = {}
    if not entry_ids:
        return found
    cursor = await driver.execute(_HELD, (ledger_id, sorted(set(entry_ids))))
    for entry_id, receipt, effective_at, path, side, currency, amount in await cursor.fetchall():
        earlier = found[entry_id].lines if entry_id in found else ()
        line = Posting(path, Side(side), Money(currency, amount))
        found[entry_id] = Suspended(entry_id, receipt, effective_at, (*earlier, line))
    return found
