"""The webhooks' two services: convert, one ledger call, convert. A partner's key reaches that partner's own only."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TypeAlias, TypedDict

import grpc.aio
from daftari.v1 import webhooks_pb2 as pb
from daftari.v1.webhooks_pb2_grpc import (
    WebhookCommandServiceServicer,
    WebhookQueryServiceServicer,
    add_WebhookCommandServiceServicer_to_server,
    add_WebhookQueryServiceServicer_to_server,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.egress import EgressRules, check_url
from api.caller import Caller, current_call
from api.conversion.pages import page_of
from api.conversion.webhooks import (
    delivery_id_of,
    delivery_message,
    delivery_states_of,
    endpoint_id_of,
    endpoint_message,
    overlap_of,
)
from api.core import Core
from api.server import Service
from ledger import partners
from ledger.database import run, transaction
from ledger.errors import Denied, PartnerNotFound
from ledger.journal.books import Ledger
from ledger.sealing import Sealer
from ledger.webhooks import endpoints, history

_NAMES = pb.DESCRIPTOR.services_by_name
_OfEndpoint: TypeAlias = (
    pb.DisableWebhookEndpointRequest
    | pb.EnableWebhookEndpointRequest
    | pb.PingWebhookEndpointRequest
    | pb.ReplayDeadWebhookDeliveriesRequest
)


class _Place(TypedDict):
    """Which endpoint, and among whose: a partner's own (its id), or all of the ledger's (None)."""

    ledger_id: int
    partner_id: int | None
    endpoint_id: int


class WebhookCommands(WebhookCommandServiceServicer):
    """See protos/daftari/v1/webhooks.proto."""

    def __init__(self, core: Core, *, sealer: Sealer, rules: EgressRules) -> None:
        self._core = core
        self._sealer = sealer
        self._rules = rules

    async def CreateWebhookEndpoint(
        self,
        request: pb.CreateWebhookEndpointRequest,
        context: grpc.aio.ServicerContext[pb.CreateWebhookEndpointRequest, pb.CreateWebhookEndpointResponse],
    ) -> pb.CreateWebhookEndpointResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        check_url(request.url, rules=self._rules)
        secret = secrets.token_bytes(endpoints.SECRET_BYTES)

        async def command(connection: AsyncConnection) -> endpoints.Told:
            return await endpoints.create_endpoint(
                connection,
                ledger_id=ledger.id,
                partner_id=await _partner_id(connection, ledger, request.partner, caller),
                url=request.url,
                request_id=request.request_id,
                secret=secret,
                sealer=self._sealer,
                ids=self._core.ids,
                now=self._core.now(),
            )

        told = await run(self._core.engine, command, again_on=endpoints.RACING_CONSTRAINTS)
        return pb.CreateWebhookEndpointResponse(endpoint=endpoint_message(told.endpoint), secret=told.secret)

    async def RotateWebhookSecret(
        self,
        request: pb.RotateWebhookSecretRequest,
        context: grpc.aio.ServicerContext[pb.RotateWebhookSecretRequest, pb.RotateWebhookSecretResponse],
    ) -> pb.RotateWebhookSecretResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        command = partial(
            endpoints.rotate_secret,
            ledger_id=ledger.id,
            partner_id=caller.partner_id,
            endpoint_id=endpoint_id_of(request.endpoint_id),
            request_id=request.request_id,
            overlap=overlap_of(request.overlap_seconds),
            secret=secrets.token_bytes(endpoints.SECRET_BYTES),
            sealer=self._sealer,
            ids=self._core.ids,
            now=self._core.now(),
        )
        told = await run(self._core.engine, command, again_on=endpoints.RACING_CONSTRAINTS)
        return pb.RotateWebhookSecretResponse(endpoint=endpoint_message(told.endpoint), secret=told.secret)

    async def DisableWebhookEndpoint(
        self,
        request: pb.DisableWebhookEndpointRequest,
        context: grpc.aio.ServicerContext[pb.DisableWebhookEndpointRequest, pb.DisableWebhookEndpointResponse],
    ) -> pb.DisableWebhookEndpointResponse:
        place = await self._place(request)
        command = partial(endpoints.disable_endpoint, **place, why=request.reason, now=self._core.now())
        return pb.DisableWebhookEndpointResponse(endpoint=endpoint_message(await run(self._core.engine, command)))

    async def EnableWebhookEndpoint(
        self,
        request: pb.EnableWebhookEndpointRequest,
        context: grpc.aio.ServicerContext[pb.EnableWebhookEndpointRequest, pb.EnableWebhookEndpointResponse],
    ) -> pb.EnableWebhookEndpointResponse:
        command = partial(endpoints.enable_endpoint, **await self._place(request), now=self._core.now())
        enabled = await run(self._core.engine, command, again_on=endpoints.RACING_CONSTRAINTS)
        return pb.EnableWebhookEndpointResponse(endpoint=endpoint_message(enabled))

    async def PingWebhookEndpoint(
        self,
        request: pb.PingWebhookEndpointRequest,
        context: grpc.aio.ServicerContext[pb.PingWebhookEndpointRequest, pb.PingWebhookEndpointResponse],
    ) -> pb.PingWebhookEndpointResponse:
        place = await self._place(request)
        command = partial(history.ping_endpoint, **place, ids=self._core.ids, now=self._core.now())
        return pb.PingWebhookEndpointResponse(delivery=delivery_message(await run(self._core.engine, command)))

    async def ReplayWebhookDelivery(
        self,
        request: pb.ReplayWebhookDeliveryRequest,
        context: grpc.aio.ServicerContext[pb.ReplayWebhookDeliveryRequest, pb.ReplayWebhookDeliveryResponse],
    ) -> pb.ReplayWebhookDeliveryResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        command = partial(
            history.replay_delivery,
            ledger_id=ledger.id,
            partner_id=caller.partner_id,
            delivery_id=delivery_id_of(request.delivery_id),
            now=self._core.now(),
        )
        return pb.ReplayWebhookDeliveryResponse(delivery=delivery_message(await run(self._core.engine, command)))

    async def ReplayDeadWebhookDeliveries(
        self,
        request: pb.ReplayDeadWebhookDeliveriesRequest,
        context: grpc.aio.ServicerContext[
            pb.ReplayDeadWebhookDeliveriesRequest, pb.ReplayDeadWebhookDeliveriesResponse
        ],
    ) -> pb.ReplayDeadWebhookDeliveriesResponse:
        command = partial(history.replay_dead, **await self._place(request), now=self._core.now())
        return pb.ReplayDeadWebhookDeliveriesResponse(replayed=await run(self._core.engine, command))

    async def _place(self, request: _OfEndpoint) -> _Place:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        return _Place(
            ledger_id=ledger.id, partner_id=caller.partner_id, endpoint_id=endpoint_id_of(request.endpoint_id)
        )


class WebhookQueries(WebhookQueryServiceServicer):
    """See protos/daftari/v1/webhooks.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ListWebhookEndpoints(
        self,
        request: pb.ListWebhookEndpointsRequest,
        context: grpc.aio.ServicerContext[pb.ListWebhookEndpointsRequest, pb.ListWebhookEndpointsResponse],
    ) -> pb.ListWebhookEndpointsResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        page = page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await endpoints.list_endpoints(
                connection,
                ledger_id=ledger.id,
                partner_id=caller.partner_id,
                after=page.number(),
                limit=page.limit,
            )
        shown, token = page.cut(found, lambda one: (one.id,))
        return pb.ListWebhookEndpointsResponse(
            endpoints=[endpoint_message(one) for one in shown], next_page_token=token
        )

    async def GetWebhookDelivery(
        self,
        request: pb.GetWebhookDeliveryRequest,
        context: grpc.aio.ServicerContext[pb.GetWebhookDeliveryRequest, pb.GetWebhookDeliveryResponse],
    ) -> pb.GetWebhookDeliveryResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        async with transaction(self._core.engine) as connection:
            found = await history.get_delivery(
                connection,
                ledger_id=ledger.id,
                partner_id=caller.partner_id,
                delivery_id=delivery_id_of(request.delivery_id),
            )
        return pb.GetWebhookDeliveryResponse(delivery=delivery_message(found))

    async def ListWebhookDeliveries(
        self,
        request: pb.ListWebhookDeliveriesRequest,
        context: grpc.aio.ServicerContext[pb.ListWebhookDeliveriesRequest, pb.ListWebhookDeliveriesResponse],
    ) -> pb.ListWebhookDeliveriesResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        page = page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await history.list_deliveries(
                connection,
                ledger_id=ledger.id,
                partner_id=caller.partner_id,
                endpoint_id=endpoint_id_of(request.endpoint_id),
                states=delivery_states_of(request.states),
                before=page.before(),
                limit=page.limit,
            )
        shown, token = page.cut(found, lambda one: (one.id,))
        return pb.ListWebhookDeliveriesResponse(
            deliveries=[delivery_message(one) for one in shown], next_page_token=token
        )


def webhook_services(core: Core, *, sealer: Sealer, rules: EgressRules) -> list[Service]:
    """WebhookCommandService and WebhookQueryService on this core; `rules` say which URLs may be told."""
    commands, queries = WebhookCommands(core, sealer=sealer, rules=rules), WebhookQueries(core)
    return [
        Service(
            _NAMES["WebhookCommandService"].full_name, partial(add_WebhookCommandServiceServicer_to_server, commands)
        ),
        Service(_NAMES["WebhookQueryService"].full_name, partial(add_WebhookQueryServiceServicer_to_server, queries)),
    ]


async def _partner_id(connection: AsyncConnection, ledger: Ledger, code: str, caller: Caller) -> int:
    """Whom an endpoint is for: a partner's key speaks for itself alone. Raises PartnerNotFound, Denied."""
    if caller.partner_id is None:
        if not code:
            raise PartnerNotFound("name the partner to be told", field="partner")
        return (await partners.find_partner(connection, ledger_id=ledger.id, code=code)).id
    own = await partners.find_partners(connection, ledger_id=ledger.id, ids=[caller.partner_id])
    if code not in ("", own[caller.partner_id].code):
        raise Denied("a partner's key speaks for that partner alone", field="partner")
    return caller.partner_id
