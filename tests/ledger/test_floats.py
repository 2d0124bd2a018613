"""What providers say they hold, beside the books: kept as history, compared, and never an entry."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import floats
from ledger.database import driver, run, transaction
from ledger.floats import Assertion, FloatPosition
from ledger.payouts.payout import State
from tests.ledger.payouts.roads import road_to, settled
from tests.ledger.payouts.shop import CHARGE, FLOAT, Shop, open_shop


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[Shop]:
    """KES 1,000,000 of float."""
    async with open_shop(engine) as opened:
        yield opened


def said(shop: Shop, available: int, *, sub_account: str = "utility", minutes: int = 0, shortcode: str = "600584",
         currency: str = "KES") -> Assertion:  # fmt: skip
    """The provider's word, so many minutes ago."""
    return Assertion(
        provider="daraja",
        shortcode=shortcode,
        sub_account=sub_account,
        available=available,
        currency=currency,
        asserted_at=shop.now() - timedelta(minutes=minutes),
        source="query",
    )


async def keep(shop: Shop, *assertions: Assertion) -> None:
    """Stores the words."""

    async def command(connection: AsyncConnection) -> None:
        session = await driver(connection)
        await floats.write_assertions(
            session, ledger_id=shop.ledger.id, assertions=assertions, ids=shop.ids, now=shop.now()
        )

    await run(shop.engine, command)


async def positions(shop: Shop) -> dict[str, FloatPosition]:
    """By sub-account."""
    async with transaction(shop.engine) as connection:
        found = await floats.float_positions(connection, ledger_id=shop.ledger.id)
    assert len({one.sub_account for one in found}) == len(found)
    return {one.sub_account: one for one in found}


async def test_a_float_nobody_spoke_of_has_a_balance_and_no_drift(shop: Shop) -> None:
    utility = (await positions(shop))["utility"]

    assert (utility.provider, utility.shortcode, utility.account) == ("daraja", "600584", FLOAT)
    assert (utility.balance, utility.in_flight) == (shop.float_opening, 0)
    assert (utility.asserted, utility.asserted_at, utility.drift) == (None, None, None)


async def test_the_newest_word_counts_in_whatever_order_words_come(shop: Shop) -> None:
    await keep(shop, said(shop, 3, minutes=3), said(shop, 1, minutes=1), said(shop, 2, minutes=2))
    await keep(shop, said(shop, 9, minutes=9))

    utility = (await positions(shop))["utility"]

    assert (utility.asserted, utility.asserted_at) == (1, shop.now() - timedelta(minutes=1))
    history = await shop.rows("SELECT available FROM float_assertions WHERE ledger_id = :ledger ORDER BY id")
    assert [available for (available,) in history] == [1, 9]


async def test_of_two_words_of_one_moment_the_later_one_counts(shop: Shop) -> None:
    await keep(shop, said(shop, 1), said(shop, 2))

    assert (await positions(shop))["utility"].asserted == 2


async def test_drift_is_books_minus_word_and_payouts_in_flight_are_shown_beside_it(shop: Shop) -> None:
    waiting, unknown = await shop.request_many(2)
    await shop.record(*road_to(State.SUBMITTED, waiting), *road_to(State.UNKNOWN, unknown))
    await keep(shop, said(shop, shop.float_opening - 150_000))

    utility = (await positions(shop))["utility"]

    assert utility.drift == 150_000
    assert utility.in_flight == 300_000


async def test_a_word_never_posts(shop: Shop) -> None:
    before = await shop.rows("SELECT count(*) FROM journal_entries WHERE ledger_id = :ledger")

    await keep(shop, said(shop, -1), said(shop, 0, sub_account="working"))

    assert await shop.rows("SELECT count(*) FROM journal_entries WHERE ledger_id = :ledger") == before
    assert (await positions(shop))["utility"].balance == shop.float_opening


async def test_charges_owed_are_negative_as_the_provider_shows_them(shop: Shop) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(State.SUBMITTED, payout_id), (payout_id, settled(payout_id)))
    await keep(shop, said(shop, -CHARGE, sub_account="charges_paid"))

    charges = (await positions(shop))["charges_paid"]

    assert (charges.balance, charges.drift) == (-CHARGE, 0)


async def test_words_about_another_shortcode_currency_or_ledger_are_not_ours(shop: Shop) -> None:
    await keep(shop, said(shop, 1, shortcode="600999"), said(shop, 2, currency="USD"))
    async with open_shop(shop.engine) as neighbour:
        await keep(neighbour, said(neighbour, 3))

        assert (await positions(neighbour))["utility"].asserted == 3
    assert (await positions(shop))["utility"].asserted is None


async def test_no_words_are_kept_without_a_query(shop: Shop) -> None:
    await keep(shop)

    assert await shop.rows("SELECT FROM float_assertions WHERE ledger_id = :ledger") == []


@given(st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62))
def test_drift_is_the_difference_whatever_the_figures(balance: int, asserted: int) -> None:
    position = FloatPosition(
        provider="daraja",
        shortcode="600584",
        sub_account="utility",
        currency="KES",
        account=FLOAT,
        balance=balance,
        asserted=asserted,
        asserted_at=None,
        source="query",
        in_flight=0,
    )

    assert position.drift == balance - asserted


async def ask(shop: Shop, *, token: bytes | None = None) -> bytes:
    """A stored question; its path's hash."""
    token_hash = token or secrets.token_bytes(32)

    async def command(connection: AsyncConnection) -> None:
        await floats.write_query(
            await driver(connection),
            ledger_id=shop.ledger.id,
            provider="daraja",
            shortcode="600584",
            token_hash=token_hash,
            ids=shop.ids,
            now=shop.now(),
        )

    await run(shop.engine, command)
    return token_hash


async def due(shop: Shop, *, minutes: int, providers: tuple[str, ...] = ("daraja",)) -> list[tuple[str, str]]:
    """What of this ledger was not asked for within so many minutes."""
    before = shop.now() - timedelta(minutes=minutes)
    async with transaction(shop.engine) as connection:
        found = await floats.find_due(await driver(connection), providers=providers, asked_before=before)
    return [(provider, shortcode) for ledger_id, provider, shortcode in found if ledger_id == shop.ledger.id]


async def test_a_shortcode_is_due_until_it_is_asked_and_again_an_interval_later(shop: Shop) -> None:
    first = await due(shop, minutes=15)
    await ask(shop)
    just_asked = await due(shop, minutes=15)
    shop.clock.advance(seconds=900)

    assert first == [("daraja", "600584")]
    assert just_asked == []
    assert await due(shop, minutes=15) == first
    assert await due(shop, minutes=15, providers=()) == await due(shop, minutes=15, providers=("momo",)) == []


async def test_an_answer_is_known_by_its_path_and_by_no_other(shop: Shop) -> None:
    token_hash = await ask(shop)

    async with open_shop(shop.engine) as neighbour, transaction(shop.engine) as connection:
        session = await driver(connection)
        mine = await floats.find_queries(session, ledger_id=shop.ledger.id, token_hashes=[token_hash, bytes(32)])
        theirs = await floats.find_queries(session, ledger_id=neighbour.ledger.id, token_hashes=[token_hash])

    assert (mine, theirs) == ({token_hash: ("daraja", "600584")}, {})
