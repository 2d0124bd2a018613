"""The conditions that operators are alerted of, read from what is committed, of all ledgers at once.

What is told names rails, accounts, queues, counts and sums: nobody's number, nobody's text."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.database import Driver
from ledger.ids import first_id_at
from ledger.money import format_minor_units

# An open case of these says that money went astray, that somebody lies, or that something does not get through.
ALARMING = (
    "unledgered-movement",
    "provider-conflict",
    "amount-mismatch",
    "reversal-race",
    "poison-message",
    "webhook-dead",
    "submit-unknown",
)

_COUNTED = """
SELECT ledger_id, 'payouts.failing' AS kind, rail AS subject, count(*) FROM payouts
 WHERE state = 'RELEASED' AND updated_at > %(failed_since)s GROUP BY 1, 3 HAVING count(*) >= %(failures)s
UNION ALL
SELECT m.ledger_id, 'messages.failing', m.provider, count(*)
 FROM sms_settings AS s JOIN sms_messages AS m ON m.ledger_id = s.ledger_id
 WHERE m.state IN ('FAILED', 'UNKNOWN') AND m.id >= %(failed_since_id)s AND m.failure_code <> 'opted-out'
 GROUP BY 1, 3 HAVING count(*) >= %(failures)s
UNION ALL
SELECT ledger_id, 'redemptions.given_up', 'redemptions', count(*) FROM promo_redemptions
 WHERE state = 'FAILED' AND retry_at IS NULL GROUP BY 1
UNION ALL
SELECT ledger_id, 'payouts.unknown', rail, count(*) FROM payouts
 WHERE state = 'UNKNOWN' AND updated_at < %(unknown_since)s GROUP BY 1, 3
UNION ALL
SELECT ledger_id, 'rail.stopped', rail, 1 FROM rail_stops WHERE resumed_at IS NULL
UNION ALL
SELECT r.ledger_id, 'cases.open', r.queue, count(*) FROM reviews AS r
 WHERE r.queue = ANY(%(queues)s) AND NOT EXISTS (
    SELECT FROM review_resolutions AS d WHERE d.ledger_id = r.ledger_id AND d.review_id = r.id) GROUP BY 1, 3
"""
# What a float holds beyond what is on its way out, or may be.
_FLOAT = """
SELECT * FROM (
    SELECT a.ledger_id, a.path, a.currency, b.debits - b.credits - coalesce((
        SELECT sum(w.credits - w.debits) FROM accounts AS t
        JOIN account_balances AS w ON w.ledger_id = t.ledger_id AND w.account_id = t.id
        WHERE t.ledger_id = a.ledger_id AND t.provider = a.provider AND t.wallet_ref = a.wallet_ref
          AND t.currency = a.currency AND t.role IN ('payout_in_transit', 'payout_unknown')), 0)::bigint AS available,
        l.lowest
    FROM unnest(%(currency)s::text[], %(lowest)s::bigint[]) AS l (currency, lowest)
    JOIN accounts AS a ON a.role = 'payout_float' AND a.currency = l.currency
    JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id AND b.closed_at IS NULL
) AS f WHERE f.available < f.lowest
"""


class Kind(enum.Enum):
    """What is the matter."""

    PAYOUTS_FAILING = "payouts.failing"
    MESSAGES_FAILING = "messages.failing"
    REDEMPTIONS_GIVEN_UP = "redemptions.given_up"
    FLOAT_LOW = "float.low"
    PAYOUTS_UNKNOWN = "payouts.unknown"
    RAIL_STOPPED = "rail.stopped"
    CASES_OPEN = "cases.open"


_SENTENCES = {
    Kind.PAYOUTS_FAILING: "{count} payouts over {subject} failed within {within}",
    Kind.MESSAGES_FAILING: "{count} messages over {subject} failed within {within}",
    Kind.REDEMPTIONS_GIVEN_UP: "{count} failed redemptions wait for a person: nothing tries them again",
    Kind.PAYOUTS_UNKNOWN: "the outcome of {count} payouts over {subject} is unknown for over {unknown_for}",
    Kind.RAIL_STOPPED: "{subject} is stopped: nothing leaves over it until it is resumed",
    Kind.CASES_OPEN: "{count} open cases in {subject}; see daftari review",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """From when on something is the matter: so many failures within `failures_within`, an outcome unknown for
    `unknown_for`, a float with less than `float_below` minor units by currency."""

    failures: int
    failures_within: timedelta
    unknown_for: timedelta
    float_below: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Condition:
    """What holds of a ledger: one of each subject. The summary is one sentence."""

    ledger_id: int
    kind: Kind
    subject: str
    summary: str


async def read_conditions(driver: Driver, *, rules: AlertRules, now: datetime) -> list[Condition]:
    """All that hold now, in no order."""
    parameters: dict[str, object] = {
        "failures": rules.failures,
        "failed_since": now - rules.failures_within,
        "failed_since_id": first_id_at(now - rules.failures_within),
        "unknown_since": now - rules.unknown_for,
        "queues": list(ALARMING),
        "currency": list(rules.float_below),
        "lowest": list(rules.float_below.values()),
    }
    within, unknown_for = _words(rules.failures_within), _words(rules.unknown_for)
    counted = await (await driver.execute(_COUNTED, parameters)).fetchall()
    low = await (await driver.execute(_FLOAT, parameters)).fetchall()
    found = [
        Condition(
            ledger_id,
            Kind(kind),
            subject,
            _SENTENCES[Kind(kind)].format(count=count, subject=subject, within=within, unknown_for=unknown_for),
        )
        for ledger_id, kind, subject, count in counted
    ]
    return found + [
        Condition(ledger_id, Kind.FLOAT_LOW, f"{path} {currency}", _low(path, currency, available, lowest))
        for ledger_id, path, currency, available, lowest in low
    ]


def _low(path: str, currency: str, available: int, lowest: int) -> str:
    held, wanted = (f"{currency} {format_minor_units(one, currency)}" for one in (available, lowest))
    return f"{path} holds {held} beyond what is on its way, less than {wanted}"


def _words(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
