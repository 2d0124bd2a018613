"""The journeys' rig, to do to the product what the search found in the model."""

from __future__ import annotations

from tests.journeys.fixtures import rig, rig_database, shared_rig

__all__ = ["rig", "rig_database", "shared_rig"]
