"""The services of promotions on one core, and the gatherer that redemptions go through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from daftari.v1 import promotions_pb2 as pb
from daftari.v1.promotions_pb2_grpc import (
    add_PromotionCommandServiceServicer_to_server,
    add_PromotionQueryServiceServicer_to_server,
)

from api.core import Core
from api.gathering import LedgerGatherers
from api.posting import RACES
from api.promoting import PromotionParts
from api.server import Service
from api.services.promotion_commands import CodeRedeemer, PromotionCommands
from api.services.promotion_queries import PromotionQueries
from api.services.redemption_counts import RedemptionCounts
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.promotions.judging import RedemptionOrder
from ledger.promotions.redeeming import RACING_CONSTRAINTS, Redeemer, RedeemResult

_NAMES = pb.DESCRIPTOR.services_by_name


def open_redeemer(core: Core, *, redeemer: Redeemer, monotonic: Callable[[], float]) -> CodeRedeemer:
    """The gatherer in front of redeemer.redeem(). Close it with the server."""

    async def redeem(driver: Driver, ledger: Ledger, orders: Sequence[RedemptionOrder]) -> Sequence[RedeemResult]:
        return await redeemer.redeem(driver, ledger=ledger, orders=orders, now=core.now())

    return LedgerGatherers(core.engine, redeem, again_on=RACES | RACING_CONSTRAINTS, monotonic=monotonic)


def promotion_services(
    core: Core, *, parts: PromotionParts, redeemer: CodeRedeemer, counts: RedemptionCounts
) -> list[Service]:
    """PromotionCommandService and PromotionQueryService on this core."""
    commands = PromotionCommands(core, parts=parts, redeemer=redeemer, counts=counts)
    queries = PromotionQueries(core, keys=parts.keys)
    return [
        Service(
            _NAMES["PromotionCommandService"].full_name,
            partial(add_PromotionCommandServiceServicer_to_server, commands),
        ),
        Service(
            _NAMES["PromotionQueryService"].full_name, partial(add_PromotionQueryServiceServicer_to_server, queries)
        ),
    ]
