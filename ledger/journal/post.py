"""The only writer of postings: posts a set of entries in the caller's transaction, with a verdict per item.

The data's way: find the accounts' ids, look up idempotency keys and transitions, lock the balance rows in id order,
decide in Python (`decide`), write everything accepted in one statement. Five round trips for a set of any size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

from ledger.database import Driver
from ledger.errors import TimeInvalid
from ledger.idempotency import StoredKey, find_keys
from ledger.ids import IdSource, time_of
from ledger.journal.accounts import AccountDirectory, AccountIdentity
from ledger.journal.books import Ledger
from ledger.journal.columns import balance_columns, entry_columns, key_columns, posting_columns
from ledger.journal.decide import (
    Decision,
    LockedAccount,
    Posted,
    PostRequest,
    Refused,
    Replayed,
    Transition,
    decide,
    transition_of,
)
from ledger.journal.entry import JournalEntry

PostResult: TypeAlias = Posted | Replayed | Refused

# How far ahead of our clock an entry may say it happened: the clocks of callers are not ours.
EFFECTIVE_AHEAD_MAX = timedelta(minutes=10)

_LOCK = """
SELECT account_id, debits, credits, version, last_entry_id, floor, ceiling, closed_at IS NOT NULL
FROM account_balances WHERE ledger_id = %s AND account_id = ANY(%s) ORDER BY account_id FOR NO KEY UPDATE
"""
_TRANSITIONS = """
SELECT subject_kind, subject_id, kind FROM journal_entries
WHERE ledger_id = %s AND occurrence = 0
  AND (subject_kind, subject_id, kind) IN (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]))
"""
# One statement, so that the guards see header, postings and balances together.
_WRITE = """
WITH keys AS (
    INSERT INTO idempotency_keys (ledger_id, client_id, key, method, request_hash, result_id, created_at)
    SELECT %(ledger)s, k.*, %(now)s
    FROM unnest(%(k_client)s::bigint[], %(k_key)s::text[], %(k_method)s::text[], %(k_hash)s::bytea[],
        %(k_entry)s::bigint[]) AS k
), headers AS (
    INSERT INTO journal_entries (ledger_id, id, kind, subject_kind, subject_id, occurrence, effective_at, recorded_at,
        business_date, posting_count, reverses_id, source, actor, reference, narrative, facts)
    SELECT %(ledger)s, e.*
    FROM unnest(%(e_id)s::bigint[], %(e_kind)s::text[], %(e_subject_kind)s::text[], %(e_subject_id)s::text[],
        %(e_occurrence)s::bigint[], %(e_effective)s::timestamptz[], %(e_recorded)s::timestamptz[], %(e_date)s::date[],
        %(e_count)s::smallint[], %(e_reverses)s::bigint[], %(e_source)s::text[], %(e_actor)s::text[],
        %(e_reference)s::text[], %(e_narrative)s::text[], %(e_facts)s::jsonb[]) AS e
), lines AS (
    INSERT INTO postings (ledger_id, entry_id, line, account_id, currency, side, amount, account_version, balance_after)
    SELECT %(ledger)s, p.*
    FROM unnest(%(p_entry)s::bigint[], %(p_line)s::smallint[], %(p_account)s::bigint[], %(p_currency)s::text[],
        %(p_side)s::text[], %(p_amount)s::bigint[], %(p_version)s::bigint[], %(p_balance)s::bigint[]) AS p
), days AS (
    INSERT INTO account_days (ledger_id, account_id, business_date, debits, credits)
    SELECT %(ledger)s, d.*
    FROM unnest(%(d_account)s::bigint[], %(d_date)s::date[], %(d_debits)s::bigint[], %(d_credits)s::bigint[]) AS d
    ON CONFLICT (ledger_id, account_id, business_date) DO UPDATE
        SET debits = account_days.debits + excluded.debits, credits = account_days.credits + excluded.credits
)
UPDATE account_balances AS b SET debits = u.debits, credits = u.credits, version = u.version, last_entry_id = u.entry
FROM unnest(%(b_account)s::bigint[], %(b_debits)s::bigint[], %(b_credits)s::bigint[], %(b_version)s::bigint[],
    %(b_entry)s::bigint[]) AS u (account_id, debits, credits, version, entry)
