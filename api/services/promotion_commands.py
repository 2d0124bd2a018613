"""PromotionCommandService: codes are redeemed through the gatherer, so that concurrent phones share a transaction."""

from __future__ import annotations

import grpc.aio
from daftari.v1 import promotions_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import current_call
from api.conversion import promotions as conversion
from api.conversion.refusals import item_error
from api.core import Core
from api.failures import refusal_of
from api.gathering import LedgerGatherers
from api.promoting import PromotionParts
from api.services.promotion_batches import BatchCommands
from api.services.redemption_counts import RedemptionCounts
from ledger.database import driver, run
from ledger.errors import SetTooLarge
from ledger.journal.decide import Refused
from ledger.promotions import queries
from ledger.promotions.judging import RedemptionOrder
from ledger.promotions.redeeming import RACING_CONSTRAINTS, SET_MAX, RedeemResult
from ledger.promotions.redemptions import Redemption

CodeRedeemer = LedgerGatherers[RedemptionOrder, RedeemResult]


class PromotionCommands(BatchCommands):
    """See protos/daftari/v1/promotions.proto."""

    def __init__(self, core: Core, *, parts: PromotionParts, redeemer: CodeRedeemer, counts: RedemptionCounts) -> None:
        super().__init__(core, desk=parts.desk, mint=parts.mint)
        self._book = parts.book
        self._retrier = parts.retrier
        self._redeemer = redeemer
        self._counts = counts

    async def Redeem(
        self,
        request: pb.RedeemRequest,
        context: grpc.aio.ServicerContext[pb.RedeemRequest, pb.RedeemResponse],
    ) -> pb.RedeemResponse:
        call = current_call()
        ledger = await self._ledger(request.ledger)
        self._redeemer.check_room(ledger, 1, deadline=call.deadline)
        wanted = conversion.redemption_order_of(
            request.order,
            book=self._book,
            ledger_id=ledger.id,
            client_id=call.caller.client_id,
            actor=call.caller.name,
        )
        result: RedeemResult = (
            wanted
            if isinstance(wanted, Refused)
            else await self._redeemer.submit(ledger, wanted, deadline=call.deadline)
        )
        self._counts.add(result)
        if isinstance(result, Refused):
            raise result.error.within("order") if result.error.field else result.error
        message = conversion.redemption_message(result.redemption)
        return pb.RedeemResponse(redemption=message, replayed=result.replayed)

    async def RedeemCodes(
        self,
        request: pb.RedeemCodesRequest,
        context: grpc.aio.ServicerContext[pb.RedeemCodesRequest, pb.RedeemCodesResponse],
    ) -> pb.RedeemCodesResponse:
        call = current_call()
        if not 1 <= len(request.orders) <= SET_MAX:
            raise SetTooLarge(f"redeem 1 to {SET_MAX} codes in one call", field="orders")
        ledger = await self._ledger(request.ledger)
        self._redeemer.check_room(ledger, len(request.orders), deadline=call.deadline)
        wanted = [
            conversion.redemption_order_of(
                order,
                book=self._book,
                ledger_id=ledger.id,
                client_id=call.caller.client_id,
                actor=call.caller.name,
            )
            for order in request.orders
        ]
        asked = [one for one in wanted if isinstance(one, RedemptionOrder)]
        results = iter(await self._redeemer.submit_all(ledger, asked, deadline=call.deadline))
        judged = [next(results) if isinstance(one, RedemptionOrder) else one for one in wanted]
        return pb.RedeemCodesResponse(results=[self._result(one, call.request_id) for one in judged])

    async def RetryRedemption(
        self,
        request: pb.RetryRedemptionRequest,
        context: grpc.aio.ServicerContext[pb.RetryRedemptionRequest, pb.RetryRedemptionResponse],
    ) -> pb.RetryRedemptionResponse:
        caller, ledger = current_call().caller, await self._ledger(request.ledger)
        redemption_id = conversion.redemption_id_of(request.redemption_id)
        key = conversion.key_of(request, client_id=caller.client_id)

        async def retry(connection: AsyncConnection) -> tuple[Redemption, bool]:
            replayed = await self._retrier.retry(
                connection,
                ledger=ledger,
                key=key,
                redemption_id=redemption_id,
                actor=caller.name,
                now=self._core.now(),
            )
            found = await queries.get_redemption(
                await driver(connection), ledger_id=ledger.id, redemption_id=redemption_id
            )
            return found, replayed

        redemption, replayed = await run(self._core.engine, retry, again_on=RACING_CONSTRAINTS)
        return pb.RetryRedemptionResponse(redemption=conversion.redemption_message(redemption), replayed=replayed)

    def _result(self, result: RedeemResult | BaseException, request_id: str) -> pb.RedemptionResult:
        if isinstance(result, BaseException):
            result = Refused(refusal_of(result, request_id=request_id))
        self._counts.add(result)
        if isinstance(result, Refused):
            return pb.RedemptionResult(error=item_error(result.error))
        message = conversion.redemption_message(result.redemption)
        return pb.RedemptionResult(redeemed=pb.Redeemed(redemption=message, replayed=result.replayed))
