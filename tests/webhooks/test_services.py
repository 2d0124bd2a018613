"""The webhooks' services over gRPC: what partners and operators may do, and that no partner sees another's."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest
from daftari.v1 import webhooks_pb2 as pb
from daftari.v1.webhooks_pb2_grpc import WebhookCommandServiceStub, WebhookQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.egress import EgressRules
from api.authentication import Authenticator
from api.caller import Caller
from api.core import open_core
from api.interceptors import Door
from api.server import GrpcServer
from api.services.webhooks import webhook_services
from ledger import partners
from ledger.collections import ordering
from ledger.collections.ordering import Order, OrderRequest
from ledger.database import driver, run
from ledger.idempotency import claim
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.money import Money
from ledger.partners import Partner
from tests.fix_api import EVERYTHING, Clock, Keys, WithKey
from tests.ledger.collections.till import KEYS
from tests.webhooks.desk import LOCAL, SEALER, Desk
from tests.webhooks.receiver import Receiver, answering

if TYPE_CHECKING:
    from daftari.v1.webhooks_pb2_grpc import WebhookCommandServiceAsyncStub, WebhookQueryServiceAsyncStub


@dataclass(frozen=True, slots=True)
class Client:
    """One caller's stubs."""

    commands: WebhookCommandServiceAsyncStub
    queries: WebhookQueryServiceAsyncStub


@dataclass(frozen=True, slots=True)
class Api:
    """The server's callers: an operator, the shop, and another partner of the same ledger."""

    ledger: str
    operator: Client
    shop: Client
    foreign: Client


async def open_rival(desk: Desk) -> Partner:
    async def command(connection: AsyncConnection) -> Partner:
        return await partners.create_partner(
            connection,
            ledger=desk.shop.ledger,
            code="rival",
            name="Rival",
            payout_fee=Money("KES", 0),
            ids=desk.shop.ids,
            now=desk.clock(),
        )

    return await run(desk.shop.engine, command)


@pytest.fixture
async def api(desk: Desk) -> AsyncIterator[Api]:
    """The two services on the desk's database, where loopback may be told."""
    async with AsyncExitStack() as stack:
        clock, keys = Clock(), Keys()
        rival = await open_rival(desk)
        for key, partner_id in (("operator", None), ("shop", desk.shop.partner.id), ("rival", rival.id)):
            keys.callers[key] = Caller(
                client_id=1,
                name=key,
                ledger_id=None if partner_id is None else desk.shop.ledger.id,
                partner_id=partner_id,
                permissions=EVERYTHING,
            )
        core = open_core(
            desk.shop.engine,
            directory=AccountDirectory(),
            ids=IdSource(random.SystemRandom()),
            now=desk.clock,
            monotonic=clock.monotonic,
        )
        rules = EgressRules(LOCAL.ports, allow_loopback=True)
        door = Door(Authenticator(keys.authenticate, monotonic=clock.monotonic), monotonic=clock.monotonic)
        server = GrpcServer(webhook_services(core, sealer=SEALER, rules=rules), door=door)
        port = await server.start("127.0.0.1:0", tls=None)
        stack.push_async_callback(core.poster.close)
        stack.push_async_callback(server.stop, grace_seconds=0)
        clients = []
        for key in ("operator", "shop", "rival"):
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[WithKey(key)])
            await stack.enter_async_context(channel)
            clients.append(Client(WebhookCommandServiceStub(channel), WebhookQueryServiceStub(channel)))
        yield Api(desk.shop.ledger.code, *clients)


async def create(api: Api, client: Client, url: str, *, partner: str = "") -> pb.CreateWebhookEndpointResponse:
    request = pb.CreateWebhookEndpointRequest(ledger=api.ledger, partner=partner, url=url, request_id="one")
    return await client.commands.CreateWebhookEndpoint(request)


async def test_a_partner_makes_an_endpoint_pings_it_and_reads_what_came_of_it(
    api: Api, desk: Desk, receiver: Receiver
) -> None:
    created = await create(api, api.shop, receiver.url)
    endpoint_id = created.endpoint.id
    pinged = await api.shop.commands.PingWebhookEndpoint(
        pb.PingWebhookEndpointRequest(ledger=api.ledger, endpoint_id=endpoint_id)
    )
    await desk.work()
    told = await api.shop.queries.GetWebhookDelivery(
        pb.GetWebhookDeliveryRequest(ledger=api.ledger, delivery_id=pinged.delivery.id)
    )

    (arrival,) = receiver.taken
    assert arrival.verify(created.secret)["id"] == pinged.delivery.id
    assert (created.endpoint.partner, created.endpoint.url) == ("shop", receiver.url)
    assert (told.delivery.state, told.delivery.answer) == (pb.WebhookDelivery.STATE_DELIVERED, "HTTP 204")


