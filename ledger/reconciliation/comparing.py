"""An account's days, statement and books side by side, read once and decided as they pass.

Nearly every receipt has its lines and its entries, and decides itself: those pass by in order of time, a few thousand
rows in memory at once. What needs more than its receipt comes before them: all of it is held and decided together, by
`matching` like the others. What is held grows with what does not agree, and not with the statement."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from psycopg import AsyncServerCursor
from psycopg.rows import TupleRow

from ledger.database import Driver
from ledger.ids import encode
from ledger.journal.books import Ledger
from ledger.journal.span import span_of_days
from ledger.reconciliation.importing import CHARGES_PAID, StatementAccount, allow_minutes
from ledger.reconciliation.matching import Adjusted, Booked, Books, Decision, Known, Line, Payout, match
from ledger.reconciliation.reading import ADJUSTMENT_PREFIX, Days, Told
from ledger.reconciliation.statement import LineKind, LineStatus
from ledger.session import plain_array, text_array

_CURSOR, ROWS_AT_ONCE = "reconciliation", 5_000
_LINE, _ENTRY = "line", "entry"
_DECIDES_ITSELF, _BEGINS, _RECEIPT = 0, 1, 2  # places in a row
_OF_ONE_RECEIPT = frozenset({"receipt", "charge"})
# Several postings of one entry on the account are one movement. A return is booked about the receipt that it undoes.
# A receipt decides itself that has a payment's completed lines, entries, and nothing that people or other rules decide.
_ROWS = """
WITH told AS MATERIALIZED (
    SELECT l.id, l.receipt, l.completed_at, l.amount, l.kind, l.status, l.originator, l.reference, l.linked_receipt,
           l.kind IN ('charge', 'charge_reversal') AS is_charge
    FROM statement_lines AS l
    WHERE l.ledger_id = %(ledger)s AND l.account_id = %(account)s AND l.completed_at >= %(start)s
      AND l.completed_at < %(end)s
), booked AS (
    SELECT e.id, sum(p.amount * CASE p.side WHEN 'D' THEN 1 ELSE -1 END)::bigint AS amount, e.effective_at, e.source,
           e.reference, max(r.return_receipt) AS return_receipt, bool_or(v.event IS NOT NULL) AS goes_back
    FROM postings AS p JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id
    LEFT JOIN return_events AS v ON v.ledger_id = e.ledger_id AND v.entry_id = e.id AND e.kind LIKE 'collection.%%'
    LEFT JOIN returns AS r ON r.ledger_id = v.ledger_id AND r.id = v.return_id
    WHERE p.ledger_id = %(ledger)s AND p.account_id = %(account)s AND p.entry_id BETWEEN %(from_id)s AND %(to_id)s
      AND e.business_date BETWEEN %(first)s AND %(last)s
    GROUP BY e.ledger_id, e.id HAVING sum(p.amount * CASE p.side WHEN 'D' THEN 1 ELSE -1 END) <> 0
), accrued AS (
    SELECT e.reference, sum(p.amount * CASE p.side WHEN 'C' THEN 1 ELSE -1 END)::bigint AS amount
    FROM postings AS p JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id
    JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id
    WHERE NOT %(charges_apart)s AND p.ledger_id = %(ledger)s AND a.role = 'provider_charges'
      AND a.provider = %(provider)s AND a.wallet_ref = %(shortcode)s AND a.currency = %(currency)s
      AND p.entry_id BETWEEN %(from_id)s AND %(to_id)s AND e.business_date BETWEEN %(first)s AND %(last)s
      AND e.reference IN (SELECT t.receipt FROM told AS t WHERE t.is_charge)
    GROUP BY 1
), both_sides AS (
    SELECT 'line' AS what, t.receipt COLLATE "C" AS receipt, t.id, t.completed_at AS at, t.amount, t.kind, t.status,
           t.originator, t.reference, t.linked_receipt AS other,
           t.status = 'completed' AND (%(charges_apart)s OR NOT t.is_charge) AS is_payment,
           t.status <> 'completed' OR t.id IN (SELECT unnest(%(lines)s::bigint[])) AS needs_more
    FROM told AS t
    UNION ALL
    SELECT 'entry', CASE WHEN b.goes_back THEN b.return_receipt ELSE b.reference END, b.id, b.effective_at, b.amount,
           b.source, NULL, NULL, NULL, CASE WHEN b.goes_back THEN b.reference END, false,
           b.id IN (SELECT unnest(%(entries)s::bigint[]))
    FROM booked AS b
    UNION ALL
    SELECT 'charge', c.reference, NULL, NULL, c.amount, NULL, NULL, NULL, NULL, NULL, false, false FROM accrued AS c
)
SELECT bool_or(s.is_payment) OVER receipts AND bool_or(s.what = 'entry') OVER receipts
           AND NOT bool_or(s.needs_more) OVER receipts AS decides_itself,
       min(s.at) FILTER (WHERE s.what = 'line') OVER receipts AS begins, s.receipt, s.what, s.id, s.at, s.amount,
       s.kind, s.status, s.originator, s.reference, s.other
