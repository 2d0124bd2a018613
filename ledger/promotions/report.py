"""A campaign in figures: each of its batches now, and each day of each batch. All counts are codes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ledger.database import Driver
from ledger.errors import TimeInvalid
from ledger.journal.books import Ledger
from ledger.promotions.batch import State
from ledger.promotions.campaigns import Campaign, campaign_not_found, find_campaign
from ledger.promotions.writing import Batch, read_batches

BATCHES_MAX = 500
DAYS_MAX = 92

_BATCHES = """
SELECT id FROM promo_batches
WHERE ledger_id = %s AND campaign_id = %s AND (%s::bigint IS NULL OR partner_id = %s) ORDER BY id LIMIT %s
"""
_STANDING = """
SELECT batch_id, count(*) FILTER (WHERE state = 'PAYING'), count(*) FILTER (WHERE state = 'PAID')
FROM promo_redemptions WHERE ledger_id = %s AND batch_id = ANY(%s) GROUP BY batch_id
"""
# Days of the ledger's own zone, in which each day's events lie together.
_DAYS = """
WITH told AS (
    SELECT v.batch_id, (v.recorded_at AT TIME ZONE %(zone)s)::date AS day,
        CASE WHEN v.event IN ('generated', 'imported') THEN v.codes ELSE 0 END AS issued, 0 AS redeemed, 0 AS paid,
        0 AS failed, CASE v.event WHEN 'expired' THEN v.codes ELSE 0 END AS expired,
        CASE WHEN v.event IN ('disabled', 'stolen', 'voided', 'cancelled') THEN v.codes ELSE 0 END AS voided
    FROM promo_batch_events AS v
    WHERE v.ledger_id = %(ledger)s AND v.batch_id = ANY(%(batches)s)
      AND v.recorded_at >= %(start)s::date::timestamp AT TIME ZONE %(zone)s
      AND v.recorded_at < %(end)s::date::timestamp AT TIME ZONE %(zone)s
    UNION ALL
    SELECT r.batch_id, (v.recorded_at AT TIME ZONE %(zone)s)::date, 0, (v.event = 'redeemed')::int,
        (v.event = 'paid')::int, (v.event = 'failed')::int, 0, 0
    FROM promo_redemptions AS r JOIN promo_redemption_events AS v ON v.ledger_id = r.ledger_id AND v.redemption_id =
    r.id WHERE r.ledger_id = %(ledger)s AND r.batch_id = ANY(%(batches)s)
      AND v.recorded_at >= %(start)s::date::timestamp AT TIME ZONE %(zone)s
      AND v.recorded_at < %(end)s::date::timestamp AT TIME ZONE %(zone)s
)
SELECT day, batch_id, sum(issued), sum(redeemed), sum(paid), sum(failed), sum(expired), sum(voided) FROM told
GROUP BY day, batch_id
HAVING sum(issued) + sum(redeemed) + sum(paid) + sum(failed) + sum(expired) + sum(voided) > 0
ORDER BY day, batch_id
"""
_SECONDS_TO_PAY = """
SELECT ledger_id, percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
    ORDER BY extract(epoch FROM updated_at - created_at)::float)
FROM promo_redemptions WHERE state = 'PAID' AND updated_at > %s GROUP BY ledger_id
"""
QUANTILES = ("0.5", "0.99")
RECENT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """A batch with its codes by what became of them: issued = live + redeemed + expired + voided."""

    batch: Batch
    live: int
    paying: int
    paid: int
    expired: int
    voided: int


@dataclass(frozen=True, slots=True)
class BatchDay:
    """What happened to a batch on a day."""

    day: date
    batch: Batch
    issued: int
    redeemed: int
    paid: int
    failed: int
    expired: int
    voided: int


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """A campaign, its batches (oldest first), and the days on which something happened, by day and batch."""

    campaign: Campaign
    batches: list[BatchFigures]
    days: list[BatchDay]


async def campaign_report(
    driver: Driver, *, ledger: Ledger, code: str, start: date, end: date, partner_id: int | None = None
) -> CampaignReport:
    """Days from `start` on and before `end`, at most 92; for a partner its own batches. Raises TimeInvalid,
    CampaignNotFound, also for a campaign in which the partner has none."""
    if not start < end or end - start > timedelta(days=DAYS_MAX):
        raise TimeInvalid(f"a report is about 1 to {DAYS_MAX} days", field="to_date")
    campaign = await find_campaign(driver, ledger_id=ledger.id, code=code)
    wanted = (ledger.id, campaign.id, partner_id, partner_id, BATCHES_MAX)
    ids = [row[0] for row in await (await driver.execute(_BATCHES, wanted)).fetchall()]
    if partner_id is not None and not ids:
        raise campaign_not_found()
    batches = await read_batches(driver, ledger_id=ledger.id, batch_ids=ids)
    standing = {
        batch_id: (paying, paid)
        for batch_id, paying, paid in await (await driver.execute(_STANDING, (ledger.id, ids))).fetchall()
    }
    about = {"ledger": ledger.id, "zone": ledger.zone.key, "batches": ids, "start": start, "end": end}
    rows = await (await driver.execute(_DAYS, about)).fetchall()
    return CampaignReport(
        campaign=campaign,
        batches=[figures(one, *standing.get(one.id, (0, 0))) for one in batches.values()],
        days=[BatchDay(row[0], batches[row[1]], *(int(one) for one in row[2:])) for row in rows],
    )


async def seconds_to_pay(driver: Driver, *, now: datetime) -> dict[int, tuple[float, ...]]:
    """How long the redemptions that were paid within the last hour took, at each of QUANTILES; by ledger."""
    rows = await (await driver.execute(_SECONDS_TO_PAY, (now - RECENT,))).fetchall()
    return {ledger_id: tuple(found) for ledger_id, found in rows}


def figures(batch: Batch, paying: int, paid: int) -> BatchFigures:
    """A batch's codes by what became of them. What was live when it ended counts as expired or, cancelled, as
    voided."""
    gone = batch.issued - batch.live - batch.redeemed
    match batch.state:
        case State.EXPIRED:
            live, expired, voided = 0, batch.live, gone
        case State.CANCELLED:
            live, expired, voided = 0, 0, gone + batch.live
        case _:
            live, expired, voided = batch.live, 0, gone
    return BatchFigures(batch, live, paying, paid, expired, voided)
