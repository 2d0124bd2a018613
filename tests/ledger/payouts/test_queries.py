"""Reading payouts: a partner sees its own only, pages and changes miss nothing, and no number is shown whole."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import partners
from ledger.database import driver, run, transaction
from ledger.errors import PayoutNotFound
from ledger.money import Money
from ledger.partners import Partner
from ledger.payouts import queries
from ledger.payouts.payout import State
from ledger.payouts.queries import START, Cursor, Payout
from tests.ledger.payouts.roads import STARTED, road_to
from tests.ledger.payouts.shop import PAYEE, Shop

ID_MAX = 2**63 - 1


async def kiosk(shop: Shop) -> Partner:
    """Another partner of the same ledger."""
    return await run(
        shop.engine,
        lambda connection: partners.create_partner(
            connection,
            ledger=shop.ledger,
            code="kiosk",
            name="Kiosk",
            payout_fee=Money("KES", 0),
            ids=shop.ids,
            now=shop.now(),
        ),
    )


async def listed(shop: Shop, *states: State, id_before: int = ID_MAX, limit: int = 100) -> list[Payout]:
    async with transaction(shop.engine) as connection:
        return await queries.list_payouts(
            connection,
            ledger_id=shop.ledger.id,
            partner_id=shop.partner.id,
            states=states,
            id_from=0,
            id_before=id_before,
            limit=limit,
        )


async def changes(shop: Shop, cursor: Cursor, *, limit: int = 100) -> list[tuple[Cursor, tuple[int, str]]]:
    async with transaction(shop.engine) as connection:
        found = await queries.changes_after(
            await driver(connection), ledger_id=shop.ledger.id, cursor=cursor, limit=limit
        )
    return [(place, (change.payout_id, change.state.value)) for place, change in found]


async def changes_once_visible(shop: Shop, cursor: Cursor) -> list[tuple[int, str]]:
    """A transaction anywhere on the server, another test's too, holds back what came after it while it runs."""
    found = await changes(shop, cursor)
    async with asyncio.timeout(30):
        while not found:
            await asyncio.sleep(0.01)
            found = await changes(shop, cursor)
    return [change for _, change in found]


async def test_a_payout_of_another_partner_is_not_found_in_the_same_words_as_none(shop: Shop) -> None:
    payout_id, other = await shop.request(), await kiosk(shop)

    words = set()
    async with transaction(shop.engine) as connection:
        for partner_id, wanted in ((other.id, payout_id), (shop.partner.id, payout_id + 1)):
            with pytest.raises(PayoutNotFound) as caught:
                await queries.get_payout(connection, ledger_id=shop.ledger.id, partner_id=partner_id, payout_id=wanted)
            words.add((str(caught.value), caught.value.field))
        reference = (await shop.payout(payout_id)).partner_reference
        with pytest.raises(PayoutNotFound):
            await queries.get_payout_by_reference(
                connection, ledger_id=shop.ledger.id, partner_id=other.id, partner_reference=reference
            )

    assert len(words) == 1


async def test_a_payout_is_found_by_its_partners_reference(shop: Shop) -> None:
    payout_id = await shop.request()
    payout = await shop.payout(payout_id)

    async with transaction(shop.engine) as connection:
        found = await queries.get_payout_by_reference(
            connection,
            ledger_id=shop.ledger.id,
            partner_id=shop.partner.id,
            partner_reference=payout.partner_reference,
        )

    assert found == payout
    assert PAYEE not in repr(found)


async def test_pages_run_newest_first_and_meet_without_gap_or_overlap(shop: Shop) -> None:
    ids = await shop.request_many(7)

    first = await listed(shop, limit=3)
    second = await listed(shop, limit=3, id_before=first[-1].id)
    third = await listed(shop, limit=3, id_before=second[-1].id)

    assert [one.id for one in first + second + third] == ids[::-1]


async def test_the_list_may_be_narrowed_to_states(shop: Shop) -> None:
    reserved, settled, unknown = await shop.request_many(3)
    await shop.record(*road_to(State.SETTLED, settled), *road_to(State.UNKNOWN, unknown))

    found = await listed(shop, State.SETTLED, State.UNKNOWN)

    assert [one.id for one in found] == sorted((settled, unknown), reverse=True)
    assert reserved not in {one.id for one in found}


async def test_changes_come_in_order_and_from_any_cursor_on(shop: Shop) -> None:
    payout_id = await shop.request()
    await shop.record((payout_id, STARTED))
    await shop.cancel(await shop.request())

    everything = await changes(shop, START)

    assert [state for _, (_, state) in everything] == ["RESERVED", "SUBMITTING", "RESERVED", "CANCELLED"]
    for number, (cursor, _) in enumerate(everything):
        assert await changes(shop, cursor) == everything[number + 1 :]
    assert await changes(shop, START, limit=2) == everything[:2]


async def test_a_change_that_commits_late_is_not_skipped(shop: Shop) -> None:
    """A transaction that began before others and ends after them must still be seen by a reader that follows."""
    early, late = await shop.request_many(2)
    follow = (await changes(shop, START))[-1][0]
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(connection: AsyncConnection) -> None:
        session = await driver(connection)
        await session.execute("SELECT pg_current_xact_id()")
        begun.set()
        await may_end.wait()
        await session.execute(
            "WITH changed AS (UPDATE payouts SET state = 'SUBMITTING', version = 2 WHERE ledger_id = %s AND id = %s "
            "RETURNING *) INSERT INTO payout_events (ledger_id, payout_id, version, state, event, recorded_at) "
            "SELECT ledger_id, id, version, state, 'submission_started', now() FROM changed",
            (shop.ledger.id, late),
        )

    task = asyncio.create_task(run(shop.engine, slow))
    await begun.wait()
    await shop.record((early, STARTED))
    seen_meanwhile = await changes(shop, follow)
    may_end.set()
    await task

    assert seen_meanwhile == []
    assert set(await changes_once_visible(shop, follow)) == {(early, "SUBMITTING"), (late, "SUBMITTING")}


async def test_a_cursor_of_now_skips_what_was_and_sees_what_comes(shop: Shop) -> None:
    payout_id = await shop.request()
    # Transactions of other databases on the server count as running too.
    older = "SELECT max(xid) >= pg_snapshot_xmin(pg_current_snapshot()) FROM payout_events WHERE ledger_id = :ledger"
    while (await shop.rows(older))[0][0]:  # noqa: ASYNC110  (PostgreSQL sets no event)
        await asyncio.sleep(0.01)
    async with transaction(shop.engine) as connection:
        cursor = await queries.current_cursor(await driver(connection))

    await shop.record((payout_id, STARTED))

    assert await changes_once_visible(shop, cursor) == [(payout_id, "SUBMITTING")]
