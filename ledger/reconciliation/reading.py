"""What a run needs of the books and of the statement, by SQL: sets, never a query per line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import LiteralString

from psycopg.rows import TupleRow

from ledger.database import Driver
from ledger.ids import encode
from ledger.journal.books import Ledger
from ledger.journal.span import Span, span_of_days
from ledger.reconciliation.importing import CHARGES_PAID, StatementAccount
from ledger.reconciliation.matching import Adjusted, Booked, Books, Known, Line, Payout
from ledger.reconciliation.statement import LineKind, LineStatus
from ledger.session import text_array

ADJUSTMENT_PREFIX = "adj"
_CURSOR, _ROWS_AT_ONCE = "reconciliation", 5_000
_LINES = """
SELECT id, receipt, completed_at, amount, kind, status, originator, reference, linked_receipt FROM statement_lines
WHERE ledger_id = %s AND account_id = %s AND completed_at >= %s AND completed_at < %s ORDER BY completed_at, id
"""
# Several postings of one entry on the account are one movement. A return is booked about the receipt that it undoes.
_BOOKED = """
SELECT e.id, sum(p.amount * CASE p.side WHEN 'D' THEN 1 ELSE -1 END)::bigint, e.effective_at, e.source, e.reference,
       max(r.return_receipt), bool_or(v.event IS NOT NULL)
FROM postings AS p JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id
LEFT JOIN return_events AS v ON v.ledger_id = e.ledger_id AND v.entry_id = e.id AND e.kind LIKE 'collection.%%'
LEFT JOIN returns AS r ON r.ledger_id = v.ledger_id AND r.id = v.return_id
WHERE p.ledger_id = %s AND p.account_id = %s AND p.entry_id BETWEEN %s AND %s AND e.business_date BETWEEN %s AND %s
GROUP BY e.ledger_id, e.id HAVING sum(p.amount * CASE p.side WHEN 'D' THEN 1 ELSE -1 END) <> 0
"""
_CHARGES = """
SELECT e.reference, sum(p.amount * CASE p.side WHEN 'C' THEN 1 ELSE -1 END)::bigint
FROM postings AS p JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id
JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id
WHERE p.ledger_id = %s AND a.role = 'provider_charges' AND a.provider = %s AND a.wallet_ref = %s AND a.currency = %s
  AND p.entry_id BETWEEN %s AND %s AND e.business_date BETWEEN %s AND %s AND e.reference IS NOT NULL GROUP BY 1
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
# What happened in the days and is dated after them: they were closed when the books learned it.
_LATER = """
SELECT e.reference, sum(p.amount * CASE p.side WHEN 'D' THEN 1 ELSE -1 END)::bigint, min(e.business_date)
FROM unnest(%s::text[]) AS w (receipt)
JOIN journal_entries AS e ON e.ledger_id = %s AND e.reference = w.receipt
JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id
WHERE p.account_id = %s AND e.business_date > %s AND e.effective_at < %s GROUP BY 1
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
# Of a run that ended before, whatever no entry had booked by then; of one that reaches into the days, the part before.
_CARRIED = """
SELECT coalesce(sum(CASE WHEN r.until_date < %(first)s
    THEN CASE WHEN e.business_date < %(first)s THEN 0 ELSE a.difference END
    ELSE (SELECT coalesce(sum(l.amount), 0) FROM statement_lines AS l
          WHERE l.ledger_id = a.ledger_id AND l.account_id = a.account_id AND l.id = ANY (a.line_ids)
            AND l.status = 'completed' AND l.completed_at < %(start)s)
       - (SELECT coalesce(sum(p.amount * CASE p.side WHEN 'D' THEN 1 ELSE -1 END), 0) FROM postings AS p
          JOIN journal_entries AS x ON x.ledger_id = p.ledger_id AND x.id = p.entry_id
          WHERE p.ledger_id = a.ledger_id AND p.account_id = a.account_id AND x.business_date < %(first)s
            AND p.entry_id = ANY (a.entry_ids || d.entry_id)) END), 0)::bigint
