"""The refusals of promotions, beside the tree in ledger/errors.py: each with a stable reason, as every refusal has."""

from __future__ import annotations

from ledger.errors import AlreadyExists, Category, InvalidInput, LedgerError, NotFound, RuleBroken


class CodeMalformed(InvalidInput):
    """What was typed cannot be a code: too short, too long, or not letters and digits."""


class CampaignNotFound(NotFound):
    """No campaign of that code in this ledger."""


class BatchNotFound(NotFound):
    """No batch of that id or code in this ledger."""


class CodeNotFound(NotFound):
    """No such code, as the help desk is told."""


class RedemptionNotFound(NotFound):
    """No redemption of that id in this ledger."""


class CampaignExists(AlreadyExists):
    """A campaign of that code is there."""


class BatchExists(AlreadyExists):
    """A batch of that code is there."""


class CodeTaken(AlreadyExists):
    """A code to import is there already, or twice in the request."""


class BatchNotReady(RuleBroken):
    """The batch's state, its codes or its time do not allow this now."""


class CodeNotLive(RuleBroken):
    """The code was redeemed or taken out before."""


class CodesExported(RuleBroken):
    """The codes of the batch were exported under another request."""


class ActivatorNeeded(RuleBroken):
    """The batch asks for another to activate than who created it."""


class CodeNotValid(RuleBroken):
    """All that is told of codes that are wrong, used by another, expired or taken out."""


class PromotionPaused(RuleBroken):
    """The code is of a batch that is paused."""


class CampaignLimitReached(RuleBroken):
    """The phone has redeemed in this campaign, or today, as often as allowed."""


class RedemptionNotFailed(RuleBroken):
    """The redemption does not wait for another try."""


class RedemptionDisputed(RuleBroken):
    """A late success of a redemption's payout is charged while the winner's money waits for it, and clawed back once
    that left another way."""


class TooManyAttempts(LedgerError):
    """The phone typed too many wrong codes within the hour."""

    category = Category.RESOURCE_EXHAUSTED
