"""Money in over gRPC: operators open shortcodes and decide whose money is, shops make orders and watch them be paid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from daftari.v1 import collections_pb2 as pb
from daftari.v1.collections_pb2_grpc import CollectionCommandServiceStub, CollectionQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.conversion.times import timestamp_of
from ledger.collections.booking import Told
from ledger.database import driver, run
from ledger.ids import encode
from ledger.journal import accounts, chart
from ledger.money import Money
from ledger.outbox.collecting import Channel, Payer, PayerForm, Received
from ledger.receiving import RACING_CONSTRAINTS, open_recorder
from tests.api.office import Office, add_partner, open_office
from tests.ledger.collections.till import KEYS, LANDING, NUMBER, SHORTCODE, WALLET
from tests.wire import money, refusal

if TYPE_CHECKING:
    from daftari.v1.collections_pb2_grpc import CollectionCommandServiceAsyncStub, CollectionQueryServiceAsyncStub


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop whose shortcode collects."""
    async with open_office(engine) as opened:
        await open_shortcode(opened)
        yield opened


async def open_shortcode(office: Office) -> None:
    """Lets the shop's shortcode take money in."""
    shortcode = pb.CollectionShortcode(
        provider="daraja", shortcode=SHORTCODE, currency="KES", landing_account=LANDING, accepts_unanswered=True
    )
    await commands(office).OpenShortcode(pb.OpenShortcodeRequest(ledger=office.ledger, shortcode=shortcode))


def commands(office: Office, key: str = "") -> CollectionCommandServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return CollectionCommandServiceStub(office.channel(key or office.operator))


def queries(office: Office, key: str = "") -> CollectionQueryServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return CollectionQueryServiceStub(office.channel(key or office.operator))


def wanted(office: Office, request_id: str = "o1", **changes: Any) -> pb.CreateOrderRequest:
    """An order for KES 1,000, good for half an hour."""
    fields: dict[str, Any] = {
        "reference": "SHOES-12",
        "amount": money(100_000),
        "expire_time": timestamp_of(office.shop.now() + timedelta(minutes=30)),
    } | changes
    return pb.CreateOrderRequest(ledger=office.ledger, request_id=request_id, **fields)


async def pay(office: Office, receipt: str, *, reference: str, shillings: int = 1000) -> str:
    """Money comes in; the public id of its receipt."""
    payer = Payer(PayerForm.PLAIN, NUMBER, "AMINA WANJIRU")
    received = Received(
        receipt, SHORTCODE, Money("KES", shillings * 100), office.shop.now(), payer, reference=reference
    )
    recorder = open_recorder(keys=KEYS, directory=office.shop.directory, ids=office.shop.ids)

    async def tell(connection: AsyncConnection) -> int:
        (result,) = await recorder.record(
            await driver(connection),
            ledger=office.shop.ledger,
            told=[Told("daraja", received, Channel.CONFIRMATION, "tests")],
            now=office.shop.now(),
        )
        return getattr(result, "receipt_id", 0)

    return encode("rcp", await run(office.shop.engine, tell, again_on=RACING_CONSTRAINTS))


async def receipt_of(office: Office, receipt_id: str) -> pb.GetReceiptResponse:
    """The receipt with all that is told of it."""
    return await queries(office).GetReceipt(pb.GetReceiptRequest(ledger=office.ledger, receipt_id=receipt_id))


async def test_a_shop_makes_an_order_and_sees_it_paid(office: Office) -> None:
    till = await office.partner_key()
    made = await commands(office, till).CreateOrder(wanted(office))

    await pay(office, "UI10000001", reference="shoes 12")
    found = await queries(office, till).GetOrder(pb.GetOrderRequest(ledger=office.ledger, order_id=made.order.id))

    assert made.order.state == pb.PaymentOrder.STATE_OPEN
    assert (found.order.state, found.order.paid.minor_units) == (pb.PaymentOrder.STATE_PAID, 100_000)
    assert [event.event for event in found.events] == ["created", "paid"]


async def test_a_repeated_order_request_gets_the_first_order(office: Office) -> None:
    till = await office.partner_key()

    first = await commands(office, till).CreateOrder(wanted(office))
    again = await commands(office, till).CreateOrder(wanted(office))

    assert (first.replayed, again.replayed, first.order) == (False, True, again.order)


async def test_another_partners_order_is_as_none(office: Office) -> None:
    till = await office.partner_key()
    made = await commands(office, till).CreateOrder(wanted(office))
    await add_partner(office.shop, "rival")
    rival = await office.partner_key(partner="rival")

    read = await refusal(
        queries(office, rival).GetOrder(pb.GetOrderRequest(ledger=office.ledger, order_id=made.order.id))
    )
    cancelled = await refusal(
        commands(office, rival).CancelOrder(pb.CancelOrderRequest(ledger=office.ledger, order_id=made.order.id))
    )
    listed = await queries(office, rival).ListOrders(pb.ListOrdersRequest(ledger=office.ledger))

    assert (read.reason, cancelled.reason) == ("ORDER_NOT_FOUND", "ORDER_NOT_FOUND")
    assert list(listed.orders) == []


