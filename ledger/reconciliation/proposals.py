"""Adjustments as rows: what was proposed about which decisions of a run, and what was decided."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.database import Driver
from ledger.errors import AccountNotFound
from ledger.ids import encode
from ledger.journal.books import Ledger
from ledger.journal.entry import Posting, Side
from ledger.journal.poster import Poster
from ledger.money import Money
from ledger.reconciliation.adjustment import AdjustmentNotFound, Break, Draft, Way
from ledger.reconciliation.importing import StatementAccount, read_statement_account
from ledger.reconciliation.matching import State
from ledger.reconciliation.reading import ADJUSTMENT_PREFIX
from ledger.reconciliation.statement import LineKind
from ledger.session import plain_array, text_array

# What is open, and charges: taken as accrued from the account itself they are explained, and not booked yet.
_BREAKS = """
SELECT d.number, d.state, d.rule, d.happened_at, d.receipt, d.difference, d.line_ids, d.entry_ids, l.kind
FROM reconciliation_decisions AS d
LEFT JOIN statement_lines AS l ON l.ledger_id = d.ledger_id AND l.account_id = %(account)s AND l.id = d.line_ids[1]
WHERE d.ledger_id = %(ledger)s AND d.run_id = %(run)s
  AND (%(numbers)s::int[] IS NULL OR d.number = ANY (%(numbers)s::int[]))
  AND (d.state NOT IN ('matched', 'no_movement', 'awaited', 'accepted') OR (d.rule = 'charge' AND d.difference <> 0))
ORDER BY d.number
"""
_CLAIMED = """
SELECT a.id, a.line_ids, a.entry_ids FROM adjustments AS a
LEFT JOIN adjustment_decisions AS d ON d.ledger_id = a.ledger_id AND d.adjustment_id = a.id
WHERE a.ledger_id = %s AND a.account_id = %s AND (d.adjustment_id IS NULL OR d.approved)
  AND (a.line_ids && %s::bigint[] OR a.entry_ids && %s::bigint[])
"""
# An array of arrays is rectangular; so each row's come as text of an array.
_ADD = """
INSERT INTO adjustments (ledger_id, id, account_id, run_id, way, numbers, line_ids, entry_ids, difference, receipt,
    happened_at, reason, proposed_by, proposed_at)
SELECT %(ledger)s, n.id, %(account)s, %(run)s, n.way, n.numbers::int[], n.line_ids::bigint[], n.entry_ids::bigint[],
       n.difference, n.receipt, n.at, n.reason, %(actor)s, %(now)s
FROM unnest(%(id)s::bigint[], %(way)s::text[], %(numbers)s::text[], %(line_ids)s::text[], %(entry_ids)s::text[],
    %(difference)s::bigint[], %(receipt)s::text[], %(at)s::timestamptz[], %(reason)s::text[])
    AS n (id, way, numbers, line_ids, entry_ids, difference, receipt, at, reason)
"""
_ADD_POSTINGS = """
INSERT INTO adjustment_postings (ledger_id, adjustment_id, line, account_id, side, amount)
SELECT %s, p.* FROM unnest(%s::bigint[], %s::smallint[], %s::bigint[], %s::text[], %s::bigint[]) AS p
"""
_SELECT = """
SELECT a.id, a.account_id, c.path, c.currency, a.run_id, a.way, a.numbers, a.difference, a.receipt, a.happened_at,
    a.reason, a.proposed_by, a.proposed_at, d.approved, d.entry_id, d.reason, d.actor, d.decided_at,
    (SELECT array_agg(o.path || ' ' || p.side || ' ' || p.amount ORDER BY p.line) FROM adjustment_postings AS p
     JOIN accounts AS o ON o.ledger_id = p.ledger_id AND o.id = p.account_id
     WHERE p.ledger_id = a.ledger_id AND p.adjustment_id = a.id)
