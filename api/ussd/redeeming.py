"""Redeeming a code from a pack: one question, one command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from daftari.v1 import promotions_pb2 as pb

from api.ussd.conversation import Talk
from api.ussd.core import CoreRefused, CoreSlow
from api.ussd.screens import Screen
from api.ussd.texts import Text
from ledger.money import Money

if TYPE_CHECKING:
    from daftari.v1.promotions_pb2_grpc import PromotionCommandServiceAsyncStub

_SESSION_LENGTH_MAX = 128


@dataclass(frozen=True, slots=True)
class Redeeming:
    """The menu of the promotions of a ledger."""

    ledger: str
    commands: PromotionCommandServiceAsyncStub

    async def redeem(self, talk: Talk) -> Screen:
        """A code for money. A slow core is asked on under the same request id; the same code from the same phone is
        answered by what it made, so that the caller may dial again."""
        code = talk.ask(talk.say(Text.ENTER_CODE))
        order = pb.RedemptionOrder(
            request_id=talk.request_id("redeem"),
            code=code,
            msisdn=talk.caller.digits,
            session=talk.session_id[:_SESSION_LENGTH_MAX],
        )
        try:
            answer = await talk.command(self.commands.Redeem, pb.RedeemRequest(ledger=self.ledger, order=order))
        except CoreSlow:
            return talk.end(Text.CHECKING)
        except CoreRefused as refused:
            return talk.end(_words_for(refused))
        amount = answer.redemption.amount
        return talk.end(Text.REDEEMED, amount=str(Money(amount.currency, amount.minor_units)))


def _words_for(refused: CoreRefused) -> Text:
    """Wrong, used and expired codes sound alike, as the core has it."""
    if refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Text.TOO_MANY_TRIES
    if refused.code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return Text.NOT_POSSIBLE
    return Text.NOT_REDEEMED