async def test_a_secret_is_in_no_answer_but_the_one_that_made_it(api: Api, receiver: Receiver) -> None:
    created = await create(api, api.shop, receiver.url)
    endpoint_id = created.endpoint.id
    rotated = await api.shop.commands.RotateWebhookSecret(
        pb.RotateWebhookSecretRequest(ledger=api.ledger, endpoint_id=endpoint_id, request_id="two")
    )
    listed = await api.operator.queries.ListWebhookEndpoints(pb.ListWebhookEndpointsRequest(ledger=api.ledger))
    disabled = await api.shop.commands.DisableWebhookEndpoint(
        pb.DisableWebhookEndpointRequest(ledger=api.ledger, endpoint_id=endpoint_id, reason="moving")
    )
    enabled = await api.shop.commands.EnableWebhookEndpoint(
        pb.EnableWebhookEndpointRequest(ledger=api.ledger, endpoint_id=endpoint_id)
    )

    assert rotated.secret.startswith("whsec_")
    assert rotated.secret != created.secret
    assert all("whsec_" not in str(answer) for answer in (listed, disabled, enabled))
    assert disabled.endpoint.disable_reason == "moving"
    assert not enabled.endpoint.HasField("disable_time")


async def test_dead_deliveries_are_listed_and_replayed(api: Api, desk: Desk, receiver: Receiver) -> None:
    created = await create(api, api.operator, receiver.url, partner="shop")
    endpoint_id = created.endpoint.id
    receiver.behave = answering(500)
    await desk.settle(3)
    for _ in range(12):
        desk.clock.advance(seconds=100_000)
        await desk.work()
    dead = pb.ListWebhookDeliveriesRequest(
        ledger=api.ledger, endpoint_id=endpoint_id, states=[pb.WebhookDelivery.STATE_DEAD], page_size=2
    )
    first = await api.operator.queries.ListWebhookDeliveries(dead)
    dead.page_token = first.next_page_token
    second = await api.operator.queries.ListWebhookDeliveries(dead)

    receiver.behave = answering(200)
    one = await api.shop.commands.ReplayWebhookDelivery(
        pb.ReplayWebhookDeliveryRequest(ledger=api.ledger, delivery_id=second.deliveries[0].id)
    )
    await desk.work()
    rest = await api.operator.commands.ReplayDeadWebhookDeliveries(
        pb.ReplayDeadWebhookDeliveriesRequest(ledger=api.ledger, endpoint_id=endpoint_id)
    )
    await desk.work()

    assert (len(first.deliveries), len(second.deliveries), second.next_page_token) == (2, 1, "")
    assert one.delivery.state == pb.WebhookDelivery.STATE_PENDING
    assert rest.replayed == 2
    assert {arrival.id for arrival in receiver.taken} == {
        delivery.id for delivery in (*first.deliveries, *second.deliveries)
    }


async def test_a_delivery_says_what_it_tells_of_and_is_replayed_whatever_that_is(
    api: Api, desk: Desk, receiver: Receiver
) -> None:
    created = await create(api, api.shop, receiver.url)
    (payout_id,), order = await desk.settle(), await cancelled_order(desk)
    await desk.work()
    listed = await api.shop.queries.ListWebhookDeliveries(
        pb.ListWebhookDeliveriesRequest(ledger=api.ledger, endpoint_id=created.endpoint.id)
    )
    of_order, of_payout = listed.deliveries
    again = await api.shop.commands.ReplayWebhookDelivery(
        pb.ReplayWebhookDeliveryRequest(ledger=api.ledger, delivery_id=of_order.id)
    )
    await desk.work()

    assert (of_payout.type, of_payout.subject_id, of_payout.payout_id) == ("payout.settled", payout_id, payout_id)
    assert of_payout.subject_version == of_payout.payout_version > 0
    assert (of_order.type, of_order.subject_id, of_order.subject_version) == ("order.cancelled", order.public_id, 2)
    assert (of_order.payout_id, of_order.payout_version) == ("", 0)
    assert again.delivery.state == pb.WebhookDelivery.STATE_PENDING
    bodies = [arrival.body for arrival in receiver.taken if arrival.id == of_order.id]
    assert len(bodies) == 2
    assert len(set(bodies)) == 1


