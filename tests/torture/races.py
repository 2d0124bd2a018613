"""Races of real threads: one request id, one account at its limit, one entry to reverse, one payout. Each race has one
right ending whoever wins, and what broke it is told in words."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeAlias

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.submission import Submission
from ledger.database import connect, driver, run
from ledger.errors import PayoutNotCancellable, ReversalExceedsOriginal
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.decide import Posted, PostRequest, Refused
from ledger.journal.verify import verify
from ledger.outbox import queue
from ledger.outcomes import RACING_CONSTRAINTS, Applied, OutcomeRecorder
from ledger.payouts.request import Requested
from tests.builders import BANK, OTHER_WALLET, WALLET, Books, key, open_books, transfer
from tests.ledger.payouts.roads import settled
from tests.ledger.payouts.shop import PARTY_KEYS, Shop, open_shop
from tests.torture.crowd import Crowd, gathered

THREADS = 8
FITS = 3
# Threads begin together and part by less than a transaction takes, so that every order comes up.
_APART_SECONDS = 0.004

Race: TypeAlias = Callable[["Ground", int], list[str]]


class Ground:
    """Where races are run: a crowd, and books as each of its threads sees them."""

    def __init__(self, crowd: Crowd, *, books: Books, shop: Shop, runner: asyncio.Runner, seed: int) -> None:
        self.runner = runner
        self.books = books
        self.shop = shop
        self.chance = random.Random(seed)
        self._crowd = crowd
        self._seats = [(IdSource(random.Random(seed + one)), AccountDirectory()) for one in range(crowd.size)]
        self.endings: Counter[str] = Counter()

    def run(self, commands: Sequence[Callable[[Books, Shop], Awaitable[Any]]]) -> list[Any]:
        """One command per thread, nearly at once, on books and a shop with the thread's own connections and ids."""
        return self._crowd.at_once([self._seated(number, command) for number, command in enumerate(commands)])

    def _seated(
        self, number: int, command: Callable[[Books, Shop], Awaitable[Any]]
    ) -> Callable[[AsyncEngine], Awaitable[Any]]:
        ids, directory = self._seats[number]
        pause = self.chance.choice((0.0, self.chance.uniform(0, _APART_SECONDS)))

        async def carry_out(engine: AsyncEngine) -> Any:
            await asyncio.sleep(pause)
            books = Books(engine, self.books.ledger, ids, directory)
            return await command(books, replace(self.shop, engine=engine, ids=ids, directory=directory))

        return carry_out


def one_request_id(ground: Ground, number: int) -> list[str]:
    """Every thread asks for the same payout under the same id: one payout, one reserve, the same answer to all."""
    draft = ground.shop.draft(key=f"race-{number}", reference=f"race-{number}", shillings=10)

    async def ask(_: Books, shop: Shop) -> Any:
        (verdict,) = await shop.request_all(draft)
        return verdict

    verdicts = ground.run([ask] * THREADS)
    made = [one for one in verdicts if isinstance(one, Requested)]
    first = [one.replayed for one in made].count(False)
    ids = {one.payout_id for one in made}
    for payout_id in ids:
        ground.runner.run(ground.shop.cancel(payout_id))  # or the workers of other races would claim it
    ground.endings["one payout, seven repeats"] += 1
    right = (len(made), first, len(ids)) == (THREADS, 1, 1)
    return [] if right else [f"{len(made)} answers, {first} of them first, {len(ids)} payouts"]


def one_account_at_its_limit(ground: Ground, number: int) -> list[str]:
    """The wallet holds three of what eight threads want: three get it."""
    ground.runner.run(ground.books.post(transfer(BANK, WALLET, FITS)))

    def take(thread: int) -> Callable[[Books, Shop], Awaitable[Any]]:
        request = PostRequest(transfer(WALLET, BANK, 1), "tests", key(f"take-{number}-{thread}"))

        async def post(books: Books, _: Shop) -> Any:
            (verdict,) = await books.try_post(request)
            return verdict

        return post

    verdicts = ground.run([take(thread) for thread in range(THREADS)])
    told = Counter(one.error.reason if isinstance(one, Refused) else type(one).__name__ for one in verdicts)
    ground.endings["three taken, five refused"] += 1
    right = told == {"Posted": FITS, "FLOOR_WOULD_BREAK": THREADS - FITS}
    return [] if right else [f"of {FITS} that fit: {dict(told)}"]


