"""What providers say they hold, beside what the books say: assertions as history, and the drift between the two.

An assertion is never an entry: it proves nothing about why. Drift that payouts in flight do not explain is for
reconciliation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import Driver, driver
from ledger.ids import IdSource

_WRITE = """
INSERT INTO float_assertions (ledger_id, id, provider, shortcode, sub_account, currency, available, asserted_at, source,
    payout_id)
SELECT %s, a.* FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[],
    %s::timestamptz[], %s::text[], %s::bigint[]) AS a
"""
# The newest assertion per sub-account by the index float_assertions_newest, and the account it is about: a float
# account by its path, charges owed (which providers show as a negative balance) by its role.
_POSITION = """
WITH books AS (
    SELECT a.provider, a.wallet_ref AS shortcode, a.currency, a.path, a.role,
           CASE WHEN a.role = 'provider_charges' THEN 'charges_paid'
                WHEN a.path LIKE 'asset.float.%%' THEN regexp_replace(a.path, '^.*[.]', '') END AS sub_account,
           CASE WHEN a.role = 'provider_charges' THEN b.debits - b.credits ELSE (b.debits - b.credits)
                * CASE a.normal_side WHEN 'D' THEN 1 ELSE -1 END END AS balance
    FROM accounts AS a JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
    WHERE a.ledger_id = %(ledger)s AND a.wallet_ref IS NOT NULL
)
SELECT books.provider, books.shortcode, books.sub_account, books.currency, books.path, books.balance,
       newest.available, newest.asserted_at, newest.source,
       coalesce((SELECT sum(flight.balance) FROM books AS flight WHERE flight.shortcode = books.shortcode
           AND flight.provider = books.provider AND flight.currency = books.currency
           AND flight.role IN ('payout_in_transit', 'payout_unknown')), 0)::bigint AS in_flight
FROM books LEFT JOIN LATERAL (
    SELECT f.available, f.asserted_at, f.source FROM float_assertions AS f
    WHERE f.ledger_id = %(ledger)s AND f.provider = books.provider AND f.shortcode = books.shortcode
      AND f.sub_account = books.sub_account AND f.currency = books.currency
    ORDER BY f.asserted_at DESC, f.id DESC LIMIT 1) AS newest ON true
WHERE books.sub_account IS NOT NULL ORDER BY 1, 2, books.path
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """A provider's word on one sub-account ("utility", "working", "charges_paid"): `available` may be negative."""

    provider: str
    shortcode: str
    sub_account: str
    available: int
    currency: str
    asserted_at: datetime
    source: str
    payout_id: int | None = None


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A float account that the provider says holds `missing` minor units less than anything in the books explains."""

    account: str
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatPosition:
    """One sub-account: the books, the provider's newest word (None where it never spoke), and what is in flight between
    the two on its shortcode. All in minor units, charges owed as a negative balance like the provider shows them."""

    provider: str
    shortcode: str
    sub_account: str
    currency: str
    account: str
    balance: int
    asserted: int | None
    asserted_at: datetime | None
    source: str | None
    in_flight: int

    @property
    def drift(self) -> int | None:
        """Books minus assertion, in minor units; not an amount, for a provider may assert any figure."""
        return self.balance - self.asserted if self.asserted is not None else None


async def write_assertions(
    driver: Driver, *, ledger_id: int, assertions: Sequence[Assertion], ids: IdSource, now: datetime
) -> None:
    """Keeps what providers said: of several words about one sub-account the newest, the last of equally new ones. The
    messages that carried the others are kept as they came."""
    if not assertions:
        return
    newest: dict[tuple[str, str, str, str], Assertion] = {}
    for one in assertions:
        place = (one.provider, one.shortcode, one.sub_account, one.currency)
        if place not in newest or newest[place].asserted_at <= one.asserted_at:
            newest[place] = one
    rows = [
        (
            ids.next(now),
            a.provider,
            a.shortcode,
            a.sub_account,
            a.currency,
            a.available,
            a.asserted_at,
            a.source,
            a.payout_id,
        )
        for a in newest.values()
    ]
    await driver.execute(_WRITE, (ledger_id, *(list(column) for column in zip(*rows, strict=True))))


async def float_positions(connection: AsyncConnection, *, ledger_id: int) -> list[FloatPosition]:
    """Every float sub-account of the ledger, and charges owed, beside the provider's newest word."""
    cursor = await (await driver(connection)).execute(_POSITION, {"ledger": ledger_id})
    return [
        FloatPosition(
            provider=row[0],
            shortcode=row[1],
            sub_account=row[2],
            currency=row[3],
            account=row[4],
            balance=row[5],
            asserted=row[6],
            asserted_at=row[7],
            source=row[8],
            in_flight=row[9],
        )
        for row in await cursor.fetchall()
    ]


