"""The SQL of batches: adding, locking, reading and changing them, and the codes in them. Decides nothing.

Whoever changes a batch, or a code of it, holds the batch's lock: what it owes moves under that lock alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ledger.database import Driver
from ledger.ids import encode
from ledger.journal.chart import partner_account
from ledger.money import Money
from ledger.promotions.batch import OWING_STATES, Event, Funding, Move, State
from ledger.promotions.entries import BatchMoney
from ledger.promotions.refusals import BatchNotFound

PREFIX = "batch"

_LOCK = "SELECT FROM promo_batches WHERE ledger_id = %s AND id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_READ = """
SELECT b.id, b.code, b.campaign_id, g.code, b.partner_id, p.code, b.currency, b.amount, b.count, b.funding, b.shortcode,
    b.assignee, b.expires_at, b.second_person, b.created_by, b.activated_by, b.activated_at, b.exported_at, b.state,
    b.version, b.issued, b.live, b.redeemed, b.failed, b.created_at, b.updated_at
FROM promo_batches AS b
JOIN campaigns AS g ON g.ledger_id = b.ledger_id AND g.id = b.campaign_id
JOIN partners AS p ON p.ledger_id = b.ledger_id AND p.id = b.partner_id
WHERE b.ledger_id = %s AND b.id = ANY(%s) ORDER BY b.id
"""
_ADD = """
WITH added AS (
    INSERT INTO promo_batches (ledger_id, id, code, campaign_id, partner_id, currency, amount, count, funding,
        shortcode, assignee, expires_at, second_person, created_by, state, version, created_at, updated_at)
    VALUES (%(ledger)s, %(id)s, %(code)s, %(campaign)s, %(partner)s, %(currency)s, %(amount)s, %(count)s, %(funding)s,
        %(shortcode)s, %(assignee)s, %(expires)s, %(second)s, %(actor)s, 'DRAFT', 1, %(now)s, %(now)s)
), told AS (
    INSERT INTO promo_batch_events (ledger_id, batch_id, version, state, event, codes, actor, recorded_at)
    VALUES (%(ledger)s, %(id)s, 1, 'DRAFT', 'created', 0, %(actor)s, %(now)s)
)
INSERT INTO promo_accounts (ledger_id, account_id, batch_id, part)
SELECT %(ledger)s, a.id, %(id)s, a.part
FROM unnest(%(accounts)s::bigint[], ARRAY['payable', 'liability', 'unactivated']) AS a (id, part)
"""
_STEP = """
WITH step AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(state)s::text[], %(version)s::int[], %(activated_by)s::text[],
        %(activated_at)s::timestamptz[], %(exported_at)s::timestamptz[], %(event)s::text[], %(codes)s::int[],
        %(entry)s::bigint[], %(amount)s::bigint[], %(detail)s::text[], %(actor)s::text[])
        AS s (id, state, version, activated_by, activated_at, exported_at, event, codes, entry_id, amount, detail,
            actor)
), changed AS (
    UPDATE promo_batches AS b SET state = s.state, version = s.version, activated_by = s.activated_by,
        activated_at = s.activated_at, exported_at = s.exported_at, updated_at = %(now)s
    FROM step AS s WHERE b.ledger_id = %(ledger)s AND b.id = s.id AND b.version = s.version - 1
    RETURNING b.id
), told AS (
    INSERT INTO promo_batch_events (ledger_id, batch_id, version, state, event, codes, entry_id, amount, detail, actor,
        recorded_at)
    SELECT %(ledger)s, id, version, state, event, codes, entry_id, amount, detail, actor, %(now)s FROM step
)
SELECT count(*) FROM changed
"""
_TAKE_OUT = """
UPDATE promo_codes SET state = %s
WHERE ledger_id = %s AND batch_id = %s AND number BETWEEN %s AND %s AND state = 'LIVE'
"""
_CODE_STATE = "SELECT state FROM promo_codes WHERE ledger_id = %s AND batch_id = %s AND number = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """A batch to add, as a draft; `account_ids` are those of what it owes to winners, for live codes, and would owe."""

    id: int
    code: str
    campaign_id: int
    partner_id: int
    amount: Money
    count: int
    funding: Funding
    shortcode: str
    assignee: str
    expires_at: datetime
    second_person: bool
    actor: str
    account_ids: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch as it was read, under its lock where it is to change. `issued`, `live`, `redeemed` and `failed` count
    codes; `failed` are redemptions that wait because their payout failed."""

    id: int
    code: str
    campaign_id: int
    campaign: str
    partner_id: int
    partner: str
    amount: Money
    count: int
    funding: Funding
    shortcode: str
    assignee: str
    expires_at: datetime
    second_person: bool
    created_by: str
    activated_by: str | None
    activated_at: datetime | None
    exported_at: datetime | None
    state: State
    version: int
    issued: int
    live: int
    redeemed: int
    failed: int
    created_at: datetime
    updated_at: datetime

    @property
    def public_id(self) -> str:
        """What everybody outside knows it by."""
        return encode(PREFIX, self.id)

    @property
    def money(self) -> BatchMoney:
        """What its entries need."""
        return BatchMoney(self.public_id, self.code, self.amount, self.funding, self.partner)

    @property
    def owes(self) -> bool:
        """Whether its live codes are owed."""
        return self.state in OWING_STATES

    @property
    def liability(self) -> Money:
        """What its liability account holds; the database sees to that."""
        return self.money.worth(self.live if self.owes else 0)

    @property
    def partner_funding(self) -> str:
        """The path its partner's payouts are paid from."""
        return partner_account(partner=self.partner, currency=self.amount.currency).path

    def moved(self, move: Move, **changes: Any) -> Batch:
        """After an event that the state table allows: one version on."""
        return replace(self, state=move.target, version=self.version + 1, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A batch after an event, and what is told of that: how many codes it is about, and the entry it posted."""

    batch: Batch
    event: Event
    actor: str
    codes: int = 0
    entry_id: int | None = None
    detail: str = ""


async def add_batch(driver: Driver, *, ledger_id: int, batch: NewBatch, now: datetime) -> None:
    """Adds a draft without codes."""
    parameters = {
        "ledger": ledger_id,
        "id": batch.id,
        "code": batch.code,
        "campaign": batch.campaign_id,
        "partner": batch.partner_id,
        "currency": batch.amount.currency,
        "amount": batch.amount.minor_units,
        "count": batch.count,
        "funding": batch.funding.value,
        "shortcode": batch.shortcode,
        "assignee": batch.assignee,
        "expires": batch.expires_at,
        "second": batch.second_person,
        "actor": batch.actor,
        "accounts": list(batch.account_ids),
        "now": now,
    }
    await driver.execute(_ADD, parameters)


async def lock_batches(driver: Driver, *, ledger_id: int, batch_ids: Iterable[int]) -> dict[int, Batch]:
    """Locks batches in id order, so that two sets never wait for each other, and reads them as they are then."""
    wanted = sorted(set(batch_ids))
    if not wanted:
        return {}
    await driver.execute(_LOCK, (ledger_id, wanted))
    return await read_batches(driver, ledger_id=ledger_id, batch_ids=wanted)


async def lock_batch(driver: Driver, *, ledger_id: int, batch_id: int) -> Batch:
    """One. Raises BatchNotFound."""
    found = await lock_batches(driver, ledger_id=ledger_id, batch_ids=[batch_id])
    if batch_id not in found:
        raise BatchNotFound("no such batch in this ledger", field="batch_id")
    return found[batch_id]


async def read_batches(driver: Driver, *, ledger_id: int, batch_ids: Collection[int]) -> dict[int, Batch]:
    """Batches by id, unlocked, in id order."""
    rows = await (await driver.execute(_READ, (ledger_id, list(batch_ids)))).fetchall()
    return {row[0]: batch_of(row) for row in rows}


async def write_steps(driver: Driver, *, ledger_id: int, steps: Sequence[Step], now: datetime) -> None:
    """Changes locked batches, at most one step of each, and tells of it."""
    if not steps:
        return
    batches = [one.batch for one in steps]
    parameters: dict[str, object] = {
        "ledger": ledger_id,
        "now": now,
        "id": [one.id for one in batches],
        "state": [one.state.value for one in batches],
        "version": [one.version for one in batches],
        "activated_by": [one.activated_by for one in batches],
        "activated_at": [one.activated_at for one in batches],
        "exported_at": [one.exported_at for one in batches],
        "event": [one.event.value for one in steps],
        "codes": [one.codes for one in steps],
        "entry": [one.entry_id for one in steps],
        "amount": [one.batch.money.worth(one.codes).minor_units if one.entry_id else None for one in steps],
        "detail": [one.detail[:200] or None for one in steps],
        "actor": [one.actor for one in steps],
    }
    row = await (await driver.execute(_STEP, parameters)).fetchone()
    assert row is not None
    assert row[0] == len(steps), "a locked batch changed"


async def take_out(driver: Driver, *, ledger_id: int, batch_id: int, numbers: tuple[int, int], state: str) -> int:
    """Takes the live codes of a range of numbers out, both ends included, in a locked batch; how many these were."""
    cursor = await driver.execute(_TAKE_OUT, (state, ledger_id, batch_id, *numbers))
    return cursor.rowcount


async def read_code_state(driver: Driver, *, ledger_id: int, batch_id: int, number: int) -> str | None:
    """Where the code of a number stands; None where there is none."""
    row = await (await driver.execute(_CODE_STATE, (ledger_id, batch_id, number))).fetchone()
    return row[0] if row else None


def batch_of(row: Sequence[Any]) -> Batch:
    """A row of _READ."""
    (batch_id, code, campaign_id, campaign, partner_id, partner, currency, amount, count, funding, *rest) = row
    (shortcode, assignee, expires_at, second_person, created_by, activated_by, activated_at, exported_at, *rest) = rest
    state, version, issued, live, redeemed, failed, created_at, updated_at = rest
    return Batch(
        id=batch_id,
        code=code,
        campaign_id=campaign_id,
        campaign=campaign,
        partner_id=partner_id,
        partner=partner,
        amount=Money(currency, amount),
        count=count,
        funding=Funding(funding),
        shortcode=shortcode,
        assignee=assignee,
        expires_at=expires_at,
        second_person=second_person,
        created_by=created_by,
        activated_by=activated_by,
        activated_at=activated_at,
        exported_at=exported_at,
        state=State(state),
        version=version,
        issued=issued,
        live=live,
        redeemed=redeemed,
        failed=failed,
        created_at=created_at,
        updated_at=updated_at,
    )
