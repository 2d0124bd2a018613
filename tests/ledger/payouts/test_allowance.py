"""Limits on payouts: never exceeded by one unit, counted in windows of the clock, and only for what was accepted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import connect, driver, run
from ledger.errors import ChoiceInvalid, LimitWouldBreak
from ledger.journal.decide import Refused
from ledger.money import Money
from ledger.payouts import limit_settings
from ledger.payouts.limit_settings import LimitSetting
from ledger.payouts.request import PayoutRequest, Requested, RequestResult, request_payouts
from tests.fix_database import Database
from tests.ledger.payouts.roads import FAILED, STARTED
from tests.ledger.payouts.shop import LIMITS, PARTY_KEYS, PREFUND, Clock, Shop, open_shop

NAIROBI = ZoneInfo("Africa/Nairobi")
OTHER_PAYEE = "254722000111"
# 02:30 in Nairobi: the business date began three hours before UTC's own.
EARLY = datetime(2026, 9, 1, 23, 30, tzinfo=UTC)


async def limit(
    shop: Shop, scope: str, span: str, *, shillings: int | None = None, count: int | None = None, actor: str = "amina"
) -> list[LimitSetting]:
    """Sets a limit; what is in force then."""
    setting = LimitSetting(scope, span, None if shillings is None else shillings * 100, count)

    async def command(connection: AsyncConnection) -> list[LimitSetting]:
        session, place = await driver(connection), {"ledger_id": shop.ledger.id, "partner_id": shop.partner.id}
        await limit_settings.set_limit(session, **place, setting=setting, actor=actor, ids=shop.ids, now=shop.now())
        return await limit_settings.limits_in_force(session, **place)

    return await run(shop.engine, command)


async def ask(shop: Shop, *drafts: PayoutRequest) -> list[str]:
    """The verdicts on requests of one set in a word each."""
    return [_word(one) for one in await shop.request_all(*drafts)]


async def ask_for(shop: Shop, *shillings: int) -> list[str]:
    """The same, each a set of its own."""
    return [word for amount in shillings for word in await ask(shop, shop.draft(shillings=amount))]


def _word(verdict: RequestResult) -> str:
    match verdict:
        case Requested(replayed=replayed):
            return "replayed" if replayed else "accepted"
        case Refused(error=error):
            return type(error).__name__


async def usage(shop: Shop) -> list[tuple[str, int, int]]:
    """The counters of the partner as a whole: span, amount, count."""
    found = await shop.rows(
        "SELECT span, amount, count FROM payout_usage WHERE ledger_id = :ledger AND payee = '' ORDER BY span, starts_at"
    )
    return [(span, amount, count) for span, amount, count in found]


@asynccontextmanager
async def branches(shop: Shop, database: Database, count: int) -> AsyncIterator[list[Shop]]:
    """The shop as other processes see it, each with an engine of its own."""
    engines = [connect(database.app, pool_size=4, application_name=f"branch {number}") for number in range(count)]
    yield [replace(shop, engine=engine) for engine in engines]
    for engine in engines:
        await engine.dispose()


@pytest.mark.parametrize("scope", ["partner", "payee"])
@pytest.mark.parametrize("span", ["hour", "day"])
@pytest.mark.parametrize(("shillings", "count"), [(1_001, None), (None, 10)], ids=["amount", "count"])
async def test_sixty_four_concurrent_requests_never_exceed_a_limit(
    shop: Shop, database: Database, scope: str, span: str, shillings: int | None, count: int | None
) -> None:
    await limit(shop, scope, span, shillings=shillings, count=count)
    drafts = [shop.draft(shillings=100) for _ in range(64)]

    async with branches(shop, database, 4) as others:
        sets = [others[number % 4].request_all(draft) for number, draft in enumerate(drafts)]
        verdicts = [_word(one) for (one,) in await asyncio.gather(*sets)]

    assert Counter(verdicts) == {"accepted": 10, "LimitWouldBreak": 54}
    assert await shop.balance(PREFUND) == shop.prefunded - 100_000
    counted = await shop.rows("SELECT span, amount, count FROM payout_usage WHERE ledger_id = :ledger")
    assert [tuple(row) for row in counted] == [(span, 100_000, 10)]


async def test_concurrent_requests_of_every_size_fill_a_limit_to_the_unit_and_no_further(
    shop: Shop, database: Database
) -> None:
    await limit(shop, "partner", "day", shillings=1_000)
    await limit(shop, "payee", "hour", shillings=600)
    payees = ("254712345678", OTHER_PAYEE)
    drafts = [shop.draft(shillings=10 + 7 * number % 90, msisdn=payees[number % 2]) for number in range(64)]

    async with branches(shop, database, 4) as others:
        await asyncio.gather(*(others[number // 16].request_all(draft) for number, draft in enumerate(drafts)))

    paid = await shop.rows("SELECT party_id, sum(amount)::bigint FROM payouts WHERE ledger_id = :ledger GROUP BY 1")
    total = sum(amount for _, amount in paid)
    # The smallest asks for ten shillings, so less than that is left of one limit or of both others.
    assert total <= 100_000
    assert max(amount for _, amount in paid) <= 60_000
    assert total > 99_000 - 9_000
    assert await usage(shop) == [("day", total, len(await shop.rows("SELECT FROM payouts WHERE ledger_id = :ledger")))]


async def test_a_limit_is_reached_exactly_and_then_holds(shop: Shop) -> None:
    await limit(shop, "partner", "day", shillings=300)

    assert await ask_for(shop, 200, 101, 100, 10) == ["accepted", "LimitWouldBreak", "accepted", "LimitWouldBreak"]


async def test_a_limit_per_payee_lets_other_payees_be_paid(shop: Shop) -> None:
    await limit(shop, "payee", "day", count=1)

    verdicts = await ask(shop, shop.draft(), shop.draft(), shop.draft(msisdn=OTHER_PAYEE))

    assert verdicts == ["accepted", "LimitWouldBreak", "accepted"]


async def test_an_hour_and_a_day_roll_over_with_the_clock(engine: AsyncEngine) -> None:
    clock = Clock(EARLY)
    async with open_shop(engine, clock=clock) as shop:
        await limit(shop, "partner", "hour", count=1)
        await limit(shop, "partner", "day", count=3)

        words = []
        for _ in range(5):
            words.append(await ask_for(shop, 10, 10))
            clock.advance(seconds=1_800)

    once = ["accepted", "LimitWouldBreak"]
    assert words == [once, once, ["LimitWouldBreak"] * 2, once, ["LimitWouldBreak"] * 2]


async def test_a_day_is_the_ledgers_own(engine: AsyncEngine) -> None:
    """Midnight in Nairobi is 21:00 UTC."""
    clock = Clock(datetime(2026, 9, 1, 20, 59, 59, tzinfo=UTC))
    async with open_shop(engine, clock=clock) as shop:
        await limit(shop, "partner", "day", count=1)

        before = await ask_for(shop, 10, 10)
        clock.advance(seconds=1)
        after = await ask_for(shop, 10, 10)
        clock.advance(seconds=86_399)
        last = await ask_for(shop, 10)
        clock.advance(seconds=1)
        assert await ask_for(shop, 10) == ["accepted"]

    assert before == after == ["accepted", "LimitWouldBreak"]
    assert last == ["LimitWouldBreak"]


async def test_what_is_refused_counts_for_nothing(shop: Shop) -> None:
    await limit(shop, "partner", "hour", shillings=1_000, count=3)
    await limit(shop, "payee", "day", shillings=400)

    words = await ask_for(shop, 401, 300, 101, 100)
    unpayable = await ask(shop, replace(shop.draft(), amount=Money("KES", 1_050)))

    assert words == ["LimitWouldBreak", "accepted", "LimitWouldBreak", "accepted"]
    assert unpayable == ["AmountNotPayable"]
    assert await usage(shop) == [("hour", 40_000, 2)]


async def test_what_the_prefund_does_not_cover_gives_its_allowance_back(engine: AsyncEngine) -> None:
    async with open_shop(engine, prefunded=50_000) as shop:
        await limit(shop, "partner", "day", shillings=1_000, count=2)

        alone = await ask_for(shop, 900, 400)
        counted = await usage(shop)

    assert alone == ["FloorWouldBreak", "accepted"]
    assert counted == [("day", 40_000, 1)]


async def test_in_one_set_what_the_prefund_does_not_cover_takes_no_allowance_from_its_neighbours(
    engine: AsyncEngine,
) -> None:
    async with open_shop(engine, prefunded=50_000) as shop:
        await limit(shop, "partner", "day", shillings=1_000)

        together = await ask(shop, *(shop.draft(shillings=amount) for amount in (900, 200, 950, 300, 600)))
        counted = await usage(shop)

    assert together == ["FloorWouldBreak", "accepted", "LimitWouldBreak", "accepted", "LimitWouldBreak"]
    assert counted == [("day", 50_000, 2)]


async def test_a_hostile_set_takes_no_allowance_and_the_one_payout_it_covers_goes_through(engine: AsyncEngine) -> None:
    """Judged in one walk: what the books refuse is never counted, so nothing is to be judged again."""
    async with open_shop(engine, prefunded=50_000) as shop:
        await limit(shop, "partner", "day", count=1)
        drafts = [shop.draft(shillings=600 + number) for number in range(300)]

        words = await ask(shop, *drafts[:150], shop.draft(shillings=500), *drafts[150:])
        counted = await usage(shop)

    assert words == ["FloorWouldBreak"] * 150 + ["accepted"] + ["LimitWouldBreak"] * 150
    assert counted == [("day", 50_000, 1)]


async def test_the_first_limit_waits_for_the_requests_under_way_and_counts_them(shop: Shop, database: Database) -> None:
    asked, may_commit = asyncio.Event(), asyncio.Event()

    async def slow_request(connection: AsyncConnection) -> None:
        await request_payouts(
            await driver(connection),
            ledger=shop.ledger,
            requests=[shop.draft(shillings=900)],
            limits=LIMITS,
            party_keys=PARTY_KEYS,
            directory=shop.directory,
            ids=shop.ids,
            now=shop.now(),
        )
        asked.set()
        await may_commit.wait()

    under_way = asyncio.create_task(run(shop.engine, slow_request))
    await asked.wait()
    setting = asyncio.create_task(limit(shop, "partner", "day", shillings=1_000))
    await somebody_waits(shop)
    may_commit.set()
    await asyncio.gather(under_way, setting)

    assert await ask_for(shop, 200, 100) == ["LimitWouldBreak", "accepted"]
    assert await usage(shop) == [("day", 100_000, 2)]


async def somebody_waits(shop: Shop) -> None:
    """Returns once a session of this database waits for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "AND :ledger = :ledger"
    )
    async with asyncio.timeout(10):
        while (await shop.rows(waiting))[0][0] == 0:  # noqa: ASYNC110  (the server tells nobody)
            await asyncio.sleep(0.01)


