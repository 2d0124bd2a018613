"""The refusals of text messages, beside the tree in ledger/errors.py."""

from __future__ import annotations

from ledger.errors import NotFound, RuleBroken


class MessageNotFound(NotFound):
    """No message of that id in this ledger."""


class MessageNotResendable(RuleBroken):
    """The message did not fail, or has moved on since it was read: what may have arrived is not sent again."""
