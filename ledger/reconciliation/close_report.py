"""What a close is about, as it stands or as it was signed: accounts, what is open or accepted, what clearing accounts
hold and since when, the statements it rests on, and who did what. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import Driver, driver
from ledger.journal.ageing import Aged, age_clearing_accounts
from ledger.journal.books import Ledger
from ledger.reconciliation.closing import CloseNotReady, Closing, Step, list_closings, read_closed
from ledger.reconciliation.closing_accounts import AccountAtClose, read_accounts
from ledger.reconciliation.reading import Days

_OF_DAYS = """
SELECT max(id) FILTER (WHERE step = 'begun'), max(id) FILTER (WHERE step = 'signed') FROM closings
WHERE ledger_id = %s AND last_date = %s
"""
_RUNS = "SELECT run_id FROM closing_accounts WHERE ledger_id = %s AND closing_id = %s AND run_id IS NOT NULL"
_FILES = """
SELECT c.path, f.name, f.sha256, i.from_at, i.until_at, i.lines FROM statement_imports AS i
JOIN statement_files AS f ON f.ledger_id = i.ledger_id AND f.id = i.file_id
JOIN accounts AS c ON c.ledger_id = f.ledger_id AND c.id = f.account_id
WHERE i.ledger_id = %(ledger)s AND i.verdict = 'accepted' AND f.account_id = ANY (%(accounts)s::bigint[])
  AND i.from_at < %(until)s AND (%(since)s::timestamptz IS NULL OR i.until_at >= %(since)s::timestamptz)
  AND (%(known)s::timestamptz IS NULL OR i.imported_at <= %(known)s::timestamptz)
ORDER BY c.path, i.from_at, i.id LIMIT 1000
"""
_TOTALS = """
SELECT a.currency, sum(d.debits)::bigint, sum(d.credits)::bigint FROM account_days AS d
JOIN accounts AS a ON a.ledger_id = d.ledger_id AND a.id = d.account_id
WHERE d.ledger_id = %s AND d.business_date <= %s AND a.class <> 'memo' GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class StatementFile:
    """A file that a run rests on."""

    path: str
    name: str
    sha256: bytes
    from_at: datetime
    until_at: datetime
    lines: int


@dataclass(frozen=True, slots=True)
class Total:
    """What was debited and credited in a currency up to the end of the days, in minor units."""

    currency: str
    debits: int
    credits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseReport:
    """`begun` and `signed` are None where nobody has yet."""

    first: date | None
    last: date
    begun: Closing | None
    signed: Closing | None
    accounts: Sequence[AccountAtClose]
    clearing: Sequence[Aged]
    files: Sequence[StatementFile]
    totals: Sequence[Total]

    @property
    def open_items(self) -> int:
        """What is open, counted."""
        return sum(one.items_count for one in self.accounts)


async def read_close_report(connection: AsyncConnection, *, ledger: Ledger, last: date | None) -> CloseReport:
    """Of the days up to `last`, the newest close's where it is None. Raises CloseNotReady where there is none, or where
    everything through that day was signed as part of another."""
    session = await driver(connection)
    newest = await list_closings(session, ledger=ledger, limit=1)
    if last is None:
        if not newest:
            raise CloseNotReady("nothing was closed yet; say through which day", field="through")
        last = newest[0].last
    begun, signed = await _steps(session, ledger, last)
    first = signed.first if signed else await _first(session, ledger, last)
    run_ids = None
    if signed is not None:
        run_ids = [row[0] for row in await (await session.execute(_RUNS, (ledger.id, signed.id))).fetchall()]
    accounts = await read_accounts(session, ledger=ledger, first=first, last=last, run_ids=run_ids)
    totals = await (await session.execute(_TOTALS, (ledger.id, last))).fetchall()
    return CloseReport(
        first=first,
        last=last,
        begun=begun,
        signed=signed,
        accounts=accounts,
        clearing=await age_clearing_accounts(connection, ledger_id=ledger.id, on=last),
        files=await _files(session, ledger, first, last, accounts, signed),
        totals=[Total(*row) for row in totals],
    )


async def _steps(session: Driver, ledger: Ledger, last: date) -> tuple[Closing | None, Closing | None]:
    """The newest beginning of a close of these days that was not reopened, and its signature."""
    row = await (await session.execute(_OF_DAYS, (ledger.id, last))).fetchone()
    assert row is not None
    begun_id, signed_id = row
    wanted = max((one for one in (begun_id, signed_id) if one is not None), default=None)
    if wanted is None:
        return None, None
    steps = await list_closings(session, ledger=ledger, before=wanted + 1, limit=2)
    newest = await list_closings(session, ledger=ledger, limit=1)
    signed = steps[0] if steps[0].step is Step.SIGNED else None
    begun = steps[1] if signed else steps[0]
    if signed is None and newest[0].id != begun.id:
        return None, None
    return begun, signed


async def _first(session: Driver, ledger: Ledger, last: date) -> date | None:
    closed = await read_closed(session, ledger=ledger)
    if closed is not None and last <= closed:
        raise CloseNotReady(
            f"{last} was closed and signed with other days; `daftari close list` shows", field="through"
        )
    return None if closed is None else closed + timedelta(days=1)


async def _files(
    session: Driver,
    ledger: Ledger,
    first: date | None,
    last: date,
    accounts: Sequence[AccountAtClose],
    signed: Closing | None,
) -> list[StatementFile]:
    values = {
        "ledger": ledger.id,
        "accounts": [one.id for one in accounts],
        "since": None if first is None else Days(first, last).start(ledger),
        "until": Days(last, last).end(ledger),
        "known": None if signed is None else signed.recorded_at,
    }
    return [StatementFile(*row) for row in await (await session.execute(_FILES, values)).fetchall()]
