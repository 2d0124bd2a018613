"""Callers that remember what they asked for and what they were told, and ask all of it once more in the end."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import grpc.aio
from daftari.v1.journal_pb2_grpc import JournalCommandServiceStub
from daftari.v1.payouts_pb2_grpc import PayoutCommandServiceStub

from adapters.sandbox.magic import magic_msisdn
from tests.journeys.scene import LEDGER, Scene
from tests.journeys.traffic import CALL_SECONDS_MAX, Clients, payout_request, post_request

PAYEE = magic_msisdn("000")


class RememberingClients(Clients):
    """Keeps every request by its id. `contradicted` are those whose answers were not one and the same."""

    def __init__(self, *, address: str, key: str, clients: int, seed: int) -> None:
        super().__init__(address=address, key=key, ledger=LEDGER, clients=clients, seed=seed)
        self.contradicted: list[str] = []
        self._requests: dict[str, Any] = {}

    async def repeat_all(self) -> int:
        """Asks everything once more; returns how many of the answers were repeats."""
        self.replayed = 0
        async with grpc.aio.insecure_channel(self._address) as channel:
            for request_id in self._requests:
                await self._ask(channel, request_id)
        return self.replayed

    async def _ask(self, channel: grpc.aio.Channel, request_id: str) -> None:
        answer = await self.until_answered(lambda: self._told(channel, self._requests[request_id]))
        entry_or_payout = answer.entry.id if hasattr(answer, "entry") else answer.payout.id
        if self.acknowledged.setdefault(request_id, entry_or_payout) != entry_or_payout:
            self.contradicted.append(request_id)
        self.replayed += answer.replayed

    async def _told(self, channel: grpc.aio.Channel, request: Any) -> Any:
        raise NotImplementedError


class Posters(RememberingClients):
    """Post entries."""

    async def _call(self, channel: grpc.aio.Channel, request_id: str, randomness: random.Random) -> None:
        self._requests[request_id] = post_request(self.ledger, request_id, randomness=randomness)
        await self._ask(channel, request_id)

    async def _told(self, channel: grpc.aio.Channel, request: Any) -> Any:
        stub = JournalCommandServiceStub(channel)
        return await stub.PostEntry(request, metadata=self.metadata, timeout=CALL_SECONDS_MAX)


class PayoutRequesters(RememberingClients):
    """Request payouts of ten shillings."""

    async def _call(self, channel: grpc.aio.Channel, request_id: str, randomness: random.Random) -> None:
        self._requests[request_id] = payout_request(self.ledger, request_id, msisdn=PAYEE, shillings=10)
        await self._ask(channel, request_id)

    async def _told(self, channel: grpc.aio.Channel, request: Any) -> Any:
        stub = PayoutCommandServiceStub(channel)
        return await stub.RequestPayout(request, metadata=self.metadata, timeout=CALL_SECONDS_MAX)


def posters(scene: Scene, *, clients: int, seed: int) -> Posters:
    """With the operator's key."""
    return Posters(address=scene.grpc_address, key=scene.operator_key, clients=clients, seed=seed)


def payout_requesters(scene: Scene, *, clients: int, seed: int) -> PayoutRequesters:
    """With the partner's key."""
    return PayoutRequesters(address=scene.grpc_address, key=scene.partner_key, clients=clients, seed=seed)


async def until(condition: Any, *, seconds_max: float) -> None:
    """Returns once it holds."""
    async with asyncio.timeout(seconds_max):
        while not condition():  # noqa: ASYNC110  (a count is no Event)
            await asyncio.sleep(0.005)
