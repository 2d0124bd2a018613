"""The instruction queue: enqueue with the money, claim under a lease, finish, put back. Never decides what an answer
means.

`due_at` is the time to run or, once claimed, the end of the lease; a claim whose last attempt has no answer is *lost*:
it may have reached the provider, so it is never sent again. Fencing: only the holder of the lease token may put one
back. The first word of a kind is its subject's, whose statements stand in `statements`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.database import Driver
from ledger.ids import IdSource
from ledger.outbox.statements import STATEMENTS, Statements, Subject

SUBMIT, QUERY, RESUBMIT = "payout.submit", "payout.query", "payout.resubmit"
PROMPT_SUBMIT, PROMPT_QUERY = "prompt.submit", "prompt.query"
RETURN_SUBMIT, RETURN_SILENCE, RETURN_QUERY = "return.submit", "return.silence", "return.query"
RECEIPT_QUERY = "receipt.query"
SMS_SUBMIT = "sms.submit"

_START = """
INSERT INTO attempts (ledger_id, instruction_id, number, token_hash, started_at)
SELECT %s, a.*, %s FROM unnest(%s::bigint[], %s::int[], %s::bytea[]) AS a
"""
_FINISH = """
UPDATE attempts AS a SET finished_at = %s, answer = f.answer, detail = f.detail
FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::text[]) AS f (instruction_id, number, answer, detail)
WHERE a.ledger_id = %s AND a.instruction_id = f.instruction_id AND a.number = f.number AND a.finished_at IS NULL
"""
_PUT_BACK = """
UPDATE instructions AS i SET due_at = p.due_at, lease_token = NULL
FROM unnest(%s::bigint[], %s::timestamptz[]) AS p (id, due_at)
WHERE i.ledger_id = %s AND i.id = p.id AND i.lease_token = %s AND i.done_at IS NULL
"""
_PIN = """
UPDATE instructions AS i SET platform = p.platform FROM unnest(%s::bigint[], %s::text[]) AS p (id, platform)
WHERE i.ledger_id = %s AND i.id = p.id
"""
# A hint asks again no sooner than this after the last question.
HINTS_APART = timedelta(seconds=30)
_COMPLETE_THESE = "UPDATE instructions SET done_at = %s, lease_token = NULL WHERE ledger_id = %s AND id = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Claimed:
    """An instruction under our lease. `subject_id` is what it is about, a payout, a prompt or a return, as its kind
    says; `attempt` numbers this try; `lost` says the try before it has no answer, `hinted` that something happened
    since that makes the question worth asking."""

    ledger_id: int
    id: int
    kind: str
    subject_id: int
    attempt: int
    lost: bool
    hinted: bool = False

    @property
    def payout_id(self) -> int:
        """The payout, for the errands of payouts."""
        return self.subject_id


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of one try, in words that hold no secret."""

    instruction_id: int
    attempt: int
    answer: str
    detail: str


async def enqueue(
    driver: Driver,
    *,
    ledger_id: int,
    kind: str,
    subject_ids: Sequence[int],
    ids: IdSource,
    now: datetime,
    due_at: datetime,
) -> None:
    """Adds one instruction of a kind per subject, in the transaction that gives the reason for it. A subject has at
    most one of each kind, ever."""
    if subject_ids:
        new_ids = [ids.next(now) for _ in subject_ids]
        await driver.execute(_of(kind).enqueue, (ledger_id, kind, due_at, new_ids, list(subject_ids)))


async def claim(
    driver: Driver,
    *,
    kinds: Sequence[str],
    rails: Sequence[str],
    now: datetime,
    lease: timedelta,
    token: int,
    limit: int,
) -> list[Claimed]:
    """Claims up to `limit` due instructions of these kinds, all about one subject, over these rails, by ledger and
    subject, with the locks of their subjects. The caller commits before any call."""
    parameters = {
        "kinds": list(kinds),
        "rails": list(rails),
        "now": now,
        "lease_until": now + lease,
        "token": token,
        "limit": limit,
    }
    cursor = await driver.execute(_of(*kinds).claim, parameters)
    return [Claimed(*row) for row in await cursor.fetchall()]


async def rest_oldest(
    driver: Driver, *, kinds: Sequence[str], rails: Sequence[str], now: datetime, until: datetime
) -> int | None:
    """Lets the one instruction that comes up first rest until then; returns its subject, None where nothing is due."""
    parameters = {"kinds": list(kinds), "rails": list(rails), "now": now, "until": until}
    row = await (await driver.execute(_of(*kinds).rest_oldest, parameters)).fetchone()
    return row[0] if row is not None else None


