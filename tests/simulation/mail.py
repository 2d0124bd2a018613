"""The provider's mail: callbacks on their way to our edge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Letter:
    """A callback on its way: where to, about which reference of ours, and in a word what it says ("paid", ...)."""

    due: datetime
    url: str
    body: bytes
    about: str
    says: str = ""
