"""CollectionQueryService: convert, one ledger call, convert."""

from __future__ import annotations

import grpc.aio
from daftari.v1 import collections_pb2 as pb
from daftari.v1.collections_pb2_grpc import CollectionQueryServiceServicer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import current_call
from api.conversion import collections as conversion
from api.conversion.pages import page_of
from api.core import Core
from ledger.collections import directory, queries, shortcodes
from ledger.collections.reference import ReceiptKeys
from ledger.database import driver, transaction
from ledger.ids import decode
from ledger.journal.books import Ledger


class CollectionQueries(CollectionQueryServiceServicer):
    """See protos/daftari/v1/collections.proto."""

    def __init__(self, core: Core, *, keys: ReceiptKeys) -> None:
        self._core = core
        self._keys = keys

    async def ListShortcodes(
        self,
        request: pb.ListShortcodesRequest,
        context: grpc.aio.ServicerContext[pb.ListShortcodesRequest, pb.ListShortcodesResponse],
    ) -> pb.ListShortcodesResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request, parts=2)
        async with transaction(self._core.engine) as connection:
            found = await shortcodes.list_shortcodes(
                await driver(connection), ledger_id=ledger.id, after=(page.text(0), page.text(1)), limit=page.limit
            )
        shown, token = page.cut(
            found,
            lambda one: (
                one.provider,
                one.shortcode,
            ),
        )
        return pb.ListShortcodesResponse(
            shortcodes=[conversion.shortcode_message(one) for one in shown], next_page_token=token
        )

    async def GetReceipt(
        self,
        request: pb.GetReceiptRequest,
        context: grpc.aio.ServicerContext[pb.GetReceiptRequest, pb.GetReceiptResponse],
    ) -> pb.GetReceiptResponse:
        ledger = await self._ledger(request.ledger)
        async with transaction(self._core.engine) as connection:
            receipt = await self._receipt(connection, ledger, request.receipt_id)
            place = {"ledger_id": ledger.id, "receipt_id": receipt.id}
            events = await queries.list_receipt_events(connection, **place)
            allocations = await queries.list_allocations(connection, **place)
            channels = await queries.list_channels(connection, **place)
            waits = receipt.holdings.unallocated or receipt.holdings.suspended
            near = (
                await directory.find_near(
                    await driver(connection), ledger_id=ledger.id, typed_shown=receipt.reference_shown
                )
                if waits
                else []
            )
        return pb.GetReceiptResponse(
            receipt=conversion.receipt_message(receipt),
            events=[conversion.receipt_event_message(one) for one in events],
            allocations=[conversion.allocation_message(one) for one in allocations],
            channels=channels,
            near=[conversion.near_message(one) for one in near],
        )

    async def ListReceipts(
        self,
        request: pb.ListReceiptsRequest,
        context: grpc.aio.ServicerContext[pb.ListReceiptsRequest, pb.ListReceiptsResponse],
    ) -> pb.ListReceiptsResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await queries.list_receipts(
                connection,
                ledger_id=ledger.id,
                waiting_at=conversion.place_of(request.waiting),
                before=page.before(),
                limit=page.limit,
            )
        shown, token = page.cut(found, lambda one: (one.id,))
        return pb.ListReceiptsResponse(
            receipts=[conversion.receipt_message(one) for one in shown], next_page_token=token
        )

    async def RevealPayer(
        self,
        request: pb.RevealPayerRequest,
        context: grpc.aio.ServicerContext[pb.RevealPayerRequest, pb.RevealPayerResponse],
    ) -> pb.RevealPayerResponse:
        ledger = await self._ledger(request.ledger)
        async with transaction(self._core.engine) as connection:
            payer, reference = await queries.open_payer(
                connection,
                ledger_id=ledger.id,
                receipt_id=conversion.receipt_id_of(request.receipt_id),
                keys=self._keys,
            )
        return pb.RevealPayerResponse(
            number=payer.number if payer else "", name=payer.name if payer else "", reference=reference
        )

    async def GetOrder(
        self,
        request: pb.GetOrderRequest,
        context: grpc.aio.ServicerContext[pb.GetOrderRequest, pb.GetOrderResponse],
    ) -> pb.GetOrderResponse:
        caller, ledger = current_call().caller, await self._ledger(request.ledger)
        async with transaction(self._core.engine) as connection:
            order = await queries.get_order(
                connection,
                ledger_id=ledger.id,
                partner_id=caller.partner_id,
                order_id=conversion.order_id_of(request.order_id),
            )
            events = await queries.list_order_events(connection, ledger_id=ledger.id, order_id=order.id)
        return pb.GetOrderResponse(
            order=conversion.order_message(order), events=[conversion.order_event_message(one) for one in events]
        )

    async def ListOrders(
        self,
        request: pb.ListOrdersRequest,
        context: grpc.aio.ServicerContext[pb.ListOrdersRequest, pb.ListOrdersResponse],
    ) -> pb.ListOrdersResponse:
        caller, ledger, page = current_call().caller, await self._ledger(request.ledger), page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await queries.list_orders(
                connection,
                ledger_id=ledger.id,
                partner_id=caller.partner_id,
                states=conversion.states_of(request.states),
                before=page.before(),
                limit=page.limit,
            )
        shown, token = page.cut(found, lambda one: (one.id,))
        return pb.ListOrdersResponse(orders=[conversion.order_message(one) for one in shown], next_page_token=token)

    async def _ledger(self, code: str) -> Ledger:
        return await self._core.ledgers.find(code, caller=current_call().caller)

    async def _receipt(self, connection: AsyncConnection, ledger: Ledger, name: str) -> queries.Receipt:
        """By our id, or by a provider's number."""
        receipt_id = decode(conversion.RECEIPT_PREFIX, name)
        if receipt_id is not None:
            return await queries.get_receipt(connection, ledger_id=ledger.id, receipt_id=receipt_id)
        return await queries.find_by_number(connection, ledger_id=ledger.id, receipt=name)