async def test_a_replay_counts_once_and_is_answered_when_nothing_is_left(shop: Shop) -> None:
    await limit(shop, "partner", "day", count=1)
    draft = shop.draft()

    words = [*await ask(shop, draft, draft), *await ask(shop, draft), *await ask_for(shop, 10)]

    assert words == ["accepted", "replayed", "replayed", "LimitWouldBreak"]
    assert await usage(shop) == [("day", 150_000, 1)]


async def test_a_payout_that_fails_gives_nothing_back(shop: Shop) -> None:
    await limit(shop, "partner", "day", count=1)
    payout_id = await shop.request()

    await shop.record((payout_id, STARTED), (payout_id, FAILED))

    assert await ask_for(shop, 10) == ["LimitWouldBreak"]


async def test_a_limit_counts_what_was_asked_for_in_its_window_before_it_was_set(engine: AsyncEngine) -> None:
    clock = Clock(datetime(2026, 9, 1, 20, 30, tzinfo=UTC))
    async with open_shop(engine, clock=clock) as shop:
        await shop.request(shillings=700)  # on the business date before
        clock.advance(seconds=3_600)
        await shop.request(shillings=300)
        await shop.request(shillings=200, msisdn=OTHER_PAYEE)
        clock.advance(seconds=3_600)
        await limit(shop, "partner", "day", shillings=1_000)
        await limit(shop, "payee", "day", shillings=400)
        await limit(shop, "partner", "hour", shillings=450)

        words = await ask_for(shop, 101, 100)
        more = await ask(shop, shop.draft(shillings=201, msisdn=OTHER_PAYEE), shop.draft(shillings=10))
        counted = await usage(shop)

    assert words == ["LimitWouldBreak", "accepted"]
    assert more == ["LimitWouldBreak", "LimitWouldBreak"]
    assert counted == [("day", 60_000, 3), ("hour", 10_000, 1)]


