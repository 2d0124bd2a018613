"""What is refused about prompts and returns alone. `ledger.errors` has the tree they belong to."""

from __future__ import annotations

from ledger.errors import NotFound, RuleBroken


class PromptNotFound(NotFound):
    """No prompt of that id among the caller's."""


class ReturnNotFound(NotFound):
    """No return of that id in this ledger."""


class RefundNotFound(NotFound):
    """No refund of that id in this ledger."""


class RefundNotReady(RuleBroken):
    """The refund was decided otherwise, or its money is in the books already."""


class ApproverNeeded(RuleBroken):
    """Another person than who asked for the refund approves it."""


class ReturnNotOffered(RuleBroken):
    """The provider has no way to return what came in."""