WHERE b.ledger_id = %(ledger)s AND b.account_id = u.account_id
"""


async def post_entries(
    driver: Driver,
    *,
    ledger: Ledger,
    requests: Sequence[PostRequest],
    directory: AccountDirectory,
    ids: IdSource,
    now: datetime,
) -> list[PostResult]:
    """Posts what may be posted and returns a verdict per request, in order. Runs inside the caller's transaction: the
    verdicts hold only once it has committed. Raises only what the database raises; refusals are verdicts."""
    identities = await directory.find(
        driver,
        ledger_id=ledger.id,
        names={(line.account, line.money.currency) for request in requests for line in request.entry.postings},
    )
    accounts = await lock_accounts(driver, ledger_id=ledger.id, identities=identities)
    # Asked under the locks: a racing request with the same key or transition has left its entry by now, or has not
    # begun.
    keys = await find_keys(driver, ledger_id=ledger.id, claims=(request.key for request in requests))
    transitions = await _find_transitions(driver, ledger.id, (request.entry for request in requests))
    timely, refused = _refuse_future(requests, keys, now)
    decision = decide(
        timely, accounts={(one.path, one.currency): one for one in accounts}, keys=keys, transitions=transitions
    )
    posted = await _write(driver, ledger, decision, accounts, ids, now)
    verdicts = iter(_fill_in(decision, timely, posted))
    return [refused[index] if index in refused else next(verdicts) for index in range(len(requests))]


async def lock_accounts(
    driver: Driver, *, ledger_id: int, identities: Iterable[AccountIdentity]
) -> list[LockedAccount]:
    """Locks the balance rows in account order, so that two sets can never wait for each other, and reads them."""
    by_id = {one.id: one for one in identities}
    if not by_id:
        return []
    cursor = await driver.execute(_LOCK, (ledger_id, sorted(by_id)))
    return [
        LockedAccount(row[0], by_id[row[0]].path, by_id[row[0]].currency, by_id[row[0]].sign, *row[1:])
        for row in await cursor.fetchall()
    ]


def _refuse_future(
    requests: Sequence[PostRequest], keys: Mapping[tuple[int, str], StoredKey], now: datetime
) -> tuple[list[PostRequest], dict[int, Refused]]:
    """The requests to judge, and those too far ahead. A key that has its answer keeps it, whatever the clock says
    now."""
    latest = now + EFFECTIVE_AHEAD_MAX
    refused = {
        index: Refused(
            TimeInvalid("effective_at lies in the future; an entry records what happened", field="effective_at")
        )
        for index, request in enumerate(requests)
        if request.entry.effective_at > latest and (request.key is None or request.key.identity not in keys)
    }
    return [request for index, request in enumerate(requests) if index not in refused], refused


async def _find_transitions(driver: Driver, ledger_id: int, entries: Iterable[JournalEntry]) -> frozenset[Transition]:
    wanted = [transition for entry in entries if (transition := transition_of(entry)) is not None]
    if not wanted:
        return frozenset()
    cursor = await driver.execute(_TRANSITIONS, (ledger_id, *(list(column) for column in zip(*wanted, strict=True))))
    return frozenset(await cursor.fetchall())


async def _write(
    driver: Driver,
    ledger: Ledger,
    decision: Decision,
    accounts: Sequence[LockedAccount],
    ids: IdSource,
    now: datetime,
) -> dict[int, Posted]:
    if not decision.accepted:
        return {}
    after = max(account.last_entry_id for account in accounts)
    posted: dict[int, Posted] = {}
    for (index, request), lines in zip(decision.accepted, decision.lines, strict=True):
        entry_id = after = ids.next(now, after=after)
        posted[index] = Posted(
            entry_id, time_of(entry_id), business_date(request.entry.effective_at, ledger.zone), tuple(lines)
        )
    entries = [(request, posted[index]) for index, request in decision.accepted]
    parameters: dict[str, object] = {"ledger": ledger.id, "now": now}
    parameters |= entry_columns(entries) | key_columns(entries)
    parameters |= posting_columns(entries, {(account.path, account.currency): account for account in accounts})
    parameters |= balance_columns([account for account in accounts if account.touched])
    cursor = await driver.execute(_WRITE, parameters)
    assert cursor.rowcount == sum(account.touched for account in accounts), "a locked balance row vanished"
    return posted


def business_date(moment: datetime, zone: ZoneInfo) -> date:
    """The calendar date of a moment in the ledger's own zone."""
    return moment.astimezone(zone).date()


def _fill_in(decision: Decision, requests: Sequence[PostRequest], posted: dict[int, Posted]) -> Iterable[PostResult]:
    first_under_key = {
        request.key.identity: posted[index].entry_id for index, request in decision.accepted if request.key is not None
    }
    for index, (verdict, request) in enumerate(zip(decision.verdicts, requests, strict=True)):
        if verdict is not None:
            yield verdict
        elif index in posted:
            yield posted[index]
        else:
            assert request.key is not None
            yield Replayed(first_under_key[request.key.identity])


_LINK = """
INSERT INTO reversal_links (ledger_id, original_entry_id, original_line, ordinal, reversing_entry_id, reversing_line,
    amount, reversed_after)
SELECT e.ledger_id, e.reverses_id, p.line, 1, e.id, p.line, p.amount, p.amount
FROM journal_entries AS e JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id
WHERE e.ledger_id = %s AND e.id = ANY(%s)
"""


async def link_whole_reversals(driver: Driver, *, ledger_id: int, entry_ids: Sequence[int]) -> None:
    """Links entries that undo the whole of the entry they name in `reverses_id`, line for line, to its lines."""
    if entry_ids:
        await driver.execute(_LINK, (ledger_id, list(entry_ids)))