FROM both_sides AS s WINDOW receipts AS (PARTITION BY s.receipt) ORDER BY decides_itself, begins, s.receipt
"""
_PAYOUTS = """
SELECT p.provider_reference, p.id, p.state, p.amount, p.receipt
FROM unnest(%s::text[]) AS w (reference)
JOIN payouts AS p ON p.ledger_id = %s AND p.provider_reference = w.reference
WHERE p.rail = %s AND p.shortcode = %s AND p.currency = %s
"""
_ELSEWHERE = """
SELECT DISTINCT ON (e.reference) e.reference, a.path FROM unnest(%s::text[]) AS w (receipt)
JOIN journal_entries AS e ON e.ledger_id = %s AND e.reference = w.receipt
JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id
JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id
WHERE a.provider = %s AND a.path LIKE 'asset.float.%%' AND a.id <> %s ORDER BY 1, 2
"""
# What happened in the days and is dated after them: they were closed when the books learned it. What went back is known
# by its own number, and not by that of the receipt that its entry is about.
_LATER = """
SELECT n.receipt, sum(p.amount * CASE p.side WHEN 'D' THEN 1 ELSE -1 END)::bigint, min(e.business_date)
FROM (
    SELECT w.receipt, e.id FROM unnest(%(receipts)s::text[]) AS w (receipt)
    JOIN journal_entries AS e ON e.ledger_id = %(ledger)s AND e.reference = w.receipt
    WHERE NOT EXISTS (SELECT FROM return_events AS v WHERE v.ledger_id = e.ledger_id AND v.entry_id = e.id)
    UNION ALL
    SELECT w.receipt, v.entry_id FROM unnest(%(receipts)s::text[]) AS w (receipt)
    JOIN returns AS r ON r.ledger_id = %(ledger)s AND r.rail = %(provider)s AND r.return_receipt = w.receipt
    JOIN return_events AS v ON v.ledger_id = r.ledger_id AND v.return_id = r.id
) AS n (receipt, entry_id)
JOIN journal_entries AS e ON e.ledger_id = %(ledger)s AND e.id = n.entry_id
JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id
WHERE p.account_id = %(account)s AND e.business_date > %(last)s AND e.effective_at < %(end)s GROUP BY 1
"""
# Those whose run, or whose entry, lies in the days. A receipt is known by its number like any other.
_ADJUSTED = """
SELECT a.id, a.line_ids, a.entry_ids, d.entry_id, a.reason, d.actor FROM adjustments AS a
JOIN adjustment_decisions AS d ON d.ledger_id = a.ledger_id AND d.adjustment_id = a.id AND d.approved
JOIN reconciliation_runs AS r ON r.ledger_id = a.ledger_id AND r.id = a.run_id
LEFT JOIN journal_entries AS e ON e.ledger_id = d.ledger_id AND e.id = d.entry_id
WHERE a.ledger_id = %(ledger)s AND a.account_id = %(account)s AND a.way <> 'receipt'
  AND (daterange(r.from_date, r.until_date, '[]') && daterange(%(first)s, %(last)s, '[]')
       OR e.business_date BETWEEN %(first)s AND %(last)s)
