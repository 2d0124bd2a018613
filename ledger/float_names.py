"""What a provider calls the accounts it keeps for a shortcode or wallet; adapters declare it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FloatNames:
    """The last word of three accounts' paths: the one persons are paid from, the one businesses are paid from, and the
    one that collections land on, which is one of the two."""

    paying: str = "utility"
    working: str = "working"
    collecting: str = "utility"


USUAL_FLOATS = FloatNames()
