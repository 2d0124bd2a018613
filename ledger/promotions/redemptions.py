"""The SQL of redemptions: locking, reading and changing them. Decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ledger.database import Driver
from ledger.ids import encode
from ledger.money import Money
from ledger.promotions.redemption import Event, Move, State

PREFIX = "rdm"

_LOCK = "SELECT FROM promo_redemptions WHERE ledger_id = %s AND id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_READ = """
SELECT r.id, r.batch_id, r.number, r.party_id, y.payee_masked, b.currency, b.amount, r.state, r.version, r.payout_id,
    r.tries, r.retry_at, r.created_at, r.updated_at
FROM promo_redemptions AS r
JOIN promo_batches AS b ON b.ledger_id = r.ledger_id AND b.id = r.batch_id
JOIN parties AS y ON y.ledger_id = r.ledger_id AND y.id = r.party_id
WHERE r.ledger_id = %s AND r.id = ANY(%s) ORDER BY r.id
"""
_OF_PAYOUTS = """
SELECT payout_id, redemption_id FROM promo_redemption_events
WHERE ledger_id = %s AND payout_id = ANY(%s) AND event IN ('redeemed', 'retried')
"""
_STEP = """
WITH step AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(state)s::text[], %(version)s::int[], %(payout)s::bigint[],
        %(tries)s::int[], %(retry)s::timestamptz[], %(event)s::text[], %(actor)s::text[])
        AS s (id, state, version, payout_id, tries, retry_at, event, actor)
), changed AS (
    UPDATE promo_redemptions AS r SET state = s.state, version = s.version, payout_id = s.payout_id, tries = s.tries,
        retry_at = s.retry_at, updated_at = %(now)s
    FROM step AS s WHERE r.ledger_id = %(ledger)s AND r.id = s.id AND r.version = s.version - 1
    RETURNING r.id
), told AS (
    INSERT INTO promo_redemption_events (ledger_id, redemption_id, version, state, event, payout_id, actor, recorded_at)
    SELECT %(ledger)s, id, version, state, event, payout_id, actor, %(now)s FROM step
)
SELECT count(*) FROM changed
"""
_PUT_OFF = "UPDATE promo_redemptions SET retry_at = %s WHERE ledger_id = %s AND id = ANY(%s)"
_DUE = """
SELECT id FROM promo_redemptions WHERE ledger_id = %s AND retry_at <= %s ORDER BY retry_at, id
LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption:
    """A redemption as it was read, under its lock where it is to change."""

    id: int
    batch_id: int
    number: int
    party_id: int
    msisdn_masked: str
    amount: Money
    state: State
    version: int
    payout_id: int
    tries: int
    retry_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def public_id(self) -> str:
        """What everybody outside knows it by."""
        return encode(PREFIX, self.id)

    def moved(self, move: Move, *, retry_at: datetime | None, **changes: Any) -> Redemption:
        """After an event that the state table allows: one version on."""
        return replace(self, state=move.target, version=self.version + 1, retry_at=retry_at, **changes)


@dataclass(frozen=True, slots=True)
class Step:
    """A redemption after an event of the payout it rests on then."""

    redemption: Redemption
    event: Event
    actor: str


async def lock_redemptions(driver: Driver, *, ledger_id: int, redemption_ids: Iterable[int]) -> dict[int, Redemption]:
    """Locks redemptions in id order, so that two sets never wait for each other, and reads them as they are then."""
    wanted = sorted(set(redemption_ids))
    if not wanted:
        return {}
    await driver.execute(_LOCK, (ledger_id, wanted))
    return await read_redemptions(driver, ledger_id=ledger_id, redemption_ids=wanted)


async def lock_due(driver: Driver, *, ledger_id: int, now: datetime, limit: int) -> dict[int, Redemption]:
    """Locks redemptions whose next try is due, the oldest first; those others work on are left to them."""
    rows = await (await driver.execute(_DUE, (ledger_id, now, limit))).fetchall()
    return await read_redemptions(driver, ledger_id=ledger_id, redemption_ids=[row[0] for row in rows])


async def read_redemptions(driver: Driver, *, ledger_id: int, redemption_ids: Collection[int]) -> dict[int, Redemption]:
    """Redemptions by id, unlocked, in id order."""
    if not redemption_ids:
        return {}
    rows = await (await driver.execute(_READ, (ledger_id, list(redemption_ids)))).fetchall()
    return {row[0]: redemption_of(row) for row in rows}


async def redemptions_of_payouts(driver: Driver, *, ledger_id: int, payout_ids: Collection[int]) -> dict[int, int]:
    """The redemption that each payout pays, or once tried to."""
    if not payout_ids:
        return {}
    return dict(await (await driver.execute(_OF_PAYOUTS, (ledger_id, list(payout_ids)))).fetchall())


async def write_steps(driver: Driver, *, ledger_id: int, steps: Sequence[Step], now: datetime) -> None:
    """Changes locked redemptions, at most one step of each, and tells of it."""
    if not steps:
        return
    redemptions = [one.redemption for one in steps]
    parameters: dict[str, object] = {
        "ledger": ledger_id,
        "now": now,
        "id": [one.id for one in redemptions],
        "state": [one.state.value for one in redemptions],
        "version": [one.version for one in redemptions],
        "payout": [one.payout_id for one in redemptions],
        "tries": [one.tries for one in redemptions],
        "retry": [one.retry_at for one in redemptions],
        "event": [one.event.value for one in steps],
        "actor": [one.actor for one in steps],
    }
    row = await (await driver.execute(_STEP, parameters)).fetchone()
    assert row is not None
    assert row[0] == len(steps), "a locked redemption changed"


async def put_off(driver: Driver, *, ledger_id: int, redemption_ids: Sequence[int], until: datetime) -> None:
    """Tries locked redemptions again later."""
    if redemption_ids:
        await driver.execute(_PUT_OFF, (until, ledger_id, list(redemption_ids)))


def redemption_of(row: Sequence[Any]) -> Redemption:
    """A row of _READ."""
    redemption_id, batch_id, number, party_id, masked, currency, amount, state, version, payout_id, *rest = row
    tries, retry_at, created_at, updated_at = rest
    return Redemption(
        id=redemption_id,
        batch_id=batch_id,
        number=number,
        party_id=party_id,
        msisdn_masked=masked,
        amount=Money(currency, amount),
        state=State(state),
        version=version,
        payout_id=payout_id,
        tries=tries,
        retry_at=retry_at,
        created_at=created_at,
        updated_at=updated_at,
    )