ORDER BY a.id
"""
_KNOWN = {
    "SETTLED": Known.SETTLED,
    "RELEASED": Known.RELEASED,
    "CANCELLED": Known.RELEASED,
    "CONFLICTED": Known.RELEASED,
}


@dataclass(slots=True)
class _Sides:
    """Rows as matching takes them; `charges` is what was accrued by receipt."""

    lines: list[Line] = field(default_factory=list)
    booked: list[Booked] = field(default_factory=list)
    charges: dict[str, int] = field(default_factory=dict)

    def add(self, rows: Iterable[TupleRow]) -> None:
        """In the order in which the database has them."""
        for _, _, receipt, what, number, at, amount, kind, status, originator, reference, other in rows:
            if what == _LINE:
                line = Line(
                    id=number, receipt=receipt, at=at, amount=amount, kind=LineKind(kind), status=LineStatus(status),
                    originator=originator, reference=reference, linked=other,
                )  # fmt: skip
                self.lines.append(line)
            elif what == _ENTRY:
                one = Booked(entry_id=number, amount=amount, at=at, source=kind, receipt=receipt, original=other)
                self.booked.append(one)
            else:
                self.charges[receipt] = amount

    def sort(self) -> None:
        """Lines by time, entries as they were posted."""
        self.lines.sort(key=lambda line: (line.at, line.id))
        self.booked.sort(key=lambda one: one.entry_id)

    @property
    def moved(self) -> int:
        """What the lines moved."""
        return sum(line.amount for line in self.lines if line.status is LineStatus.COMPLETED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Whose days are compared, and how far the statement tells of them."""

    ledger: Ledger
    account: StatementAccount
    days: Days
    told: Told

    @property
    def has_charges_apart(self) -> bool:
        """Whether it is the account of charges itself."""
        return self.account.sub_account == CHARGES_PAID

    def match(self, sides: _Sides, **known: Any) -> list[Decision]:
        """What belongs to what; `known` is what the books know beyond both sides."""
        sides.sort()
        books = Books(
            booked=sides.booked, charges=None if self.has_charges_apart else sides.charges,
            told_until=self.told.until, starts_at=self.days.start(self.ledger),
            **({"payouts": {}, "elsewhere": {}} | known),
        )  # fmt: skip
        return match(sides.lines, books)


@dataclass(slots=True)
class Comparison:
    """One reading of both sides. `held` are the lines of what needs more than its receipt, by id, and `held_decisions`
    what became of it; `lines` and `moved` count all that passed so far."""

    compared: Compared
    held: Mapping[int, Line]
    held_decisions: Sequence[Decision]
    lines: int
    moved: int
    _rows: AsyncIterator[list[TupleRow]]

    async def decisions(self) -> AsyncIterator[list[Decision]]:
        """All of them, by time, some at a time. Once."""
        in_order = InOrder(self.held_decisions)
        async for rows in self._rows:
            yield in_order.before(rows[0][_BEGINS])
            # In a thread, so that a server goes on answering others meanwhile.
            sides, decided = await asyncio.to_thread(self._decide, rows)
            self.lines += len(sides.lines)
            self.moved += sides.moved
            in_order.add(decided)
        yield in_order.rest()

    def _decide(self, rows: Sequence[TupleRow]) -> tuple[_Sides, list[Decision]]:
        sides = _sides(rows)
        decided = self.compared.match(sides)
        assert all(one.rule in _OF_ONE_RECEIPT for one in decided), "what needs more than its receipt was held"
        return sides, decided


