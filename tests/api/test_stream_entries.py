"""StreamEntries: answers in the order sent, many in flight, and a stream that ends when its key does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import grpc
import pytest
from daftari.v1 import journal_pb2 as pb

from api.authentication import REMEMBERED_SECONDS
from api.services.journal_commands import ITEMS_PER_CALL_MAX, STREAM_IN_FLIGHT_MAX
from tests.builders import BANK, WALLET
from tests.fix_api import BOUND, OPERATOR, READER, Api
from tests.wire import items, refusal_in, transfer


def with_key(key: str) -> tuple[tuple[str, str], ...]:
    return (("x-api-key", key),)


async def sent(api: Api, entries: Iterable[pb.EntryItem]) -> AsyncIterator[pb.StreamEntriesRequest]:
    for item in entries:
        yield pb.StreamEntriesRequest(ledger=api.ledger, item=item)


async def test_answers_come_in_the_order_sent_though_some_are_refused_at_once(api: Api) -> None:
    entries = [transfer(0) if index % 3 == 1 else transfer(1) for index in range(60)]

    stream = api.commands.StreamEntries(sent(api, items(entries)), metadata=with_key(OPERATOR))
    results = [answer.result async for answer in stream]

    assert [result.request_id for result in results] == [f"item-{index}" for index in range(60)]
    assert [result.error.reason for result in results] == [
        "AMOUNT_INVALID" if index % 3 == 1 else "" for index in range(60)
    ]
    ids = [result.posted.id for result in results if result.HasField("posted")]
    assert ids == sorted(set(ids))


async def test_more_entries_than_may_be_in_flight_are_all_answered(api: Api) -> None:
    count = STREAM_IN_FLIGHT_MAX + 500

    stream = api.commands.StreamEntries(sent(api, items([transfer(1)] * count)), metadata=with_key(OPERATOR))
    results = [answer.result async for answer in stream]

    assert [result.request_id for result in results] == [f"item-{index}" for index in range(count)]
    balance = await api.queries.GetBalance(pb.GetBalanceRequest(ledger=api.ledger, path=WALLET, currency="KES"))
    assert balance.balance.minor_units == count


async def test_a_message_of_many_items_is_answered_by_one_with_a_verdict_on_each(api: Api) -> None:
    entries = items([transfer(0) if index % 3 == 1 else transfer(1) for index in range(30)])

    async def requests() -> AsyncIterator[pb.StreamEntriesRequest]:
        for first in range(0, 30, 10):
            yield pb.StreamEntriesRequest(ledger=api.ledger, items=entries[first : first + 10])
        yield pb.StreamEntriesRequest(ledger=api.ledger, item=entries[0])

    answers = [answer async for answer in api.commands.StreamEntries(requests(), metadata=with_key(OPERATOR))]

    *many, alone = answers
    results = [result for answer in many for result in answer.results]
    assert [len(answer.results) for answer in answers] == [10, 10, 10, 0]
    assert [result.request_id for result in results] == [f"item-{index}" for index in range(30)]
    assert [result.error.reason for result in results] == [
        "AMOUNT_INVALID" if one % 3 == 1 else "" for one in range(30)
    ]
    assert alone.result.posted.replayed


async def test_more_messages_of_many_than_may_be_in_flight_are_all_answered(api: Api) -> None:
    size, count = STREAM_IN_FLIGHT_MAX // 4, 7
    entries = items([transfer(1)] * size * count)

    async def requests() -> AsyncIterator[pb.StreamEntriesRequest]:
        for first in range(0, size * count, size):
            yield pb.StreamEntriesRequest(ledger=api.ledger, items=entries[first : first + size])

    answers = [answer async for answer in api.commands.StreamEntries(requests(), metadata=with_key(OPERATOR))]

    assert [result.request_id for answer in answers for result in answer.results] == [one.request_id for one in entries]
    assert all(result.HasField("posted") for answer in answers for result in answer.results)


@pytest.mark.parametrize("ledger", ["no-such-ledger", ""])
async def test_a_message_that_is_refused_as_a_whole_is_refused_item_by_item(api: Api, ledger: str) -> None:
    async def requests() -> AsyncIterator[pb.StreamEntriesRequest]:
        yield pb.StreamEntriesRequest(ledger=ledger, items=items([transfer(1)] * 3))
        yield pb.StreamEntriesRequest(ledger=api.ledger, items=items([transfer(1)]))

    refused, posted = [answer async for answer in api.commands.StreamEntries(requests(), metadata=with_key(OPERATOR))]

    assert [result.error.reason for result in refused.results] == ["LEDGER_NOT_FOUND"] * 3
    assert [result.HasField("posted") for result in posted.results] == [True]


async def test_a_message_with_more_items_than_a_set_may_have_is_refused_item_by_item(api: Api) -> None:
    async def requests() -> AsyncIterator[pb.StreamEntriesRequest]:
        yield pb.StreamEntriesRequest(ledger=api.ledger, items=items([transfer(1)] * (ITEMS_PER_CALL_MAX + 1)))

    (answer,) = [answer async for answer in api.commands.StreamEntries(requests(), metadata=with_key(OPERATOR))]

    assert {result.error.reason for result in answer.results} == {"SET_TOO_LARGE"}
    assert len(answer.results) == ITEMS_PER_CALL_MAX + 1


async def test_a_message_with_an_item_and_items_ends_the_stream(api: Api) -> None:
    first, second = items([transfer(1), transfer(1)])

    async def requests() -> AsyncIterator[pb.StreamEntriesRequest]:
        yield pb.StreamEntriesRequest(ledger=api.ledger, item=first, items=[second])

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [answer async for answer in api.commands.StreamEntries(requests(), metadata=with_key(OPERATOR))]

    told = refusal_in(caught.value)
    assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CHOICE_INVALID")


async def test_each_item_names_its_ledger_and_one_out_of_scope_fails_alone(api: Api) -> None:
    async def requests() -> AsyncIterator[pb.StreamEntriesRequest]:
        for index, ledger in enumerate([api.ledger, api.foreign_books.ledger.code, "no-such-ledger", api.ledger]):
            item = pb.EntryItem(request_id=str(index), entry=transfer(1))
            yield pb.StreamEntriesRequest(ledger=ledger, item=item)

    stream = api.commands.StreamEntries(requests(), metadata=with_key(BOUND))
    results = [answer.result async for answer in stream]

    assert [result.error.reason for result in results] == ["", "LEDGER_NOT_FOUND", "LEDGER_NOT_FOUND", ""]


async def test_an_entry_is_answered_while_the_stream_stays_open(api: Api) -> None:
    stream = api.commands.StreamEntries(metadata=with_key(OPERATOR))
    answered = []
    for item in items([transfer(1), transfer(2)]):
        await stream.write(pb.StreamEntriesRequest(ledger=api.ledger, item=item))
        answer = await stream.read()
        assert isinstance(answer, pb.StreamEntriesResponse)
        answered.append(answer.result.request_id)
    await stream.done_writing()

    assert answered == ["item-0", "item-1"]
    assert await stream.read() == grpc.aio.EOF


async def test_a_stream_without_the_permission_is_refused(api: Api) -> None:
    before = await api.footprint()
    stream = api.commands.StreamEntries(sent(api, items([transfer(1)])), metadata=with_key(READER))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [answer async for answer in stream]

    told = refusal_in(caught.value)
    assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "DENIED")
    assert await api.footprint() == before


async def test_a_stream_ends_when_its_key_is_revoked_and_posts_nothing_more(api: Api) -> None:
    api.keys.add("key-to-revoke", ledger_id=None)
    stream = api.commands.StreamEntries(metadata=with_key("key-to-revoke"))
    first, second = items([transfer(1), transfer(1)])
    await stream.write(pb.StreamEntriesRequest(ledger=api.ledger, item=first))
    await stream.read()
    before = await api.footprint()

    del api.keys.callers["key-to-revoke"]
    api.clock.ahead_seconds += REMEMBERED_SECONDS
    await stream.write(pb.StreamEntriesRequest(ledger=api.ledger, item=second))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()

    told = refusal_in(caught.value)
    assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "NOT_AUTHENTICATED")
    assert await api.footprint() == before


async def test_a_client_that_breaks_off_leaves_balanced_books_and_a_working_service(api: Api) -> None:
    stream = api.commands.StreamEntries(sent(api, items([transfer(1)] * 300)), metadata=with_key(OPERATOR))
    await stream.read()
    stream.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stream.read()

    after = api.commands.StreamEntries(sent(api, items([transfer(5)], prefix="after")), metadata=with_key(OPERATOR))
    (answer,) = [answer async for answer in after]
    proof = await api.queries.GetTrialBalance(pb.GetTrialBalanceRequest(ledger=api.ledger))

    assert answer.result.HasField("posted")
    assert [total.debits_minor_units == total.credits_minor_units for total in proof.totals] == [True]
    assert {line.path for line in proof.lines} == {BANK, WALLET}