async def test_the_newest_setting_wins_and_the_others_are_kept(shop: Shop) -> None:
    await limit(shop, "partner", "day", count=1)
    await limit(shop, "partner", "day", count=5, actor="baraka")
    in_force = await limit(shop, "partner", "day", count=2, actor="chao")

    assert in_force == [LimitSetting("partner", "day", None, 2)]
    assert await ask_for(shop, 10, 10, 10) == ["accepted", "accepted", "LimitWouldBreak"]
    history = await shop.rows("SELECT count_max, set_by FROM payout_limits WHERE ledger_id = :ledger ORDER BY id")
    assert [tuple(row) for row in history] == [(1, "amina"), (5, "baraka"), (2, "chao")]


async def test_a_limit_that_is_removed_bounds_nothing_and_one_that_is_set_again_knows_what_went_meanwhile(
    shop: Shop,
) -> None:
    await limit(shop, "partner", "day", count=1)
    before = await ask_for(shop, 10, 10)

    removed = await limit(shop, "partner", "day")
    meanwhile = await ask_for(shop, 10, 10)
    await limit(shop, "partner", "day", count=4)

    assert before == ["accepted", "LimitWouldBreak"]
    assert (removed, meanwhile) == ([], ["accepted", "accepted"])
    assert await ask_for(shop, 10, 10) == ["accepted", "LimitWouldBreak"]


