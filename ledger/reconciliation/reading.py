"""Some days of an account: how far its statement tells of them, and what its books held before. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.reconciliation.importing import CHARGES_PAID, StatementAccount
from ledger.session import text_array

ADJUSTMENT_PREFIX = "adj"
_CHARGES = """
SELECT e.reference, sum(p.amount * CASE p.side WHEN 'C' THEN 1 ELSE -1 END)::bigint
FROM unnest(%s::text[]) AS w (receipt)
JOIN journal_entries AS e ON e.ledger_id = %s AND e.reference = w.receipt
JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id
JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id
WHERE a.role = 'provider_charges' AND a.provider = %s AND a.wallet_ref = %s AND a.currency = %s
  AND e.business_date BETWEEN %s AND %s GROUP BY 1
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
# What happened before the days and counts for a later one, because its own was closed; less what is adjusted anyway.
_LATE = """
SELECT coalesce(sum(p.amount * CASE p.side WHEN 'D' THEN 1 ELSE -1 END), 0)::bigint
FROM closings AS c
JOIN journal_entries AS e ON e.ledger_id = c.ledger_id AND e.business_date = c.last_date + 1
JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id
WHERE c.ledger_id = %(ledger)s AND c.step = 'signed' AND c.last_date + 1 >= %(first)s AND p.account_id = %(account)s
  AND e.effective_at < %(start)s AND e.kind <> 'reconciliation.adjusted'
  AND NOT EXISTS (SELECT FROM adjusted_items AS i WHERE i.ledger_id = p.ledger_id AND i.account_id = p.account_id
    AND i.what = 'entry' AND i.item_id = p.entry_id)
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
    """How far the statement of some days reaches, and its balance at the end of them, None where untold."""

    until: datetime
    closing: int | None


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
    closing = told[1]
    if closing is not None and told[0] >= end:  # it closes later than the days do
        after = await (await driver.execute(_AFTER, (ledger.id, account.id, end, told[0]))).fetchone()
        assert after is not None
        closing -= after[0]
    return Told(min(told[0], end), closing)


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


async def read_charges(
    driver: Driver, *, ledger: Ledger, account: StatementAccount, days: Days, receipts: Sequence[str]
) -> dict[str, int] | None:
    """What was accrued for charges under these receipts; None for the account of charges itself."""
    if account.sub_account == CHARGES_PAID:
        return None
    whose = (account.provider, account.shortcode, account.currency)
    place = (text_array(receipts), ledger.id, *whose, days.first, days.last)
    return dict(await (await driver.execute(_CHARGES, place)).fetchall())
