"""Deliveries of the version that knew payouts alone: they stay as they are, and that version goes on writing them."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg

from ledger import migrate
from ledger.database import conninfo
from tests.fix_database import Database

MIGRATIONS = Path(__file__).parents[2] / "migrations"
LAST_BEFORE = "0014"

_BEFORE = """
INSERT INTO webhook_deliveries
    (ledger_id, id, endpoint_id, payout_id, version, event, payload, state, created_at, due_at, behind)
VALUES (1, 1, 1, 7, 3, 'payout.unknown', '{"version":3}', 'PENDING', now(), now(), false),
       (1, 2, 1, 7, 4, 'payout.settled', '{"version":4}', 'PENDING', now(), now(), true),
       (1, 3, 1, 8, 3, 'payout.settled', '{"version":3}', 'DEAD', now(), now(), false),
       (1, 4, 1, NULL, NULL, 'webhook.ping', '{}', 'DELIVERED', now(), now(), false)
"""
# As that version writes what it queues, and ends what it tried.
_QUEUE = """
INSERT INTO webhook_deliveries
    (ledger_id, id, endpoint_id, payout_id, version, event, payload, state, created_at, due_at)
SELECT 1, d.*, 'PENDING', now(), now()
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::int[], %s::text[], %s::bytea[]) AS d
"""
_END = "UPDATE webhook_deliveries SET state = 'DELIVERED' WHERE id = 1"
_ROWS = """
SELECT id, payout_id, version, event, payload, state, behind, num_nonnulls(order_id, loan_id, prompt_id)
FROM webhook_deliveries ORDER BY id
"""


def test_deliveries_of_before_stay_and_the_version_of_before_goes_on(
    unmigrated_database: Database, tmp_path: Path
) -> None:
    before = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, before, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (before / "versions").glob("[0-9]*.py"):
        if path.name[:4] > LAST_BEFORE:
            path.unlink()
    migrate.upgrade(unmigrated_database.migrator, folder=before)
    with psycopg.connect(conninfo(unmigrated_database.admin)) as admin:
        admin.execute("SET session_replication_role = replica")  # no payouts stand behind these rows
        admin.execute(_BEFORE)

    migrate.upgrade(unmigrated_database.migrator)
    with psycopg.connect(conninfo(unmigrated_database.admin)) as admin:
        kept = admin.execute(_ROWS).fetchall()
        admin.execute(_END)
        let_go = admin.execute("SELECT behind FROM webhook_deliveries WHERE id = 2").fetchone()
        admin.execute("SET session_replication_role = replica")
        admin.execute(_QUEUE, ([5], [1], [9], [3], ["payout.settled"], [b"{}"]))
        queued = admin.execute(_ROWS).fetchall()[-1]

    assert kept == [
        (1, 7, 3, "payout.unknown", b'{"version":3}', "PENDING", False, 0),
        (2, 7, 4, "payout.settled", b'{"version":4}', "PENDING", True, 0),
        (3, 8, 3, "payout.settled", b'{"version":3}', "DEAD", False, 0),
        (4, None, None, "webhook.ping", b"{}", "DELIVERED", False, 0),
    ]
    assert let_go == (False,)
    assert queued == (5, 9, 3, "payout.settled", b"{}", "PENDING", False, 0)
