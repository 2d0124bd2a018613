"""PromotionCommandService, what people ask of campaigns and batches: convert, one ledger call, convert."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import grpc.aio
from daftari.v1 import promotions_pb2 as pb
from daftari.v1.promotions_pb2_grpc import PromotionCommandServiceServicer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import current_call
from api.conversion import promotions as conversion
from api.core import Core
from ledger.database import Driver, driver, run
from ledger.journal.books import Ledger
from ledger.promotions import campaigns, queries
from ledger.promotions.batch import Event
from ledger.promotions.campaigns import Campaign
from ledger.promotions.desk import RACING_CONSTRAINTS, BatchDesk, Order
from ledger.promotions.issuing import Mint, PrintedCode, Progress, open_export, read_sheet
from ledger.promotions.writing import Batch

# What a command does to a batch; whether the same request had done it before.
_Act: TypeAlias = Callable[[Driver, Ledger, Order], Awaitable[bool]]


class BatchCommands(PromotionCommandServiceServicer):
    """See protos/daftari/v1/promotions.proto."""

    def __init__(self, core: Core, *, desk: BatchDesk, mint: Mint) -> None:
        self._core = core
        self._desk = desk
        self._mint = mint

    async def CreateCampaign(
        self,
        request: pb.CreateCampaignRequest,
        context: grpc.aio.ServicerContext[pb.CreateCampaignRequest, pb.CreateCampaignResponse],
    ) -> pb.CreateCampaignResponse:
        caller, ledger = current_call().caller, await self._ledger(request.ledger)
        wanted = conversion.campaign_request_of(request, client_id=caller.client_id, actor=caller.name)

        async def create(connection: AsyncConnection) -> tuple[Campaign, bool]:
            session = await driver(connection)
            return await campaigns.create_campaign(
                session, ledger_id=ledger.id, campaign=wanted, ids=self._core.ids, now=self._core.now()
            )

        campaign, replayed = await run(self._core.engine, create, again_on=RACING_CONSTRAINTS)
        return pb.CreateCampaignResponse(campaign=conversion.campaign_message(campaign), replayed=replayed)

    async def CreateBatch(
        self,
        request: pb.CreateBatchRequest,
        context: grpc.aio.ServicerContext[pb.CreateBatchRequest, pb.CreateBatchResponse],
    ) -> pb.CreateBatchResponse:
        caller, ledger = current_call().caller, await self._ledger(request.ledger)
        wanted = conversion.batch_request_of(request, client_id=caller.client_id, actor=caller.name)

        async def create(connection: AsyncConnection) -> tuple[Batch, bool]:
            batch_id, replayed = await self._desk.create(
                connection, ledger=ledger, request=wanted, now=self._core.now()
            )
            found = await queries.get_batch(await driver(connection), ledger_id=ledger.id, batch_id=batch_id)
            return found, replayed

        batch, replayed = await run(self._core.engine, create, again_on=RACING_CONSTRAINTS)
        return pb.CreateBatchResponse(batch=conversion.batch_message(batch), replayed=replayed)

    async def GenerateCodes(
        self,
        request: pb.GenerateCodesRequest,
        context: grpc.aio.ServicerContext[pb.GenerateCodesRequest, pb.GenerateCodesResponse],
    ) -> AsyncIterator[pb.GenerateCodesResponse]:
        caller, ledger = current_call().caller, await self._ledger(request.ledger)
        batch_id = conversion.batch_id_of(request.batch_id)

        async def part(connection: AsyncConnection) -> Progress:
            session = await driver(connection)
            return await self._mint.generate(
                session, ledger=ledger, batch_id=batch_id, actor=caller.name, now=self._core.now()
            )

        progress = await run(self._core.engine, part)
        yield pb.GenerateCodesResponse(issued_count=progress.issued, count=progress.count)
        while progress.issued < progress.count:
            progress = await run(self._core.engine, part)
            yield pb.GenerateCodesResponse(issued_count=progress.issued, count=progress.count)

    async def ExportCodes(
        self,
        request: pb.ExportCodesRequest,
        context: grpc.aio.ServicerContext[pb.ExportCodesRequest, pb.ExportCodesResponse],
    ) -> AsyncIterator[pb.ExportCodesResponse]:
        caller, ledger = current_call().caller, await self._ledger(request.ledger)
        order = conversion.order_of(request, client_id=caller.client_id, actor=caller.name)

        async def record(connection: AsyncConnection) -> bool:
            return await open_export(await driver(connection), ledger=ledger, order=order, now=self._core.now())

        await run(self._core.engine, record, again_on=RACING_CONSTRAINTS)
        first = 1
        while sheet := await self._sheet(ledger, order.batch_id, first):
            first = sheet[-1].number + 1
            codes = [pb.ExportedCode(number=one.number, code=one.code) for one in sheet]
            yield pb.ExportCodesResponse(codes=codes)

    async def ActivateBatch(
        self,
        request: pb.ActivateBatchRequest,
        context: grpc.aio.ServicerContext[pb.ActivateBatchRequest, pb.ActivateBatchResponse],
    ) -> pb.ActivateBatchResponse:
        async def act(session: Driver, ledger: Ledger, order: Order) -> bool:
            return await self._desk.activate(session, ledger=ledger, order=order, now=self._core.now())

        batch, replayed = await self._act(request, act)
        return pb.ActivateBatchResponse(batch=batch, replayed=replayed)

    async def PauseBatch(
        self,
        request: pb.PauseBatchRequest,
        context: grpc.aio.ServicerContext[pb.PauseBatchRequest, pb.PauseBatchResponse],
    ) -> pb.PauseBatchResponse:
        async def act(session: Driver, ledger: Ledger, order: Order) -> bool:
            return await self._desk.pause(session, ledger=ledger, order=order, now=self._core.now())

        batch, replayed = await self._act(request, act)
        return pb.PauseBatchResponse(batch=batch, replayed=replayed)

    async def ResumeBatch(
        self,
        request: pb.ResumeBatchRequest,
        context: grpc.aio.ServicerContext[pb.ResumeBatchRequest, pb.ResumeBatchResponse],
    ) -> pb.ResumeBatchResponse:
        async def act(session: Driver, ledger: Ledger, order: Order) -> bool:
            return await self._desk.resume(session, ledger=ledger, order=order, now=self._core.now())

        batch, replayed = await self._act(request, act)
        return pb.ResumeBatchResponse(batch=batch, replayed=replayed)

    async def CancelBatch(
        self,
        request: pb.CancelBatchRequest,
        context: grpc.aio.ServicerContext[pb.CancelBatchRequest, pb.CancelBatchResponse],
    ) -> pb.CancelBatchResponse:
        async def act(session: Driver, ledger: Ledger, order: Order) -> bool:
            return await self._desk.cancel(session, ledger=ledger, order=order, now=self._core.now())

        batch, replayed = await self._act(request, act)
        return pb.CancelBatchResponse(batch=batch, replayed=replayed)

    async def ExpireBatch(
        self,
        request: pb.ExpireBatchRequest,
        context: grpc.aio.ServicerContext[pb.ExpireBatchRequest, pb.ExpireBatchResponse],
    ) -> pb.ExpireBatchResponse:
        async def act(session: Driver, ledger: Ledger, order: Order) -> bool:
            return await self._desk.expire(session, ledger=ledger, order=order, now=self._core.now())

        batch, replayed = await self._act(request, act)
        return pb.ExpireBatchResponse(batch=batch, replayed=replayed)

    async def DisableCode(
        self,
        request: pb.DisableCodeRequest,
        context: grpc.aio.ServicerContext[pb.DisableCodeRequest, pb.DisableCodeResponse],
    ) -> pb.DisableCodeResponse:
        async def act(session: Driver, ledger: Ledger, order: Order) -> bool:
            return await self._desk.take_code(
                session, ledger=ledger, order=order, event=Event.DISABLED, number=request.number, now=self._core.now()
            )

        batch, replayed = await self._act(request, act)
        return pb.DisableCodeResponse(batch=batch, replayed=replayed)

    async def ReportStolen(
        self,
        request: pb.ReportStolenRequest,
        context: grpc.aio.ServicerContext[pb.ReportStolenRequest, pb.ReportStolenResponse],
    ) -> pb.ReportStolenResponse:
        async def act(session: Driver, ledger: Ledger, order: Order) -> bool:
            return await self._desk.take_code(
                session, ledger=ledger, order=order, event=Event.STOLEN, number=request.number, now=self._core.now()
            )

        batch, replayed = await self._act(request, act)
        return pb.ReportStolenResponse(batch=batch, replayed=replayed)

    async def ImportCodes(
        self,
        request: pb.ImportCodesRequest,
        context: grpc.aio.ServicerContext[pb.ImportCodesRequest, pb.ImportCodesResponse],
    ) -> pb.ImportCodesResponse:
        async def act(session: Driver, ledger: Ledger, order: Order) -> bool:
            return await self._mint.take_in(
                session, ledger=ledger, order=order, typed=request.codes, now=self._core.now()
            )

        batch, replayed = await self._act(request, act)
        return pb.ImportCodesResponse(batch=batch, replayed=replayed)

    async def VoidRange(
        self,
        request: pb.VoidRangeRequest,
        context: grpc.aio.ServicerContext[pb.VoidRangeRequest, pb.VoidRangeResponse],
    ) -> pb.VoidRangeResponse:
        caller, ledger = current_call().caller, await self._ledger(request.ledger)
        order = conversion.order_of(request, client_id=caller.client_id, actor=caller.name)
        numbers = (request.first_number, request.last_number)

        async def void(connection: AsyncConnection) -> tuple[int, bool, Batch]:
            session = await driver(connection)
            voided, replayed = await self._desk.void_range(
                session, ledger=ledger, order=order, numbers=numbers, now=self._core.now()
            )
            return voided, replayed, await self._batch(session, ledger, order)

        voided, replayed, batch = await run(self._core.engine, void, again_on=RACING_CONSTRAINTS)
        return pb.VoidRangeResponse(batch=conversion.batch_message(batch), voided_count=voided, replayed=replayed)

    async def _act(self, request: conversion.OrderRequest, act: _Act) -> tuple[pb.Batch, bool]:
        """The batch as it is then."""
        caller, ledger = current_call().caller, await self._ledger(request.ledger)
        order = conversion.order_of(request, client_id=caller.client_id, actor=caller.name)

        async def command(connection: AsyncConnection) -> tuple[Batch, bool]:
            session = await driver(connection)
            replayed = await act(session, ledger, order)
            return await self._batch(session, ledger, order), replayed

        batch, replayed = await run(self._core.engine, command, again_on=RACING_CONSTRAINTS)
        return conversion.batch_message(batch), replayed

    async def _batch(self, session: Driver, ledger: Ledger, order: Order) -> Batch:
        return await queries.get_batch(session, ledger_id=ledger.id, batch_id=order.batch_id)

    async def _sheet(self, ledger: Ledger, batch_id: int, first: int) -> list[PrintedCode]:
        async def read(connection: AsyncConnection) -> list[PrintedCode]:
            return await read_sheet(
                await driver(connection), ledger=ledger, batch_id=batch_id, first_number=first, keys=self._mint.keys
            )

        return await run(self._core.engine, read)

    async def _ledger(self, code: str) -> Ledger:
        return await self._core.ledgers.find(code, caller=current_call().caller)
