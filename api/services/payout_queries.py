"""PayoutQueryService: reads, and the stream of changes. A partner's key sees that partner's payouts only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
from daftari.v1 import payouts_pb2 as pb
from daftari.v1 import payouts_pb2_grpc

from api.caller import Caller, current_call
from api.conversion.pages import page_of
from api.conversion.payouts import cursor_of, cursor_text, event_message, payout_id_of, payout_message, states_of
from api.conversion.times import moment_of
from api.core import Core
from ledger.database import driver, transaction
from ledger.errors import PayoutNotFound
from ledger.ids import first_id_at
from ledger.journal.books import Ledger
from ledger.payouts import queries
from ledger.payouts.queries import Cursor, Payout, PayoutEvent

WATCH_PAGE = 200
# How long a watcher that has seen everything rests: the stream's latency, paid for by one indexed query per rest.
WATCH_REST_SECONDS = 0.25
_ID_MAX = 2**63 - 1


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
                    payout_id=payout_id_of(request.payout_id),
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
        id_from, id_before = _bounds(request)
        async with transaction(self._engine) as connection:
            payouts = await queries.list_payouts(
                connection,
                ledger_id=ledger.id,
                partner_id=caller.partner_id,
                states=states_of(list(request.states)),
                id_from=id_from,
                id_before=min(id_before, page.number() or _ID_MAX),
                limit=page.size + 1,
            )
        shown = payouts[: page.size]
        return pb.ListPayoutsResponse(
            payouts=[payout_message(payout) for payout in shown],
            next_page_token=page.next_token(shown[-1].id) if len(payouts) > page.size else "",
        )

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


def _bounds(request: pb.ListPayoutsRequest) -> tuple[int, int]:
    """Ids are in time order: what was requested within a time has ids within these."""
    id_from, id_before = 0, _ID_MAX
    if request.HasField("create_time_from"):
        id_from = first_id_at(moment_of(request.create_time_from, field="create_time_from"))
    if request.HasField("create_time_to"):
        id_before = first_id_at(moment_of(request.create_time_to, field="create_time_to"))
    return id_from, id_before
