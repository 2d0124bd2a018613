"""More than the service can take: refused before any work, told when to come again, and taken again afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import grpc.aio
import pytest
from daftari.v1 import journal_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.gather import Limits
from tests.builders import WALLET
from tests.fix_api import Api, start_api
from tests.wire import Refusal, refusal, transfer

ROOM = 4


@pytest.fixture
async def narrow(engine: AsyncEngine) -> AsyncIterator[Api]:
    """The journal's services with a queue of ROOM entries, a set of one, and room for twice as many calls."""
    async with AsyncExitStack() as stack:
        yield await start_api(engine, stack, limits=Limits(set_max=1, queue_max=ROOM), calls_max=2 * ROOM)


def post(api: Api, name: str) -> asyncio.Future[pb.PostEntryResponse]:
    request = pb.PostEntryRequest(ledger=api.ledger, request_id=name, entry=transfer(1))
    return asyncio.ensure_future(api.commands.PostEntry(request))


def items(*names: str) -> list[pb.EntryItem]:
    return [pb.EntryItem(request_id=name, entry=transfer(1)) for name in names]


async def posted(api: Api) -> int:
    """How many entries of one minor unit the wallet has seen."""
    answer = await api.queries.GetBalance(pb.GetBalanceRequest(ledger=api.ledger, path=WALLET, currency="KES"))
    return answer.balance.minor_units


async def one_too_many(api: Api, *, room: int) -> tuple[Refusal, list[asyncio.Future[pb.PostEntryResponse]]]:
    """Posts one more than there is room for, and returns what the one refused was told, and the others."""
    first = post(api, "first")
    await api.until_somebody_waits()
    calls = {first, *(post(api, f"next-{number}") for number in range(room))}
    refused, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    return await refusal(refused.pop()), list(waiting)


async def test_a_full_queue_says_when_to_come_again_and_takes_again_once_drained(narrow: Api) -> None:
    async with narrow.held(WALLET):
        told, waiting = await one_too_many(narrow, room=ROOM + 1)
        told_of_set = await refusal(
            narrow.commands.PostEntries(pb.PostEntriesRequest(ledger=narrow.ledger, items=items("a", "b")))
        )
    await asyncio.gather(*waiting)
    again = await narrow.commands.PostEntries(pb.PostEntriesRequest(ledger=narrow.ledger, items=items("a", "b")))

    for one in (told, told_of_set):
        assert (one.code, one.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert one.has_retry_delay
    assert [result.WhichOneof("result") for result in again.results] == ["posted", "posted"]
    assert len(waiting) == ROOM + 1
    assert await posted(narrow) == len(waiting) + 2


async def test_a_set_that_finds_no_room_is_refused_as_a_whole_before_it_is_looked_at(narrow: Api) -> None:
    nonsense = pb.EntryItem(request_id="", entry=pb.EntryDraft(kind="NOT A KIND"))

    async with narrow.held(WALLET):
        waiting = [post(narrow, "first")]
        await narrow.until_somebody_waits()
        request = pb.PostEntriesRequest(ledger=narrow.ledger, items=[nonsense] * (ROOM + 1))
        told = await refusal(narrow.commands.PostEntries(request))
    await asyncio.gather(*waiting)

    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")


async def test_cancelled_calls_leave_the_queue_and_nothing_of_them_is_done(narrow: Api) -> None:
    async with narrow.held(WALLET):
        first = post(narrow, "first")
        await narrow.until_somebody_waits()
        gone = [post(narrow, f"gone-{number}") for number in range(ROOM - 1)]
        await asyncio.wait(gone, timeout=0.5)
        for call in gone:
            call.cancel()
        await asyncio.wait(gone)
        stays = post(narrow, "stays")
        await asyncio.wait([stays], timeout=0.5)
    await asyncio.gather(first, stays)

    assert await posted(narrow) == 2


async def test_calls_whose_deadline_passes_in_the_queue_are_not_done(narrow: Api) -> None:
    request = pb.PostEntriesRequest(ledger=narrow.ledger, items=items("late-1", "late-2"))

    async with narrow.held(WALLET):
        first = post(narrow, "first")
        await narrow.until_somebody_waits()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await narrow.commands.PostEntries(request, timeout=0.3)
    await first
    await post(narrow, "last")

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await posted(narrow) == 2


async def test_calls_beyond_those_that_fit_are_refused_and_taken_again_afterwards(engine: AsyncEngine) -> None:
    async with AsyncExitStack() as stack:
        api = await start_api(engine, stack, calls_max=2)
        async with api.held(WALLET):
            told, waiting = await one_too_many(api, room=2)
        await asyncio.gather(*waiting)
        again = await post(api, "again")

    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert told.has_retry_delay
    assert told.request_id
    assert len(waiting) == 2
    assert not again.replayed