class InOrder:
    """Decisions in their order, out of those that come nearly in it."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self._waiting = [(one.order, one) for one in decisions]
        heapq.heapify(self._waiting)

    def add(self, decisions: Iterable[Decision]) -> None:
        """Those that none of the taken ones comes after."""
        for one in decisions:
            heapq.heappush(self._waiting, (one.order, one))

    def before(self, at: datetime) -> list[Decision]:
        """Takes those of earlier moments."""
        taken = []
        while self._waiting and self._waiting[0][1].at < at:
            taken.append(heapq.heappop(self._waiting)[1])
        return taken

    def rest(self) -> list[Decision]:
        """Takes all."""
        taken, self._waiting = [one for _, one in sorted(self._waiting)], []
        return taken


@asynccontextmanager
async def comparing(
    driver: Driver, compared: Compared, *, rows_at_once: int = ROWS_AT_ONCE
) -> AsyncIterator[Comparison]:
    """Both sides as one statement of the database sees them; what is held is decided already."""
    await allow_minutes(driver)
    adjusted = await _read_adjusted(driver, compared)
    async with driver.cursor(name=_CURSOR) as cursor:
        await cursor.execute(_ROWS, await _place(driver, compared, adjusted))
        batches = _whole_receipts(cursor, rows_at_once)
        held, first = _Sides(), list[TupleRow]()
        async for rows in batches:
            held.add(row for row in rows if not row[_DECIDES_ITSELF])
            first = [row for row in rows if row[_DECIDES_ITSELF]]
            if first:
                break
        known = await _read_known(driver, compared, held)
        decisions = await asyncio.to_thread(compared.match, held, adjusted=adjusted, **known)
        yield Comparison(
            compared=compared,
            held={line.id: line for line in held.lines},
            held_decisions=decisions,
            lines=len(held.lines),
            moved=held.moved,
            _rows=_after(first, batches),
        )


def _sides(rows: Iterable[TupleRow]) -> _Sides:
    sides = _Sides()
    sides.add(rows)
    return sides


async def _whole_receipts(cursor: AsyncServerCursor[TupleRow], rows_at_once: int) -> AsyncIterator[list[TupleRow]]:
    """The rows, no receipt cut in two."""
    waiting: list[TupleRow] = []
    while rows := await cursor.fetchmany(rows_at_once):
        waiting += rows
        last, cut = waiting[-1][_RECEIPT], len(waiting) - 1
        while cut and waiting[cut - 1][_RECEIPT] == last:
            cut -= 1
        if cut:
            yield waiting[:cut]
            waiting = waiting[cut:]
    if waiting:
        yield waiting


async def _after(first: list[TupleRow], others: AsyncIterator[list[TupleRow]]) -> AsyncIterator[list[TupleRow]]:
    if first:
        yield first
    async for rows in others:
        yield rows


async def _place(driver: Driver, compared: Compared, adjusted: Sequence[Adjusted]) -> dict[str, object]:
    ledger, account, days = compared.ledger, compared.account, compared.days
    span = await span_of_days(driver, ledger_id=ledger.id, first=days.first, last=days.last)
    return {
        "ledger": ledger.id, "account": account.id, "start": days.start(ledger), "end": days.end(ledger),
        "from_id": span.first_id, "to_id": span.last_id, "first": days.first, "last": days.last,
        "provider": account.provider, "shortcode": account.shortcode, "currency": account.currency,
        "charges_apart": compared.has_charges_apart,
        "lines": plain_array(sorted({number for one in adjusted for number in one.lines})),
        "entries": plain_array(sorted({number for one in adjusted for number in one.entries})),
    }  # fmt: skip


async def _read_known(driver: Driver, compared: Compared, held: _Sides) -> dict[str, Any]:
    """What the books know of the receipts and references that lines name and no entry here is about."""
    ledger, account, days = compared.ledger, compared.account, compared.days
    receipts = {one.receipt for one in held.booked}
    stray = [line for line in held.lines if line.receipt not in receipts]
    if not stray:
        return {}
    wanted = text_array(sorted({line.receipt for line in stray}))
    late = {
        "receipts": wanted, "ledger": ledger.id, "provider": account.provider, "account": account.id,
        "last": days.last, "end": days.end(ledger),
    }  # fmt: skip
    cursor = await driver.execute(_LATER, late)
    later: dict[str, tuple[int, date]] = {receipt: (amount, day) for receipt, amount, day in await cursor.fetchall()}
    elsewhere: dict[str, str] = {}
    if not compared.has_charges_apart:
        cursor = await driver.execute(_ELSEWHERE, (wanted, ledger.id, account.provider, account.id))
        elsewhere = dict(await cursor.fetchall())
    named = text_array(sorted({line.originator for line in stray if line.originator}))
    place = (named, ledger.id, account.provider, account.shortcode, account.currency)
    cursor = await driver.execute(_PAYOUTS, place)
    payouts = {
        reference: Payout(payout_id, _KNOWN.get(state, Known.OPEN), -amount, receipt)
        for reference, payout_id, state, amount, receipt in await cursor.fetchall()
    }
    return {"later": later, "elsewhere": elsewhere, "payouts": payouts}


async def _read_adjusted(driver: Driver, compared: Compared) -> list[Adjusted]:
    ledger, account, days = compared.ledger, compared.account, compared.days
    place = {"ledger": ledger.id, "account": account.id, "first": days.first, "last": days.last}
    return [
        Adjusted(
            frozenset(lines), frozenset((*entries, *([] if entry_id is None else [entry_id]))),
            f"{encode(ADJUSTMENT_PREFIX, adjustment_id)}, approved by {actor}: {reason}"[:500],
        )
        for adjustment_id, lines, entries, entry_id, reason, actor in await (
            await driver.execute(_ADJUSTED, place)
        ).fetchall()
    ]  # fmt: skip
