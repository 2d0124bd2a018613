"""Closing business dates: one person begins, another signs what the statements and the books say of them.

To begin costs nobody anything but those who would still ask for entries there; it ends by a signature, or by reopening.
What is signed is final. Nothing is signed with something open that the signer does not accept by a reason."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from ledger.collections.refusals import ApproverNeeded
from ledger.database import Driver
from ledger.errors import RuleBroken
from ledger.ids import IdSource, encode
from ledger.journal.books import Ledger
from ledger.journal.post import business_date
from ledger.reconciliation.closing_accounts import AccountAtClose, read_accounts, read_balances
from ledger.session import plain_array
from ledger.text import check_text

PREFIX = "cls"
REASON_LENGTH_MAX, ACTOR_LENGTH_MAX = 500, 100
# Two persons may take a step at once: the command is run again, and finds the other's.
RACING_CONSTRAINTS = frozenset({"closings_pkey", "closings_signed"})
_STEPS = """
SELECT id, step, first_date, last_date, open_items, reason, actor, recorded_at FROM closings
WHERE ledger_id = %s AND id < %s ORDER BY id DESC LIMIT %s
"""
_SIGNED = "SELECT max(last_date) FROM closings WHERE ledger_id = %s AND step = 'signed'"
_ADD = """
INSERT INTO closings (ledger_id, id, step, first_date, last_date, open_items, reason, actor, recorded_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_ADD_ACCOUNTS = """
INSERT INTO closing_accounts (ledger_id, closing_id, account_id, run_id, statement_closing, books_closing, explained,
    open, items)
SELECT %s, %s, n.* FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::int[]) AS n
"""
# The lock that every posting holds, shared: see the guard of entries.
_HOLD_POSTINGS = "SELECT pg_advisory_xact_lock(20260001, %s)"
_ID_MAX = 2**63 - 1


class CloseNotReady(RuleBroken):
    """The step does not follow the one before, the days are not over, or something is open that nobody accepts."""


class Step(enum.Enum):
    """What was done."""

    BEGUN = "begun"
    REOPENED = "reopened"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Closing:
    """One step of a close. `first` is None where everything before is closed, too; `open_items` and `reason` are what
    the signer accepted, and why."""

    id: int
    step: Step
    first: date | None
    last: date
    open_items: int
    reason: str
    actor: str
    recorded_at: datetime

    @property
    def public_id(self) -> str:
        """As people write it."""
        return encode(PREFIX, self.id)


@dataclass(frozen=True, slots=True)
class CloseDesk:
    """Takes the steps, each inside the caller's transaction."""

    ids: IdSource

    async def begin(self, driver: Driver, *, ledger: Ledger, last: date, actor: str, now: datetime) -> Closing:
        """Closes everything up to a day to whoever asks for entries; repeating it changes nothing. Raises
        CloseNotReady."""
        before = await _newest(driver, ledger)
        if before is not None and before.step is Step.BEGUN:
            if before.last == last:
                return before
            raise CloseNotReady(f"the close through {before.last} is under way; sign or reopen it", field="through")
        if last >= business_date(now, ledger.zone):
            raise CloseNotReady("a day is closed once it is over", field="through")
        closed = await read_closed(driver, ledger=ledger)
        if closed is not None and last <= closed:
            raise CloseNotReady(f"everything through {closed} is closed and signed", field="through")
        first = None if closed is None else closed + timedelta(days=1)
        return await self._add(driver, ledger, Step.BEGUN, (first, last, 0, ""), before, actor, now)

    async def reopen(
        self, driver: Driver, *, ledger: Ledger, reason: str, actor: str, now: datetime, last: date | None = None
    ) -> Closing:
        """Gives up a close that nobody has signed: that of these days, or (None) whichever is under way. Raises
        CloseNotReady, TextInvalid."""
        check_text(reason, field="reason", length_max=REASON_LENGTH_MAX)
        begun = await self._begun(driver, ledger, last)
        return await self._add(driver, ledger, Step.REOPENED, (begun.first, begun.last, 0, reason), begun, actor, now)

    async def sign(
        self, driver: Driver, *, ledger: Ledger, accept: str, actor: str, now: datetime, last: date | None = None
    ) -> Closing:
        """Closes for good, these days or (None) whichever are being closed, and keeps what is signed of each account.
        `accept` says why what is open may stay; "" where nothing may. Raises CloseNotReady, ApproverNeeded."""
        begun = await self._begun(driver, ledger, last)
        if begun.actor == actor:
            raise ApproverNeeded("another than who began the close signs it", field="actor")
        accounts = await read_accounts(driver, ledger=ledger, first=begun.first, last=begun.last)
        stale = [one.path for one in accounts if one.moved_since]
        if stale:
            raise CloseNotReady(f"{stale[0]} has moved since its run; reconcile these days again", field="accounts")
        items = sum(one.items_count for one in accounts)
        if items and not accept:
            raise CloseNotReady(
                f"{items:,} items are open; the report lists them. Explain or accept them", field="accept"
            )
        if items:
            check_text(accept, field="accept", length_max=REASON_LENGTH_MAX)
        await driver.execute(_HOLD_POSTINGS, (ledger.id,))
        held = await read_balances(driver, ledger=ledger, last=begun.last, account_ids=[one.id for one in accounts])
        if held != {one.id: one.books for one in accounts}:
            raise CloseNotReady("the books moved meanwhile; sign again", field="accounts")
        signed = (begun.first, begun.last, items, accept if items else "")
        made = await self._add(driver, ledger, Step.SIGNED, signed, begun, actor, now)
        await driver.execute(_ADD_ACCOUNTS, (ledger.id, made.id, *_columns(accounts)))
        return made

    async def _begun(self, driver: Driver, ledger: Ledger, last: date | None) -> Closing:
        newest = await _newest(driver, ledger)
        if newest is None or newest.step is not Step.BEGUN:
            raise CloseNotReady("no close is under way; begin one first", field="ledger")
        if last is not None and newest.last != last:
            raise CloseNotReady(f"the close that is under way ends with {newest.last}", field="through")
        return newest

    async def _add(
        self,
        driver: Driver,
        ledger: Ledger,
        step: Step,
        what: tuple[date | None, date, int, str],
        before: Closing | None,
        actor: str,
        now: datetime,
    ) -> Closing:
        check_text(actor, field="actor", length_max=ACTOR_LENGTH_MAX)
        closing_id = self.ids.next(now, after=0 if before is None else before.id)
        await driver.execute(_ADD, (ledger.id, closing_id, step.value, *what, actor, now))
        return Closing(closing_id, step, *what, actor, now)


async def read_closed(driver: Driver, *, ledger: Ledger) -> date | None:
    """The last day that is closed and signed; None for none."""
    row = await (await driver.execute(_SIGNED, (ledger.id,))).fetchone()
    return row[0] if row else None


async def list_closings(driver: Driver, *, ledger: Ledger, before: int = _ID_MAX, limit: int = 50) -> list[Closing]:
    """The steps, newest first."""
    rows = await (await driver.execute(_STEPS, (ledger.id, before, limit))).fetchall()
    return [_closing(row) for row in rows]


async def find_step(driver: Driver, *, ledger: Ledger, step: Step, last: date) -> Closing | None:
    """The newest step, where it is this one of these days: whoever repeats it is answered with it."""
    newest = await _newest(driver, ledger)
    return newest if newest is not None and (newest.step, newest.last) == (step, last) else None


async def _newest(driver: Driver, ledger: Ledger) -> Closing | None:
    steps = await list_closings(driver, ledger=ledger, limit=1)
    return steps[0] if steps else None


def _closing(row: Sequence[Any]) -> Closing:
    return Closing(row[0], Step(row[1]), *row[2:])


def _columns(accounts: Sequence[AccountAtClose]) -> tuple[str, ...]:
    return (
        plain_array([one.id for one in accounts]),
        plain_array([one.run_id for one in accounts]),
        plain_array([one.statement for one in accounts]),
        plain_array([one.books for one in accounts]),
        plain_array([one.explained for one in accounts]),
        plain_array([one.open for one in accounts]),
        plain_array([one.items_count for one in accounts]),
    )
