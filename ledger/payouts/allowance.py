"""Limits on payouts: how much and how often a partner may pay within an hour or a day, in all and to one payee.

Usage is counted under row locks in the transaction that reserves the money, so that no number of concurrent requests
exceeds a limit by one unit. What was asked for counts, whatever became of it: a failed payout gives nothing back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ledger.database import Driver
from ledger.errors import LimitWouldBreak
from ledger.ids import first_id_at
from ledger.money import Money, format_minor_units

WHOLE = b""
SCOPES = ("partner", "payee")
SPANS = ("hour", "day")

_LIMITS = """
SELECT DISTINCT ON (partner_id, scope, span) partner_id, scope, span, amount_max, count_max FROM payout_limits
WHERE ledger_id = %s AND partner_id = ANY(%s) ORDER BY partner_id, scope, span, id DESC
"""
# Rows first, in key order, then their locks in the same order: two sets never wait for each other in a ring. A counter
# begins with what was asked for in its window before there was a limit; payouts' ids are in time order.
_ENSURE = """
INSERT INTO payout_usage (ledger_id, partner_id, payee, span, starts_at, amount, count)
SELECT %(ledger)s, u.partner, u.payee, u.span, u.starts_at, asked.amount, asked.count
FROM unnest(%(partner)s::bigint[], %(payee)s::bytea[], %(span)s::text[], %(starts_at)s::timestamptz[],
         %(first)s::bigint[]) AS u (partner, payee, span, starts_at, first_id)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(p.amount), 0)::bigint AS amount, count(*) AS count FROM payouts AS p
    WHERE p.ledger_id = %(ledger)s AND p.id >= u.first_id AND p.partner_id = u.partner AND (u.payee = '' OR EXISTS (
        SELECT FROM parties AS y WHERE y.ledger_id = p.ledger_id AND y.id = p.party_id AND y.payee_index = u.payee))
) AS asked
WHERE NOT EXISTS (SELECT FROM payout_usage AS known WHERE known.ledger_id = %(ledger)s AND known.partner_id = u.partner
    AND known.payee = u.payee AND known.span = u.span AND known.starts_at = u.starts_at)
ORDER BY u.partner, u.payee, u.span, u.starts_at ON CONFLICT DO NOTHING
"""
_LOCK = """
SELECT partner_id, payee, span, starts_at, amount, count FROM payout_usage
WHERE ledger_id = %s AND (partner_id, payee, span, starts_at) IN
      (SELECT * FROM unnest(%s::bigint[], %s::bytea[], %s::text[], %s::timestamptz[]))
ORDER BY partner_id, payee, span, starts_at FOR NO KEY UPDATE
"""
_COUNT = """
UPDATE payout_usage AS p SET amount = u.amount, count = u.count
FROM unnest(%s::bigint[], %s::bytea[], %s::text[], %s::timestamptz[], %s::bigint[], %s::bigint[])
     AS u (partner, payee, span, starts_at, amount, count)
WHERE p.ledger_id = %s AND p.partner_id = u.partner AND p.payee = u.payee AND p.span = u.span
  AND p.starts_at = u.starts_at
"""


class Bucket(NamedTuple):
    """One counter: whose, to whom (a keyed hash, WHOLE for all), and which window."""

    partner_id: int
    payee: bytes
    span: str
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class Limit:
    """What may be asked for within a window; None for no bound. Minor units of the partner's currency."""

    amount_max: int | None
    count_max: int | None


@dataclass(frozen=True, slots=True)
class Demand:
    """A payout that would count: the partner, its payee's keyed hash, and the amount without our fee."""

    partner_id: int
    payee: bytes
    amount: Money


