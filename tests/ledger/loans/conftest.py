"""How thoroughly to search: `--hypothesis-profile=thorough` lives through ten times as many loans."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("thorough", max_examples=10_000, deadline=None)
