"""PostgreSQL keeps one open alert of a subject, and what was told of it, against the owner too."""

from __future__ import annotations

import pytest

from tests.guards.attacks import CHECK, UNIQUE
from tests.guards.stage import Connection, Stage, refusal

_ADD = """
INSERT INTO alerts (ledger_id, id, kind, subject, summary, opened_at, resolved_at, notices, tries)
VALUES (%(ledger)s, {id}, 'float.low', 'x', 'x is low', now() - interval '1 hour', {resolved}, 2, 0)
"""
OPEN, ANOTHER = _ADD.format(id=1, resolved="NULL"), _ADD.format(id=2, resolved="NULL")
RESOLVED = _ADD.format(id=3, resolved="now()")


@pytest.fixture(params=["app", "owner"])
def anyone(request: pytest.FixtureRequest, app: Connection, owner: Connection) -> Connection:
    """Each of the two roles that may write."""
    return app if request.param == "app" else owner


@pytest.mark.parametrize(
    ("attack", "state", "constraint"),
    [
        (ANOTHER, UNIQUE, "alerts_one_is_open"),
        ("UPDATE alerts SET resolved_at = NULL WHERE id = 3", CHECK, "alerts_stay"),
        ("UPDATE alerts SET resolved_at = now() + interval '1 day' WHERE id = 3", CHECK, "alerts_stay"),
        ("UPDATE alerts SET notices = 0 WHERE id = 1", CHECK, "alerts_stay"),
        ("UPDATE alerts SET resolved_at = now() - interval '1 day' WHERE id = 1", CHECK, "alerts_are_resolved_later"),
    ],
)
def test_an_alert_stays_what_it_is(anyone: Connection, stage: Stage, attack: str, state: str, constraint: str) -> None:
    for query in (OPEN, RESOLVED):
        anyone.execute(query.encode(), {"ledger": stage.ledger_id})

    with refusal(anyone, state, constraint):
        anyone.execute(attack.encode(), {"ledger": stage.ledger_id})


def test_an_alert_becomes_no_other(owner: Connection, stage: Stage) -> None:
    owner.execute(OPEN.encode(), {"ledger": stage.ledger_id})

    with refusal(owner, CHECK, "alerts_stay"):
        owner.execute(b"UPDATE alerts SET subject = 'y' WHERE id = 1")
