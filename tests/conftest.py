"""Fixtures come from plugins, one per subject: tests/fix_*.py. Here are the order in which files are begun, and how
Hypothesis chooses: the same cases every time, so that a change is judged by what it changes;
`--hypothesis-profile=search` looks for new ones."""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("settled", settings.get_profile("search"), derandomize=True, database=None)
settings.load_profile("settled")

pytest_plugins = ["tests.fix_canary", "tests.fix_api", "tests.fix_database", "tests.fix_embedded"]

# A file is run whole by one process. Those that take longest are begun first, so that none is still at work alone.
LONG = ("simulation", "torture", "lifecycle", "journeys", "model", "webhooks")


def pytest_configure() -> None:
    """Imports all of the product: Hypothesis tries the constants of whatever is imported by then, which would otherwise
    depend on the files that a process happened to run before."""
    for package in ("ledger", "adapters", "api"):
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves the order within a folder as it is."""
    items.sort(key=lambda item: min((LONG.index(part) for part in item.path.parts if part in LONG), default=len(LONG)))
