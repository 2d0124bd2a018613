"""`kill -9` and SIGTERM of real `daftari` processes at work: what was acknowledged stays, once; no shilling is lost.

The sandbox rail outlives them in this process; they come back on the same addresses.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import psycopg
import pytest
from daftari.v1.journal_pb2_grpc import JournalCommandServiceStub
from daftari.v1.payouts_pb2_grpc import PayoutCommandServiceStub
from psycopg.rows import TupleRow

from adapters.sandbox import magic
from ledger.database import conninfo, transaction
from ledger.ids import encode
from ledger.journal.trial_balance import trial_balance
from ledger.journal.verify import verify
from ledger.payouts.payout import State
from ledger.payouts.queries import Payout
from tests.fix_database import Database
from tests.journeys.processes import SECONDS_MAX, running
from tests.journeys.scene import (
    FEE_MINOR_UNITS,
    FLIGHT,
    FLOAT_ACCOUNT,
    FLOAT_OPENING_MINOR_UNITS,
    FUNDING_ACCOUNT,
    LEDGER,
    PREFUNDED_MINOR_UNITS,
    Scene,
    open_scene,
)
from tests.journeys.traffic import (
    POSTED_ACCOUNTS,
    PayoutClients,
    PostingClients,
    payout_request,
    post_request,
)

SEED = 20_261_121
KILLS_WHILE_POSTING, KILLS_WHILE_PAYING = 8, 9  # and one of each role: 20

# The last digits say what the rail does. Left out is what it lets us send again under the same reference, and what
# makes a result unusable: wrong figures and contradictions are other tests' matter.
_PAID_AND_TOLD = ["000"] * 40 + ["301", "304", "306", "314", "401", "402", "403", "419"]
_DECLINED = ["101", "104", "140", "415"]
_SILENT = ["201", "202", "302", "303", "305", "307", "308", "405", "408"]
MSISDNS = [magic.magic_msisdn(suffix) for suffix in (*_PAID_AND_TOLD, *_DECLINED, *_SILENT)]

_POSTED = (
    "SELECT reference, id FROM journal_entries WHERE ledger_id = :ledger AND kind = 'transfer' AND reference <> ''"
)
_KINDS = "SELECT kind, count(*) FROM journal_entries WHERE ledger_id = :ledger GROUP BY kind"
_ANSWERS = "SELECT coalesce(answer, 'none'), count(*) FROM attempts WHERE ledger_id = :ledger GROUP BY 1"
_HOLD = """
SELECT FROM account_balances AS b JOIN accounts AS a ON a.ledger_id = b.ledger_id AND a.id = b.account_id
WHERE a.path = ANY(%s) FOR UPDATE OF b
"""
_BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"


@pytest.fixture
async def scene(fresh_database: Database, tmp_path: Path) -> AsyncIterator[Scene]:
    """Books, keys and a rail; no process yet."""
    async with open_scene(fresh_database, files=tmp_path, seed=SEED) as opened:
        yield opened


async def test_kill_9_while_16_clients_post_loses_and_doubles_no_acknowledged_entry(
    scene: Scene, fresh_database: Database
) -> None:
    randomness = random.Random(SEED)
    await slow_commits_down(fresh_database)
    clients = scene.posting_clients(clients=16, seed=SEED)
    service = scene.service()

    async with running(service), clients.calling():
        for _ in range(KILLS_WHILE_POSTING):
            service.prepare()
            await clients.progress(randomness.randint(50, 200))
            await asyncio.sleep(randomness.uniform(0, 0.05))
            await service.kill()
            await service.start()

    assert clients.interrupted >= KILLS_WHILE_POSTING
    assert clients.replayed > 0  # committed, and their callers had heard nothing
    await check_entries(scene, clients)


async def test_kill_9_while_payouts_are_submitted_leaves_each_settled_released_or_unknown(scene: Scene) -> None:
    randomness = random.Random(SEED)
    clients = scene.payout_clients(clients=8, seed=SEED, msisdns=MSISDNS)
    service = scene.service()

    async with running(service):
        async with clients.calling():
            for _ in range(KILLS_WHILE_PAYING):
                service.prepare()
                await clients.progress(randomness.randint(30, 70))
                await asyncio.sleep(randomness.uniform(0, 0.6))
                await service.kill()
                await service.start()
        await scene.until_quiet()
        assert await service.stop() == 0

    assert dict(await scene.pairs(_ANSWERS))["lost"] > 0  # killed between the attempt and its answer
    await check_payouts(scene, clients)


async def test_each_role_in_a_process_of_its_own_may_be_killed_while_the_others_work(scene: Scene) -> None:
    randomness = random.Random(SEED)
    posting = scene.posting_clients(clients=8, seed=SEED)
    payouts = scene.payout_clients(clients=4, seed=SEED, msisdns=MSISDNS)
    roles = [scene.service(role) for role in ("worker", "http", "grpc")]

    async with running(*roles):
        async with posting.calling(), payouts.calling():
            for role in roles:
                role.prepare()
                await payouts.progress(40)
                await asyncio.sleep(randomness.uniform(0, 0.3))
                await role.kill()
                await role.start()
            await payouts.progress(20)
        await scene.until_quiet()
        assert [await role.stop() for role in roles] == [0, 0, 0]

    await check_entries(scene, posting)
    await check_payouts(scene, payouts)


async def test_sigterm_lets_what_is_under_way_finish_and_does_nothing_that_it_refuses(
    scene: Scene, fresh_database: Database
) -> None:
    service = scene.service(rail_timeout_seconds="3", result_deadline_seconds="900")
    hanging, waiting = (
        payout_request(LEDGER, name, msisdn=magic.magic_msisdn("307"), shillings=100) for name in ("hanging", "waiting")
    )
    first, *others = [post_request(LEDGER, f"{number}", randomness=random.Random(number)) for number in range(17)]

    async with running(service), scene.channel(scene.partner_key) as partner, scene.channel(scene.operator_key) as own:
        payouts, posts = PayoutCommandServiceStub(partner), JournalCommandServiceStub(own)
        await payouts.RequestPayout(hanging)
        await scene.until_sent(1)
        async with accounts_held(fresh_database) as held:
            requested, posted = payouts.RequestPayout(waiting), posts.PostEntry(first)
            await until_blocked(held, backends=2)
            arriving = [posts.PostEntry(other) for other in others]
            service.ask_to_stop()
            await scene.until_refused()
        await requested
        answered = {first.request_id: (await posted).entry.id}
        for other, call in zip(others, arriving, strict=True):
            if await call.code() is grpc.StatusCode.OK:
                answered[other.request_id] = (await call).entry.id
        refused = {await call.code() for call in arriving} - {grpc.StatusCode.OK}
        assert await service.ended() == 0

    assert refused <= {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
    await check_stored(scene, answered)
    await check_books(scene)
    states = {one.partner_reference: one.state for one in await scene.payouts()}
    assert states.keys() == {"hanging", "waiting"}
    # The call to the rail ended by itself, and what that proved was stored: nothing is left to be found as lost.
    assert states["hanging"] is State.UNKNOWN
    assert dict(await scene.pairs(_ANSWERS)).keys() == {"OutcomeUnknown"}


async def slow_commits_down(database: Database) -> None:
    """Commits take 30 ms longer in sessions to come, so that many a kill falls between a COMMIT and its answer."""
    async with await psycopg.AsyncConnection.connect(conninfo(database.admin), autocommit=True) as session:
        for setting in ("commit_delay = 30000", "commit_siblings = 0"):
            await session.execute(f"ALTER DATABASE {database.name} SET {setting}".encode())


@asynccontextmanager
async def accounts_held(database: Database) -> AsyncIterator[psycopg.AsyncConnection[TupleRow]]:
    """During the block nothing can be posted to POSTED_ACCOUNTS and from the partner's."""
    async with await psycopg.AsyncConnection.connect(conninfo(database.admin)) as session:
        await session.execute(_HOLD, ([*POSTED_ACCOUNTS, FUNDING_ACCOUNT],))
        yield session


