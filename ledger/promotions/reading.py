"""The SQL around a set of redemptions: what the books know of it, in one round trip and under its locks, and what it
changes. Decides nothing.

Locks are taken in one order everywhere: phones, then batches, then accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ledger.database import Driver
from ledger.idempotency import key_question, stored_keys
from ledger.money import Money
from ledger.partners import Partner
from ledger.promotions.attempts import Tally, ThrottleRules
from ledger.promotions.judging import CodeFacts, Facts, Judged, Offer, RedemptionOrder, Uses, Winner
from ledger.promotions.writing import batch_of
from ledger.session import Statement, text_array

_ADD_PHONES = Statement("""
INSERT INTO promo_throttles (ledger_id, scope, key, started_at, wrong, recent)
SELECT %(ledger)s::integer, 'phone', p.key, %(now)s::timestamptz, 0, '{}' FROM unnest(%(phones)s::bytea[]) AS p (key)
ORDER BY p.key ON CONFLICT DO NOTHING
""")
_LOCK_PHONES = Statement("""
SELECT key, started_at, wrong, recent FROM promo_throttles
WHERE ledger_id = %(ledger)s::integer AND scope = 'phone' AND key = ANY(%(phones)s::bytea[])
ORDER BY key FOR NO KEY UPDATE
""")
_BRAKES = Statement("""
SELECT scope, key, started_at, wrong FROM promo_throttles
WHERE ledger_id = %(ledger)s::integer AND scope IN ('caller', 'all') AND key = ANY(%(keys)s::bytea[])
""")
_LOCK_BATCHES = Statement("""
SELECT FROM promo_batches WHERE ledger_id = %(ledger)s::integer AND id = ANY(ARRAY(
    SELECT batch_id FROM promo_codes WHERE ledger_id = %(ledger)s::integer AND hash = ANY(%(hashes)s::bytea[])))
ORDER BY id FOR NO KEY UPDATE
""")
_CODES = Statement("""
SELECT c.hash, c.batch_id, c.number, c.state, r.id, y.payee_index FROM promo_codes AS c
LEFT JOIN promo_redemptions AS r ON r.ledger_id = c.ledger_id AND r.batch_id = c.batch_id AND r.number = c.number
LEFT JOIN parties AS y ON y.ledger_id = r.ledger_id AND y.id = r.party_id
WHERE c.ledger_id = %(ledger)s::integer AND c.hash = ANY(%(hashes)s::bytea[])
""")
_OFFERS = Statement("""
SELECT b.id, b.code, b.campaign_id, g.code, b.partner_id, p.code, b.currency, b.amount, b.count, b.funding, b.shortcode,
    b.assignee, b.expires_at, b.second_person, b.created_by, b.activated_by, b.activated_at, b.exported_at, b.state,
    b.version, b.issued, b.live, b.redeemed, b.failed, b.created_at, b.updated_at,
    p.name, p.currency, p.payout_fee, p.suspended_at IS NOT NULL, g.per_msisdn_max, g.per_msisdn_day_max
FROM promo_batches AS b
JOIN campaigns AS g ON g.ledger_id = b.ledger_id AND g.id = b.campaign_id
JOIN partners AS p ON p.ledger_id = b.ledger_id AND p.id = b.partner_id
WHERE b.ledger_id = %(ledger)s::integer AND b.id = ANY(ARRAY(
    SELECT batch_id FROM promo_codes WHERE ledger_id = %(ledger)s::integer AND hash = ANY(%(hashes)s::bytea[])))
""")
# The newest of a phone in each campaign says how many there are: they are numbered on.
_USES = Statement("""
SELECT g.campaign_id, y.payee_index,
    (SELECT max(r.nth) FROM promo_redemptions AS r
     WHERE r.ledger_id = y.ledger_id AND r.campaign_id = g.campaign_id AND r.party_id = y.id),
    (SELECT max(r.nth_of_day) FROM promo_redemptions AS r
     WHERE r.ledger_id = y.ledger_id AND r.campaign_id = g.campaign_id AND r.party_id = y.id
       AND r.day = %(today)s::date)
