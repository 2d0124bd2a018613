"""The only writer of postings: posts a set of entries in the caller's transaction, with a verdict per item.

The data's way: find the accounts' ids (remembered), lock the balance rows in id order and look up idempotency keys and
transitions, decide in Python (`decide`), write everything accepted in one statement. Two round trips for a set of any
size, BEGIN and COMMIT included where they are its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

from ledger.database import Driver
from ledger.errors import TimeInvalid
from ledger.idempotency import StoredKey, key_question, stored_keys
from ledger.ids import LOW_BITS, IdSource, time_of
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
from ledger.journal.periods import NOTHING_CLOSED, Periods, closed_to_requests
from ledger.session import Asked, Rows, Statement, plain_array, text_array

PostResult: TypeAlias = Posted | Replayed | Refused

# How far ahead of our clock an entry may say it happened: the clocks of callers are not ours.
EFFECTIVE_AHEAD_MAX = timedelta(minutes=10)
_IN_THE_FUTURE = "effective_at lies in the future; an entry records what happened"

_LOCK = Statement("""
SELECT account_id, debits, credits, version, last_entry_id, floor, ceiling, closed_at IS NOT NULL,
    (SELECT last_date - date '0001-01-01' + 1 FROM closings WHERE ledger_id = %(ledger)s AND step = 'signed'
     ORDER BY last_date DESC LIMIT 1),
    (SELECT CASE step WHEN 'begun' THEN last_date - date '0001-01-01' + 1 END FROM closings
     WHERE ledger_id = %(ledger)s ORDER BY id DESC LIMIT 1)
FROM account_balances WHERE ledger_id = %(ledger)s AND account_id = ANY(%(accounts)s::bigint[])
ORDER BY account_id FOR NO KEY UPDATE
""")
_TRANSITIONS = Statement("""
SELECT * FROM known_transitions(%(ledger)s::integer, %(subject_kinds)s::text[], %(subject_ids)s::text[],
    %(kinds)s::text[])
""")
# One statement, so that the guards see header, postings and balances together.
_WRITE = Statement("""
WITH keys AS (
    INSERT INTO idempotency_keys (ledger_id, client_id, key, method, request_hash, result_id, created_at)
    SELECT %(ledger)s::integer, k.*, %(now)s::timestamptz
    FROM unnest(%(k_client)s::bigint[], %(k_key)s::text[], %(k_method)s::text[], %(k_hash)s::bytea[],
        %(k_entry)s::bigint[]) AS k
), headers AS (
    INSERT INTO journal_entries (ledger_id, id, kind, subject_kind, subject_id, occurrence, effective_at, recorded_at,
        business_date, posting_count, reverses_id, source, actor, reference, narrative, facts)
    SELECT %(ledger)s::integer, e.*
    FROM unnest(%(e_id)s::bigint[], %(e_kind)s::text[], %(e_subject_kind)s::text[], %(e_subject_id)s::text[],
        %(e_occurrence)s::bigint[], %(e_effective)s::timestamptz[], %(e_recorded)s::timestamptz[], %(e_date)s::date[],
        %(e_count)s::smallint[], %(e_reverses)s::bigint[], %(e_source)s::text[], %(e_actor)s::text[],
        %(e_reference)s::text[], %(e_narrative)s::text[], %(e_facts)s::jsonb[]) AS e
), lines AS (
    INSERT INTO postings (ledger_id, entry_id, line, account_id, currency, side, amount, account_version, balance_after)
    SELECT %(ledger)s::integer, p.*
    FROM unnest(%(p_entry)s::bigint[], %(p_line)s::smallint[], %(p_account)s::bigint[], %(p_currency)s::text[],
        %(p_side)s::text[], %(p_amount)s::bigint[], %(p_version)s::bigint[], %(p_balance)s::bigint[]) AS p
), days AS (
    INSERT INTO account_days (ledger_id, account_id, business_date, debits, credits)
    SELECT %(ledger)s::integer, d.*
    FROM unnest(%(d_account)s::bigint[], %(d_date)s::date[], %(d_debits)s::bigint[], %(d_credits)s::bigint[]) AS d
    ON CONFLICT (ledger_id, account_id, business_date) DO UPDATE
        SET debits = account_days.debits + excluded.debits, credits = account_days.credits + excluded.credits
)
UPDATE account_balances AS b SET debits = u.debits, credits = u.credits, version = u.version, last_entry_id = u.entry
FROM unnest(%(b_account)s::bigint[], %(b_debits)s::bigint[], %(b_credits)s::bigint[], %(b_version)s::bigint[],
    %(b_entry)s::bigint[]) AS u (account_id, debits, credits, version, entry)