async def until_blocked(session: psycopg.AsyncConnection[TupleRow], *, backends: int) -> None:
    """Returns once so many backends wait for what the session holds."""
    async with asyncio.timeout(SECONDS_MAX):
        count = 0
        while count < backends:
            await asyncio.sleep(0.02)
            ((count,),) = await (await session.execute(_BLOCKED)).fetchall()


async def check_books(scene: Scene) -> dict[str, int]:
    """Debits equal credits and every cache equals its postings. Returns debits less credits by account."""
    async with transaction(scene.application.engine) as connection:
        report = await verify(connection, ledger_id=scene.ledger.id)
        trial = await trial_balance(connection, ledger_id=scene.ledger.id)

    assert report.differences == ()
    assert trial.is_balanced
    return Counter({line.path: line.debits - line.credits for line in trial.lines})


async def check_stored(scene: Scene, acknowledged: Mapping[str, str]) -> None:
    """The posted entries are those acknowledged, id by id, each once."""
    stored = [(reference, encode("ent", entry_id)) for reference, entry_id in await scene.pairs(_POSTED)]

    assert sorted(stored) == sorted(acknowledged.items())


async def check_entries(scene: Scene, clients: PostingClients) -> None:
    """The journal holds what was acknowledged and nothing besides; balances are what it adds up to."""
    await check_stored(scene, clients.acknowledged)
    balances = await check_books(scene)

    assert {path: balances[path] for path in POSTED_ACCOUNTS} == clients.debited_less_credited


