"""One business date of a ledger: what was posted by kind, what floats and clearing accounts did, what it earned, and
what runs against statements say of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date

from psycopg.rows import TupleRow

from ledger.database import Driver
from ledger.ids import encode
from ledger.journal.accounts import AccountClass
from ledger.journal.chart import CLEARING_PREFIXES
from ledger.journal.entry import Side
from ledger.journal.span import span_of_days

_RUN_PREFIX = "rec"

_KINDS = """
SELECT e.kind, p.currency, count(DISTINCT e.id), sum(p.amount) FILTER (WHERE p.side = 'D')::bigint,
    sum(p.amount) FILTER (WHERE p.side = 'C')::bigint
FROM journal_entries AS e JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id
WHERE e.ledger_id = %(ledger)s AND e.business_date = %(day)s AND e.id BETWEEN %(first)s AND %(last)s
  AND p.entry_id BETWEEN %(first)s AND %(last)s
GROUP BY 1, 2 ORDER BY 1, 2
"""
_ACCOUNTS = """
SELECT a.path, a.currency, a.class, a.normal_side, sum(d.debits) FILTER (WHERE d.business_date < %(day)s)::bigint,
    sum(d.credits) FILTER (WHERE d.business_date < %(day)s)::bigint,
    sum(d.debits) FILTER (WHERE d.business_date = %(day)s)::bigint,
    sum(d.credits) FILTER (WHERE d.business_date = %(day)s)::bigint
FROM accounts AS a JOIN account_days AS d ON d.ledger_id = a.ledger_id AND d.account_id = a.id
WHERE a.ledger_id = %(ledger)s AND d.business_date <= %(day)s
  AND (a.path LIKE 'asset.float.%%' OR a.path LIKE 'asset.bank.%%' OR a.path LIKE ANY(%(clearing)s)
       OR (a.class IN ('income', 'expense') AND d.business_date = %(day)s))
GROUP BY 1, 2, 3, 4 ORDER BY a.path COLLATE "C", a.currency
"""
_RUNS = """
SELECT DISTINCT ON (a.path, a.currency) a.path, a.currency, r.id, r.breaks, r.unexplained, r.books_opening,
    r.books_closing
FROM reconciliation_runs AS r JOIN accounts AS a ON a.ledger_id = r.ledger_id AND a.id = r.account_id
WHERE r.ledger_id = %(ledger)s AND r.from_date <= %(day)s AND r.until_date >= %(day)s
ORDER BY a.path, a.currency, r.id DESC
"""


class Part(enum.Enum):
    """What a line is about, in the order of the document."""

    ENTRIES = "entries"
    MONEY = "bank and float"
    CLEARING = "clearing"
    RESULT = "income and expenses"
    STATEMENTS = "statements"


@dataclass(frozen=True, slots=True, kw_only=True)
class DayLine:
    """`count` is of entries, or of what a run left open. Debits and credits are of the day; opening and closing stand
    on the account's normal side, None where there is none. For a run, `closing` is what it could not explain, and
    `name` ends with the run."""

    part: Part
    name: str
    currency: str
    count: int | None = None
    opening: int | None = None
    debits: int | None = None
    credits: int | None = None
    closing: int | None = None


async def day_lines(driver: Driver, *, ledger_id: int, day: date) -> list[DayLine]:
    """Everything of the date, part by part; accounts that held nothing and did not move have no line."""
    span = await span_of_days(driver, ledger_id=ledger_id, first=day, last=day)
    values = {
        "ledger": ledger_id, "day": day, "first": span.first_id, "last": span.last_id,
        "clearing": [f"{prefix}%" for prefix in CLEARING_PREFIXES],
    }  # fmt: skip
    lines = [
        DayLine(part=Part.ENTRIES, name=kind, currency=currency, count=count, debits=debits or 0, credits=credits or 0)
        for kind, currency, count, debits, credits in await (await driver.execute(_KINDS, values)).fetchall()
    ]
    for row in await (await driver.execute(_ACCOUNTS, values)).fetchall():
        line = _account_line(row)
        if line.opening or line.debits or line.credits:
            lines.append(line)
    for path, currency, run_id, breaks, unexplained, *_ in await (await driver.execute(_RUNS, values)).fetchall():
        name = f"{path} {encode(_RUN_PREFIX, run_id)}"
        lines.append(DayLine(part=Part.STATEMENTS, name=name, currency=currency, count=breaks, closing=unexplained))
    order = list(Part)
    return sorted(lines, key=lambda line: order.index(line.part))


def _account_line(row: TupleRow) -> DayLine:
    path, currency, account_class, normal_side = row[:4]
    debits_before, credits_before, debits, credits = (units or 0 for units in row[4:])
    sign = 1 if Side(normal_side) is Side.DEBIT else -1
    opening = sign * (debits_before - credits_before)
    part = Part.CLEARING
    if AccountClass(account_class) in (AccountClass.INCOME, AccountClass.EXPENSE):
        part, opening = Part.RESULT, 0
    elif path.startswith(("asset.float.", "asset.bank.")):
        part = Part.MONEY
    return DayLine(
        part=part, name=path, currency=currency, opening=opening, debits=debits, credits=credits,
        closing=opening + sign * (debits - credits),
    )  # fmt: skip
