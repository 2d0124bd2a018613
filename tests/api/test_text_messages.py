"""Text messages over gRPC: what was told and what became of it, and sending once more what failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest
from daftari.v1 import text_messages_pb2 as pb
from daftari.v1.text_messages_pb2_grpc import TextMessageCommandServiceStub, TextMessageQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.ids import encode
from ledger.sms.message import Event
from tests.api.office import Office, open_office
from tests.ledger.payouts.roads import STARTED, settled
from tests.ledger.payouts.shop import PAYEE, open_shop
from tests.ledger.sms.opened import messages, take, tell_customers
from tests.wire import refusal

if TYPE_CHECKING:
    from daftari.v1.text_messages_pb2_grpc import TextMessageCommandServiceAsyncStub, TextMessageQueryServiceAsyncStub

QUEUED, FAILED = pb.TextMessage.STATE_QUEUED, pb.TextMessage.STATE_FAILED
WHY = "405 InsufficientBalance"


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop that tells its customers: of its three messages the first failed."""
    async with open_office(engine) as opened:
        await tell_customers(opened.shop)
        payouts = await opened.shop.request_many(3)
        await opened.shop.record(*((one, step) for one in payouts for step in (STARTED, settled(one))))
        first, *_ = await messages(opened.shop)
        await take(opened.shop, Event.REFUSED, first, code=WHY)
        yield opened


def queries(office: Office, key: str = "") -> TextMessageQueryServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return TextMessageQueryServiceStub(office.channel(key or office.operator))


def commands(office: Office, key: str = "") -> TextMessageCommandServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return TextMessageCommandServiceStub(office.channel(key or office.operator))


async def failed(office: Office) -> pb.TextMessage:
    """The one that did."""
    found = await queries(office).ListTextMessages(pb.ListTextMessagesRequest(ledger=office.ledger, state=FAILED))
    (one,) = found.messages
    return one


def again(office: Office, message: pb.TextMessage) -> pb.ResendTextMessageRequest:
    """To send it once more."""
    return pb.ResendTextMessageRequest(ledger=office.ledger, message_id=message.id, version=message.version)


async def test_messages_are_listed_newest_first_by_page_without_anybodys_number(office: Office) -> None:
    first = await queries(office).ListTextMessages(pb.ListTextMessagesRequest(ledger=office.ledger, page_size=2))
    rest = await queries(office).ListTextMessages(
        pb.ListTextMessagesRequest(ledger=office.ledger, page_size=2, page_token=first.next_page_token)
    )

    found = [*first.messages, *rest.messages]
    assert [one.state for one in found] == [QUEUED, QUEUED, FAILED]
    assert [one.id for one in found] == sorted((one.id for one in found), reverse=True)
    assert rest.next_page_token == ""
    assert PAYEE not in str(found)


async def test_one_is_read_with_what_happened_to_it(office: Office) -> None:
    one = await failed(office)
    asked = pb.GetTextMessageRequest(ledger=office.ledger, message_id=one.id)

    read = await queries(office).GetTextMessage(asked)

    assert read.message == one
    assert (one.event, one.language, one.failure_code, one.version) == ("payout.settled", "sw", WHY, 2)
    assert one.subject_id.startswith("pay_")
    assert one.text.startswith("Shop: KES ")
    assert [(event.event, event.detail) for event in read.events] == [("queued", ""), ("refused", WHY)]


async def test_what_failed_is_sent_once_more_however_often_that_is_asked(office: Office) -> None:
    one = await failed(office)

    first, repeated = [await commands(office).ResendTextMessage(again(office, one)) for _ in range(2)]
    await take(office.shop, Event.REFUSED, *await messages(office.shop), code=WHY)
    late = await commands(office).ResendTextMessage(again(office, one))

    assert (first.replayed, repeated.replayed, repeated.message) == (False, True, first.message)
    assert (first.message.state, first.message.version) == (QUEUED, 3)
    assert (late.replayed, late.message.state) == (True, FAILED)
    asked = "SELECT FROM instructions WHERE ledger_id = :ledger AND sms_id IS NOT NULL"
    assert len(await office.shop.rows(asked)) == 3


async def test_what_did_not_fail_or_has_moved_on_is_not_sent_again(office: Office) -> None:
    one = await failed(office)
    everything = await queries(office).ListTextMessages(pb.ListTextMessagesRequest(ledger=office.ledger))

    queued = await refusal(commands(office).ResendTextMessage(again(office, everything.messages[0])))
    one.version = 1
    moved_on = await refusal(commands(office).ResendTextMessage(again(office, one)))

    assert [queued.reason, moved_on.reason] == ["MESSAGE_NOT_RESENDABLE"] * 2
    assert (await failed(office)).version == 2


@pytest.mark.parametrize("message_id", ["", "sms_0000000000000", "pay_0000000000000"])
async def test_what_is_no_message_is_not_found(office: Office, message_id: str) -> None:
    asked = pb.GetTextMessageRequest(ledger=office.ledger, message_id=message_id)
    resent = pb.ResendTextMessageRequest(ledger=office.ledger, message_id=message_id, version=2)

    found = [
        await refusal(queries(office).GetTextMessage(asked)),
        await refusal(commands(office).ResendTextMessage(resent)),
    ]

    assert [one.reason for one in found] == ["MESSAGE_NOT_FOUND"] * 2


async def test_another_ledgers_messages_are_not_found_and_a_partner_reads_none(
    office: Office, engine: AsyncEngine
) -> None:
    async with open_shop(engine) as other:
        await tell_customers(other)
        payout_id = await other.request()
        await other.record((payout_id, STARTED), (payout_id, settled(payout_id)))
        (theirs,) = await messages(other)
    asked = pb.GetTextMessageRequest(ledger=office.ledger, message_id=encode("sms", theirs))
    partner = await office.partner_key()

    strange = await refusal(queries(office).GetTextMessage(asked))
    denied = await refusal(queries(office, partner).ListTextMessages(pb.ListTextMessagesRequest(ledger=office.ledger)))

    assert strange.reason == "MESSAGE_NOT_FOUND"
    assert denied.code is grpc.StatusCode.PERMISSION_DENIED