FROM parties AS y CROSS JOIN (
    SELECT DISTINCT b.campaign_id FROM promo_batches AS b
    WHERE b.ledger_id = %(ledger)s::integer AND b.id = ANY(ARRAY(
        SELECT batch_id FROM promo_codes WHERE ledger_id = %(ledger)s::integer AND hash = ANY(%(hashes)s::bytea[])))
) AS g
WHERE y.ledger_id = %(ledger)s::integer AND y.payee_index = ANY(%(phones)s::bytea[])
""")
# Phones are locked, so their tallies are written as they are; those of callers and of all are added to.
_WRITE_PHONES = """
UPDATE promo_throttles AS t SET started_at = u.started_at, wrong = u.wrong, recent = u.recent::bytea[]
FROM unnest(%s::bytea[], %s::timestamptz[], %s::int[], %s::text[]) AS u (key, started_at, wrong, recent)
WHERE t.ledger_id = %s AND t.scope = 'phone' AND t.key = u.key
"""
_WRITE_BRAKES = """
INSERT INTO promo_throttles AS t (ledger_id, scope, key, started_at, wrong, recent)
SELECT %(ledger)s, u.scope, u.key, %(now)s, u.wrong, '{}'
FROM unnest(%(scopes)s::text[], %(keys)s::bytea[], %(wrong)s::int[]) AS u (scope, key, wrong) ORDER BY 2, 3
ON CONFLICT (ledger_id, scope, key) DO UPDATE SET
    wrong = excluded.wrong + CASE WHEN t.started_at <= %(over)s THEN 0 ELSE t.wrong END,
    started_at = CASE WHEN t.started_at <= %(over)s THEN excluded.started_at ELSE t.started_at END
"""
# One statement, so that the guards see code, redemption and event together.
_WRITE = """
WITH item AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(batch)s::bigint[], %(number)s::int[], %(campaign)s::bigint[],
        %(nth)s::int[], %(nth_of_day)s::int[], %(session)s::text[], %(payout)s::bigint[], %(entry)s::bigint[],
        %(actor)s::text[]) AS i (id, batch_id, number, campaign_id, nth, nth_of_day, session, payout_id, entry_id,
        actor)
), added AS (
    INSERT INTO promo_redemptions (ledger_id, id, batch_id, number, campaign_id, party_id, day, nth, nth_of_day,
        session, state, version, payout_id, tries, created_at, updated_at)
    SELECT %(ledger)s, i.id, i.batch_id, i.number, i.campaign_id, p.party_id, %(today)s, i.nth, i.nth_of_day,
        i.session, 'PAYING', 1, i.payout_id, 1, %(now)s, %(now)s
    FROM item AS i JOIN payouts AS p ON p.ledger_id = %(ledger)s AND p.id = i.payout_id
), told AS (
    INSERT INTO promo_redemption_events (ledger_id, redemption_id, version, state, event, payout_id, entry_id, actor,
        recorded_at)
    SELECT %(ledger)s, i.id, 1, 'PAYING', 'redeemed', i.payout_id, i.entry_id, i.actor, %(now)s FROM item AS i
)
UPDATE promo_codes AS c SET state = 'REDEEMED' FROM item AS i
WHERE c.ledger_id = %(ledger)s AND c.batch_id = i.batch_id AND c.number = i.number AND c.state = 'LIVE'
"""
_ALL = bytes(8)
_NOT_A_BATCH = 6  # columns of _OFFERS behind those of the batch


@dataclass(frozen=True, slots=True)
class Paid:
    """A winner with the redemption's id, its entry, and the payout that pays it."""

    id: int
    winner: Winner
    entry_id: int
    payout_id: int


