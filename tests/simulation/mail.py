"""The provider's mail: callbacks on their way to our edge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Letter:
    """A callback on its way: where to, about which reference of ours, and in a word what it says ("paid", ...)."""

    due: datetime
    url: str
    body: bytes
    about: str
    says: str = ""


class Rail(Protocol):
    """A provider's world, as a history drives it."""

    def work(self) -> int:
        """Carries out what is due; how much that was."""
        ...

    def collect(self) -> Letter | None:
        """The next callback whose time has come."""
        ...

    def next_due(self) -> datetime | None:
        """When the next of either is; None for never."""
        ...