WHERE b.ledger_id = %(ledger)s AND b.account_id = u.account_id
""")


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
    verdicts, write = await _judge(driver, ledger, requests, directory, ids, now)
    if write is not None:
        await driver.exchange(write)
    return verdicts


async def post_entries_at_commit(
    driver: Driver,
    *,
    ledger: Ledger,
    requests: Sequence[PostRequest],
    directory: AccountDirectory,
    ids: IdSource,
    now: datetime,
) -> list[PostResult]:
    """The same as the last thing that the transaction does: what is written travels with its COMMIT, which raises what
    the database has against it."""
    verdicts, write = await _judge(driver, ledger, requests, directory, ids, now)
    if write is not None:
        driver.defer(write)
    return verdicts


async def _judge(
    driver: Driver,
    ledger: Ledger,
    requests: Sequence[PostRequest],
    directory: AccountDirectory,
    ids: IdSource,
    now: datetime,
) -> tuple[list[PostResult], Asked | None]:
    names = {(line.account, line.money.currency) for request in requests for line in request.entry.postings}
    identities = await directory.find(driver, ledger_id=ledger.id, names=names)
    accounts, periods, keys, transitions = await _read(driver, ledger.id, identities, requests)
    timely, refused = _refuse_untimely(requests, keys, now, periods.open_from(ledger.zone))
    by_name = {(one.path, one.currency): one for one in accounts}
    decision = decide(timely, accounts=by_name, keys=keys, transitions=transitions)
    posted = _place(decision, ledger, periods, accounts, ids, now)
    verdicts = iter(_fill_in(decision, timely, posted))
    judged = [refused[index] if index in refused else next(verdicts) for index in range(len(requests))]
    return judged, _write(decision, posted, ledger, by_name, now) if posted else None


async def _read(
    driver: Driver, ledger_id: int, identities: Sequence[AccountIdentity], requests: Sequence[PostRequest]
) -> tuple[list[LockedAccount], Periods, dict[tuple[int, str], StoredKey], frozenset[Transition]]:
    """The accounts, locked, what is closed, and what the books know of the requests' keys and transitions. These are
    asked behind the locks, each on a snapshot of its own: a racing request with the same key or transition has left its
    entry by then, or has not begun."""
    claims = [request.key for request in requests if request.key is not None]
    wanted = [transition for request in requests if (transition := transition_of(request.entry)) is not None]
    questions = [_lock(ledger_id, identities)]
    if claims:
        questions.append(key_question(ledger_id=ledger_id, claims=claims))
    if wanted:
        questions.append(_transition_question(ledger_id, wanted))
    answers = iter(await driver.exchange(*questions))
    rows = next(answers)
    locked, periods = _locked(rows, identities), Periods(*rows[0][8:]) if rows else NOTHING_CLOSED
    keys = stored_keys(next(answers)) if claims else {}
    return locked, periods, keys, frozenset(next(answers)) if wanted else frozenset()


async def lock_accounts(
    driver: Driver, *, ledger_id: int, identities: Sequence[AccountIdentity]
) -> list[LockedAccount]:
    """Locks the balance rows in account order, so that two sets can never wait for each other, and reads them."""
    [rows] = await driver.exchange(_lock(ledger_id, identities))
    return _locked(rows, identities)


def _lock(ledger_id: int, identities: Sequence[AccountIdentity]) -> Asked:
    return _LOCK.asked({"ledger": ledger_id, "accounts": plain_array(sorted({one.id for one in identities}))})


def _locked(rows: Rows, identities: Sequence[AccountIdentity]) -> list[LockedAccount]:
    by_id = {one.id: one for one in identities}
    return [
        LockedAccount(row[0], by_id[row[0]].path, by_id[row[0]].currency, by_id[row[0]].sign, *row[1:8]) for row in rows
    ]


def _refuse_untimely(
    requests: Sequence[PostRequest],
    keys: Mapping[tuple[int, str], StoredKey],
    now: datetime,
    open_from: datetime | None,
) -> tuple[list[PostRequest], dict[int, Refused]]:
    """The requests to judge, and those too far ahead, or asked for into days that are closed. A key that has its answer
    keeps it, whatever the clock says now."""
    latest = now + EFFECTIVE_AHEAD_MAX
    refused: dict[int, Refused] = {}
    for index, request in enumerate(requests):
        at, key = request.entry.effective_at, request.key
        if at > latest:
            if key is None or key.identity not in keys:
                refused[index] = Refused(TimeInvalid(_IN_THE_FUTURE, field="effective_at"))
        elif open_from is not None and at < open_from and key is not None and key.identity not in keys:
            refused[index] = Refused(closed_to_requests(open_from))
    return [request for index, request in enumerate(requests) if index not in refused], refused


def _transition_question(ledger_id: int, wanted: Sequence[Transition]) -> Asked:
    kinds, ids, names = (text_array(column) for column in zip(*wanted, strict=True))
    return _TRANSITIONS.asked({"ledger": ledger_id, "subject_kinds": kinds, "subject_ids": ids, "kinds": names})


def _place(
    decision: Decision,
    ledger: Ledger,
    periods: Periods,
    accounts: Sequence[LockedAccount],
    ids: IdSource,
    now: datetime,
) -> dict[int, Posted]:
    """The accepted entries' ids and times, by their place in the set."""
    after = max((account.last_entry_id for account in accounts), default=0)
    entry_ids = ids.next_many(now, count=len(decision.accepted), after=after)
    return {
        index: Posted(
            entry_id, recorded_at, periods.date_of(business_date(request.entry.effective_at, ledger.zone)), lines
        )
        for entry_id, recorded_at, (index, request), lines in zip(
            entry_ids, _times_of(entry_ids), decision.accepted, decision.lines, strict=True
        )
    }


def _times_of(entry_ids: Sequence[int]) -> list[datetime]:
    """The milliseconds they were made in, of which a set has few: one object each."""
    known: dict[int, datetime] = {}
    return [known.setdefault(one >> LOW_BITS, known.get(one >> LOW_BITS) or time_of(one)) for one in entry_ids]


def _write(
    decision: Decision,
    posted: Mapping[int, Posted],
    ledger: Ledger,
    accounts: Mapping[tuple[str, str], LockedAccount],
    now: datetime,
) -> Asked:
    """What writes them. A balance row that is not there is the guards' to refuse: its account's postings have none."""
    entries = [(request, posted[index]) for index, request in decision.accepted]
    parameters: dict[str, object] = {"ledger": ledger.id, "now": now.isoformat()}
    parameters |= entry_columns(entries) | key_columns(entries) | posting_columns(entries, accounts)
    parameters |= balance_columns([account for account in accounts.values() if account.touched])
    return _WRITE.asked(parameters)


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
