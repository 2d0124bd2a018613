"""Fixtures come from plugins, one per subject: tests/fix_*.py."""

from __future__ import annotations

pytest_plugins = ["tests.fix_canary", "tests.fix_api", "tests.fix_database", "tests.fix_embedded"]
