"""The rig as fixtures."""

from __future__ import annotations

from tests.journeys.fixtures import rig, rig_database, shared_rig

__all__ = ["rig", "rig_database", "shared_rig"]
