"""The review queues' two services: convert, one ledger call, convert."""

from __future__ import annotations

from functools import partial

import grpc.aio
from daftari.v1 import reviews_pb2 as pb
from daftari.v1.reviews_pb2_grpc import (
    ReviewCommandServiceServicer,
    ReviewQueryServiceServicer,
    add_ReviewCommandServiceServicer_to_server,
    add_ReviewQueryServiceServicer_to_server,
)

from api.caller import current_call
from api.conversion.pages import page_of
from api.conversion.reviews import resolution_of, review_id_of, review_message
from api.core import Core
from api.server import Service
from ledger.database import run, transaction
from ledger.outcomes import RACING_CONSTRAINTS, OutcomeRecorder
from ledger.payouts import reviews
from ledger.resolutions import resolve_review
from ledger.returns import RACING_CONSTRAINTS as RETURNS_RACES
from ledger.returns import ReturnRecorder

_NAMES = pb.DESCRIPTOR.services_by_name


class ReviewCommands(ReviewCommandServiceServicer):
    """See protos/daftari/v1/reviews.proto."""

    def __init__(self, core: Core, *, recorder: OutcomeRecorder, returns: ReturnRecorder) -> None:
        self._core = core
        self._recorder = recorder
        self._returns = returns

    async def ResolveReview(
        self,
        request: pb.ResolveReviewRequest,
        context: grpc.aio.ServicerContext[pb.ResolveReviewRequest, pb.ResolveReviewResponse],
    ) -> pb.ResolveReviewResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        command = partial(
            resolve_review,
            ledger=ledger,
            review_id=review_id_of(request.review_id),
            resolution=resolution_of(request),
            actor=caller.name,
            recorder=self._recorder,
            returns=self._returns,
            now=self._core.now(),
        )
        resolved = await run(self._core.engine, command, again_on=RACING_CONSTRAINTS | RETURNS_RACES)
        return pb.ResolveReviewResponse(review=review_message(resolved))


class ReviewQueries(ReviewQueryServiceServicer):
    """See protos/daftari/v1/reviews.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetReview(
        self, request: pb.GetReviewRequest, context: grpc.aio.ServicerContext[pb.GetReviewRequest, pb.GetReviewResponse]
    ) -> pb.GetReviewResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        async with transaction(self._core.engine) as connection:
            found = await reviews.get_review(connection, ledger_id=ledger.id, review_id=review_id_of(request.review_id))
        return pb.GetReviewResponse(review=review_message(found))

    async def ListReviews(
        self,
        request: pb.ListReviewsRequest,
        context: grpc.aio.ServicerContext[pb.ListReviewsRequest, pb.ListReviewsResponse],
    ) -> pb.ListReviewsResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        page = page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await reviews.list_open(
                connection, ledger_id=ledger.id, queue=request.queue, after=page.number(), limit=page.limit
            )
        shown, token = page.cut(found, lambda one: (one.id,))
        return pb.ListReviewsResponse(reviews=[review_message(one) for one in shown], next_page_token=token)


def review_services(core: Core, *, recorder: OutcomeRecorder, returns: ReturnRecorder) -> list[Service]:
    """ReviewCommandService and ReviewQueryService on this core."""
    commands, queries = ReviewCommands(core, recorder=recorder, returns=returns), ReviewQueries(core)
    return [
        Service(
            _NAMES["ReviewCommandService"].full_name, partial(add_ReviewCommandServiceServicer_to_server, commands)
        ),
        Service(_NAMES["ReviewQueryService"].full_name, partial(add_ReviewQueryServiceServicer_to_server, queries)),
    ]
