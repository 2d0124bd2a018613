"""CollectionCommandService: convert, one ledger call, convert."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Protocol

import grpc.aio
from daftari.v1 import collections_pb2 as pb
from daftari.v1.collections_pb2_grpc import CollectionCommandServiceServicer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.acting import partner_of
from api.caller import current_call
from api.conversion import collections as conversion
from api.conversion.entries import entry_id_text
from api.core import Core
from ledger.collections import directory, ordering, queries, shortcodes
from ledger.collections.accounts import check_target
from ledger.collections.allocation import Target, TargetKind
from ledger.collections.ordering import Order
from ledger.collections.reference import ReceiptKeys
from ledger.database import Driver, driver, run
from ledger.journal import accounts
from ledger.journal.books import Ledger
from ledger.receiving import RACING_CONSTRAINTS, Decided, Decision, ReceiptRecorder


class _Decide(Protocol):
    """One of the recorder's decisions."""

    async def __call__(self, driver: Driver, *, ledger: Ledger, decision: Decision, now: datetime) -> Decided: ...


class CollectionCommands(CollectionCommandServiceServicer):
    """See protos/daftari/v1/collections.proto."""

    def __init__(self, core: Core, *, recorder: ReceiptRecorder, keys: ReceiptKeys) -> None:
        self._core = core
        self._recorder = recorder
        self._keys = keys

    async def OpenShortcode(
        self,
        request: pb.OpenShortcodeRequest,
        context: grpc.aio.ServicerContext[pb.OpenShortcodeRequest, pb.OpenShortcodeResponse],
    ) -> pb.OpenShortcodeResponse:
        command = partial(
            shortcodes.open_shortcode,
            ledger=await self._ledger(request.ledger),
            shortcode=conversion.shortcode_of(request.shortcode),
            ids=self._core.ids,
            now=self._core.now(),
        )
        opened = await run(self._core.engine, command)
        return pb.OpenShortcodeResponse(shortcode=conversion.shortcode_message(opened))

    async def AddReference(
        self,
        request: pb.AddReferenceRequest,
        context: grpc.aio.ServicerContext[pb.AddReferenceRequest, pb.AddReferenceResponse],
    ) -> pb.AddReferenceResponse:
        ledger = await self._ledger(request.ledger)
        check_target(request.account)

        async def add(connection: AsyncConnection) -> None:
            await accounts.find_account(
                connection, ledger_id=ledger.id, path=request.account, currency=ledger.base_currency
            )
            await directory.add_reference(
                await driver(connection),
                ledger_id=ledger.id,
                reference=request.reference,
                target=Target(TargetKind.ACCOUNT, request.account),
                keys=self._keys,
                ids=self._core.ids,
                now=self._core.now(),
            )

        await run(self._core.engine, add)
        return pb.AddReferenceResponse()

    async def CreateOrder(
        self,
        request: pb.CreateOrderRequest,
        context: grpc.aio.ServicerContext[pb.CreateOrderRequest, pb.CreateOrderResponse],
    ) -> pb.CreateOrderResponse:
        caller, ledger = current_call().caller, await self._ledger(request.ledger)

        async def create(connection: AsyncConnection) -> tuple[Order, bool]:
            partner = await partner_of(connection, ledger, request.partner, caller)
            wanted = conversion.order_request_of(request, partner=partner, client_id=caller.client_id)
            return await ordering.create_order(
                await driver(connection),
                ledger=ledger,
                request=wanted,
                keys=self._keys,
                ids=self._core.ids,
                now=self._core.now(),
            )

        order, replayed = await run(self._core.engine, create, again_on=ordering.RACING_CONSTRAINTS)
        return pb.CreateOrderResponse(order=conversion.order_message(order), replayed=replayed)

    async def CancelOrder(
        self,
        request: pb.CancelOrderRequest,
        context: grpc.aio.ServicerContext[pb.CancelOrderRequest, pb.CancelOrderResponse],
    ) -> pb.CancelOrderResponse:
        caller, ledger = current_call().caller, await self._ledger(request.ledger)

        async def cancel(connection: AsyncConnection) -> Order:
            return await ordering.cancel_order(
                await driver(connection),
                ledger=ledger,
                order_id=conversion.order_id_of(request.order_id),
                partner_id=caller.partner_id,
                ids=self._core.ids,
                now=self._core.now(),
            )

        return pb.CancelOrderResponse(order=conversion.order_message(await run(self._core.engine, cancel)))

    async def AllocateReceipt(
        self,
        request: pb.AllocateReceiptRequest,
        context: grpc.aio.ServicerContext[pb.AllocateReceiptRequest, pb.AllocateReceiptResponse],
    ) -> pb.AllocateReceiptResponse:
        ledger, caller = await self._ledger(request.ledger), current_call().caller
        decision = Decision(
            key=conversion.allocation_key_of(request, client_id=caller.client_id),
            receipt_id=conversion.receipt_id_of(request.receipt_id),
            target=conversion.target_of(request.target),
            evidence=request.evidence,
            actor=caller.name,
            amount=conversion.amount_of(request),
        )
        receipt, decided = await self._decide(ledger, self._recorder.allocate, decision)
        return pb.AllocateReceiptResponse(
            receipt=conversion.receipt_message(receipt),
            entry_id=entry_id_text(decided.result_id),
            replayed=decided.replayed,
        )

    async def ReallocateReceipt(
        self,
        request: pb.ReallocateReceiptRequest,
        context: grpc.aio.ServicerContext[pb.ReallocateReceiptRequest, pb.ReallocateReceiptResponse],
    ) -> pb.ReallocateReceiptResponse:
        ledger, caller = await self._ledger(request.ledger), current_call().caller
        decision = Decision(
            key=conversion.allocation_key_of(request, client_id=caller.client_id),
            receipt_id=conversion.receipt_id_of(request.receipt_id),
            target=conversion.target_of(request.target) if request.HasField("target") else None,
            evidence=request.evidence,
            actor=caller.name,
        )
        receipt, decided = await self._decide(ledger, self._recorder.reallocate, decision)
        return pb.ReallocateReceiptResponse(
            receipt=conversion.receipt_message(receipt),
            entry_id=entry_id_text(decided.result_id) if decision.target is not None else "",
            replayed=decided.replayed,
        )

    async def _decide(self, ledger: Ledger, decide: _Decide, decision: Decision) -> tuple[queries.Receipt, Decided]:
        async def command(connection: AsyncConnection) -> tuple[queries.Receipt, Decided]:
            decided = await decide(await driver(connection), ledger=ledger, decision=decision, now=self._core.now())
            return await queries.get_receipt(connection, ledger_id=ledger.id, receipt_id=decision.receipt_id), decided

        return await run(self._core.engine, command, again_on=RACING_CONSTRAINTS)

    async def _ledger(self, code: str) -> Ledger:
        return await self._core.ledgers.find(code, caller=current_call().caller)
