"""What is refused about prompts alone. `ledger.errors` has the tree they belong to."""

from __future__ import annotations

from ledger.errors import NotFound


class PromptNotFound(NotFound):
    """No prompt of that id among the caller's."""