# What a provider holds less than the books, everything in flight and what came in since can explain. In flight are
# payouts on their way, and receipts on their way back. What left between its word and now is in the books or in flight;
# what came in between is not yet in its word. Never alarms falsely: the clocks may disagree by _CLOCK_DOUBT.
_UNEXPLAINED = """
SELECT a.path, b.debits - b.credits - late.debits - flight.balance - newest.available AS missing
FROM accounts AS a JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
CROSS JOIN LATERAL (
    SELECT f.available, f.asserted_at FROM float_assertions AS f
    WHERE f.ledger_id = a.ledger_id AND f.provider = a.provider AND f.shortcode = a.wallet_ref
      AND f.currency = a.currency AND f.sub_account = regexp_replace(a.path, '^.*[.]', '')
    ORDER BY f.asserted_at DESC, f.id DESC LIMIT 1) AS newest
CROSS JOIN LATERAL (
    SELECT coalesce(sum(p.amount), 0) AS debits FROM postings AS p
    JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id
    WHERE p.ledger_id = a.ledger_id AND p.account_id = a.id AND p.side = 'D'
      AND e.recorded_at > newest.asserted_at - %(doubt)s) AS late
CROSS JOIN LATERAL (
    SELECT coalesce(sum(w.credits - w.debits), 0) AS balance FROM accounts AS t
    JOIN account_balances AS w ON w.ledger_id = t.ledger_id AND w.account_id = t.id
    WHERE t.ledger_id = a.ledger_id AND t.provider = a.provider AND t.wallet_ref = a.wallet_ref
      AND t.currency = a.currency
      AND (t.role IN ('payout_in_transit', 'payout_unknown') OR t.path LIKE 'liab.receipts.returning.%%')) AS flight
WHERE a.ledger_id = %(ledger)s AND a.provider = %(provider)s AND a.wallet_ref = %(shortcode)s
  AND a.path LIKE 'asset.float.%%'
"""
_CLOCK_DOUBT = timedelta(minutes=5)

_DUE = """
SELECT a.ledger_id, a.provider, a.wallet_ref FROM accounts AS a
WHERE a.role = 'payout_float' AND a.provider = ANY(%s) AND NOT EXISTS (SELECT FROM balance_queries AS q
    WHERE q.ledger_id = a.ledger_id AND q.provider = a.provider AND q.shortcode = a.wallet_ref AND q.asked_at > %s)
ORDER BY 1, 2, 3
"""
_ASK = """
INSERT INTO balance_queries (ledger_id, id, provider, shortcode, token_hash, asked_at) VALUES (%s, %s, %s, %s, %s, %s)
"""
_ASKED = "SELECT token_hash, provider, shortcode FROM balance_queries WHERE ledger_id = %s AND token_hash = ANY(%s)"


async def find_unexplained(driver: Driver, *, ledger_id: int, provider: str, shortcode: str) -> list[Unexplained]:
    """The sub-accounts of a shortcode from which money left that no payout explains: somebody pays with our
    credentials, or the provider took something that is not booked."""
    parameters = {"ledger": ledger_id, "provider": provider, "shortcode": shortcode, "doubt": _CLOCK_DOUBT}
    cursor = await driver.execute(_UNEXPLAINED, parameters)
    return [Unexplained(path, int(missing)) for path, missing in await cursor.fetchall() if missing > 0]


async def find_due(driver: Driver, *, providers: Sequence[str], asked_before: datetime) -> list[tuple[int, str, str]]:
    """The (ledger id, provider, shortcode) whose balances were not asked for since."""
    cursor = await driver.execute(_DUE, (list(providers), asked_before))
    return [(ledger_id, provider, shortcode) for ledger_id, provider, shortcode in await cursor.fetchall()]


async def write_query(
    driver: Driver, *, ledger_id: int, provider: str, shortcode: str, token_hash: bytes, ids: IdSource, now: datetime
) -> None:
    """Stores a question before it is asked, so that its answer is known by its path."""
    await driver.execute(_ASK, (ledger_id, ids.next(now), provider, shortcode, token_hash, now))


async def find_queries(
    driver: Driver, *, ledger_id: int, token_hashes: Sequence[bytes]
) -> dict[bytes, tuple[str, str]]:
    """The (provider, shortcode) of the questions that were given these paths."""
    cursor = await driver.execute(_ASKED, (ledger_id, list(token_hashes)))
    return {bytes(token_hash): (provider, shortcode) for token_hash, provider, shortcode in await cursor.fetchall()}