async def cancelled_order(desk: Desk) -> Order:
    """An order of the shop's, taken back."""
    shop, now = desk.shop, desk.clock()
    request = OrderRequest(
        key=claim(client_id=7, key="order", method="CreateOrder", content=b""),
        partner=shop.partner,
        reference="SHOES12",
        amount=Money("KES", 100_000),
        expires_at=now + timedelta(minutes=30),
    )

    async def command(connection: AsyncConnection) -> Order:
        session, ledger, ids = await driver(connection), shop.ledger, shop.ids
        made, _ = await ordering.create_order(session, ledger=ledger, request=request, keys=KEYS, ids=ids, now=now)
        return await ordering.cancel_order(
            session, ledger=ledger, order_id=made.id, partner_id=shop.partner.id, ids=ids, now=now
        )

    return await run(shop.engine, command)


async def test_another_partners_endpoint_and_deliveries_cannot_be_told_from_none(
    api: Api, desk: Desk, receiver: Receiver
) -> None:
    """Scenario 42: every method, a foreign id and an id that nobody has, word for word the same."""
    created = await create(api, api.shop, receiver.url)
    await desk.settle()
    queued = await api.shop.queries.ListWebhookDeliveries(
        pb.ListWebhookDeliveriesRequest(ledger=api.ledger, endpoint_id=created.endpoint.id)
    )
    event_id = queued.deliveries[0].id

    for foreign, nobodys in [(created.endpoint.id, "whk_0000000000001"), (event_id, "evt_0000000000001")]:
        assert await refusals(api, foreign) == await refusals(api, nobodys)
    listed = await api.foreign.queries.ListWebhookEndpoints(pb.ListWebhookEndpointsRequest(ledger=api.ledger))
    await desk.work()

    assert list(listed.endpoints) == []
    assert len(receiver.taken) == 1


async def refusals(api: Api, wanted: str) -> list[tuple[grpc.StatusCode, str | None]]:
    """What the rival is told by each method about that id."""
    commands, queries, ledger = api.foreign.commands, api.foreign.queries, api.ledger
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: commands.RotateWebhookSecret(
            pb.RotateWebhookSecretRequest(ledger=ledger, endpoint_id=wanted, request_id="x")
        ),
        lambda: commands.DisableWebhookEndpoint(
            pb.DisableWebhookEndpointRequest(ledger=ledger, endpoint_id=wanted, reason="x")
        ),
        lambda: commands.EnableWebhookEndpoint(pb.EnableWebhookEndpointRequest(ledger=ledger, endpoint_id=wanted)),
        lambda: commands.PingWebhookEndpoint(pb.PingWebhookEndpointRequest(ledger=ledger, endpoint_id=wanted)),
        lambda: commands.ReplayDeadWebhookDeliveries(
            pb.ReplayDeadWebhookDeliveriesRequest(ledger=ledger, endpoint_id=wanted)
        ),
        lambda: queries.ListWebhookDeliveries(pb.ListWebhookDeliveriesRequest(ledger=ledger, endpoint_id=wanted)),
        lambda: commands.ReplayWebhookDelivery(pb.ReplayWebhookDeliveryRequest(ledger=ledger, delivery_id=wanted)),
        lambda: queries.GetWebhookDelivery(pb.GetWebhookDeliveryRequest(ledger=ledger, delivery_id=wanted)),
    ]
    told = []
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()
        told.append((refused.value.code(), refused.value.details()))
    assert {code for code, _ in told} == {grpc.StatusCode.NOT_FOUND}
    return told


@pytest.mark.parametrize(
    ("client", "partner", "code"),
    [
        ("operator", "", grpc.StatusCode.NOT_FOUND),
        ("operator", "nobody", grpc.StatusCode.NOT_FOUND),
        ("shop", "rival", grpc.StatusCode.PERMISSION_DENIED),
    ],
)
async def test_an_endpoint_is_made_for_ones_own_partner_alone(
    api: Api, receiver: Receiver, client: str, partner: str, code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await create(api, getattr(api, client), receiver.url, partner=partner)

    assert refused.value.code() is code


async def test_a_url_that_may_not_be_called_is_refused_when_it_is_given(api: Api) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await create(api, api.shop, "https://169.254.169.254/latest/meta-data/")

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
