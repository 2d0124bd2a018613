"""A pytest plugin: with `-p tests.only_database`, only tests that use the session's PostgreSQL run.

For a second run against another server: the rest would do the same again, and so would those that are about processes,
and those that do much of what their neighbours show once. What a plan reads is another planner's business there.
"""

from __future__ import annotations

import pytest

ABOUT_PROCESSES = frozenset(
    {
        "test_cli.py",
        "test_collection_commands.py",
        "test_kill.py",
        "test_credentials_rotate.py",
        "test_vault_commands.py",
        "test_cuts_at_commit.py",
    }
)
# Which rows a plan reads before its tables were analysed is the planner's: it is shown on the server that is shipped.
# PostgreSQL 15 reads more rows of young payouts there, by the index of the ledger, until autovacuum has looked.
ABOUT_PLANS = frozenset({"test_payout_plans.py"})
MUCH_OF_THE_SAME = frozenset(
    {
        "test_backlog.py",
        "test_forgeries.py",
        "test_races_of_threads.py",
        "test_random_lives.py",
        "test_till_machine.py",
        "test_token_storm.py",
    }
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps the tests that need `postgres_admin`, directly or through other fixtures."""
    kept = [
        item
        for item in items
        if "postgres_admin" in getattr(item, "fixturenames", ())
        and item.path.name not in ABOUT_PROCESSES | ABOUT_PLANS | MUCH_OF_THE_SAME
    ]
    if left := [item for item in items if item not in kept]:
        config.hook.pytest_deselected(items=left)
    items[:] = kept
