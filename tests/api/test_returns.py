"""Returns over gRPC: operators alone return money, once per request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from daftari.v1 import returns_pb2 as pb
from daftari.v1.returns_pb2_grpc import ReturnCommandServiceStub, ReturnQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.office import Office, open_office
from tests.api.test_collections import open_shortcode, pay, receipt_of
from tests.wire import money, refusal

if TYPE_CHECKING:
    from daftari.v1.returns_pb2_grpc import ReturnCommandServiceAsyncStub, ReturnQueryServiceAsyncStub


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop whose shortcode collects."""
    async with open_office(engine) as opened:
        await open_shortcode(opened)
        yield opened


def commands(office: Office, key: str = "") -> ReturnCommandServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return ReturnCommandServiceStub(office.channel(key or office.operator))


def queries(office: Office) -> ReturnQueryServiceAsyncStub:
    """As the operator."""
    return ReturnQueryServiceStub(office.channel(office.operator))


async def test_an_operator_returns_a_part_and_a_repeat_returns_no_more(office: Office) -> None:
    receipt_id = await pay(office, "UI30000001", reference="nobody")
    asking = partial(pb.RequestReturnRequest, ledger=office.ledger, receipt_id=receipt_id, reason="wrong goods")

    first = await commands(office).RequestReturn(asking(request_id="r1", amount=money(30_000)))
    again = await commands(office).RequestReturn(asking(request_id="r1", amount=money(30_000)))
    read = await queries(office).GetReturn(pb.GetReturnRequest(ledger=office.ledger, return_id=first.refund.id))
    too_much = await refusal(commands(office).RequestReturn(asking(request_id="r2", amount=money(70_001))))

    assert (first.replayed, again.replayed, again.refund) == (False, True, first.refund)
    assert (read.refund, [one.event for one in read.events]) == (first.refund, ["requested"])
    assert (too_much.reason, too_much.field) == ("RECEIPT_SHORT", "amount")
    told = await receipt_of(office, receipt_id)
    assert (told.receipt.returning_minor_units, told.receipt.unallocated_minor_units) == (30_000, 70_000)


async def test_a_partner_returns_nothing(office: Office) -> None:
    receipt_id = await pay(office, "UI30000002", reference="nobody")
    till = await office.partner_key()

    denied = await refusal(
        commands(office, till).RequestReturn(
            pb.RequestReturnRequest(ledger=office.ledger, request_id="r1", receipt_id=receipt_id, reason="mine")
        )
    )

    assert denied.code is grpc.StatusCode.PERMISSION_DENIED


async def test_what_does_not_exist_is_not_found(office: Office) -> None:
    missing = await refusal(
        commands(office).RequestReturn(
            pb.RequestReturnRequest(
                ledger=office.ledger, request_id="r1", receipt_id="rcp_0000000000001", reason="wrong goods"
            )
        )
    )
    unread = await refusal(
        queries(office).GetReturn(pb.GetReturnRequest(ledger=office.ledger, return_id="rtn_0000000000001"))
    )

    assert (missing.reason, unread.reason) == ("RECEIPT_NOT_FOUND", "RETURN_NOT_FOUND")


async def test_returns_are_listed_newest_first_by_receipt_and_state_in_pages(office: Office) -> None:
    receipts = [await pay(office, f"UI3000001{number}", reference="nobody") for number in (0, 1)]
    made = [
        await commands(office).RequestReturn(
            pb.RequestReturnRequest(
                ledger=office.ledger, request_id=f"r{number}", receipt_id=receipts[number % 2], amount=money(10_000),
                reason="wrong goods",
            )
        )
        for number in range(3)
    ]  # fmt: skip
    ids = [one.refund.id for one in made][::-1]

    async def listed(**fields: Any) -> list[str]:
        names, token = [], ""
        while True:
            request = pb.ListReturnsRequest(ledger=office.ledger, page_size=2, page_token=token, **fields)
            page = await queries(office).ListReturns(request)
            names += [one.id for one in page.returns]
            token = page.next_page_token
            if not token:
                return names

    assert await listed() == ids
    assert await listed(receipt_id=receipts[0]) == [ids[0], ids[2]]
    assert await listed(states=[pb.Return.STATE_REQUESTED]) == ids
    assert await listed(states=[pb.Return.STATE_RETURNED]) == []


async def test_what_a_provider_took_back_is_booked_once_by_its_receipt(office: Office) -> None:
    receipt_id = await pay(office, "UI30000003", reference="nobody")
    telling = partial(
        pb.TakeBackReceiptRequest,
        ledger=office.ledger,
        receipt_id=receipt_id,
        amount=money(40_000),
        return_receipt="UI3R000001",
        evidence="statement of today",
    )

    first = await commands(office).TakeBackReceipt(telling(request_id="t1"))
    others = [await commands(office).TakeBackReceipt(telling(request_id=key)) for key in ("t1", "t2")]
    read = await queries(office).GetReturn(pb.GetReturnRequest(ledger=office.ledger, return_id=first.refund.id))
    reused = await refusal(commands(office).TakeBackReceipt(telling(request_id="t3", amount=money(1))))
    unproved = await refusal(commands(office).TakeBackReceipt(telling(request_id="t4", return_receipt="")))
    rewritten = await refusal(commands(office).TakeBackReceipt(telling(request_id="t2", evidence="another")))

    assert (first.refund.state, first.refund.unasked, first.replayed) == (pb.Return.STATE_RETURNED, True, False)
    assert [(one.refund, one.replayed) for one in others] == [(first.refund, True)] * 2
    assert [one.event for one in read.events] == ["taken_back"]
    assert (reused.reason, reused.field) == ("RECEIPT_SHORT", "amount")
    assert (unproved.reason, unproved.field) == ("TEXT_INVALID", "return_receipt")
    assert rewritten.reason == "IDEMPOTENCY_KEY_REUSED"
    told = await receipt_of(office, receipt_id)
    assert (told.receipt.returned_minor_units, told.receipt.unallocated_minor_units) == (40_000, 60_000)


async def test_a_receipt_is_asked_about_by_operators_alone(office: Office) -> None:
    receipt_id = await pay(office, "UI30000004", reference="nobody")
    request = pb.CheckReceiptRequest(ledger=office.ledger, receipt_id=receipt_id)

    for _ in range(2):
        await commands(office).CheckReceipt(request)
    denied = await refusal(commands(office, await office.partner_key()).CheckReceipt(request))

    assert denied.code is grpc.StatusCode.PERMISSION_DENIED
    asked = await office.shop.rows(
        "SELECT count(*) FROM instructions WHERE ledger_id = :ledger AND kind = 'receipt.query'"
    )
    assert asked[0][0] == 1
