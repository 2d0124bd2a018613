"""PayoutQueryService: reads, and the stream of changes. A partner's key sees that partner's payouts only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
from daftari.v1 import payouts_pb2 as pb
from daftari.v1 import payouts_pb2_grpc
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import Caller, current_call
from api.conversion.pages import id_bounds_of, page_of
from api.conversion.payouts import cursor_of, cursor_text, event_message, payout_id_of, payout_message, states_of
from api.core import Core
from ledger.database import driver, transaction
from ledger.errors import PayoutNotFound
from ledger.journal.books import Ledger
from ledger.payouts import queries
from ledger.payouts.queries import Cursor, Payout, PayoutEvent

WATCH_PAGE = 200
# How long a watcher that has seen everything rests: the stream's latency, paid for by one indexed query per rest.
WATCH_REST_SECONDS = 0.25


class PayoutQueries(payouts_pb2_grpc.PayoutQueryServiceServicer):
    """Each method one read; WatchPayouts one read after another."""

    def __init__(self, core: Core) -> None:
        self._engine = core.engine
        self._ledgers = core.ledgers

    async def GetPayout(
        self, request: pb.GetPayoutRequest, context: grpc.aio.ServicerContext[pb.GetPayoutRequest, pb.GetPayoutResponse]
    ) -> pb.GetPayoutResponse:
        caller = current_call().caller
        ledger = await self._ledgers.find(request.ledger, caller=caller)
        async with transaction(self._engine) as connection:
            if request.WhichOneof("key") == "partner_reference":
                if caller.partner_id is None:
                    raise PayoutNotFound("only a partner's key can look its references up", field="partner_reference")
                payout = await queries.get_payout_by_reference(
                    connection,
                    ledger_id=ledger.id,
                    partner_id=caller.partner_id,
                    partner_reference=request.partner_reference,
                )
            else:
                payout = await queries.get_payout(
                    connection,
                    ledger_id=ledger.id,
                    partner_id=caller.partner_id,
                    payout_id=await _payout_id(connection, ledger, request),
                )
            events = await queries.list_events(connection, ledger_id=ledger.id, payout_id=payout.id)
        return pb.GetPayoutResponse(payout=payout_message(payout), events=[event_message(event) for event in events])

    async def ListPayouts(
        self,
        request: pb.ListPayoutsRequest,
        context: grpc.aio.ServicerContext[pb.ListPayoutsRequest, pb.ListPayoutsResponse],
    ) -> pb.ListPayoutsResponse:
        caller = current_call().caller
        ledger = await self._ledgers.find(request.ledger, caller=caller)
        page = page_of(request)
        id_from, id_before = id_bounds_of(request)
        async with transaction(self._engine) as connection:
            found = await queries.list_payouts(
                connection,
                ledger_id=ledger.id,
                partner_id=caller.partner_id,
                states=states_of(list(request.states)),
                id_from=id_from,
                id_before=min(id_before, page.before()),
                limit=page.limit,
            )
        shown, token = page.cut(found, lambda one: (one.id,))
        return pb.ListPayoutsResponse(payouts=[payout_message(one) for one in shown], next_page_token=token)

    async def WatchPayouts(
        self,
        request: pb.WatchPayoutsRequest,
        context: grpc.aio.ServicerContext[pb.WatchPayoutsRequest, pb.WatchPayoutsResponse],
    ) -> AsyncIterator[pb.WatchPayoutsResponse]:
        caller = current_call().caller
        ledger = await self._ledgers.find(request.ledger, caller=caller)
        cursor = cursor_of(request.cursor) if request.cursor else await self._now_cursor()
        # The headers tell the caller that from here on nothing is missed.
        await context.send_initial_metadata(())
        while True:
            changes, payouts = await self._changes(ledger, caller, cursor)
            for place, event in changes:
                if event.payout_id in payouts:
                    yield pb.WatchPayoutsResponse(
                        payout=payout_message(payouts[event.payout_id]),
                        event=event_message(event),
                        cursor=cursor_text(place),
                    )
            if changes:
                cursor = changes[-1][0]
            if len(changes) < WATCH_PAGE:
                await asyncio.sleep(WATCH_REST_SECONDS)

    async def _now_cursor(self) -> Cursor:
        async with transaction(self._engine) as connection:
            return await queries.current_cursor(await driver(connection))

    async def _changes(
        self, ledger: Ledger, caller: Caller, cursor: Cursor
    ) -> tuple[list[tuple[Cursor, PayoutEvent]], dict[int, Payout]]:
        """The next changes, and those of their payouts that the caller may see."""
        async with transaction(self._engine) as connection:
            changes = await queries.changes_after(
                await driver(connection), ledger_id=ledger.id, cursor=cursor, limit=WATCH_PAGE
            )
            if not changes:
                return [], {}
            payouts = await queries.get_payouts(
                connection,
                ledger_id=ledger.id,
                partner_id=caller.partner_id,
                payout_ids={event.payout_id for _, event in changes},
            )
        return changes, payouts


async def _payout_id(connection: AsyncConnection, ledger: Ledger, request: pb.GetPayoutRequest) -> int:
    """The id that is asked for, or that of the payout with a provider's receipt. Raises PayoutNotFound."""
    if request.WhichOneof("key") != "receipt":
        return payout_id_of(request.payout_id)
    return await queries.find_by_receipt(await driver(connection), ledger_id=ledger.id, receipt=request.receipt)
