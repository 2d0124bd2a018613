"""Adjustments: proposed by one person, or by rule in one's name, and approved by another, who posts them by that.

Before an approval moves anything, the days of its run are matched again: what is no longer open as it was proposed is
refused. The next run then finds lines and entries put together by the adjustment."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.collections.booking import Booked, NotOurs, Told, ToldBefore
from ledger.collections.refusals import ApproverNeeded
from ledger.database import Driver
from ledger.ids import encode
from ledger.journal.books import Ledger
from ledger.journal.chart import path_of
from ledger.journal.decide import PostRequest
from ledger.journal.entry import JournalEntry, Source, Subject
from ledger.journal.post import lock_accounts
from ledger.journal.poster import Poster
from ledger.money import Money
from ledger.outbox.collecting import Channel, Received
from ledger.receiving import RACING_CONSTRAINTS as RECEIVING_RACES
from ledger.receiving import ReceiptRecorder
from ledger.reconciliation.adjustment import (
    AdjustmentNotReady,
    Break,
    Draft,
    Paid,
    RunNotFound,
    Way,
    charges_draft,
    entry_draft,
    receipt_drafts,
)
from ledger.reconciliation.comparing import Compared, comparing
from ledger.reconciliation.importing import StatementAccount, allow_minutes, read_statement_account
from ledger.reconciliation.matching import Decision, State
from ledger.reconciliation.proposals import (
    Adjustment,
    find_claimed,
    find_same,
    read_adjustment,
    read_adjustments,
    read_breaks,
    write_adjustments,
)
from ledger.reconciliation.reading import ADJUSTMENT_PREFIX, Days, read_charges, read_told
from ledger.reconciliation.run import PREFIX as RUN_PREFIX
from ledger.text import check_text

KIND, SUBJECT_KIND = "reconciliation.adjusted", "reconciliation"
REASON_LENGTH_MAX, ACTOR_LENGTH_MAX = 500, 100
# Two persons may decide at once: the command is run again, and finds what the other decided.
RACING_CONSTRAINTS = RECEIVING_RACES | {"adjustment_decisions_pkey", "adjusted_items_pkey"}

_RUN = """
SELECT r.account_id, r.from_date, r.until_date, (SELECT max(n.id) FROM reconciliation_runs AS n
    WHERE n.ledger_id = r.ledger_id AND n.account_id = r.account_id AND n.id > r.id
      AND n.from_date <= r.until_date AND n.until_date >= r.from_date)
FROM reconciliation_runs AS r WHERE r.ledger_id = %s AND r.id = %s
"""
_PAID = """
SELECT e.reference, bool_or(e.kind LIKE 'collection.%%') FROM unnest(%s::text[]) AS w (receipt)
JOIN journal_entries AS e ON e.ledger_id = %s AND e.reference = w.receipt
WHERE e.kind LIKE 'collection.%%' OR e.kind LIKE 'payout.%%' GROUP BY 1
"""
_TAKES_MONEY_IN = """
SELECT FROM collection_shortcodes WHERE ledger_id = %s AND provider = %s AND shortcode = %s AND landing = %s
"""
_ITEMS = """
INSERT INTO adjusted_items (ledger_id, account_id, what, item_id, adjustment_id)
SELECT a.ledger_id, a.account_id, i.what, i.id, a.id FROM adjustments AS a CROSS JOIN LATERAL (
    SELECT 'line', unnest(a.line_ids) UNION ALL SELECT 'entry', unnest(a.entry_ids)) AS i (what, id)
