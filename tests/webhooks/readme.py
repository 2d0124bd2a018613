"""What the README says of webhooks."""

from __future__ import annotations

import re
from pathlib import Path

SECTION = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").partition("## Webhooks\n")[2]
_OF_ALL = {"id", "type", "version"}


def documented(subject: str) -> set[str]:
    """The fields of a body about "orders", "loans" and so on."""
    line = re.search(rf"\n\| {subject} \|(.*)\|\n", SECTION)
    assert line is not None
    return _OF_ALL | set(re.findall(r"`(\w+)`", line[1]))
