"""Prompts over gRPC: a shop asks its customers to pay its own orders, an operator under any reference."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from daftari.v1 import prompts_pb2 as pb
from daftari.v1.prompts_pb2_grpc import PromptCommandServiceStub, PromptQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncEngine

from api.conversion.times import timestamp_of
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


async def listed(office: Office, key: str = "", **fields: Any) -> list[str]:
    """The ids of a list, read in pages of one."""
    names, token = [], ""
    while True:
        request = pb.ListPromptsRequest(ledger=office.ledger, page_size=1, page_token=token, **fields)
        page = await queries(office, key).ListPrompts(request)
        assert len(page.prompts) <= 1
        names += [one.id for one in page.prompts]
        token = page.next_page_token
        if not token:
            return names


async def test_prompts_are_listed_by_partner_and_state_in_pages(office: Office) -> None:
    await add_partner(office.shop, "rival")
    till, rival = await office.partner_key(), await office.partner_key(partner="rival")
    order_id = await order_of(office, till)
    mine = [
        (await commands(office, till).RequestPrompt(asking(office, request_id=name, order_id=order_id))).prompt.id
        for name in ("p1", "p2")
    ]
    other = await commands(office).RequestPrompt(asking(office, reference="HATS", amount=money(1000)))

    foreign = await refusal(
        queries(office, rival).ListPrompts(pb.ListPromptsRequest(ledger=office.ledger, partner="shop"))
    )

    assert await listed(office, till) == await listed(office, partner="shop") == mine[::-1]
    assert await listed(office) == [other.prompt.id, *mine[::-1]]
    assert await listed(office, rival) == []
    assert await listed(office, states=[pb.Prompt.STATE_REQUESTED, pb.Prompt.STATE_PAID]) == await listed(office)
    assert await listed(office, states=[pb.Prompt.STATE_PAID]) == []
    assert foreign.code is grpc.StatusCode.PERMISSION_DENIED


async def test_prompts_are_listed_by_the_time_they_were_asked_for(office: Office) -> None:
    first = await commands(office).RequestPrompt(asking(office, reference="HATS", amount=money(1000)))
    office.shop.clock.advance(seconds=300)
    between = office.shop.now()
    office.shop.clock.advance(seconds=300)
    second = await commands(office).RequestPrompt(asking(office, request_id="p2", reference="HATS", amount=money(1000)))

    assert await listed(office, create_time_to=timestamp_of(between)) == [first.prompt.id]
    assert await listed(office, create_time_from=timestamp_of(between)) == [second.prompt.id]


async def test_a_token_of_another_list_is_refused(office: Office) -> None:
    for name in ("p1", "p2"):
        await commands(office).RequestPrompt(asking(office, request_id=name, reference="HATS", amount=money(1000)))
    page = await queries(office).ListPrompts(pb.ListPromptsRequest(ledger=office.ledger, page_size=1))

    other = pb.ListPromptsRequest(ledger=office.ledger, partner="shop", page_token=page.next_page_token)
    refused = await refusal(queries(office).ListPrompts(other))

    assert (refused.reason, refused.field) == ("PAGE_TOKEN_INVALID", "page_token")
