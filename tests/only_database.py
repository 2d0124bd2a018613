"""A pytest plugin: with `-p tests.only_database`, only tests that use the session's PostgreSQL run.

For a second run against another server: the rest would do the same again.
"""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps the tests that need `postgres_admin`, directly or through other fixtures."""
    kept = [item for item in items if "postgres_admin" in getattr(item, "fixturenames", ())]
    if left := [item for item in items if item not in kept]:
        config.hook.pytest_deselected(items=left)
    items[:] = kept
