"""Adjustments over gRPC: convert, one ledger call, convert. The caller's key is who proposes and who decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from daftari.v1 import adjustments_pb2 as pb
from daftari.v1.adjustments_pb2_grpc import (
    AdjustmentCommandServiceServicer,
    AdjustmentQueryServiceServicer,
    add_AdjustmentCommandServiceServicer_to_server,
    add_AdjustmentQueryServiceServicer_to_server,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from api.admission import Turn
from api.caller import current_call
from api.conversion import adjustments as conversion
from api.conversion.pages import page_of
from api.conversion.reconciliation import run_id_of
from api.core import Core
from api.server import Service
from ledger.database import Driver, driver, run, transaction
from ledger.journal.books import Ledger
from ledger.reconciliation.adjusting import RACING_CONSTRAINTS, AdjustmentDesk, Wanted
from ledger.reconciliation.proposals import (
    Adjustment,
    list_adjustments,
    read_adjusted_breaks,
    read_adjustment,
)
from ledger.reconciliation.queries import read_run

# An approval matches days again; it waits this long for the run before it.
WAIT_SECONDS_MAX = 60.0
_NAMES = pb.DESCRIPTOR.services_by_name
_Result = TypeVar("_Result")
_Command: TypeAlias = Callable[[Driver], Awaitable[_Result]]


class AdjustmentCommands(AdjustmentCommandServiceServicer):
    """See protos/daftari/v1/adjustments.proto."""

    def __init__(self, core: Core, *, desk: AdjustmentDesk, turn: Turn) -> None:
        self._core = core
        self._desk = desk
        self._turn = turn

    async def ProposeAdjustments(
        self, request: pb.ProposeAdjustmentsRequest, context: object
    ) -> pb.ProposeAdjustmentsResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        run_id, wanted = run_id_of(request.run_id), conversion.wanted_of(request)
        if wanted is None:
            command = partial(self._propose_certain, ledger=ledger, run_id=run_id, actor=caller.name)
        else:
            command = partial(self._propose, ledger=ledger, run_id=run_id, wanted=wanted, actor=caller.name)
        found, replayed = await self._run(command)
        shown = [conversion.adjustment_message(one) for one in found[: conversion.SHOWN_MAX]]
        return pb.ProposeAdjustmentsResponse(adjustments=shown, proposed=len(found), replayed=replayed)

    async def ApproveAdjustment(
        self, request: pb.ApproveAdjustmentRequest, context: object
    ) -> pb.ApproveAdjustmentResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        adjustment_id = conversion.adjustment_id_of(request.adjustment_id)
        async with self._turn.held(wait_seconds=WAIT_SECONDS_MAX):
            done, replayed = await self._run(
                lambda session: self._desk.approve(
                    session, ledger=ledger, adjustment_id=adjustment_id, actor=caller.name, now=self._core.now()
                )
            )
        return pb.ApproveAdjustmentResponse(adjustment=conversion.adjustment_message(done), replayed=replayed)

    async def RejectAdjustment(
        self, request: pb.RejectAdjustmentRequest, context: object
    ) -> pb.RejectAdjustmentResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        adjustment_id, reason = conversion.adjustment_id_of(request.adjustment_id), request.reason
        done, replayed = await self._run(
            lambda session: self._desk.reject(
                session, ledger=ledger, adjustment_id=adjustment_id, reason=reason, actor=caller.name,
                now=self._core.now(),
            )
        )  # fmt: skip
        return pb.RejectAdjustmentResponse(adjustment=conversion.adjustment_message(done), replayed=replayed)

    async def _propose(
        self, session: Driver, *, ledger: Ledger, run_id: int, wanted: Wanted, actor: str
    ) -> tuple[Sequence[Adjustment], bool]:
        known = await self._desk.find_proposed(session, ledger=ledger, run_id=run_id, wanted=wanted, actor=actor)
        if known is not None:
            return [known], True
        now = self._core.now()
        made = await self._desk.propose(session, ledger=ledger, run_id=run_id, wanted=wanted, actor=actor, now=now)
        return [made], False

    async def _propose_certain(
        self, session: Driver, *, ledger: Ledger, run_id: int, actor: str
    ) -> tuple[Sequence[Adjustment], bool]:
        now = self._core.now()
        made = await self._desk.propose_certain(session, ledger=ledger, run_id=run_id, actor=actor, now=now)
        known = [] if made else await self._desk.find_certain(session, ledger=ledger, run_id=run_id)
        return made or known, bool(known)

    async def _run(self, command: _Command[_Result]) -> _Result:
        async def once(connection: AsyncConnection) -> _Result:
            return await command(await driver(connection))

        return await run(self._core.engine, once, again_on=RACING_CONSTRAINTS)


class AdjustmentQueries(AdjustmentQueryServiceServicer):
    """See protos/daftari/v1/adjustments.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetAdjustment(self, request: pb.GetAdjustmentRequest, context: object) -> pb.GetAdjustmentResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        adjustment_id = conversion.adjustment_id_of(request.adjustment_id)
        async with transaction(self._core.engine) as connection:
            session = await driver(connection)
            found = await read_adjustment(session, ledger_id=ledger.id, adjustment_id=adjustment_id)
        return pb.GetAdjustmentResponse(adjustment=conversion.adjustment_message(found))

    async def ListAdjustments(self, request: pb.ListAdjustmentsRequest, context: object) -> pb.ListAdjustmentsResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        page, run_id = page_of(request), run_id_of(request.run_id) if request.run_id else None
        async with transaction(self._core.engine) as connection:
            session = await driver(connection)
            if run_id is not None:
                await read_run(session, ledger_id=ledger.id, run_id=run_id)
            found = await list_adjustments(
                session, ledger_id=ledger.id, run_id=run_id, only_open=request.only_open, before=page.before(),
                limit=page.limit,
            )  # fmt: skip
        shown, token = page.cut(found, lambda one: (one.id,))
        made = [conversion.adjustment_message(one) for one in shown]
        return pb.ListAdjustmentsResponse(adjustments=made, next_page_token=token)

    async def ListAdjustmentBreaks(
        self, request: pb.ListAdjustmentBreaksRequest, context: object
    ) -> pb.ListAdjustmentBreaksResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        page, adjustment_id = page_of(request), conversion.adjustment_id_of(request.adjustment_id)
        async with transaction(self._core.engine) as connection:
            session = await driver(connection)
            one = await read_adjustment(session, ledger_id=ledger.id, adjustment_id=adjustment_id)
            found = await read_adjusted_breaks(
                session, ledger=ledger, adjustment=one, after=page.number(), limit=page.limit
            )
        shown, token = page.cut(found, lambda each: (each.number,))
        breaks = [conversion.break_message(each, one.currency) for each in shown]
        return pb.ListAdjustmentBreaksResponse(breaks=breaks, next_page_token=token)


def adjustment_services(core: Core, *, desk: AdjustmentDesk, turn: Turn) -> list[Service]:
    """AdjustmentCommandService and AdjustmentQueryService on this core; `turn` is that of runs."""
    commands, queries = AdjustmentCommands(core, desk=desk, turn=turn), AdjustmentQueries(core)
    return [
        Service(
            _NAMES["AdjustmentCommandService"].full_name,
            partial(add_AdjustmentCommandServiceServicer_to_server, commands),
        ),
        Service(
            _NAMES["AdjustmentQueryService"].full_name, partial(add_AdjustmentQueryServiceServicer_to_server, queries)
        ),
    ]
