"""What free text may hold: bounded, and without characters that PostgreSQL or a terminal would choke on. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ledger.errors import TextInvalid

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def check_text(text: str, *, field: str, length_max: int) -> None:
    """Raises TextInvalid for empty, too long, or control characters (which PostgreSQL or a terminal would choke on)."""
    if not 1 <= len(text) <= length_max:
        raise TextInvalid(f"{field} must have 1 to {length_max} characters", field=field)
    if _CONTROL.search(text):
        raise TextInvalid(f"{field} must not hold control characters", field=field)


def check_facts(facts: Mapping[str, str] | None) -> None:
    """Facts are a small map of short texts: at most 32 of 1 to 200 characters."""
    if not facts:
        return
    if len(facts) > 32:
        raise TextInvalid("an entry carries at most 32 facts", field="facts")
    for name, value in facts.items():
        check_text(name, field="facts", length_max=64)
        check_text(value, field="facts", length_max=200)