FROM adjustments AS a
JOIN accounts AS c ON c.ledger_id = a.ledger_id AND c.id = a.account_id
LEFT JOIN adjustment_decisions AS d ON d.ledger_id = a.ledger_id AND d.adjustment_id = a.id
"""
_READ = _SELECT + "WHERE a.ledger_id = %s AND a.id = ANY (%s::bigint[]) ORDER BY a.id"
_LIST = (
    _SELECT
    + """WHERE a.ledger_id = %(ledger)s AND a.id < %(before)s AND (NOT %(open)s OR d.adjustment_id IS NULL)
  AND (%(run)s::bigint IS NULL OR a.run_id = %(run)s) ORDER BY a.id DESC LIMIT %(limit)s"""
)
# What was turned down is not found: it may be proposed again.
_SAME = (
    _SELECT
    + """WHERE a.ledger_id = %s AND a.run_id = %s AND a.numbers = %s::int[] AND a.way = %s AND a.reason = %s
  AND a.proposed_by = %s AND d.approved IS NOT FALSE ORDER BY a.id DESC LIMIT 1"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """An adjustment as it stands. `difference` is what it explains, as the statement writes it; `entry_id` what it
    posted; what was decided is None until it is."""

    id: int
    account_id: int
    account: str
    currency: str
    run_id: int
    way: Way
    numbers: tuple[int, ...]
    difference: int
    receipt: str
    happened_at: datetime
    reason: str
    proposed_by: str
    proposed_at: datetime
    approved: bool | None
    entry_id: int | None
    decision_reason: str | None
    decided_by: str | None
    decided_at: datetime | None
    postings: tuple[Posting, ...]

    @property
    def public_id(self) -> str:
        """As people write it."""
        return encode(ADJUSTMENT_PREFIX, self.id)


async def write_adjustments(
    driver: Driver,
    *,
    ledger: Ledger,
    run_id: int,
    account: StatementAccount,
    drafts: Sequence[Draft],
    actor: str,
    poster: Poster,
    now: datetime,
) -> list[Adjustment]:
    """Writes proposals down. Raises AccountNotFound."""
    lines = [(draft, number, line) for draft in drafts for number, line in enumerate(draft.postings, start=1)]
    names = {(line.account, line.money.currency) for _, _, line in lines}
    found = await poster.directory.find(driver, ledger_id=ledger.id, names=names)
    by_path = {one.path: one.id for one in found}
    if missing := sorted({path for path, _ in names} - by_path.keys()):
        raise AccountNotFound(f"no account {missing[0]} in {account.currency}; open it first", field="against")
    ids = dict(zip(map(id, drafts), poster.ids.next_many(now, count=len(drafts)), strict=True))
    place = {"ledger": ledger.id, "account": account.id, "run": run_id, "actor": actor, "now": now}
    await driver.execute(_ADD, place | _columns(drafts, list(ids.values())))
    columns = (
        plain_array([ids[id(draft)] for draft, _, _ in lines]),
        plain_array([number for _, number, _ in lines]),
        plain_array([by_path[line.account] for _, _, line in lines]),
        plain_array([line.side.value for _, _, line in lines]),
        plain_array([line.money.minor_units for _, _, line in lines]),
    )
    await driver.execute(_ADD_POSTINGS, (ledger.id, *columns))
    return await read_adjustments(driver, ledger_id=ledger.id, adjustment_ids=ids.values())


def _columns(drafts: Sequence[Draft], ids: Sequence[int]) -> dict[str, str]:
    def items(name: str) -> str:
        return text_array([plain_array(sorted(x for one in d.breaks for x in getattr(one, name))) for d in drafts])

    return {
        "id": plain_array(ids),
        "way": plain_array([draft.way.value for draft in drafts]),
        "numbers": text_array([plain_array([one.number for one in draft.breaks]) for draft in drafts]),
        "line_ids": items("lines"),
        "entry_ids": items("entries"),
        "difference": plain_array([draft.difference for draft in drafts]),
        "receipt": text_array([draft.receipt for draft in drafts]),
        "at": plain_array([draft.at.isoformat() for draft in drafts]),
        "reason": text_array([draft.reason for draft in drafts]),
    }


async def read_adjustment(driver: Driver, *, ledger_id: int, adjustment_id: int) -> Adjustment:
    """Raises AdjustmentNotFound."""
    row = await (await driver.execute(_READ, (ledger_id, [adjustment_id]))).fetchone()
    if row is None:
        raise AdjustmentNotFound("no such adjustment in this ledger", field="adjustment_id")
    return _adjustment(row)


async def read_adjustments(driver: Driver, *, ledger_id: int, adjustment_ids: Collection[int]) -> list[Adjustment]:
    """Those that are there, in the order of their ids."""
    place = (ledger_id, plain_array(adjustment_ids))
    return [_adjustment(row) for row in await (await driver.execute(_READ, place)).fetchall()]


async def find_same(
    driver: Driver, ledger_id: int, run_id: int, numbers: Sequence[int], way: Way, reason: str, actor: str
) -> Adjustment | None:
    """The newest about exactly these breaks that the same person proposed in the same words, unless turned down."""
    values = (ledger_id, run_id, plain_array(numbers), way.value, reason, actor)
    row = await (await driver.execute(_SAME, values)).fetchone()
    return None if row is None else _adjustment(row)


async def list_adjustments(
    driver: Driver, *, ledger_id: int, run_id: int | None, only_open: bool, before: int, limit: int
) -> list[Adjustment]:
    """Newest first, below an id; of one run, or (None) of all."""
    values = {"ledger": ledger_id, "run": run_id, "open": only_open, "before": before, "limit": limit}
    return [_adjustment(row) for row in await (await driver.execute(_LIST, values)).fetchall()]


async def read_adjusted_breaks(
    driver: Driver, *, ledger: Ledger, adjustment: Adjustment, after: int = 0, limit: int | None = None
) -> list[Break]:
    """What it explains, line by line, above a number."""
    account = await read_statement_account(driver, ledger=ledger, account_id=adjustment.account_id)
    numbers = [number for number in sorted(adjustment.numbers) if number > after][:limit]
    return await read_breaks(driver, ledger, adjustment.run_id, account, numbers)


async def read_breaks(
    driver: Driver, ledger: Ledger, run_id: int, account: StatementAccount, numbers: Sequence[int] | None
) -> list[Break]:
    """What decisions of a run leave open; those of these numbers, or (None) of all."""
    wanted = None if numbers is None else plain_array(numbers)
    values = {"ledger": ledger.id, "run": run_id, "account": account.id, "numbers": wanted}
    return [
        Break(
            number=row[0], state=State(row[1]), rule=row[2], at=row[3], receipt=row[4], difference=row[5],
            lines=tuple(row[6]), entries=tuple(row[7]), kind=None if row[8] is None else LineKind(row[8]),
        )
        for row in await (await driver.execute(_BREAKS, values)).fetchall()
    ]  # fmt: skip


async def find_claimed(
    driver: Driver, ledger: Ledger, account: StatementAccount, breaks: Sequence[Break]
) -> dict[int, int]:
    """By the numbers of these breaks: the adjustment that waits, or was approved, about a line or entry of theirs."""
    lines, entries = ([item for one in breaks for item in getattr(one, name)] for name in ("lines", "entries"))
    place = (ledger.id, account.id, plain_array(lines), plain_array(entries))
    by_line: dict[int, int] = {}
    by_entry: dict[int, int] = {}
    for adjustment_id, own_lines, own_entries in await (await driver.execute(_CLAIMED, place)).fetchall():
        by_line |= dict.fromkeys(own_lines, adjustment_id)
        by_entry |= dict.fromkeys(own_entries, adjustment_id)
    found: dict[int, int] = {}
    for one in breaks:
        owners = [by_line[x] for x in one.lines if x in by_line] + [by_entry[x] for x in one.entries if x in by_entry]
        if owners:
            found[one.number] = owners[0]
    return found


def _adjustment(row: Sequence[Any]) -> Adjustment:
    (
        adjustment_id, account_id, path, currency, run_id, way, numbers, difference, receipt, happened_at, reason,
        proposed_by, proposed_at, approved, entry_id, decision_reason, decided_by, decided_at, postings,
    ) = row  # fmt: skip
    return Adjustment(
        id=adjustment_id,
        account_id=account_id,
        account=path,
        currency=currency,
        run_id=run_id,
        way=Way(way),
        numbers=tuple(numbers),
        difference=difference,
        receipt=receipt,
        happened_at=happened_at,
        reason=reason,
        proposed_by=proposed_by,
        proposed_at=proposed_at,
        approved=approved,
        entry_id=entry_id,
        decision_reason=decision_reason,
        decided_by=decided_by,
        decided_at=decided_at,
        postings=tuple(_posting(text, currency) for text in postings or ()),
    )


def _posting(text: str, currency: str) -> Posting:
    path, side, amount = text.split(" ")
    return Posting(path, Side(side), Money(currency, int(amount)))