FROM adjustments AS a
JOIN adjustment_decisions AS d ON d.ledger_id = a.ledger_id AND d.adjustment_id = a.id AND d.approved
JOIN reconciliation_runs AS r ON r.ledger_id = a.ledger_id AND r.id = a.run_id
LEFT JOIN journal_entries AS e ON e.ledger_id = d.ledger_id AND e.id = d.entry_id
WHERE a.ledger_id = %(ledger)s AND a.account_id = %(account)s AND a.way <> 'receipt' AND r.from_date < %(first)s
"""
# What happened before the days and counts for a later one, because its own was closed.
_LATE = """
SELECT coalesce(sum(p.amount * CASE p.side WHEN 'D' THEN 1 ELSE -1 END), 0)::bigint
FROM closings AS c
JOIN journal_entries AS e ON e.ledger_id = c.ledger_id AND e.business_date = c.last_date + 1
JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id
WHERE c.ledger_id = %(ledger)s AND c.step = 'signed' AND c.last_date + 1 >= %(first)s AND p.account_id = %(account)s
  AND e.effective_at < %(start)s AND e.kind <> 'reconciliation.adjusted'
"""
_AFTER = """
SELECT coalesce(sum(amount), 0)::bigint FROM statement_lines
WHERE ledger_id = %s AND account_id = %s AND completed_at >= %s AND completed_at <= %s AND status = 'completed'
"""
_OPENING = """
SELECT coalesce(sum(debits - credits), 0)::bigint FROM account_days
WHERE ledger_id = %s AND account_id = %s AND business_date < %s
"""
_TOLD = """
SELECT i.until_at, i.closing FROM statement_imports AS i
JOIN statement_files AS f ON f.ledger_id = i.ledger_id AND f.id = i.file_id
WHERE i.ledger_id = %s AND f.account_id = %s AND i.verdict = 'accepted' AND i.from_at < %s AND i.until_at >= %s
ORDER BY i.until_at DESC, i.id DESC LIMIT 1
"""
_NEWEST = """
SELECT i.from_at, i.until_at FROM statement_imports AS i
JOIN statement_files AS f ON f.ledger_id = i.ledger_id AND f.id = i.file_id
WHERE i.ledger_id = %s AND f.account_id = %s AND i.verdict = 'accepted' ORDER BY i.until_at DESC, i.id DESC LIMIT 1
"""
_KNOWN = {
    "SETTLED": Known.SETTLED,
    "RELEASED": Known.RELEASED,
    "CANCELLED": Known.RELEASED,
    "CONFLICTED": Known.RELEASED,
}


@dataclass(frozen=True, slots=True)
class Days:
    """From the first moment of one business date to the last of another, in the ledger's zone."""

    first: date
    last: date

    def start(self, ledger: Ledger) -> datetime:
        """When the first day begins."""
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=ledger.zone)

    def end(self, ledger: Ledger) -> datetime:
        """When the day after the last begins."""
        after = self.last + timedelta(days=1)
        return datetime(after.year, after.month, after.day, tzinfo=ledger.zone)


@dataclass(frozen=True, slots=True)
class Told:
    """The statement's lines of some days, how far it reaches, and its closing balance, None where untold."""

    lines: Sequence[Line]
    until: datetime
    closing: int | None

    @property
    def moved(self) -> int:
        """What all of them moved."""
        return sum(line.amount for line in self.lines if line.status is LineStatus.COMPLETED)


async def find_days(driver: Driver, *, ledger: Ledger, account: StatementAccount) -> Days | None:
    """The days of the account's newest statement; None before there is one."""
    row = await (await driver.execute(_NEWEST, (ledger.id, account.id))).fetchone()
    return Days(*(at.astimezone(ledger.zone).date() for at in row)) if row else None


async def read_told(driver: Driver, *, ledger: Ledger, account: StatementAccount, days: Days) -> Told | None:
    """None where no statement reaches into the days."""
    start, end = days.start(ledger), days.end(ledger)
    told = await (await driver.execute(_TOLD, (ledger.id, account.id, end, start))).fetchone()
    if told is None:
        return None
    rows = _streamed(driver, _LINES, (ledger.id, account.id, start, end))
    lines = [
        Line(
            id=row[0], receipt=row[1], at=row[2], amount=row[3], kind=LineKind(row[4]), status=LineStatus(row[5]),
            originator=row[6], reference=row[7], linked=row[8],
        )
        async for row in rows
    ]  # fmt: skip
    closing = told[1]
    if closing is not None and told[0] >= end:  # it closes later than the days do
        after = await (await driver.execute(_AFTER, (ledger.id, account.id, end, told[0]))).fetchone()
        assert after is not None
        closing -= after[0]
    return Told(lines, min(told[0], end), closing)