async def start_attempts(
    driver: Driver, *, ledger_id: int, attempts: Sequence[tuple[Claimed, bytes]], now: datetime
) -> None:
    """Stores the tries about to be made, each with the hash of its callback token."""
    columns = (
        [one.id for one, _ in attempts],
        [one.attempt for one, _ in attempts],
        [hashed for _, hashed in attempts],
    )
    await driver.execute(_START, (ledger_id, now, *columns))


async def finish_attempts(driver: Driver, *, ledger_id: int, finished: Sequence[Finished], now: datetime) -> None:
    """Stores what became of tries; one that has its answer already keeps it."""
    columns = [
        list(column)
        for column in zip(*((f.instruction_id, f.attempt, f.answer, f.detail) for f in finished), strict=True)
    ]
    if finished:
        await driver.execute(_FINISH, (now, *columns, ledger_id))


async def put_back(driver: Driver, *, ledger_id: int, token: int, due: Sequence[tuple[int, datetime]]) -> None:
    """Makes instructions claimable again at their times; those whose lease another worker took meanwhile stay with
    it."""
    if due:
        await driver.execute(_PUT_BACK, ([one for one, _ in due], [when for _, when in due], ledger_id, token))


async def complete(
    driver: Driver, *, ledger_id: int, subject_ids: Sequence[int], now: datetime, subject: Subject = Subject.PAYOUT
) -> None:
    """Ends the instructions of subjects that need no further call."""
    if subject_ids:
        await driver.execute(STATEMENTS[subject].complete, (now, ledger_id, list(subject_ids)))


async def complete_these(driver: Driver, *, ledger_id: int, ids: Sequence[int], now: datetime) -> None:
    """Ends these instructions and no other of their subjects."""
    if ids:
        await driver.execute(_COMPLETE_THESE, (now, ledger_id, list(ids)))


async def reopen(driver: Driver, *, ledger_id: int, kind: str, subject_ids: Sequence[int], due_at: datetime) -> None:
    """Makes the ended instructions of a kind due once more: something is known that was not."""
    if subject_ids:
        await driver.execute(_of(kind).reopen, (due_at, ledger_id, kind, list(subject_ids)))


async def renew(
    driver: Driver,
    *,
    ledger_id: int,
    kind: str,
    subject_ids: Sequence[int],
    ids: IdSource,
    now: datetime,
    due_at: datetime,
) -> None:
    """Makes the one instruction of a kind that a subject has due then, whether it is new or had ended."""
    await reopen(driver, ledger_id=ledger_id, kind=kind, subject_ids=subject_ids, due_at=due_at)
    await enqueue(driver, ledger_id=ledger_id, kind=kind, subject_ids=subject_ids, ids=ids, now=now, due_at=due_at)


async def hint(
    driver: Driver, *, ledger_id: int, kind: str, subject_ids: Sequence[int], ids: IdSource, now: datetime
) -> None:
    """Makes the question of a kind about each subject due now, beside its schedule, whether it is new or had ended."""
    if subject_ids:
        await enqueue(driver, ledger_id=ledger_id, kind=kind, subject_ids=subject_ids, ids=ids, now=now, due_at=now)
        parameters = {
            "ledger": ledger_id,
            "kind": kind,
            "subjects": list(subject_ids),
            "now": now,
            "rest": HINTS_APART,
        }
        await driver.execute(_of(kind).hint, parameters)


async def pin(driver: Driver, *, ledger_id: int, pins: Sequence[tuple[Claimed, str]]) -> None:
    """Keeps the platform that each is about to be sent to, in the transaction before the call."""
    if pins:
        await driver.execute(_PIN, ([one.id for one, _ in pins], [platform for _, platform in pins], ledger_id))


async def find_platforms(driver: Driver, *, ledger_id: int, kind: str, subject_ids: Sequence[int]) -> dict[int, str]:
    """The platform that each subject's instruction of a kind was last sent to, where it was kept."""
    cursor = await driver.execute(_of(kind).find_platforms, (ledger_id, kind, list(subject_ids)))
    return dict(await cursor.fetchall())


async def find_begun(driver: Driver, *, ledger_id: int, kind: str, subject_ids: Sequence[int]) -> frozenset[int]:
    """The subjects, among these, whose instruction of a kind was ever claimed."""
    cursor = await driver.execute(_of(kind).find_begun, (ledger_id, kind, list(subject_ids)))
    return frozenset(subject_id for (subject_id,) in await cursor.fetchall())


def _of(*kinds: str) -> Statements:
    (subject,) = {Subject(kind.partition(".")[0]) for kind in kinds}
    return STATEMENTS[subject]
