"""Refunds over gRPC: convert, one ledger call, convert."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

import grpc.aio
from daftari.v1 import refunds_pb2 as pb
from daftari.v1.refunds_pb2_grpc import (
    RefundCommandServiceServicer,
    RefundQueryServiceServicer,
    add_RefundCommandServiceServicer_to_server,
    add_RefundQueryServiceServicer_to_server,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import current_call
from api.conversion import refunds as conversion
from api.conversion.pages import page_of
from api.conversion.payouts import payout_id_of
from api.core import Core
from api.server import Service
from ledger.database import Driver, driver, run, transaction
from ledger.refunds import RACING_CONSTRAINTS, Approval, Refund, RefundDesk, list_refunds, read_refund

_NAMES = pb.DESCRIPTOR.services_by_name
_Command: TypeAlias = Callable[[Driver], Awaitable[tuple[Refund, bool]]]


class RefundCommands(RefundCommandServiceServicer):
    """See protos/daftari/v1/refunds.proto."""

    def __init__(self, core: Core, *, desk: RefundDesk) -> None:
        self._core = core
        self._desk = desk

    async def RequestRefund(
        self,
        request: pb.RequestRefundRequest,
        context: grpc.aio.ServicerContext[pb.RequestRefundRequest, pb.RequestRefundResponse],
    ) -> pb.RequestRefundResponse:
        caller, now = current_call().caller, self._core.now()
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        wanted = conversion.refund_request_of(request, client_id=caller.client_id, actor=caller.name, now=now)
        made, replayed = await self._run(partial(self._desk.request, ledger=ledger, request=wanted, now=now))
        return pb.RequestRefundResponse(refund=conversion.refund_message(made), replayed=replayed)

    async def ApproveRefund(
        self,
        request: pb.ApproveRefundRequest,
        context: grpc.aio.ServicerContext[pb.ApproveRefundRequest, pb.ApproveRefundResponse],
    ) -> pb.ApproveRefundResponse:
        caller, now = current_call().caller, self._core.now()
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        approval = Approval(conversion.refund_id_of(request.refund_id), caller.name)
        made, replayed = await self._run(partial(self._desk.approve, ledger=ledger, approval=approval, now=now))
        return pb.ApproveRefundResponse(refund=conversion.refund_message(made), replayed=replayed)

    async def RejectRefund(
        self,
        request: pb.RejectRefundRequest,
        context: grpc.aio.ServicerContext[pb.RejectRefundRequest, pb.RejectRefundResponse],
    ) -> pb.RejectRefundResponse:
        caller, now = current_call().caller, self._core.now()
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        approval = Approval(conversion.refund_id_of(request.refund_id), caller.name, request.reason)
        made, replayed = await self._run(partial(self._desk.reject, ledger=ledger, approval=approval, now=now))
        return pb.RejectRefundResponse(refund=conversion.refund_message(made), replayed=replayed)

    async def _run(self, command: _Command) -> tuple[Refund, bool]:
        async def once(connection: AsyncConnection) -> tuple[Refund, bool]:
            return await command(await driver(connection))

        return await run(self._core.engine, once, again_on=RACING_CONSTRAINTS)


class RefundQueries(RefundQueryServiceServicer):
    """See protos/daftari/v1/refunds.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetRefund(
        self,
        request: pb.GetRefundRequest,
        context: grpc.aio.ServicerContext[pb.GetRefundRequest, pb.GetRefundResponse],
    ) -> pb.GetRefundResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        refund_id = conversion.refund_id_of(request.refund_id)
        async with transaction(self._core.engine) as connection:
            found = await read_refund(await driver(connection), ledger_id=ledger.id, refund_id=refund_id)
        return pb.GetRefundResponse(refund=conversion.refund_message(found))

    async def ListRefunds(
        self,
        request: pb.ListRefundsRequest,
        context: grpc.aio.ServicerContext[pb.ListRefundsRequest, pb.ListRefundsResponse],
    ) -> pb.ListRefundsResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        page = page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await list_refunds(
                await driver(connection),
                ledger_id=ledger.id,
                payout_id=payout_id_of(request.payout_id) if request.payout_id else None,
                only_open=request.only_open,
                before=page.before(),
                limit=page.limit,
            )
        shown, token = page.cut(found, lambda one: (one.id,))
        return pb.ListRefundsResponse(refunds=[conversion.refund_message(one) for one in shown], next_page_token=token)


def refund_services(core: Core, *, desk: RefundDesk) -> list[Service]:
    """RefundCommandService and RefundQueryService on this core."""
    commands, reading = RefundCommands(core, desk=desk), RefundQueries(core)
    return [
        Service(
            _NAMES["RefundCommandService"].full_name, partial(add_RefundCommandServiceServicer_to_server, commands)
        ),
        Service(_NAMES["RefundQueryService"].full_name, partial(add_RefundQueryServiceServicer_to_server, reading)),
    ]
