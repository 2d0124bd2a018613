"""A failing endpoint's backlog, put straight into the table, and how many rows a claim reads beside it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import psycopg
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import Driver, conninfo, driver, run
from ledger.webhooks import deliveries
from ledger.webhooks.deliveries import Claimed, ClaimLimits
from ledger.webhooks.endpoints import Endpoint
from tests.fix_database import Database
from tests.webhooks.desk import LEASE, PER_ENDPOINT, SEALER, Desk

CLAIMED_MAX = 64


class Shape(Enum):
    """What each payout of a backlog waits with at `now`: (version, tries, due, tried) of its deliveries."""

    RESTING = "(1, 1, %(now)s + interval '2 hours', %(now)s - interval '1 hour')"
    DUE = "(1, 1, %(now)s - interval '1 minute', %(now)s - interval '1 hour')"
    BEHIND = (
        "(1, 1, %(now)s + interval '2 hours', %(now)s - interval '1 hour'), (2, 0, %(now)s - interval '1 hour', NULL)"
    )
    RECOVERED = "(1, 3, %(now)s + interval '1 day', %(now)s - interval '1 hour')"


# No payout stands behind these rows: a claim asks for none, and to make thousands takes too long.
_ADD = """
INSERT INTO webhook_deliveries
    (ledger_id, id, endpoint_id, payout_id, version, event, payload, state, created_at, due_at, tries, tried_at)
SELECT %(ledger)s, -(l.lowest + row_number() OVER ()), %(endpoint)s, -(l.lowest + one), v.version, 'payout.settled',
       '\\x7b7d', 'PENDING', %(now)s - interval '1 day', v.due_at + one * interval '1 microsecond', v.tries, v.tried_at
FROM (SELECT coalesce(max(-id), 0) AS lowest FROM webhook_deliveries) AS l, generate_series(1, %(size)s) AS one,
    (VALUES {shape}) AS v (version, tries, due_at, tried_at)
"""
_FAILS = "UPDATE webhook_endpoints SET failing_since = %s, probe_at = %s WHERE id = %s"
_RECOVERS = "UPDATE webhook_endpoints SET failing_since = NULL, probe_at = NULL, recovered_at = %s WHERE id = %s"
_READ = """
SELECT sum(seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_xact_user_tables WHERE relname LIKE 'webhook_%'
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim got, and how many rows of the webhooks' tables it read for it."""

    claimed: list[Claimed]
    rows_read: int


async def pile_up(database: Database, *, endpoint: Endpoint, shape: Shape, size: int, now: datetime) -> None:
    """Adds a backlog of `size` payouts to an endpoint that fails, or has just recovered from failing."""
    await asyncio.to_thread(_pile_up, database, endpoint.id, shape, size, now)


def _pile_up(database: Database, endpoint_id: int, shape: Shape, size: int, now: datetime) -> None:
    with psycopg.connect(conninfo(database.admin), autocommit=True) as admin:
        admin.execute("SET session_replication_role = replica")  # no foreign keys
        rows = admin.execute("SELECT ledger_id FROM webhook_endpoints WHERE id = %s", (endpoint_id,)).fetchall()
        parameters = {"ledger": rows[0][0], "endpoint": endpoint_id, "size": size, "now": now}
        admin.execute(sql.SQL(_ADD).format(shape=sql.SQL(shape.value)), parameters)
        if shape is Shape.RECOVERED:
            admin.execute(_RECOVERS, (now - timedelta(seconds=1), endpoint_id))
        else:
            admin.execute(_FAILS, (now - timedelta(days=1), now + timedelta(minutes=9), endpoint_id))
        admin.execute("ANALYZE webhook_deliveries")  # as autovacuum would within a minute


async def claim(desk: Desk) -> Claim:
    """What a worker claims now, which sends nothing."""
    now = desk.clock()
    limits = ClaimLimits(per_endpoint=PER_ENDPOINT, total=CLAIMED_MAX)
    token = desk.shop.ids.next(now)

    async def command(connection: AsyncConnection) -> Claim:
        session = await driver(connection)
        before = await _rows_read(session)
        claimed = await deliveries.claim(session, limits=limits, lease=LEASE, token=token, sealer=SEALER, now=now)
        return Claim(claimed, await _rows_read(session) - before)

    return await run(desk.shop.engine, command)


async def _rows_read(session: Driver) -> int:
    """By this transaction so far."""
    row = await (await session.execute(_READ)).fetchone()
    assert row is not None
    return int(row[0])