async def read_facts(
    driver: Driver,
    *,
    ledger_id: int,
    orders: Sequence[RedemptionOrder],
    today: date,
    rules: ThrottleRules,
    now: datetime,
) -> Facts:
    """Locks the phones and the batches of a set, and reads what the books know of it behind the locks."""
    phones = _bytes_array(sorted({one.phone for one in orders}))
    hashes = _bytes_array(sorted({one.code_hash for one in orders}))
    callers = {one.key.client_id for one in orders}
    about = {"ledger": ledger_id, "phones": phones, "hashes": hashes, "now": now.isoformat(), "today": today}
    about["keys"] = _bytes_array([_ALL, *(_caller_key(one) for one in sorted(callers))])
    _, locked, brakes, _, codes, offers, uses, keys = await driver.exchange(
        _ADD_PHONES.asked(about),
        _LOCK_PHONES.asked(about),
        _BRAKES.asked(about),
        _LOCK_BATCHES.asked(about),
        _CODES.asked(about),
        _OFFERS.asked(about),
        _USES.asked(about),
        key_question(ledger_id=ledger_id, claims=[one.key for one in orders]),
    )
    tallies = {(scope, bytes(key)): Tally(at, wrong).at(now, rules) for scope, key, at, wrong in brakes}
    return Facts(
        keys=stored_keys(keys),
        codes={bytes(row[0]): _code(row) for row in codes},
        offers={row[0]: _offer(row, ledger_id) for row in offers},
        uses={(row[0], bytes(row[1])): Uses(row[2] or 0, row[3] or 0) for row in uses},
        phones={
            bytes(key): Tally(at, wrong, tuple(bytes(one) for one in recent)).at(now, rules)
            for key, at, wrong, recent in locked
        },
        callers={one: tallies.get(("caller", _caller_key(one)), Tally(now)) for one in callers},
        everybody=tallies.get(("all", _ALL), Tally(now)),
    )


async def write_wrong(driver: Driver, *, ledger_id: int, judged: Judged, rules: ThrottleRules, now: datetime) -> None:
    """Counts what was typed wrong."""
    if not judged.wrong:
        return
    phones = judged.phones
    columns: tuple[list[Any], ...] = (
        list(phones),
        [one.started_at for one in phones.values()],
        [one.wrong for one in phones.values()],
        [_bytes_array(one.recent) for one in phones.values()],
    )
    await driver.execute(_WRITE_PHONES, (*columns, ledger_id))
    counted: Mapping[tuple[str, bytes], int] = {
        ("all", _ALL): sum(judged.wrong.values()),
        **{("caller", _caller_key(client)): wrong for client, wrong in judged.wrong.items()},
    }
    parameters = {
        "ledger": ledger_id,
        "now": now,
        "over": now - rules.window,
        "scopes": [scope for scope, _ in counted],
        "keys": [key for _, key in counted],
        "wrong": list(counted.values()),
    }
    await driver.execute(_WRITE_BRAKES, parameters)


async def write_redemptions(
    driver: Driver, *, ledger_id: int, paid: Sequence[Paid], today: date, now: datetime
) -> None:
    """Writes what was redeemed, whose entries and payouts are there."""
    winners = [one.winner for one in paid]
    parameters = {
        "ledger": ledger_id,
        "now": now,
        "today": today,
        "id": [one.id for one in paid],
        "batch": [one.code.batch_id for one in winners],
        "number": [one.code.number for one in winners],
        "campaign": [one.offer.batch.campaign_id for one in winners],
        "nth": [one.nth for one in winners],
        "nth_of_day": [one.nth_of_day for one in winners],
        "session": [one.order.session for one in winners],
        "payout": [one.payout_id for one in paid],
        "entry": [one.entry_id for one in paid],
        "actor": [one.order.actor for one in winners],
    }
    cursor = await driver.execute(_WRITE, parameters)
    assert cursor.rowcount == len(paid), "a code changed under its batch's lock"


def _code(row: Sequence[Any]) -> CodeFacts:
    _, batch_id, number, state, redemption_id, winner = row
    return CodeFacts(batch_id, number, state, redemption_id, bytes(winner) if winner is not None else None)


def _offer(row: Sequence[Any], ledger_id: int) -> Offer:
    batch = batch_of(row[:-_NOT_A_BATCH])
    name, currency, fee, suspended, most, most_a_day = row[-_NOT_A_BATCH:]
    partner = Partner(batch.partner_id, ledger_id, batch.partner, name, Money(currency, fee), suspended)
    return Offer(batch, partner, most, most_a_day)


def _caller_key(client_id: int) -> bytes:
    return client_id.to_bytes(8, signed=True)


def _bytes_array(values: Sequence[bytes]) -> str:
    return text_array([f"\\x{one.hex()}" for one in values])