WHERE a.ledger_id = %s AND a.id = %s
"""
_DECIDE = """
INSERT INTO adjustment_decisions (ledger_id, adjustment_id, approved, entry_id, reason, actor, decided_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_LINE = """
SELECT l.receipt, l.amount, l.completed_at, coalesce(l.reference, '') FROM adjustments AS a
JOIN statement_lines AS l ON l.ledger_id = a.ledger_id AND l.account_id = a.account_id AND l.id = a.line_ids[1]
WHERE a.ledger_id = %s AND a.id = %s
"""
_RECEIVED_ENTRY = """
SELECT entry_id FROM receipt_events WHERE ledger_id = %s AND receipt_id = %s AND event = 'received'
"""
_SINCE = """
SELECT count(*) FROM postings AS p JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id
WHERE p.ledger_id = %s AND p.account_id = %s AND p.account_version > %s AND e.reference = ANY (%s::text[])
"""
_VERSION = "SELECT version FROM account_balances WHERE ledger_id = %s AND account_id = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person proposes about breaks of a run. `against` is the other account of the entry, "" for where what
    nobody can explain waits, None where no entry is to be posted: the breaks stay as they are."""

    numbers: Collection[int]
    reason: str
    against: str | None = ""


@dataclass(frozen=True, slots=True)
class AdjustmentDesk:
    """Carries the commands out inside the caller's transaction."""

    poster: Poster
    receipts: ReceiptRecorder

    async def propose_certain(
        self, driver: Driver, *, ledger: Ledger, run_id: int, actor: str, now: datetime
    ) -> list[Adjustment]:
        """What rules are certain of in a run, of what no adjustment is about yet: one for all charges, one for each
        payment that came in. Raises RunNotFound, AdjustmentNotReady where a newer run is there."""
        check_text(actor, field="actor", length_max=ACTOR_LENGTH_MAX)
        account, days = await self._run(driver, ledger, run_id)
        breaks = await read_breaks(driver, ledger, run_id, account, None)
        claimed = await find_claimed(driver, ledger, account, breaks)
        free = [one for one in breaks if one.number not in claimed]
        drafts = await _certain(driver, ledger, account, days, free)
        return await self._write(driver, ledger, run_id, account, drafts, actor, now)

    async def find_certain(self, driver: Driver, *, ledger: Ledger, run_id: int) -> list[Adjustment]:
        """Those that are about what rules are certain of in a run already, whoever proposed them. Raises as
        propose_certain()."""
        account, days = await self._run(driver, ledger, run_id)
        breaks = await read_breaks(driver, ledger, run_id, account, None)
        claimed = await find_claimed(driver, ledger, account, breaks)
        drafts = await _certain(driver, ledger, account, days, breaks)
        owners = {claimed[one.number] for draft in drafts for one in draft.breaks if one.number in claimed}
        return await read_adjustments(driver, ledger_id=ledger.id, adjustment_ids=owners)

    async def propose(
        self, driver: Driver, *, ledger: Ledger, run_id: int, wanted: Wanted, actor: str, now: datetime
    ) -> Adjustment:
        """What a person says about breaks. Raises RunNotFound, AccountNotFound, TextInvalid, AdjustmentNotReady."""
        check_text(actor, field="actor", length_max=ACTOR_LENGTH_MAX)
        check_text(wanted.reason, field="reason", length_max=REASON_LENGTH_MAX)
        account, _ = await self._run(driver, ledger, run_id)
        breaks = await read_breaks(driver, ledger, run_id, account, sorted(set(wanted.numbers)))
        missing = sorted(set(wanted.numbers) - {one.number for one in breaks})
        if missing or not breaks:
            raise RunNotFound(f"the run has no break {missing}", field="breaks")
        claimed = await find_claimed(driver, ledger, account, breaks)
        if claimed:
            number, other = min(claimed.items())
            known = encode(ADJUSTMENT_PREFIX, other)
            raise AdjustmentNotReady(f"{known} is about break {number} already; reject that one first", field="breaks")
        draft = (
            Draft(way=Way.MATCH, breaks=breaks, reason=wanted.reason)
            if wanted.against is None
            else entry_draft(account, breaks, against=wanted.against, reason=wanted.reason)
        )
        (made,) = await self._write(driver, ledger, run_id, account, [draft], actor, now)
        return made

    async def find_proposed(
        self, driver: Driver, *, ledger: Ledger, run_id: int, wanted: Wanted, actor: str
    ) -> Adjustment | None:
        """What this person has proposed about these breaks in these words before, unless it was turned down. Raises
        TextInvalid."""
        check_text(wanted.reason, field="reason", length_max=REASON_LENGTH_MAX)
        numbers = sorted(set(wanted.numbers))
        way = Way.MATCH if wanted.against is None else Way.ENTRY
        same = await find_same(driver, ledger.id, run_id, numbers, way, wanted.reason, actor)
        if same is None or wanted.against is None:
            return same
        others = {wanted.against} if wanted.against else {path_of("2450"), path_of("1430")}
        return same if {line.account for line in same.postings} <= others | {same.account} else None

    async def approve(
        self, driver: Driver, *, ledger: Ledger, adjustment_id: int, actor: str, now: datetime
    ) -> tuple[Adjustment, bool]:
        """Posts what was proposed, once, and answers whether that had been done before. Raises AdjustmentNotFound,
        AdjustmentNotReady, ApproverNeeded, and what the books refuse."""
        check_text(actor, field="actor", length_max=ACTOR_LENGTH_MAX)
        await allow_minutes(driver)
        one = await read_adjustment(driver, ledger_id=ledger.id, adjustment_id=adjustment_id)
        if one.approved:
            return one, True
        if one.approved is False:
            raise AdjustmentNotReady("it was rejected; propose another", field="adjustment_id")
        if one.proposed_by == actor:
            raise ApproverNeeded("another than who proposed it approves it", field="adjustment_id")
        if one.way is Way.RECEIPT:
            entry_id: int | None = await self._receive(driver, ledger, one, actor, now)
        elif await self._is_open(driver, ledger, one):
            entry_id = await self._post(driver, ledger, one, actor, now) if one.way is Way.ENTRY else None
        else:
            return await _approved_meanwhile(driver, ledger, one.id), True
        await driver.execute(_ITEMS, (ledger.id, one.id))
        await driver.execute(_DECIDE, (ledger.id, one.id, True, entry_id, "", actor, now))
        return await read_adjustment(driver, ledger_id=ledger.id, adjustment_id=one.id), False

    async def reject(
        self, driver: Driver, *, ledger: Ledger, adjustment_id: int, reason: str, actor: str, now: datetime
    ) -> tuple[Adjustment, bool]:
        """Turns it down; whoever proposed it may do so too. Raises AdjustmentNotFound, AdjustmentNotReady,
        TextInvalid."""
        check_text(actor, field="actor", length_max=ACTOR_LENGTH_MAX)
        check_text(reason, field="reason", length_max=REASON_LENGTH_MAX)
        one = await read_adjustment(driver, ledger_id=ledger.id, adjustment_id=adjustment_id)
        if one.approved:
            raise AdjustmentNotReady("it is in the books; the next run shows what is left", field="adjustment_id")
        if one.approved is False:
            return one, True
        await driver.execute(_DECIDE, (ledger.id, one.id, False, None, reason, actor, now))
        return await read_adjustment(driver, ledger_id=ledger.id, adjustment_id=one.id), False

    async def _run(self, driver: Driver, ledger: Ledger, run_id: int) -> tuple[StatementAccount, Days]:
        await allow_minutes(driver)
        row = await (await driver.execute(_RUN, (ledger.id, run_id))).fetchone()
        if row is None:
            raise RunNotFound("no such run in this ledger", field="run_id")
        account_id, first, last, newer = row
        if newer is not None:
            raise AdjustmentNotReady(f"{encode(RUN_PREFIX, newer)} is a newer run of these days", field="run_id")
        return await read_statement_account(driver, ledger=ledger, account_id=account_id), Days(first, last)

    async def _write(
        self, driver: Driver, ledger: Ledger, run_id: int, account: StatementAccount, drafts: Sequence[Draft],
        actor: str, now: datetime,
    ) -> list[Adjustment]:  # fmt: skip
        if not drafts:
            return []
        return await write_adjustments(
            driver,
            ledger=ledger,
            run_id=run_id,
            account=account,
            drafts=drafts,
            actor=actor,
            poster=self.poster,
            now=now,
        )

    async def _is_open(self, driver: Driver, ledger: Ledger, one: Adjustment) -> bool:
        """Matches the days again: whether all is open as it was proposed. Then holds the account until the end, so that
        nothing moves it under the same receipts meanwhile."""
        row = await (await driver.execute(_RUN, (ledger.id, one.run_id))).fetchone()
        assert row is not None
        account = await read_statement_account(driver, ledger=ledger, account_id=one.account_id)
        days, numbers = Days(row[1], row[2]), list(one.numbers)
        before = await (await driver.execute(_VERSION, (ledger.id, account.id))).fetchone()
        told = await read_told(driver, ledger=ledger, account=account, days=days)
        assert before is not None
        assert told is not None
        proposed = await read_breaks(driver, ledger, one.run_id, account, numbers)
        missing = {_shape(each) for each in proposed}
        async with comparing(driver, Compared(ledger=ledger, account=account, days=days, told=told)) as comparison:
            async for decisions in comparison.decisions():
                missing.difference_update(map(_shape, decisions))
        if missing:
            return False
        found = await self.poster.directory.find(driver, ledger_id=ledger.id, names=[(account.path, account.currency)])
        await lock_accounts(driver, ledger_id=ledger.id, identities=found)
        receipts = [each.receipt for each in proposed]
        since = await (await driver.execute(_SINCE, (ledger.id, account.id, before[0], receipts))).fetchone()
        assert since is not None
        return not since[0]

    async def _post(self, driver: Driver, ledger: Ledger, one: Adjustment, actor: str, now: datetime) -> int:
        entry = JournalEntry(
            kind=KIND,
            postings=one.postings,
            effective_at=min(one.happened_at, now),
            source=Source.RECONCILIATION,
            subject=Subject(SUBJECT_KIND, one.public_id),
            once=True,
            reference=one.receipt or None,
            narrative=one.reason,
        )
        (entry_id,) = await self.poster.post(driver, ledger=ledger, requests=[PostRequest(entry, actor)], now=now)
        return entry_id

    async def _receive(self, driver: Driver, ledger: Ledger, one: Adjustment, actor: str, now: datetime) -> int:
        """The payment through the one door for money that came in, as the line shows it; its entry."""
        account = await read_statement_account(driver, ledger=ledger, account_id=one.account_id)
        row = await (await driver.execute(_LINE, (ledger.id, one.id))).fetchone()
        assert row is not None, "a receipt's adjustment is about its line"
        receipt, amount, completed_at, typed = row
        money = Money(account.currency, amount)
        received = Received(receipt, account.shortcode, money, completed_at, reference=typed)
        told = [Told(account.provider, received, Channel.STATEMENT, actor)]
        (result,) = await self.receipts.record(driver, ledger=ledger, told=told, now=now)
        if not isinstance(result, Booked | ToldBefore):
            why = result.reason if isinstance(result, NotOurs) else "it is in the books with another content"
            raise AdjustmentNotReady(why, field="adjustment_id")
        entry = await (await driver.execute(_RECEIVED_ENTRY, (ledger.id, result.receipt_id))).fetchone()
        assert entry is not None
        return int(entry[0])


async def _approved_meanwhile(driver: Driver, ledger: Ledger, adjustment_id: int) -> Adjustment:
    """By another approval, at the same time. Raises AdjustmentNotReady where something else moved the books."""
    one = await read_adjustment(driver, ledger_id=ledger.id, adjustment_id=adjustment_id)
    if not one.approved:
        raise AdjustmentNotReady("the books have moved since; reconcile these days again", field="adjustment_id")
    return one


def _shape(one: Break | Decision) -> tuple[tuple[int, ...], tuple[int, ...], int, State]:
    return (tuple(sorted(one.lines)), tuple(sorted(one.entries)), one.difference, one.state)


async def _certain(
    driver: Driver, ledger: Ledger, account: StatementAccount, days: Days, breaks: Sequence[Break]
) -> list[Draft]:
    """What rules are certain of among these breaks."""
    charges = charges_draft(account, breaks, await _read_paid(driver, ledger, account, days, breaks))
    takes = (ledger.id, account.provider, account.shortcode, account.path)
    lands = await (await driver.execute(_TAKES_MONEY_IN, takes)).fetchone() is not None
    return [*([] if charges is None else [charges]), *(receipt_drafts(breaks) if lands else [])]


async def _read_paid(
    driver: Driver, ledger: Ledger, account: StatementAccount, days: Days, breaks: Sequence[Break]
) -> Paid:
    receipts = sorted({one.receipt for one in breaks if one.receipt})
    came_in: dict[str, bool] = dict(await (await driver.execute(_PAID, (receipts, ledger.id))).fetchall())
    accrued = await read_charges(driver, ledger=ledger, account=account, days=days, receipts=receipts)
    return Paid(accrued, came_in)
