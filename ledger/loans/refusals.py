"""The refusals of loans, beside the tree in ledger/errors.py: each with a stable reason, as every refusal has."""

from __future__ import annotations

from ledger.errors import NotFound, RuleBroken


class LoanNotFound(NotFound):
    """No loan of that id in this ledger."""


class LoanProductNotFound(NotFound):
    """No loan product of that code in this ledger."""


class LoanNotReady(RuleBroken):
    """The loan's state does not allow this now."""


class SecondPersonNeeded(RuleBroken):
    """The product asks for another to approve than who requested."""