async def test_an_order_is_cancelled_while_nothing_was_paid(office: Office) -> None:
    till = await office.partner_key()
    made = await commands(office, till).CreateOrder(wanted(office))
    request = pb.CancelOrderRequest(ledger=office.ledger, order_id=made.order.id)

    cancelled = await commands(office, till).CancelOrder(request)
    again = await commands(office, till).CancelOrder(request)

    assert cancelled == again
    assert cancelled.order.state == pb.PaymentOrder.STATE_CANCELLED


async def test_a_person_finds_a_mistyped_reference_by_its_hint_and_allocates_the_money(office: Office) -> None:
    till = await office.partner_key()
    made = await commands(office, till).CreateOrder(wanted(office))
    receipt_id = await pay(office, "UI10000002", reference="SHOEZ-12")

    told = await receipt_of(office, receipt_id)
    done = await commands(office).AllocateReceipt(
        pb.AllocateReceiptRequest(
            ledger=office.ledger,
            request_id="a1",
            receipt_id=receipt_id,
            target=told.near[0].target,
            evidence="called the payer",
        )
    )

    assert [(one.reference, one.target.order_id) for one in told.near] == [("SHOES-12", made.order.id)]
    assert (done.receipt.allocated_minor_units, done.receipt.unallocated_minor_units) == (100_000, 0)
    after = await receipt_of(office, "UI10000002")
    assert [event.event for event in after.events] == ["received", "allocated"]
    assert (after.allocations[0].entry_id, list(after.channels)) == (done.entry_id, ["confirmation"])


async def test_a_wrong_allocation_is_given_to_another_or_put_aside(office: Office) -> None:
    wallet = chart.customer_accounts(customer="amina", currency="KES")

    async def open_them(connection: AsyncConnection) -> None:
        await accounts.open_accounts(
            connection, ledger_id=office.shop.ledger.id, specs=wallet, ids=office.shop.ids, now=office.shop.now()
        )

    await run(office.shop.engine, open_them)
    till = await office.partner_key()
    made = await commands(office, till).CreateOrder(wanted(office))
    receipt_id = await pay(office, "UI10000003", reference="SHOES-12")
    request = pb.ReallocateReceiptRequest(
        ledger=office.ledger, request_id="r1", receipt_id=receipt_id, evidence="it was Amina's"
    )

    request.target.account = WALLET
    moved = await commands(office).ReallocateReceipt(request)
    again = await commands(office).ReallocateReceipt(request)
    request.ClearField("target")
    request.request_id = "r2"
    aside = await commands(office).ReallocateReceipt(request)

    order = await queries(office).GetOrder(pb.GetOrderRequest(ledger=office.ledger, order_id=made.order.id))
    assert order.order.state == pb.PaymentOrder.STATE_REVERSED
    assert moved.receipt.allocated_minor_units == aside.receipt.suspended_minor_units == 100_000
    assert (again.entry_id, again.replayed) == (moved.entry_id, True)
    assert await office.shop.balance(WALLET) == 0


async def test_payers_are_hidden_but_from_whoever_may_reveal_them(office: Office) -> None:
    receipt_id = await pay(office, "UI10000004", reference=NUMBER)
    reader = await office.operator_key(permissions=frozenset({"collections.read"}), name="reader")

    shown = await queries(office, reader).GetReceipt(pb.GetReceiptRequest(ledger=office.ledger, receipt_id=receipt_id))
    denied = await refusal(
        queries(office, reader).RevealPayer(pb.RevealPayerRequest(ledger=office.ledger, receipt_id=receipt_id))
    )
    revealed = await queries(office).RevealPayer(pb.RevealPayerRequest(ledger=office.ledger, receipt_id=receipt_id))

    assert (shown.receipt.payer, shown.receipt.reference) == ("2547****678", "2547****678")
    assert denied.code is grpc.StatusCode.PERMISSION_DENIED
    assert (revealed.number, revealed.name) == (NUMBER, "AMINA WANJIRU")


async def test_receipts_are_listed_by_where_their_money_waits_in_pages(office: Office) -> None:
    ids = [await pay(office, f"UI1000001{n}", reference="nobody") for n in range(3)]
    request = pb.ListReceiptsRequest(
        ledger=office.ledger, waiting=pb.ListReceiptsRequest.WAITING_UNALLOCATED, page_size=2
    )

    first = await queries(office).ListReceipts(request)
    request.page_token = first.next_page_token
    second = await queries(office).ListReceipts(request)

    assert [one.id for one in (*first.receipts, *second.receipts)] == ids[::-1]
    assert second.next_page_token == ""


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"amount": money(0)}, "AMOUNT_INVALID", "amount"),
        ({"reference": "254712345678"}, "TEXT_INVALID", "reference"),
        ({"reference": "x" * 21}, "TEXT_INVALID", "reference"),
        ({"request_id": ""}, "TEXT_INVALID", "request_id"),
        ({"expire_time": timestamp_of(datetime(2020, 1, 1, tzinfo=UTC))},
         "TIME_INVALID", "expire_time"),
    ],
)  # fmt: skip
async def test_a_malformed_order_is_refused_by_its_field(
    office: Office, changes: dict[str, Any], reason: str, field: str
) -> None:
    till = await office.partner_key()

    refused = await refusal(commands(office, till).CreateOrder(wanted(office, **changes)))

    assert (refused.reason, refused.field) == (reason, field)
