"""Closes over gRPC: convert, one ledger call, convert. The caller's key is who begins, signs and reopens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from functools import partial
from typing import TypeAlias

from daftari.v1 import closings_pb2 as pb
from daftari.v1.closings_pb2_grpc import (
    ClosingCommandServiceServicer,
    ClosingQueryServiceServicer,
    add_ClosingCommandServiceServicer_to_server,
    add_ClosingQueryServiceServicer_to_server,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import current_call
from api.conversion import closings as conversion
from api.conversion.fields import request_fields
from api.conversion.pages import page_of
from api.core import Core
from api.server import Service
from ledger.database import Driver, driver, run, transaction
from ledger.journal.books import Ledger
from ledger.reconciliation.close_report import read_close_report
from ledger.reconciliation.closing import RACING_CONSTRAINTS, CloseDesk, Closing, Step, find_step, list_closings

_NAMES = pb.DESCRIPTOR.services_by_name
_Command: TypeAlias = Callable[[Driver], Awaitable[Closing]]


class ClosingCommands(ClosingCommandServiceServicer):
    """See protos/daftari/v1/closings.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._desk = CloseDesk(core.ids)

    async def BeginClose(self, request: pb.BeginCloseRequest, context: object) -> pb.BeginCloseResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        last = conversion.through_of(request.through_date)
        made, replayed = await self._take(
            ledger, Step.BEGUN, last,
            lambda session: self._desk.begin(
                session, ledger=ledger, last=last, actor=caller.name, now=self._core.now()
            ),
        )  # fmt: skip
        return pb.BeginCloseResponse(closing=conversion.closing_message(made), replayed=replayed)

    async def SignClose(self, request: pb.SignCloseRequest, context: object) -> pb.SignCloseResponse:
        caller, accept = current_call().caller, request.accept
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        last = conversion.through_of(request.through_date)
        made, replayed = await self._take(
            ledger, Step.SIGNED, last,
            lambda session: self._desk.sign(
                session, ledger=ledger, accept=accept, actor=caller.name, now=self._core.now(), last=last
            ),
        )  # fmt: skip
        return pb.SignCloseResponse(closing=conversion.closing_message(made), replayed=replayed)

    async def ReopenClose(self, request: pb.ReopenCloseRequest, context: object) -> pb.ReopenCloseResponse:
        caller, reason = current_call().caller, request.reason
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        last = conversion.through_of(request.through_date)
        made, replayed = await self._take(
            ledger, Step.REOPENED, last,
            lambda session: self._desk.reopen(
                session, ledger=ledger, reason=reason, actor=caller.name, now=self._core.now(), last=last
            ),
        )  # fmt: skip
        return pb.ReopenCloseResponse(closing=conversion.closing_message(made), replayed=replayed)

    async def _take(self, ledger: Ledger, step: Step, last: date, command: _Command) -> tuple[Closing, bool]:
        """The step, and whether it had been taken before."""

        async def once(connection: AsyncConnection) -> tuple[Closing, bool]:
            session = await driver(connection)
            known = await find_step(session, ledger=ledger, step=step, last=last)
            return (known, True) if known is not None else (await command(session), False)

        with request_fields(names=conversion.FIELDS):
            return await run(self._core.engine, once, again_on=RACING_CONSTRAINTS)


class ClosingQueries(ClosingQueryServiceServicer):
    """See protos/daftari/v1/closings.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ListClosings(self, request: pb.ListClosingsRequest, context: object) -> pb.ListClosingsResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        page = page_of(request)
        async with transaction(self._core.engine) as connection:
            session = await driver(connection)
            found = await list_closings(session, ledger=ledger, before=page.before(), limit=page.limit)
        shown, token = page.cut(found, lambda one: (one.id,))
        steps = [conversion.closing_message(one) for one in shown]
        return pb.ListClosingsResponse(closings=steps, next_page_token=token)

    async def GetCloseReport(self, request: pb.GetCloseReportRequest, context: object) -> pb.GetCloseReportResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        last = conversion.through_of(request.through_date) if request.through_date else None
        with request_fields(names=conversion.FIELDS):
            async with transaction(self._core.engine) as connection:
                report = await read_close_report(connection, ledger=ledger, last=last)
        return conversion.report_message(report)


def closing_services(core: Core) -> list[Service]:
    """ClosingCommandService and ClosingQueryService on this core."""
    commands, queries = ClosingCommands(core), ClosingQueries(core)
    return [
        Service(
            _NAMES["ClosingCommandService"].full_name, partial(add_ClosingCommandServiceServicer_to_server, commands)
        ),
        Service(_NAMES["ClosingQueryService"].full_name, partial(add_ClosingQueryServiceServicer_to_server, queries)),
    ]
