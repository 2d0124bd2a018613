"""Callbacks on their way: none before its release, each in its order, all given up when the sandbox closes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from adapters.sandbox.courier import Courier, Parcel
from adapters.sandbox.faults import CallbackFaults, Faults
from adapters.sandbox.settings import SandboxSettings
from adapters.sandbox.world import World
from tests.adapters.sandbox.rig import Receiver


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest_asyncio.fixture
async def courier() -> AsyncIterator[Courier]:
    faults = Faults(callbacks=CallbackFaults(delay_seconds=0), seed=1)
    courier = Courier(world=World(SandboxSettings()), faults=faults, timeout_seconds=5)
    yield courier
    await courier.close()


async def test_nothing_leaves_before_its_release(courier: Courier, receiver: Receiver) -> None:
    held = courier.prepare([parcel(receiver, "held")])
    free = courier.prepare([parcel(receiver, "free")])

    await free.release()
    first = await receiver.next()
    await held.release()
    second = await receiver.next()

    assert (first.path, second.path) == ("/free", "/held")


async def test_the_callbacks_of_one_request_keep_their_order(courier: Courier, receiver: Receiver) -> None:
    dispatch = courier.prepare([parcel(receiver, str(number)) for number in range(5)])

    await dispatch.release()
    await dispatch.delivered()

    assert [callback.path for callback in receiver.received] == ["/0", "/1", "/2", "/3", "/4"]


async def test_what_was_never_released_is_given_up(courier: Courier, receiver: Receiver) -> None:
    courier.prepare([parcel(receiver, "never")])

    await courier.abandon()

    assert (courier.pending, receiver.received) == (0, [])


def parcel(receiver: Receiver, name: str) -> Parcel:
    """A callback recognised by its path."""
    return Parcel(request_number=1, kind="result", url=f"{receiver.base_url}/{name}", body=b"{}")