async def check_payouts(scene: Scene, clients: PayoutClients) -> None:
    """Every payout is accounted for, in the books as on the rail, and every difference between them is a named one."""
    payouts = await scene.payouts()
    settled, released, unknown = (
        [one for one in payouts if one.state is state] for state in (State.SETTLED, State.RELEASED, State.UNKNOWN)
    )

    assert sorted((one.partner_reference, one.public_id) for one in payouts) == sorted(clients.acknowledged.items())
    assert len(settled) + len(released) + len(unknown) == len(payouts)
    assert min(len(settled), len(released), len(unknown)) > 0  # the traffic reached every end
    check_rail(scene, settled=settled, released=released, unknown=unknown)
    await check_money(scene, settled=settled, released=released, unknown=unknown)


def check_rail(scene: Scene, *, settled: list[Payout], released: list[Payout], unknown: list[Payout]) -> None:
    """The rail saw each reference once at most, and paid what the books call settled and nothing they call released."""
    moved = scene.movements()
    sent = Counter(scene.submissions().values())

    assert set(sent.values()) == {1}
    assert {one.provider_reference: (one.receipt, one.amount.minor_units) for one in settled} == {
        reference: (movement.receipt, movement.amount_cents)
        for reference, movement in moved.items()
        if reference not in references(unknown)
    }
    assert moved.keys().isdisjoint(references(released))
    # A result that was answered 200 had been stored, and is never lost again.
    assert scene.results_taken().isdisjoint(references(unknown))


async def check_money(scene: Scene, *, settled: list[Payout], released: list[Payout], unknown: list[Payout]) -> None:
    """Every shilling is with the partner, gone, or called unknown; the floats differ by unknown payouts alone."""
    balances = await check_books(scene)
    kinds = dict(await scene.pairs(_KINDS))
    moved = scene.movements()
    left_partner = total([*settled, *unknown]) + FEE_MINOR_UNITS * len([*settled, *unknown])
    paid_but_unknown = total(one for one in unknown if one.provider_reference in moved)
    charges = sum(moved[one.provider_reference].charge_cents for one in settled)

    assert balances[FLOAT_ACCOUNT] == FLOAT_OPENING_MINOR_UNITS - total(settled)
    assert balances[FLOAT_ACCOUNT] - scene.sandbox.world.balances.utility_cents == paid_but_unknown
    assert -balances[FUNDING_ACCOUNT] == PREFUNDED_MINOR_UNITS - left_partner
    assert balances[f"liab.payout.in_transit.{FLIGHT}"] == 0
    assert -balances[f"liab.payout.unknown.{FLIGHT}"] == total(unknown)
    assert -balances[f"liab.provider_charges.{FLIGHT}"] == charges
    assert (kinds["payout.settled"], kinds["payout.released"]) == (len(settled), len(released))


def references(payouts: Iterable[Payout]) -> set[str]:
    """Ours, as the rail knows them."""
    return {one.provider_reference for one in payouts}


def total(payouts: Iterable[Payout]) -> int:
    """Minor units of KES."""
    return sum(one.amount.minor_units for one in payouts)
