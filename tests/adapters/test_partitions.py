"""One connection of several is gone: to the rail, from it, to the database, to our ingress (scenarios 12 and 37)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import cast

import httpx
import psycopg
import pytest
from psycopg import sql

from adapters.daraja.client import open_rail
from adapters.dispatch import Dispatcher
from adapters.listener import bound_socket
from adapters.provider import PayoutRail
from adapters.sandbox.magic import magic_msisdn
from adapters.transport import HttpLimits
from ledger.database import conninfo
from tests.fix_database import Database
from tests.journeys.rig import LEASE_SECONDS, Rig, sandbox_settings
from tests.ledger.payouts.shop import FLOAT, IN_TRANSIT, UNKNOWN

_OPEN = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
   AND backend_type = 'client backend'
"""
_LOOKS, _LOOK_SECONDS = 10, 0.01
_TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


async def _open(rig: Rig) -> list[tuple[object, ...]]:
    """How many transactions stay open; one that only just ends is given a moment, shorter than the call waits."""
    for _ in range(_LOOKS):
        rows = await rig.rows(_OPEN)
        if rows == [(0,)]:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    return [tuple(row) for row in rows]


class Link:
    """The network between us and the rail: it carries bytes both ways, one way, or not at all."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.carries_requests = self.carries_answers = True
        self.spoken = asyncio.Event()

    async def start(self) -> str:
        """Where the rail is to be found."""
        self._server = await asyncio.start_server(self._carry, sock=bound_socket("127.0.0.1", 0))
        return "http://{}:{}".format(*self._server.sockets[0].getsockname())

    async def cut(self) -> None:
        """Nobody listens any more."""
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()

    async def _carry(self, ours: asyncio.StreamReader, to_us: asyncio.StreamWriter) -> None:
        theirs, to_them = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [to_us, to_them]
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._requests(ours, to_them), self._answers(theirs, to_us))

    async def _requests(self, ours: asyncio.StreamReader, to_them: asyncio.StreamWriter) -> None:
        while heard := await ours.read(65536):
            self.spoken.set()
            if self.carries_requests:
                to_them.write(heard)

    async def _answers(self, theirs: asyncio.StreamReader, to_us: asyncio.StreamWriter) -> None:
        while heard := await theirs.read(65536):
            if self.carries_answers:
                to_us.write(heard)


@pytest.fixture
async def link(rig: Rig) -> AsyncIterator[Link]:
    """Carrying both ways."""
    opened = Link(httpx.URL(rig.sandbox_url).port or 0)
    yield opened
    await opened.cut()


@pytest.fixture
async def distant(rig: Rig, link: Link) -> AsyncIterator[Dispatcher]:
    """A dispatcher that reaches the rail by the link alone, and has a token already."""
    access = sandbox_settings(await link.start(), rig.sandbox)
    rail = open_rail(access, monotonic=time.monotonic, limits=HttpLimits(read_seconds=0.6))
    application = replace(rig.application, rails={"daraja": cast(PayoutRail, rail)})
    dispatcher = application.dispatcher(public_url=rig.public_url)
    first = await rig.request(shillings=10)
    while not await rig.seen(first):  # on a busy machine the first token may come too late
        await dispatcher.step()
        rig.clock.advance(seconds=30)
    await rig.work_until_quiet()
    link.spoken.clear()
    yield dispatcher
    await rail.close()


async def test_while_the_rail_cannot_be_reached_payouts_wait_and_then_each_is_paid_once(
    rig: Rig, link: Link, distant: Dispatcher
) -> None:
    await link.cut()
    ids = await rig.request_many(5)

    for _ in range(3):
        await distant.step()
        rig.clock.advance(seconds=30)
    waiting = {await rig.state(one) for one in ids}, await rig.balance(IN_TRANSIT)
    rig.clock.advance(seconds=900)
    await rig.work_until_quiet()

    assert waiting == ({"RESERVED"}, 5 * 150_000)
    assert {await rig.state(one) for one in ids} == {"SETTLED"}
    assert [len(await rig.seen(one)) for one in ids] == [1] * 5
    assert await rig.reviews() == []


async def test_what_went_into_a_link_that_swallows_requests_is_unknown_and_never_sent_again(
    rig: Rig, link: Link, distant: Dispatcher
) -> None:
    link.carries_requests = False
    payout_id = await rig.request()

    calling = asyncio.create_task(distant.step())
    await link.spoken.wait()
    open_meanwhile = await _open(rig)
    await calling
    unanswered = await rig.state(payout_id)
    for _ in range(12):
        rig.clock.advance(seconds=900)
        await rig.work_until_quiet()

    assert open_meanwhile == [(0,)]
    assert unanswered == await rig.state(payout_id) == "UNKNOWN"
    assert await rig.seen(payout_id) == []
    assert await rig.reviews() == [("submit-unknown", payout_id)]


async def test_what_went_over_a_link_that_swallows_answers_is_unknown_until_its_callback(
    rig: Rig, link: Link, distant: Dispatcher
) -> None:
    link.carries_answers = False
    payout_id = await rig.request()

    calling = asyncio.create_task(distant.step())
    await link.spoken.wait()
    open_meanwhile = await _open(rig)
    await calling
    unanswered = await rig.state(payout_id), await rig.balance(UNKNOWN)
    await rig.work_until_quiet()

    assert open_meanwhile == [(0,)]
    assert unanswered == ("UNKNOWN", 150_000)
    assert await rig.state(payout_id) == "SETTLED"
    assert len(await rig.seen(payout_id)) == 1


async def test_a_database_that_is_away_for_the_answer_and_the_callback_costs_both_and_no_money(
    rig: Rig, fresh_database: Database
) -> None:
    payout_id = await rig.request()
    rig.rail.before.shut()
    calling = asyncio.create_task(rig.dispatcher.step())
    await rig.rail.before.reached.wait()
    with taken_away(fresh_database):
        rig.rail.before.open()
        await calling
        await rig.sandbox.idle()

    back = await rig.state(payout_id), await rig.verdicts()
    for seconds in (LEASE_SECONDS, 61):
        rig.clock.advance(seconds=seconds)
        await rig.work_until_quiet()

    assert back == ("SUBMITTING", [])
    assert await rig.state(payout_id) == "SETTLED"
    assert len(await rig.seen(payout_id)) == 1
    assert await rig.balance(FLOAT) == rig.float_opening - 150_000


@contextlib.contextmanager
def taken_away(database: Database) -> Iterator[None]:
    """Nobody is connected to the database during the block, and nobody may connect."""
    name = sql.Identifier(database.name)
    with psycopg.connect(conninfo(database.admin.set(database="postgres")), autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        admin.execute(_TERMINATE, (database.name,))
        yield
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


async def test_results_that_found_our_ingress_closed_are_settled_by_asking(rig: Rig) -> None:
    with bound_socket("127.0.0.1", 0) as unheard:
        closed = "http://{}:{}".format(*unheard.getsockname())
        ids = await rig.request_many(6)
        declined = await rig.request(msisdn=magic_msisdn("140"))
        await rig.application.dispatcher(public_url=closed).step()
        await rig.sandbox.idle()
    unheard_of = {await rig.state(one) for one in (*ids, declined)}, await rig.verdicts()
    await rig.fall_silent()

    rig.clock.advance(seconds=61)
    await rig.work_until_quiet()

    assert unheard_of == ({"SUBMITTED"}, [])
    assert {await rig.state(one) for one in ids} == {"SETTLED"}
    assert await rig.state(declined) == "RELEASED"
    assert [len(await rig.seen(one)) for one in (*ids, declined)] == [1] * 7
