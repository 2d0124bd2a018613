"""Many callers at once: one effect per request, floors to the unit, no deadlock, books that agree with themselves."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc
import pytest
from daftari.v1 import journal_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import connect
from tests.builders import BANK, WALLET, account, open_books
from tests.fix_api import Api, start_api
from tests.fix_database import Database
from tests.wire import credit, debit, draft, refusal_in, transfer


@pytest.fixture
async def twins(engine: AsyncEngine, database: Database) -> AsyncIterator[tuple[Api, Api]]:
    """Two servers that share nothing but the database, each with its own flusher and connections."""
    async with AsyncExitStack() as stack:
        other_engine = connect(database.app, pool_size=5, application_name="tests-twin")
        stack.push_async_callback(other_engine.dispose)
        yield await start_api(engine, stack), await start_api(other_engine, stack)


async def balance(api: Api, path: str) -> int:
    request = pb.GetBalanceRequest(ledger=api.ledger, path=path, currency="KES")
    return (await api.queries.GetBalance(request)).balance.minor_units


async def outcome(api: Api, request: pb.PostEntryRequest) -> str:
    """ "posted", "replayed", or the refusal's reason."""
    try:
        answer = await api.commands.PostEntry(request)
    except grpc.aio.AioRpcError as error:
        return refusal_in(error).reason
    return "replayed" if answer.replayed else "posted"


async def test_64_identical_requests_make_one_entry(twins: tuple[Api, Api]) -> None:
    one, other = twins
    request = pb.PostEntryRequest(ledger=one.ledger, request_id="same", entry=transfer(100))

    outcomes = await asyncio.gather(*[outcome(api, request) for _ in range(32) for api in (one, other)])

    # The two servers' operators are one client to the ledger: same id, same key.
    assert Counter(outcomes) == {"posted": 1, "replayed": 63}
    assert await balance(one, WALLET) == 100


async def test_200_debits_of_one_unit_accept_exactly_the_100_that_fit(api: Api) -> None:
    fund = pb.PostEntryRequest(ledger=api.ledger, request_id="fund", entry=transfer(100))
    await api.commands.PostEntry(fund)
    debits = [
        pb.PostEntryRequest(
            ledger=api.ledger, request_id=f"debit-{number}", entry=transfer(1, debited=WALLET, credited=BANK)
        )
        for number in range(200)
    ]

    outcomes = await asyncio.gather(*[outcome(api, request) for request in debits])

    assert Counter(outcomes) == {"posted": 100, "FLOOR_WOULD_BREAK": 100}
    assert await balance(api, WALLET) == 0


@dataclass(frozen=True, slots=True)
class Crowd:
    """16 clients with their own randomness, half of them on each server."""

    apis: tuple[Api, Api]
    ledger: str
    paths: tuple[str, ...]

    async def client(self, number: int) -> Counter[str]:
        """Posts ten random entries of two to six lines one after the other."""
        chance = random.Random(number)
        outcomes: Counter[str] = Counter()
        for index in range(10):
            request = pb.PostEntryRequest(ledger=self.ledger, request_id=f"{number}-{index}", entry=self._entry(chance))
            outcomes[await outcome(self.apis[number % 2], request)] += 1
        return outcomes

    def _entry(self, chance: random.Random) -> pb.EntryDraft:
        lines = []
        for _ in range(chance.randint(1, 3)):
            debited, credited = chance.sample(self.paths, 2)
            amount = chance.randint(1, 50)
            lines += [debit(debited, amount), credit(credited, amount)]
        chance.shuffle(lines)
        return draft(*lines)


async def test_random_entries_of_many_lines_meet_no_deadlock_and_every_balance_equals_its_postings(
    twins: tuple[Api, Api],
) -> None:
    wallets = [account(f"liab.wallet.w{number}", floor=-60) for number in range(6)]
    books = await open_books(twins[0].books.engine, accounts=[account(BANK), *wallets])
    paths = (BANK, *(wallet.path for wallet in wallets))
    crowd = Crowd(twins, books.ledger.code, paths)

    counts = sum(await asyncio.gather(*[crowd.client(number) for number in range(16)]), Counter[str]())

    assert set(counts) == {"posted", "FLOOR_WOULD_BREAK"}
    assert counts.total() == 160
    posted = 0
    for path in paths:
        lines = await _statement(twins[0], books.ledger.code, path)
        credit_normal = path != BANK
        running = 0
        for version, line in enumerate(lines, start=1):
            increases = (line.side == pb.SIDE_CREDIT) == credit_normal
            running += line.amount.minor_units if increases else -line.amount.minor_units
            assert (line.account_version, line.balance_after_minor_units) == (version, running)
        request = pb.GetBalanceRequest(ledger=books.ledger.code, path=path, currency="KES")
        assert (await twins[1].queries.GetBalance(request)).balance.minor_units == running
        assert path == BANK or running >= -60
        posted += len(lines)
    proof = await twins[0].queries.GetTrialBalance(pb.GetTrialBalanceRequest(ledger=books.ledger.code))
    (total,) = proof.totals
    assert total.debits_minor_units == total.credits_minor_units > 0
    assert posted >= 2 * counts["posted"]


async def _statement(api: Api, ledger: str, path: str) -> list[pb.StatementLine]:
    page = await api.queries.ListStatementLines(
        pb.ListStatementLinesRequest(
            ledger=ledger, path=path, currency="KES", order=pb.ORDER_OLDEST_FIRST, page_size=500
        )
    )
    assert page.next_page_token == ""
    return list(page.lines)
