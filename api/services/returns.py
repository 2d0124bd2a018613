"""Returns over gRPC: convert, one ledger call, convert."""

from __future__ import annotations

from functools import partial

import grpc.aio
from daftari.v1 import returns_pb2 as pb
from daftari.v1.returns_pb2_grpc import (
    ReturnCommandServiceServicer,
    ReturnQueryServiceServicer,
    add_ReturnCommandServiceServicer_to_server,
    add_ReturnQueryServiceServicer_to_server,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import current_call
from api.conversion import returns as conversion
from api.conversion.collections import receipt_id_of
from api.conversion.pages import id_bounds_of, page_of
from api.core import Core
from api.server import Service
from ledger.collections import listing, returning
from ledger.collections.refusals import ReturnNotFound
from ledger.collections.returning import Return
from ledger.database import driver, run, transaction
from ledger.returns import RACING_CONSTRAINTS, ReturnRecorder

_NAMES = pb.DESCRIPTOR.services_by_name


class ReturnCommands(ReturnCommandServiceServicer):
    """See protos/daftari/v1/returns.proto."""

    def __init__(self, core: Core, *, recorder: ReturnRecorder) -> None:
        self._core = core
        self._recorder = recorder

    async def RequestReturn(
        self,
        request: pb.RequestReturnRequest,
        context: grpc.aio.ServicerContext[pb.RequestReturnRequest, pb.RequestReturnResponse],
    ) -> pb.RequestReturnResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        wanted = conversion.return_request_of(request, client_id=caller.client_id, actor=caller.name)

        async def command(connection: AsyncConnection) -> tuple[Return, bool]:
            return await self._recorder.request(
                await driver(connection), ledger=ledger, request=wanted, now=self._core.now()
            )

        made, replayed = await run(self._core.engine, command, again_on=RACING_CONSTRAINTS)
        return pb.RequestReturnResponse(refund=conversion.return_message(made), replayed=replayed)

    async def TakeBackReceipt(
        self,
        request: pb.TakeBackReceiptRequest,
        context: grpc.aio.ServicerContext[pb.TakeBackReceiptRequest, pb.TakeBackReceiptResponse],
    ) -> pb.TakeBackReceiptResponse:
        caller, now = current_call().caller, self._core.now()
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        taken = conversion.taken_back_of(request, client_id=caller.client_id, actor=caller.name, now=now)

        async def command(connection: AsyncConnection) -> tuple[Return, bool]:
            return await self._recorder.take_back(await driver(connection), ledger=ledger, taken=taken, now=now)

        booked, replayed = await run(self._core.engine, command, again_on=RACING_CONSTRAINTS)
        return pb.TakeBackReceiptResponse(refund=conversion.return_message(booked), replayed=replayed)

    async def CheckReceipt(
        self,
        request: pb.CheckReceiptRequest,
        context: grpc.aio.ServicerContext[pb.CheckReceiptRequest, pb.CheckReceiptResponse],
    ) -> pb.CheckReceiptResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        receipt_id = receipt_id_of(request.receipt_id)

        async def command(connection: AsyncConnection) -> None:
            await self._recorder.check(
                await driver(connection), ledger=ledger, receipt_id=receipt_id, now=self._core.now()
            )

        await run(self._core.engine, command, again_on=RACING_CONSTRAINTS)
        return pb.CheckReceiptResponse()


class ReturnQueries(ReturnQueryServiceServicer):
    """See protos/daftari/v1/returns.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetReturn(
        self,
        request: pb.GetReturnRequest,
        context: grpc.aio.ServicerContext[pb.GetReturnRequest, pb.GetReturnResponse],
    ) -> pb.GetReturnResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        async with transaction(self._core.engine) as connection:
            session = await driver(connection)
            return_id = conversion.known_return_id(request.return_id)
            if return_id is None:
                return_id = await listing.find_return(connection, ledger_id=ledger.id, return_receipt=request.return_id)
            found = await returning.read_returns(session, ledger_id=ledger.id, return_ids=[return_id])
            if return_id not in found:
                raise ReturnNotFound("no such return in this ledger", field="return_id")
            events = await returning.list_events(session, ledger_id=ledger.id, return_id=return_id)
        return pb.GetReturnResponse(
            refund=conversion.return_message(found[return_id]),
            events=[conversion.return_event_message(one) for one in events],
        )

    async def ListReturns(
        self,
        request: pb.ListReturnsRequest,
        context: grpc.aio.ServicerContext[pb.ListReturnsRequest, pb.ListReturnsResponse],
    ) -> pb.ListReturnsResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        page, (id_from, id_before) = page_of(request), id_bounds_of(request)
        async with transaction(self._core.engine) as connection:
            found = await listing.list_returns(
                connection,
                ledger_id=ledger.id,
                receipt_id=receipt_id_of(request.receipt_id) if request.receipt_id else None,
                states=conversion.states_of(request.states),
                id_from=id_from,
                id_before=min(id_before, page.before()),
                limit=page.limit,
            )
        shown, token = page.cut(found, lambda one: (one.id,))
        return pb.ListReturnsResponse(returns=[conversion.return_message(one) for one in shown], next_page_token=token)


def return_services(core: Core, *, recorder: ReturnRecorder) -> list[Service]:
    """ReturnCommandService and ReturnQueryService on this core."""
    commands, reading = ReturnCommands(core, recorder=recorder), ReturnQueries(core)
    return [
        Service(
            _NAMES["ReturnCommandService"].full_name, partial(add_ReturnCommandServiceServicer_to_server, commands)
        ),
        Service(_NAMES["ReturnQueryService"].full_name, partial(add_ReturnQueryServiceServicer_to_server, reading)),
    ]