class Allowance:
    """The limits and counters of one set under their locks."""

    def __init__(
        self,
        limits: Mapping[tuple[int, str, str], Limit],
        usage: dict[Bucket, tuple[int, int]],
        starts: Mapping[str, datetime],
    ) -> None:
        self._limits = limits
        self._usage = usage
        self._starts = starts

    def admission(self, demand: Demand) -> _Admission:
        """The limits' word on one payout of the set, for the books to ask in their order."""
        return _Admission(self, demand)

    def refusal(self, demand: Demand) -> LimitWouldBreak | None:
        """The limit that the demand would break; None where it fits into every window that has one."""
        for scope, bucket in _buckets(demand, self._limits, self._starts):
            refusal = self._refusal(scope, bucket, demand)
            if refusal is not None:
                return refusal
        return None

    def count(self, demand: Demand) -> None:
        """Counts a demand in every window that has a limit."""
        for _, bucket in _buckets(demand, self._limits, self._starts):
            amount, count = self._usage[bucket]
            self._usage[bucket] = (amount + demand.amount.minor_units, count + 1)

    def _refusal(self, scope: str, bucket: Bucket, demand: Demand) -> LimitWouldBreak | None:
        limit = self._limits[(bucket.partner_id, scope, bucket.span)]
        amount, count = self._usage[bucket]
        currency = demand.amount.currency
        whom = "this payee" if scope == "payee" else "the partner"
        if limit.count_max is not None and count + 1 > limit.count_max:
            return LimitWouldBreak(
                f"{whom} has {count} payouts this {bucket.span} and may have {limit.count_max}",
                field="payout",
                scope=scope,
                span=bucket.span,
                count_max=limit.count_max,
            )
        if limit.amount_max is not None and amount + demand.amount.minor_units > limit.amount_max:
            return LimitWouldBreak(
                f"{whom} has {currency} {format_minor_units(amount, currency)} of payouts this {bucket.span} and may "
                f"have {format_minor_units(limit.amount_max, currency)}",
                field="amount",
                scope=scope,
                span=bucket.span,
                amount_max_minor_units=limit.amount_max,
            )
        return None

    async def write(self, driver: Driver, *, ledger_id: int) -> None:
        """Stores the counters."""
        if self._usage:
            rows = [(*bucket, amount, count) for bucket, (amount, count) in self._usage.items()]
            await driver.execute(_COUNT, (*(list(column) for column in zip(*rows, strict=True)), ledger_id))


@dataclass(frozen=True, slots=True)
class _Admission:
    """See ledger.journal.decide.Admission."""

    allowance: Allowance
    demand: Demand

    def refusal(self) -> LimitWouldBreak | None:
        return self.allowance.refusal(self.demand)

    def admitted(self) -> None:
        self.allowance.count(self.demand)


async def open_allowance(
    driver: Driver, *, ledger_id: int, zone: ZoneInfo, demands: Sequence[Demand], now: datetime
) -> Allowance:
    """Locks the counters the demands would move; one query where no limit was ever set."""
    partners = sorted({demand.partner_id for demand in demands})
    rows = await (await driver.execute(_LIMITS, (ledger_id, partners))).fetchall()
    # A limit that was removed bounds nothing and goes on counting, in case it is set again.
    limits = {(row[0], row[1], row[2]): Limit(row[3], row[4]) for row in rows}
    starts = {"hour": now.replace(minute=0, second=0, microsecond=0), "day": day_start(now, zone)}
    wanted = sorted({bucket for demand in demands for _, bucket in _buckets(demand, limits, starts)})
    usage: dict[Bucket, tuple[int, int]] = {}
    if wanted:
        columns = [list(column) for column in zip(*wanted, strict=True)]
        await driver.execute(_ENSURE, _counters(ledger_id, wanted))
        for row in await (await driver.execute(_LOCK, (ledger_id, *columns))).fetchall():
            usage[Bucket(row[0], bytes(row[1]), row[2], row[3])] = (row[4], row[5])
    return Allowance(limits, usage, starts)


def _counters(ledger_id: int, wanted: Sequence[Bucket]) -> dict[str, object]:
    return {
        "ledger": ledger_id,
        "partner": [one.partner_id for one in wanted],
        "payee": [one.payee for one in wanted],
        "span": [one.span for one in wanted],
        "starts_at": [one.starts_at for one in wanted],
        "first": [first_id_at(one.starts_at) for one in wanted],
    }


def day_start(now: datetime, zone: ZoneInfo) -> datetime:
    """When the business date of a moment began in the ledger's zone."""
    local = now.astimezone(zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(now.tzinfo)


def window_end(start: datetime, span: str) -> datetime:
    """When a window that began then ends, for people: days of a zone with summer time differ by an hour."""
    return start + (timedelta(hours=1) if span == "hour" else timedelta(days=1))


def _buckets(
    demand: Demand, limits: Mapping[tuple[int, str, str], Limit], starts: Mapping[str, datetime]
) -> Iterable[tuple[str, Bucket]]:
    for scope in SCOPES:
        for span in SPANS:
            if (demand.partner_id, scope, span) in limits:
                payee = WHOLE if scope == "partner" else demand.payee
                yield scope, Bucket(demand.partner_id, payee, span, starts[span])
