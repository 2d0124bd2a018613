"""Callers as careful backends are: every request under an id of its own, repeated under it until it is answered."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import TypeVar

import grpc
import grpc.aio
from daftari.v1 import journal_pb2, payouts_pb2
from daftari.v1.journal_pb2_grpc import JournalCommandServiceStub
from daftari.v1.payouts_pb2_grpc import PayoutCommandServiceStub

from tests.journeys.processes import SECONDS_MAX
from tests.wire import credit, debit, draft, money

Answer = TypeVar("Answer")

# What a caller hears when the service dies under it: whether anything was done is not known, so the call is repeated.
INTERRUPTIONS = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
CALL_SECONDS_MAX = 20
REPEAT_SECONDS = 0.02
PAYOUT_PAUSE_SECONDS_MAX = 0.15
_CHANNEL = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),  # a connection per client
)

# Accounts of the shipped chart that payouts leave alone and that have no floor: no entry on them may be refused.
POSTED_ACCOUNTS = ("asset.bank.main", "equity.opening", "expense.sms_ussd", "income.unclaimed", "liab.unclaimed")


def post_request(ledger: str, request_id: str, *, randomness: random.Random) -> journal_pb2.PostEntryRequest:
    """An entry of two or three lines on POSTED_ACCOUNTS; its reference is the request id."""
    source, *targets = randomness.sample(POSTED_ACCOUNTS, k=randomness.choice((2, 3)))
    amounts = [randomness.randint(1, 100_000) for _ in targets]
    credits = [credit(account, amount) for account, amount in zip(targets, amounts, strict=True)]
    entry = draft(debit(source, sum(amounts)), *credits)
    entry.reference = request_id
    return journal_pb2.PostEntryRequest(ledger=ledger, request_id=request_id, entry=entry)


def payout_request(ledger: str, request_id: str, *, msisdn: str, shillings: int) -> payouts_pb2.RequestPayoutRequest:
    """A payout; the partner's reference is the request id."""
    payout = payouts_pb2.PayoutDraft(
        request_id=request_id, partner_reference=request_id, msisdn=msisdn, amount=money(shillings * 100)
    )
    return payouts_pb2.RequestPayoutRequest(ledger=ledger, payout=payout)


class Clients(ABC):
    """So many clients, each with a connection of its own, that call one after another. `acknowledged` has the id that
    each request id was answered with, `interrupted` counts the times that the service died under a call, `replayed` the
    answers to repeats whose first try had been carried out."""

    def __init__(self, *, address: str, key: str, ledger: str, clients: int, seed: int) -> None:
        self.ledger = ledger
        self.metadata = (("authorization", f"Bearer {key}"),)
        self.acknowledged: dict[str, str] = {}
        self.interrupted = 0
        self.replayed = 0
        self._address = address
        self._clients = clients
        self._seed = seed
        self._finishing = False

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """The clients call throughout the block; then each waits for its last answer. A refusal ends the block."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._be(number))
            yield
            self._finishing = True

    async def progress(self, answers: int) -> None:
        """Returns once so many more calls were answered."""
        goal = len(self.acknowledged) + answers
        async with asyncio.timeout(SECONDS_MAX):
            while len(self.acknowledged) < goal:  # noqa: ASYNC110  (many clients add to it)
                await asyncio.sleep(0.005)

    async def until_answered(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer to a call, repeated as often as the service dies under it."""
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                if error.code() not in INTERRUPTIONS:
                    raise
            self.interrupted += 1
            await asyncio.sleep(REPEAT_SECONDS)

    async def _be(self, number: int) -> None:
        randomness = random.Random(self._seed * 1000 + number)
        async with grpc.aio.insecure_channel(self._address, options=_CHANNEL) as channel:
            for turn in count():
                if self._finishing:
                    return
                await self._call(channel, f"client-{number}-{turn}", randomness)

    @abstractmethod
    async def _call(self, channel: grpc.aio.Channel, request_id: str, randomness: random.Random) -> None: ...


class PostingClients(Clients):
    """Post entries, and add up what they posted."""

    def __init__(self, *, address: str, key: str, ledger: str, clients: int, seed: int) -> None:
        super().__init__(address=address, key=key, ledger=ledger, clients=clients, seed=seed)
        self.debited_less_credited: Counter[str] = Counter()

    async def _call(self, channel: grpc.aio.Channel, request_id: str, randomness: random.Random) -> None:
        request = post_request(self.ledger, request_id, randomness=randomness)
        stub = JournalCommandServiceStub(channel)
        answer = await self.until_answered(
            lambda: stub.PostEntry(request, metadata=self.metadata, timeout=CALL_SECONDS_MAX)
        )
        self.acknowledged[request_id] = answer.entry.id
        self.replayed += answer.replayed
        for line in request.entry.postings:
            sign = 1 if line.side == journal_pb2.SIDE_DEBIT else -1
            self.debited_less_credited[line.account] += sign * line.amount.minor_units


class PayoutClients(Clients):
    """Request payouts to a mix of numbers, with pauses that leave the rail time."""

    def __init__(self, *, address: str, key: str, ledger: str, clients: int, seed: int, msisdns: Sequence[str]) -> None:
        super().__init__(address=address, key=key, ledger=ledger, clients=clients, seed=seed)
        self._msisdns = msisdns

    async def _call(self, channel: grpc.aio.Channel, request_id: str, randomness: random.Random) -> None:
        await asyncio.sleep(randomness.uniform(0, PAYOUT_PAUSE_SECONDS_MAX))
        msisdn, shillings = randomness.choice(self._msisdns), randomness.randint(10, 500)
        request = payout_request(self.ledger, request_id, msisdn=msisdn, shillings=shillings)
        stub = PayoutCommandServiceStub(channel)
        answer = await self.until_answered(
            lambda: stub.RequestPayout(request, metadata=self.metadata, timeout=CALL_SECONDS_MAX)
        )
        self.acknowledged[request_id] = answer.payout.id
        self.replayed += answer.replayed