async def read_opening(driver: Driver, *, ledger: Ledger, account: StatementAccount, days: Days) -> int:
    """What the books hold on the account before the days, as its statement would write it."""
    row = await (await driver.execute(_OPENING, (ledger.id, account.id, days.first))).fetchone()
    assert row is not None
    return int(row[0])


async def read_carried(driver: Driver, *, ledger: Ledger, account: StatementAccount, days: Days) -> int:
    """What of the difference before the days is explained and not booked by then: by two persons, or by a close."""
    place = {"ledger": ledger.id, "account": account.id, "first": days.first, "start": days.start(ledger)}
    adjusted = await (await driver.execute(_CARRIED, place)).fetchone()
    late = await (await driver.execute(_LATE, place)).fetchone()
    assert adjusted is not None
    assert late is not None
    return int(adjusted[0] + late[0])


async def read_books(driver: Driver, *, ledger: Ledger, account: StatementAccount, days: Days, told: Told) -> Books:
    """What the books say of the account in the days, and of what the lines name beyond that."""
    span = await span_of_days(driver, ledger_id=ledger.id, first=days.first, last=days.last)
    booked = await _booked(driver, ledger, account, days, span)
    receipts = {one.receipt for one in booked}
    stray = [line for line in told.lines if line.receipt not in receipts]
    named = sorted({line.originator for line in stray if line.originator})
    charges = await read_charges(driver, ledger=ledger, account=account, days=days)
    elsewhere: Mapping[str, str] = {}
    if charges is not None and stray:
        wanted = text_array(sorted({line.receipt for line in stray}))
        cursor = await driver.execute(_ELSEWHERE, (wanted, ledger.id, account.provider, account.id))
        elsewhere = dict(await cursor.fetchall())
    later: dict[str, tuple[int, date]] = {}
    if stray:
        wanted = text_array(sorted({line.receipt for line in stray}))
        cursor = await driver.execute(_LATER, (wanted, ledger.id, account.id, days.last, days.end(ledger)))
        later = {receipt: (amount, day) for receipt, amount, day in await cursor.fetchall()}
    payouts = await _payouts(driver, ledger, account, named)
    adjusted = await _adjusted(driver, ledger, account, days)
    return Books(
        booked=booked, payouts=payouts, charges=charges, elsewhere=elsewhere, told_until=told.until, adjusted=adjusted,
        starts_at=days.start(ledger), later=later,
    )  # fmt: skip


async def _streamed(driver: Driver, query: LiteralString, values: tuple[object, ...]) -> AsyncIterator[TupleRow]:
    """The rows, a few thousand at a time in memory."""
    async with driver.cursor(name=_CURSOR) as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        await cursor.execute(query, values)
        async for row in cursor:
            yield row


async def _booked(driver: Driver, ledger: Ledger, account: StatementAccount, days: Days, span: Span) -> list[Booked]:
    place = (ledger.id, account.id, span.first_id, span.last_id, days.first, days.last)
    rows = _streamed(driver, _BOOKED, place)
    return [
        Booked(
            entry_id=row[0], amount=row[1], at=row[2], source=row[3],
            receipt=row[5] if row[6] else row[4], original=row[4] if row[6] else None,
        )
        async for row in rows
    ]  # fmt: skip


async def _adjusted(driver: Driver, ledger: Ledger, account: StatementAccount, days: Days) -> list[Adjusted]:
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


async def read_charges(
    driver: Driver, *, ledger: Ledger, account: StatementAccount, days: Days
) -> dict[str, int] | None:
    """What was accrued for charges by receipt; None for the account of charges itself."""
    if account.sub_account == CHARGES_PAID:
        return None
    span = await span_of_days(driver, ledger_id=ledger.id, first=days.first, last=days.last)
    whose = (ledger.id, account.provider, account.shortcode, account.currency)
    place = (*whose, span.first_id, span.last_id, days.first, days.last)
    return {receipt: charge async for receipt, charge in _streamed(driver, _CHARGES, place)}


async def _payouts(
    driver: Driver, ledger: Ledger, account: StatementAccount, named: Sequence[str]
) -> dict[str, Payout]:
    if not named:
        return {}
    place = (text_array(named), ledger.id, account.provider, account.shortcode, account.currency)
    cursor = await driver.execute(_PAYOUTS, place)
    return {
        reference: Payout(payout_id, _KNOWN.get(state, Known.OPEN), -amount, receipt)
        for reference, payout_id, state, amount, receipt in await cursor.fetchall()
    }
