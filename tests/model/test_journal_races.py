"""Many connections at one journal, each post a transaction of its own: one effect per key, floors to the unit, no
deadlock that anybody sees, and balances that are their postings."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import connect
from ledger.journal.accounts import find_account
from ledger.journal.decide import Posted, PostRequest, Refused, Replayed
from ledger.journal.entry import JournalEntry, Posting, Side, credit, debit
from ledger.journal.post import PostResult
from ledger.journal.verify import verify
from ledger.money import Money
from tests.builders import BANK, WALLET, Books, account, entry, key, open_books, transfer
from tests.fix_database import Database

CLIENTS = 16
WALLETS = tuple(f"liab.wallet.{number}" for number in range(8))


@pytest.fixture
async def engines(database: Database) -> AsyncIterator[list[AsyncEngine]]:
    """Four processes' worth of connections."""
    pools = [connect(database.app, pool_size=5, application_name=f"tests-race-{number}") for number in range(4)]
    yield pools
    for pool in pools:
        await pool.dispose()


def twins(books: Books, engines: Sequence[AsyncEngine]) -> list[Books]:
    """The same ledger as each process sees it: own connections, own ids, own memory of accounts."""
    rivals = []
    for number, engine in enumerate(engines):
        own_ids = type(books.ids)(random.Random(number))
        rivals.append(Books(engine, books.ledger, own_ids))
    return rivals


async def at_once(rivals: Sequence[Books], requests: Sequence[PostRequest]) -> list[PostResult]:
    """Posts every request in a transaction of its own, dealt out among the processes."""
    posts = [rivals[index % len(rivals)].try_post(request) for index, request in enumerate(requests)]
    return [verdict for (verdict,) in await asyncio.gather(*posts)]


async def balance(books: Books, path: str) -> int:
    async with books.reading() as connection:
        found = await find_account(connection, ledger_id=books.ledger.id, path=path, currency="KES")
    return found.balance


async def assert_in_order(books: Books, *, entries: int) -> None:
    """The ledger holds so many entries, and every balance, chain and day is what its postings make of it."""
    async with books.reading() as connection:
        report = await verify(connection, ledger_id=books.ledger.id)
    assert report.agrees, report.differences
    assert report.entries == entries


@pytest.mark.parametrize("amount", [100, 40])
async def test_64_identical_posts_under_one_key_make_one_entry(engines: list[AsyncEngine], amount: int) -> None:
    """The wallet holds 100: of the amount there is no second, or there would be one."""
    books = await open_books(engines[0])
    await books.post(transfer(BANK, WALLET, 100))
    request = PostRequest(transfer(WALLET, BANK, amount), "tests", key("one"))

    verdicts = await at_once(twins(books, engines), [request] * 64)

    (posted,) = [one for one in verdicts if isinstance(one, Posted)]
    assert [one for one in verdicts if one is not posted] == [Replayed(posted.entry_id)] * 63
    assert await balance(books, WALLET) == 100 - amount
    await assert_in_order(books, entries=2)


async def test_64_posts_of_other_content_under_one_key_make_one_entry(engines: list[AsyncEngine]) -> None:
    books = await open_books(engines[0])
    requests = [
        PostRequest(transfer(BANK, WALLET, 1 + index % 2), "tests", key("one", content=b"%d" % (index % 2)))
        for index in range(64)
    ]

    verdicts = await at_once(twins(books, engines), requests)

    told = Counter(one.error.reason if isinstance(one, Refused) else type(one).__name__ for one in verdicts)
    assert told == {"Posted": 1, "Replayed": 31, "IDEMPOTENCY_KEY_REUSED": 32}
    await assert_in_order(books, entries=1)


async def test_200_debits_of_one_unit_on_a_wallet_of_100_accept_exactly_100(engines: list[AsyncEngine]) -> None:
    books = await open_books(engines[0])
    await books.post(transfer(BANK, WALLET, 100))
    requests = [PostRequest(transfer(WALLET, BANK, 1), "tests", key(f"debit {index}")) for index in range(200)]

    verdicts = await at_once(twins(books, engines), requests)

    told = Counter(one.error.reason if isinstance(one, Refused) else type(one).__name__ for one in verdicts)
    assert told == {"Posted": 100, "FLOOR_WOULD_BREAK": 100}
    assert await balance(books, WALLET) == 0
    await assert_in_order(books, entries=101)


def random_entry(chance: random.Random) -> JournalEntry:
    """Two to eight lines on accounts in any order, some of them twice."""
    lines: list[Posting] = []
    for _ in range(chance.randint(1, 4)):
        debited, credited = chance.sample((BANK, *WALLETS), 2)
        amount = Money("KES", chance.randint(1, 50))
        lines += [debit(debited, amount), credit(credited, amount)]
    chance.shuffle(lines)
    return entry(*lines)


async def post_in_turn(books: Books, drafts: Sequence[JournalEntry]) -> list[PostResult]:
    """One client: its entries one after the other, in sets of one to three."""
    requests, verdicts = [PostRequest(draft, "tests") for draft in drafts], []
    while requests:
        size = 1 + len(requests) % 3
        verdicts += await books.try_post(*requests[:size])
        del requests[:size]
    return verdicts


async def test_random_entries_of_16_clients_meet_no_deadlock_and_move_every_balance_by_their_postings(
    engines: list[AsyncEngine],
) -> None:
    books = await open_books(engines[0], accounts=[account(BANK), *(account(path, floor=-60) for path in WALLETS)])
    rivals = twins(books, engines)
    drafts = [[random_entry(random.Random(100 * client + index)) for index in range(10)] for client in range(CLIENTS)]

    verdicts = await asyncio.gather(
        *(post_in_turn(rivals[client % len(rivals)], drafts[client]) for client in range(CLIENTS))
    )

    judged = [pair for one in zip(verdicts, drafts, strict=True) for pair in zip(*one, strict=True)]
    accepted = [draft for verdict, draft in judged if isinstance(verdict, Posted)]
    assert {one.error.reason for one, _ in judged if isinstance(one, Refused)} == {"FLOOR_WOULD_BREAK"}
    for path in (BANK, *WALLETS):
        normal = Side.DEBIT if path == BANK else Side.CREDIT
        lines = [line for draft in accepted for line in draft.postings if line.account == path]
        expected = sum(line.money.minor_units * (1 if line.side is normal else -1) for line in lines)
        assert await balance(books, path) == expected
        assert path == BANK or expected >= -60
    await assert_in_order(books, entries=len(accepted))
