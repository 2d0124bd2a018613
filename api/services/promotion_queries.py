"""PromotionQueryService: convert, one ledger call, convert."""

from __future__ import annotations

import grpc.aio
from daftari.v1 import promotions_pb2 as pb
from daftari.v1.promotions_pb2_grpc import PromotionQueryServiceServicer

from api.caller import current_call
from api.conversion import promotions as conversion
from api.conversion.pages import page_of
from api.conversion.times import date_of
from api.core import Core
from ledger.database import driver, transaction
from ledger.journal.books import Ledger
from ledger.promotions import campaigns, queries
from ledger.promotions.code import normalise
from ledger.promotions.code_keys import CodeKeys
from ledger.promotions.report import campaign_report

_ID_MAX = 2**63 - 1


class PromotionQueries(PromotionQueryServiceServicer):
    """See protos/daftari/v1/promotions.proto."""

    def __init__(self, core: Core, *, keys: CodeKeys) -> None:
        self._core = core
        self._keys = keys

    async def ListCampaigns(
        self,
        request: pb.ListCampaignsRequest,
        context: grpc.aio.ServicerContext[pb.ListCampaignsRequest, pb.ListCampaignsResponse],
    ) -> pb.ListCampaignsResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await campaigns.list_campaigns(
                await driver(connection),
                ledger_id=ledger.id,
                after=page.text(),
                limit=page.size + 1,
                partner_id=_partner_id(),
            )
        shown = found[: page.size]
        return pb.ListCampaignsResponse(
            campaigns=[conversion.campaign_message(one) for one in shown],
            next_page_token=page.next_token(shown[-1].code) if len(found) > page.size else "",
        )

    async def GetBatch(
        self,
        request: pb.GetBatchRequest,
        context: grpc.aio.ServicerContext[pb.GetBatchRequest, pb.GetBatchResponse],
    ) -> pb.GetBatchResponse:
        ledger = await self._ledger(request.ledger)
        async with transaction(self._core.engine) as connection:
            session = await driver(connection)
            if request.WhichOneof("batch") == "code":
                batch = await queries.find_batch(
                    session, ledger_id=ledger.id, code=request.code, partner_id=_partner_id()
                )
            else:
                batch_id = conversion.batch_id_of(request.batch_id)
                batch = await queries.get_batch(
                    session, ledger_id=ledger.id, batch_id=batch_id, partner_id=_partner_id()
                )
        return pb.GetBatchResponse(batch=conversion.batch_message(batch))

    async def ListBatches(
        self,
        request: pb.ListBatchesRequest,
        context: grpc.aio.ServicerContext[pb.ListBatchesRequest, pb.ListBatchesResponse],
    ) -> pb.ListBatchesResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await queries.list_batches(
                await driver(connection),
                ledger_id=ledger.id,
                campaign=request.campaign,
                states=conversion.states_of(request.states),
                before=page.number() or _ID_MAX,
                limit=page.size + 1,
                partner_id=_partner_id(),
            )
        shown = found[: page.size]
        return pb.ListBatchesResponse(
            batches=[conversion.batch_message(one) for one in shown],
            next_page_token=page.next_token(shown[-1].id) if len(found) > page.size else "",
        )

    async def ListBatchEvents(
        self,
        request: pb.ListBatchEventsRequest,
        context: grpc.aio.ServicerContext[pb.ListBatchEventsRequest, pb.ListBatchEventsResponse],
    ) -> pb.ListBatchEventsResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request)
        batch_id = conversion.batch_id_of(request.batch_id)
        async with transaction(self._core.engine) as connection:
            session = await driver(connection)
            await queries.get_batch(session, ledger_id=ledger.id, batch_id=batch_id, partner_id=_partner_id())
            found = await queries.list_batch_events(
                session, ledger_id=ledger.id, batch_id=batch_id, after=page.number(), limit=page.size + 1
            )
        shown = found[: page.size]
        return pb.ListBatchEventsResponse(
            events=[conversion.batch_event_message(one) for one in shown],
            next_page_token=page.next_token(shown[-1].version) if len(found) > page.size else "",
        )

    async def GetCode(
        self,
        request: pb.GetCodeRequest,
        context: grpc.aio.ServicerContext[pb.GetCodeRequest, pb.GetCodeResponse],
    ) -> pb.GetCodeResponse:
        ledger = await self._ledger(request.ledger)
        code_hash = self._keys.hash(normalise(request.code), ledger_id=ledger.id)
        async with transaction(self._core.engine) as connection:
            standing = await queries.get_code(await driver(connection), ledger_id=ledger.id, code_hash=code_hash)
        return pb.GetCodeResponse(standing=conversion.standing_message(standing))

    async def GetRedemption(
        self,
        request: pb.GetRedemptionRequest,
        context: grpc.aio.ServicerContext[pb.GetRedemptionRequest, pb.GetRedemptionResponse],
    ) -> pb.GetRedemptionResponse:
        ledger, redemption_id = (
            await self._ledger(request.ledger),
            conversion.redemption_id_of(request.redemption_id),
        )
        async with transaction(self._core.engine) as connection:
            session = await driver(connection)
            redemption = await queries.get_redemption(
                session, ledger_id=ledger.id, redemption_id=redemption_id, partner_id=_partner_id()
            )
            events = await queries.list_redemption_events(session, ledger_id=ledger.id, redemption_id=redemption_id)
        return pb.GetRedemptionResponse(
            redemption=conversion.redemption_message(redemption),
            events=[conversion.redemption_event_message(one) for one in events],
        )

    async def ListRedemptions(
        self,
        request: pb.ListRedemptionsRequest,
        context: grpc.aio.ServicerContext[pb.ListRedemptionsRequest, pb.ListRedemptionsResponse],
    ) -> pb.ListRedemptionsResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await queries.list_redemptions(
                await driver(connection),
                ledger_id=ledger.id,
                batch_id=conversion.batch_id_of(request.batch_id) if request.batch_id else None,
                states=conversion.redemption_states_of(request.states),
                before=page.number() or _ID_MAX,
                limit=page.size + 1,
                partner_id=_partner_id(),
            )
        shown = found[: page.size]
        return pb.ListRedemptionsResponse(
            redemptions=[conversion.redemption_message(one) for one in shown],
            next_page_token=page.next_token(shown[-1].id) if len(found) > page.size else "",
        )

    async def GetCampaignReport(
        self,
        request: pb.GetCampaignReportRequest,
        context: grpc.aio.ServicerContext[pb.GetCampaignReportRequest, pb.GetCampaignReportResponse],
    ) -> pb.GetCampaignReportResponse:
        ledger = await self._ledger(request.ledger)
        start, end = date_of(request.from_date, field="from_date"), date_of(request.to_date, field="to_date")
        async with transaction(self._core.engine) as connection:
            report = await campaign_report(
                await driver(connection),
                ledger=ledger,
                code=request.campaign,
                start=start,
                end=end,
                partner_id=_partner_id(),
            )
        return pb.GetCampaignReportResponse(
            campaign=conversion.campaign_message(report.campaign),
            batches=[conversion.figures_message(one) for one in report.batches],
            days=[conversion.day_message(one) for one in report.days],
        )

    async def _ledger(self, code: str) -> Ledger:
        return await self._core.ledgers.find(code, caller=current_call().caller)


def _partner_id() -> int | None:
    """A partner's key reads that partner's batches, and what became of their codes, alone."""
    return current_call().caller.partner_id
