"""Operators are told of what is wrong once, until it is over or a while has passed, over real HTTP; and of nobody's
number."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.alert_messages import Format, slack, webhook
from adapters.alerting import RESTS, AlertWatch, Hook
from adapters.egress import Egress, EgressLimits, EgressRules
from api.alerting import open_alert_watch
from api.settings import Settings
from ledger.alerts.conditions import AlertRules, Kind
from ledger.alerts.keeping import Notice
from ledger.database import driver, run
from ledger.errors import TextInvalid
from ledger.ids import IdSource
from ledger.payouts import reviews, switches
from ledger.payouts.reviews import Case
from ledger.sms.message import Event
from tests.adapters.test_dispatch import cut_off
from tests.ledger.payouts.roads import FAILED, STARTED, UNCLEAR, settled
from tests.ledger.payouts.shop import MOMENT, PAYEE, Clock
from tests.ledger.promotions.fair import Fair, open_fair
from tests.ledger.sms.opened import messages, take, tell_customers
from tests.webhooks.desk import LOCAL, no_names
from tests.webhooks.receiver import Receiver, answering, open_receiver

SECRET = "whsec_" + base64.b64encode(b"of the operators' receiver, kept").decode()
RULES = AlertRules(
    failures=2,
    failures_within=timedelta(minutes=15),
    unknown_for=timedelta(hours=2),
    float_below={"KES": 85_000_000, "RWF": 1},
)
TYPED = "what a person typed is for the books"
LEASE, REPEAT = timedelta(seconds=90), timedelta(hours=4)


@dataclass(frozen=True)
class Watched:
    """A fair, the operators' receiver, and what watches the one for the other. The clock begins at the present, which
    is what verifiers measure by."""

    fair: Fair
    receiver: Receiver
    watch: AlertWatch
    hook: Hook

    @property
    def clock(self) -> Clock:
        """Of everything."""
        return self.fair.shop.clock

    def another(self, *, write: Format | None = None) -> AlertWatch:
        """What another process runs."""
        hook = replace(self.hook, write=write or self.hook.write)
        shop = self.fair.shop
        return AlertWatch(engine=shop.engine, rules=RULES, hook=hook, ids=shop.ids, now=shop.clock)

    def told(self) -> list[tuple[str, str]]:
        """What each arrival says, and of what, in order."""
        return [(one.content["type"], one.content["data"]["kind"]) for one in self.receiver.arrivals]

    async def do(self, command: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """One transaction."""
        await run(self.fair.shop.engine, command)

    async def stop(self) -> None:
        """The rail."""
        shop = self.fair.shop

        async def command(connection: AsyncConnection) -> None:
            await switches.stop_rail(
                await driver(connection), ledger_id=shop.ledger.id, rail="daraja", reason=TYPED, actor="amina",
                ids=shop.ids, now=shop.now(),
            )  # fmt: skip

        await self.do(command)

    async def resume(self) -> None:
        """The rail."""
        shop = self.fair.shop

        async def command(connection: AsyncConnection) -> None:
            session = await driver(connection)
            await switches.resume_rail(session, ledger_id=shop.ledger.id, rail="daraja", actor="amina", now=shop.now())

        await self.do(command)


@pytest.fixture
async def watched(fresh_engine: AsyncEngine) -> AsyncIterator[Watched]:
    """On a database of its own, for one watch looks after all ledgers."""
    async with open_receiver() as receiver, open_fair(fresh_engine) as fair:
        fair.shop.clock.moment = datetime.now(UTC)
        egress = Egress(
            rules=LOCAL, limits=EgressLimits(call_seconds=30), resolver=no_names, tls=ssl.create_default_context()
        )
        hook = Hook(url=receiver.url, write=webhook(SECRET), egress=egress, lease=LEASE, repeat=REPEAT)
        shop = fair.shop
        watch = AlertWatch(engine=shop.engine, rules=RULES, hook=hook, ids=shop.ids, now=shop.clock)
        yield Watched(fair, receiver, watch, hook)
        await watch.close()


async def _failing(watched: Watched) -> None:
    shop = watched.fair.shop
    first, second = await shop.request_many(2)
    await shop.record((first, STARTED), (first, FAILED))
    await shop.record((second, STARTED), (second, FAILED))


async def _messages_failing(watched: Watched) -> None:
    shop = watched.fair.shop
    await tell_customers(shop)
    ids = await shop.request_many(2, shillings=10)
    await shop.record(*((one, step) for one in ids for step in (STARTED, settled(one, shillings=10))))
    await take(shop, Event.REFUSED, *await messages(shop), code="405")


async def _given_up(watched: Watched) -> None:
    fair = watched.fair
    won = await fair.won(await fair.active(codes=1), 1)
    for _ in range(4):
        payout_id = (await fair.redemption(won.id)).payout_id
        await fair.shop.record((payout_id, STARTED), (payout_id, FAILED))
        fair.shop.clock.advance(seconds=86_400)
        await fair.retry_due()


async def _unknown(watched: Watched) -> None:
    payout_id = await watched.fair.shop.request()
    await watched.fair.shop.record((payout_id, STARTED), (payout_id, UNCLEAR))
    watched.clock.advance(seconds=7_201)


async def _case(watched: Watched) -> None:
    shop = watched.fair.shop

    async def command(connection: AsyncConnection) -> None:
        await reviews.open_reviews(
            await driver(connection), ledger_id=shop.ledger.id, queue="unledgered-movement",
            cases=[Case(None, TYPED)], ids=shop.ids, now=shop.now(),
        )  # fmt: skip

    await watched.do(command)


async def _float_low(watched: Watched) -> None:
    """What is on its way counts as gone: 190,000 of 1,000,000 shillings."""
    await watched.fair.shop.request_many(2, shillings=95_000)


SCENES: dict[Kind, Callable[[Watched], Awaitable[None]]] = {
    Kind.PAYOUTS_FAILING: _failing,
    Kind.MESSAGES_FAILING: _messages_failing,
    Kind.REDEMPTIONS_GIVEN_UP: _given_up,
    Kind.FLOAT_LOW: _float_low,
    Kind.PAYOUTS_UNKNOWN: _unknown,
    Kind.RAIL_STOPPED: Watched.stop,
    Kind.CASES_OPEN: _case,
}


@pytest.mark.parametrize("kind", Kind)
async def test_what_is_wrong_is_told_once_signed_and_without_anybodys_number(watched: Watched, kind: Kind) -> None:
    await watched.watch.step()
    before = watched.told()
    await SCENES[kind](watched)

    for _ in range(3):
        await watched.watch.step()
        watched.clock.advance(seconds=30)

    (one,) = watched.receiver.arrivals
    assert before == []
    assert watched.told() == [("alert.opened", kind.value)]
    assert PAYEE not in one.body.decode()
    assert TYPED not in one.body.decode()
    assert one.content["data"]["ledger"] == watched.fair.shop.ledger.code
    if kind not in (Kind.PAYOUTS_UNKNOWN, Kind.REDEMPTIONS_GIVEN_UP):  # there the clock is ahead of the verifier's
        assert one.verify(SECRET) == one.content


async def test_what_is_open_yet_is_told_again_after_a_while_and_its_end_once(watched: Watched) -> None:
    await watched.stop()
    await watched.watch.step()
    watched.clock.advance(seconds=REPEAT.total_seconds())
    await watched.watch.step()
    await watched.watch.step()

    await watched.resume()
    for _ in range(3):
        await watched.watch.step()
        watched.clock.advance(seconds=REPEAT.total_seconds())
    await watched.stop()
    await watched.watch.step()

    kinds = [kind for kind, _ in watched.told()]
    assert kinds == ["alert.opened", "alert.still_open", "alert.resolved", "alert.opened"]
    ids = [one.id for one in watched.receiver.arrivals]
    assert [one[-2:] for one in ids] == ["-1", "-2", "-3", "-1"]
    assert len({one[:-2] for one in ids}) == 2


async def test_a_hook_that_fails_is_tried_under_the_same_id_and_then_left_alone(watched: Watched) -> None:
    watched.receiver.behave = answering(503)
    await watched.stop()
    for _ in range(4):
        for rest in (timedelta(0), *RESTS):
            watched.clock.advance(seconds=rest.total_seconds())
            await watched.watch.step()
    tries = [one.id for one in watched.receiver.arrivals]

    watched.receiver.behave = answering(200)
    watched.clock.advance(seconds=REPEAT.total_seconds())
    await watched.watch.step()

    first, again = dict.fromkeys(one.id for one in watched.receiver.arrivals)
    assert tries == [first] * (1 + len(RESTS))
    assert [one.id for one in watched.receiver.taken] == [again]


async def test_what_ended_before_anybody_was_told_is_not_told(watched: Watched) -> None:
    watched.receiver.behave = answering(503)
    await watched.stop()
    await watched.watch.step()
    await watched.resume()
    watched.receiver.behave = answering(200)

    for _ in range(3):
        watched.clock.advance(seconds=60)
        await watched.watch.step()

    assert len(watched.receiver.arrivals) == 1


async def test_what_ends_while_its_beginning_is_being_told_is_told_to_have_ended(watched: Watched) -> None:
    gate = asyncio.Event()

    async def slow(_arrival: object) -> int:
        await gate.wait()
        return 200

    watched.receiver.behave = slow
    await watched.stop()
    step = asyncio.create_task(watched.watch.step())
    await watched.receiver.until(lambda: bool(watched.receiver.arrivals))
    await watched.resume()
    await watched.another().step()
    gate.set()
    await step
    await watched.watch.step()

    assert [kind for kind, _ in watched.told()] == ["alert.opened", "alert.resolved"]


async def test_a_worker_that_dies_while_it_tells_is_followed_by_one_that_tells_under_the_same_id(
    watched: Watched,
) -> None:
    gate = asyncio.Event()

    async def held(_arrival: object) -> int:
        await gate.wait()
        raise ConnectionError

    watched.receiver.behave = held
    await watched.stop()
    step = asyncio.create_task(watched.another().step())
    await watched.receiver.until(lambda: bool(watched.receiver.arrivals))
    await cut_off(step)
    gate.set()
    watched.receiver.behave = answering(200)

    await watched.watch.step()
    within_the_lease = len(watched.receiver.arrivals)
    watched.clock.advance(seconds=LEASE.total_seconds())
    await watched.watch.step()

    assert within_the_lease == 1
    first, second = watched.receiver.arrivals
    assert first.id == second.id


async def test_many_workers_tell_once(watched: Watched) -> None:
    await watched.stop()
    others = [watched.another() for _ in range(4)]

    await asyncio.gather(*(one.step() for one in others))
    await asyncio.gather(*(one.step() for one in others))

    assert watched.told() == [("alert.opened", "rail.stopped")]


async def test_slack_gets_a_line(watched: Watched) -> None:
    await watched.stop()

    await watched.another(write=slack).step()

    (one,) = watched.receiver.arrivals
    assert {"webhook-signature", "webhook-id"}.isdisjoint(one.headers)
    assert f"*{watched.fair.shop.ledger.code}* daraja is stopped" in one.content["text"]


def test_no_name_becomes_a_mention_or_a_link() -> None:
    notice = Notice(
        ledger_id=1,
        ledger="<!channel>",
        id=7,
        kind=Kind.FLOAT_LOW,
        subject="x",
        summary="a & <http://b|c>",
        opened_at=MOMENT,
        resolved_at=None,
        notices=0,
        tries=0,
    )

    text = json.loads(slack(notice, MOMENT).body)["text"]

    assert "*&lt;!channel&gt;* a &amp; &lt;http://b|c&gt;" in text


async def test_without_a_hook_alerts_stand_in_the_books_and_go_nowhere(watched: Watched) -> None:
    await watched.stop()
    quiet = AlertWatch(
        engine=watched.fair.shop.engine, rules=RULES, hook=None, ids=watched.fair.shop.ids, now=watched.clock
    )

    assert await quiet.step() == 0
    rows = await watched.fair.shop.rows("SELECT kind, notices FROM alerts WHERE ledger_id = :ledger")
    assert [tuple(one) for one in rows] == [("rail.stopped", 0)]
    assert watched.receiver.url not in repr(watched.hook)


@pytest.mark.parametrize(
    ("url", "secret", "field"),
    [
        ("http://hooks.example.com/x", SECRET, "DAFTARI_ALERT_URL"),
        ("https://10.0.0.1/x", SECRET, "DAFTARI_ALERT_URL"),
        ("https://hooks.example.com/x", "", "DAFTARI_ALERT_SECRET"),
        ("https://hooks.example.com/x", "whsec_ä", "DAFTARI_ALERT_SECRET"),
        ("https://hooks.example.com/x", "whsec_c2hvcnQ=", "DAFTARI_ALERT_SECRET"),
    ],
)
async def test_a_hook_that_cannot_be_called_or_signed_for_is_refused(
    engine: AsyncEngine, url: str, secret: str, field: str
) -> None:
    given = Settings(alert_url=SecretStr(url), alert_secret=SecretStr(secret))
    ids = IdSource(Random(7))

    with pytest.raises(TextInvalid) as refused:
        open_alert_watch(
            given, engine=engine, rules=EgressRules(frozenset({443}), allow_loopback=False), ids=ids, now=Clock()
        )

    assert refused.value.field == field