def one_entry_to_reverse(ground: Ground, number: int) -> list[str]:
    """Every thread reverses two of its five, under an id of its own: two of them do."""
    posted = ground.runner.run(ground.books.post(transfer(BANK, OTHER_WALLET, 5)))

    def undo(thread: int) -> Callable[[Books, Shop], Awaitable[Any]]:
        async def reverse(books: Books, _: Shop) -> Any:
            try:
                return await books.reverse(posted.entry_id, lines={1: 2, 2: 2}, claimed=key(f"undo-{number}-{thread}"))
            except ReversalExceedsOriginal:
                return None

        return reverse

    verdicts = ground.run([undo(thread) for thread in range(THREADS)])
    won = sum(isinstance(one, Posted) for one in verdicts)
    ground.endings["two reversed, six refused"] += 1
    right = (won, verdicts.count(None)) == (2, THREADS - 2)
    return [] if right else [f"reversed {won} times: {verdicts}"]


def one_payout(ground: Ground, number: int) -> list[str]:
    """Partners cancel, workers claim, callbacks settle: it is cancelled and never sent, or sent once and settled once,
    or cancelled and then found paid, which is a case with the money in suspense under its receipt."""
    payout_id = ground.runner.run(ground.shop.request(shillings=10))

    async def cancel(_: Books, shop: Shop) -> str:
        try:
            await shop.cancel(payout_id)
        except PayoutNotCancellable:
            return "not cancelled"
        return "cancelled"

    async def settle(_: Books, shop: Shop) -> str:
        (verdict,) = await shop.record((payout_id, settled(payout_id, shillings=10)))
        return f"success: {verdict.state.value}" if isinstance(verdict, Applied) else "success: known"

    told = Counter(ground.run([cancel, cancel, cancel, claim, claim, claim, settle, settle]))
    state, entries = ground.runner.run(_ending(ground.shop, payout_id))
    ground.endings[f"{state}, {'sent' if told['sent'] else 'never sent'}"] += 1
    if told["cancelled"]:
        right = (state, entries, told["sent"]) == ("CONFLICTED", ["payout.reserved", "payout.released"], 0)
    else:
        right = (state, entries) == ("SETTLED", ["payout.reserved", "payout.settled"]) and told["sent"] <= 1
    return [] if right else [f"{state} with {entries} after {dict(told)}"]


async def claim(_: Books, shop: Shop) -> str:
    """As a worker does up to its call, in one transaction."""
    recorder = OutcomeRecorder(directory=shop.directory, ids=shop.ids)
    submission = Submission(rails={}, party_keys=PARTY_KEYS, recorder=recorder, now=shop.now)

    async def command(connection: AsyncConnection) -> str:
        session, now = await driver(connection), shop.now()
        claimed = await queue.claim(
            session,
            kinds=[queue.SUBMIT],
            rails=["daraja"],
            now=now,
            lease=timedelta(minutes=1),
            token=shop.ids.next(now),
            limit=16,
        )
        own = [one for one in claimed if one.ledger_id == shop.ledger.id]  # the queue spans ledgers
        return "sent" if await submission.start(session, shop.ledger, own) else "not sent"

    return await run(shop.engine, command, again_on=RACING_CONSTRAINTS)


async def _ending(shop: Shop, payout_id: int) -> tuple[str, list[str]]:
    return await shop.state(payout_id), await shop.entries(payout_id)


RACES: dict[str, Race] = {
    "one request id": one_request_id,
    "one account at its limit": one_account_at_its_limit,
    "one entry to reverse": one_entry_to_reverse,
    "one payout: cancel, claim, callback": one_payout,
}


@dataclass(frozen=True, slots=True)
class RacesTold:
    """How often a race was run, how it ended, and what was wrong."""

    name: str
    races: int
    endings: Counter[str]
    faults: list[str]


def run_races(
    url: URL, counts: Mapping[str, int], *, seed: int, tell: Callable[[int], None] = lambda _: None
) -> list[RacesTold]:
    """Each race so many times, on a migrated database of its own. `tell` hears of each. In the end books and payouts
    agree, or an AssertionError says where not."""
    told = list[RacesTold]()
    with gathered(url, size=THREADS) as crowd, asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            books, shop = runner.run(_open(url, stack))
            ground = Ground(crowd, books=books, shop=shop, runner=runner, seed=seed)
            told += [_repeat(ground, name, count, tell) for name, count in counts.items()]
            runner.run(_verify(books))
        finally:
            runner.run(stack.aclose())
    return told


def _repeat(ground: Ground, name: str, count: int, tell: Callable[[int], None]) -> RacesTold:
    ground.endings.clear()
    faults: list[str] = []
    for number in range(count):
        faults += RACES[name](ground, number)
        tell(1)
    return RacesTold(name, count, Counter(ground.endings), faults)


async def _open(url: URL, stack: AsyncExitStack) -> tuple[Books, Shop]:
    engine = connect(url, pool_size=2, application_name="tests-races")
    stack.push_async_callback(engine.dispose)
    return await open_books(engine), await stack.enter_async_context(open_shop(engine))


async def _verify(books: Books) -> None:
    async with books.reading() as connection:
        report = await verify(connection, ledger_id=books.ledger.id)
    assert report.agrees, report.differences
