"""Prompts over gRPC: a shop asks its customers to pay its own orders, an operator under any reference."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from daftari.v1 import prompts_pb2 as pb
from daftari.v1.prompts_pb2_grpc import PromptCommandServiceStub, PromptQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.office import Office, add_partner, open_office
from tests.api.test_collections import commands as collecting
from tests.api.test_collections import open_shortcode, wanted
from tests.ledger.collections.till import NUMBER, SHORTCODE
from tests.wire import money, refusal

if TYPE_CHECKING:
    from daftari.v1.prompts_pb2_grpc import PromptCommandServiceAsyncStub, PromptQueryServiceAsyncStub


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop whose shortcode collects."""
    async with open_office(engine) as opened:
        await open_shortcode(opened)
        yield opened


def commands(office: Office, key: str = "") -> PromptCommandServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return PromptCommandServiceStub(office.channel(key or office.operator))


def queries(office: Office, key: str = "") -> PromptQueryServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return PromptQueryServiceStub(office.channel(key or office.operator))


def asking(office: Office, **changes: Any) -> pb.RequestPromptRequest:
    """A prompt for KES 1,000."""
    fields: dict[str, Any] = {
        "request_id": "p1", "provider": "daraja", "shortcode": SHORTCODE, "msisdn": NUMBER, "description": "Shoes",
    }  # fmt: skip
    return pb.RequestPromptRequest(ledger=office.ledger, **(fields | changes))


async def order_of(office: Office, key: str) -> str:
    """A new order of the key's partner."""
    return (await collecting(office, key).CreateOrder(wanted(office))).order.id


async def test_a_shop_asks_for_what_its_order_misses_and_a_repeat_asks_nobody_again(office: Office) -> None:
    till = await office.partner_key()
    order_id = await order_of(office, till)

    first = await commands(office, till).RequestPrompt(asking(office, order_id=order_id))
    again = await commands(office, till).RequestPrompt(asking(office, order_id=order_id))
    read = await queries(office, till).GetPrompt(pb.GetPromptRequest(ledger=office.ledger, prompt_id=first.prompt.id))

    assert (first.replayed, again.replayed, again.prompt) == (False, True, first.prompt)
    assert (first.prompt.amount, first.prompt.reference) == (money(100_000), "SHOES-12")
    assert first.prompt.payer == "2547****5678"
    assert read.prompt == first.prompt
    assert [(one.event, one.state) for one in read.events] == [("requested", pb.Prompt.STATE_REQUESTED)]


async def test_a_shop_asks_towards_its_own_orders_alone(office: Office) -> None:
    till = await office.partner_key()
    order_id = await order_of(office, till)
    made = await commands(office, till).RequestPrompt(asking(office, order_id=order_id))
    await add_partner(office.shop, "rival")
    rival = await office.partner_key(partner="rival")

    anothers = await refusal(commands(office, rival).RequestPrompt(asking(office, order_id=order_id)))
    nobodys = await refusal(commands(office, rival).RequestPrompt(asking(office, reference="HATS", amount=money(1000))))
    read = await refusal(
        queries(office, rival).GetPrompt(pb.GetPromptRequest(ledger=office.ledger, prompt_id=made.prompt.id))
    )

    assert (anothers.reason, nobodys.reason, read.reason) == ("ORDER_NOT_FOUND", "ORDER_NOT_FOUND", "PROMPT_NOT_FOUND")


async def test_an_operator_asks_under_any_reference(office: Office) -> None:
    made = await commands(office).RequestPrompt(asking(office, reference="HATS", amount=money(1000)))

    assert (made.prompt.reference, made.prompt.order_id) == ("HATS", "")


async def test_a_reader_asks_nobody(office: Office) -> None:
    reader = await office.operator_key(permissions=frozenset({"prompts.read"}), name="reader")

    denied = await refusal(commands(office, reader).RequestPrompt(asking(office, reference="HATS")))

    assert denied.code is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"amount": money(150)}, "AMOUNT_NOT_PAYABLE", "amount"),
        ({"amount": None}, "AMOUNT_INVALID", "amount"),
        ({"reference": "THIRTEENCHARS"}, "TEXT_INVALID", "reference"),
        ({"reference": "254712345678"[:12]}, "TEXT_INVALID", "reference"),
        ({"msisdn": "0712345678"}, "MSISDN_INVALID", "msisdn"),
        ({"shortcode": "600999"}, "SHORTCODE_NOT_FOUND", "shortcode"),
        ({"order_id": "ord_0000000000001"}, "CHOICE_INVALID", "reference"),
        ({"request_id": ""}, "TEXT_INVALID", "request_id"),
    ],
)  # fmt: skip
async def test_a_malformed_prompt_is_refused_by_its_field(
    office: Office, changes: dict[str, Any], reason: str, field: str
) -> None:
    fields: dict[str, Any] = {"reference": "HATS", "amount": money(1000)} | changes

    refused = await refusal(commands(office).RequestPrompt(asking(office, **fields)))

    assert (refused.reason, refused.field) == (reason, field)