async def test_a_limit_of_nothing_forbids_everything(shop: Shop) -> None:
    await limit(shop, "partner", "hour", count=0)

    assert await ask_for(shop, 10) == ["LimitWouldBreak"]


async def test_the_refusal_names_the_limit_and_the_field(shop: Shop) -> None:
    await limit(shop, "payee", "hour", shillings=1_000)
    await shop.request(shillings=900)

    (verdict,) = await shop.request_all(shop.draft(shillings=200))

    assert isinstance(verdict, Refused)
    assert isinstance(verdict.error, LimitWouldBreak)
    assert verdict.error.field == "amount"
    assert verdict.error.facts == {"scope": "payee", "span": "hour", "amount_max_minor_units": "100000"}
    assert "900.00" in verdict.error.message
    assert "254712345678" not in verdict.error.message


async def test_a_payee_is_counted_under_a_hash(shop: Shop) -> None:
    await limit(shop, "payee", "hour", count=3)
    await shop.request()

    rows = await shop.rows("SELECT payout_usage::text, length(payee) FROM payout_usage WHERE ledger_id = :ledger")

    assert [length for _, length in rows] == [32]
    assert all("712345678" not in shown for shown, _ in rows)


@pytest.mark.parametrize("setting", [("all", "day"), ("partner", "week"), ("", "")])
def test_a_limit_has_a_scope_and_a_span_that_exist(setting: tuple[str, str]) -> None:
    with pytest.raises(ChoiceInvalid):
        LimitSetting(*setting, None, 1)


@pytest.mark.parametrize("bounds", [(-1, None), (None, -1), (-1, 5)])
def test_a_limit_is_not_negative(bounds: tuple[int | None, int | None]) -> None:
    with pytest.raises(ChoiceInvalid):
        LimitSetting("partner", "day", *bounds)
