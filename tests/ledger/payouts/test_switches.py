"""The switches: a stopped rail and a suspended partner take no request and send nothing, and lose nothing."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import partners
from ledger.database import driver, run, transaction
from ledger.errors import PartnerSuspended, RailNotFound, RailNotStopped, RailStopped, TextInvalid
from ledger.journal.decide import Refused
from ledger.outbox import queue
from ledger.outbox.queue import Claimed
from ledger.payouts import switches
from ledger.payouts.request import Requested
from tests.ledger.payouts.roads import STARTED, UNCLEAR
from tests.ledger.payouts.shop import PREFUND, Shop, open_shop

LEASE = timedelta(seconds=60)


async def stop(shop: Shop, *, rail: str = "daraja", reason: str = "the provider is down") -> None:
    """Stops the rail."""

    async def command(connection: AsyncConnection) -> None:
        await switches.stop_rail(
            await driver(connection),
            ledger_id=shop.ledger.id,
            rail=rail,
            reason=reason,
            actor="amina",
            ids=shop.ids,
            now=shop.now(),
        )

    await run(shop.engine, command)


async def resume(shop: Shop, *, rail: str = "daraja") -> None:
    """Lets it go on."""

    async def command(connection: AsyncConnection) -> None:
        session = await driver(connection)
        await switches.resume_rail(session, ledger_id=shop.ledger.id, rail=rail, actor="baraka", now=shop.now())

    await run(shop.engine, command)


async def suspend(shop: Shop) -> None:
    """Suspends the partner."""
    await _set_suspended(shop, is_suspended=True)


async def unsuspend(shop: Shop) -> None:
    """Lets the partner go on."""
    await _set_suspended(shop, is_suspended=False)


async def _set_suspended(shop: Shop, *, is_suspended: bool) -> None:
    at = shop.now() if is_suspended else None

    async def command(connection: AsyncConnection) -> None:
        await partners.set_suspended(connection, partner=shop.partner, at=at)
        shop.partner = await partners.find_partner(connection, ledger_id=shop.ledger.id, code=shop.partner.code)

    await run(shop.engine, command)


async def claim(shop: Shop) -> list[Claimed]:
    """What a worker gets of this ledger's instructions, each with its attempt begun."""

    async def command(connection: AsyncConnection) -> list[Claimed]:
        session, token = await driver(connection), shop.ids.next(shop.now())
        claimed = await queue.claim(
            session,
            kinds=[queue.SUBMIT, queue.QUERY],
            rails=["daraja"],
            now=shop.now(),
            lease=LEASE,
            token=token,
            limit=100_000,
        )
        mine = [one for one in claimed if one.ledger_id == shop.ledger.id]
        attempts = [(one, secrets.token_bytes(32)) for one in mine]
        await queue.start_attempts(session, ledger_id=shop.ledger.id, attempts=attempts, now=shop.now())
        return mine

    return await run(shop.engine, command)


async def test_a_stopped_rail_refuses_requests_and_nothing_is_kept_of_them(shop: Shop) -> None:
    await stop(shop)
    draft = shop.draft()

    (verdict,) = await shop.request_all(draft)

    assert isinstance(verdict, Refused)
    assert isinstance(verdict.error, RailStopped)
    assert "the provider is down" not in verdict.error.message
    assert verdict.error.facts == {"rail": "daraja"}
    assert await shop.balance(PREFUND) == shop.prefunded
    await resume(shop)
    (again,) = await shop.request_all(draft)
    assert isinstance(again, Requested)
    assert not again.replayed


async def test_a_request_from_before_is_replayed_while_the_rail_is_stopped(shop: Shop) -> None:
    draft = shop.draft()
    (first,) = await shop.request_all(draft)
    await stop(shop)

    (again,) = await shop.request_all(draft)

    assert isinstance(first, Requested)
    assert again == Requested(first.payout_id, True)


async def test_queued_payouts_wait_for_a_stopped_rail_and_leave_when_it_goes_on(shop: Shop) -> None:
    payout_ids = await shop.request_many(3)
    await stop(shop)

    during = await claim(shop)
    shop.clock.advance(seconds=86_400)
    still = await claim(shop)
    await resume(shop)

    assert during == still == []
    assert sorted(one.payout_id for one in await claim(shop)) == sorted(payout_ids)
    assert {await shop.state(one) for one in payout_ids} == {"RESERVED"}


async def test_a_suspended_partner_is_refused_and_its_queued_payouts_wait(shop: Shop) -> None:
    payout_id = await shop.request()
    await suspend(shop)

    (verdict,) = await shop.request_all(shop.draft())
    during = await claim(shop)
    await unsuspend(shop)
    (after,) = await shop.request_all(shop.draft())

    assert isinstance(verdict, Refused)
    assert isinstance(verdict.error, PartnerSuspended)
    assert during == []
    assert isinstance(after, Requested)
    assert {one.payout_id for one in await claim(shop)} == {payout_id, after.payout_id}


async def test_a_switch_holds_from_the_next_transaction_on(shop: Shop) -> None:
    """What was claimed before it may be under way; what was not claimed never leaves."""
    first = await shop.request()
    claimed = await claim(shop)
    second = await shop.request()

    await stop(shop)

    assert [one.payout_id for one in claimed] == [first]
    assert await claim(shop) == []
    assert await shop.state(second) == "RESERVED"


async def test_a_submission_that_was_lost_is_given_up_though_its_rail_is_stopped(shop: Shop) -> None:
    """It will not be sent again, so that nothing leaves; and its money must not wait for the switch to be known."""
    payout_id = await shop.request()
    await claim(shop)
    await stop(shop)
    await suspend(shop)
    shop.clock.advance(seconds=61)

    (lost,) = await claim(shop)

    assert (lost.payout_id, lost.lost) == (payout_id, True)


async def test_a_stopped_rail_is_still_asked_about_payouts_of_unknown_outcome(shop: Shop) -> None:
    payout_id = await shop.request()
    await claim(shop)
    await shop.record((payout_id, STARTED), (payout_id, UNCLEAR))
    await stop(shop)
    await suspend(shop)
    shop.clock.advance(seconds=60)

    assert [(one.kind, one.payout_id) for one in await claim(shop)] == [(queue.QUERY, payout_id)]


async def test_stopping_twice_is_stopping_once_and_each_stop_is_kept(shop: Shop) -> None:
    await asyncio.gather(*(stop(shop, reason=f"reason {number}") for number in range(4)))
    async with transaction(shop.engine) as connection:
        stopped = await switches.stopped_rails(await driver(connection), ledger_id=shop.ledger.id)
    await resume(shop)
    await stop(shop, reason="again")

    assert list(stopped) == ["daraja"]
    history = await shop.rows(
        "SELECT reason, stopped_by, resumed_by FROM rail_stops WHERE ledger_id = :ledger ORDER BY id"
    )
    assert [tuple(row) for row in history] == [(stopped["daraja"], "amina", "baraka"), ("again", "amina", None)]


async def test_what_is_not_stopped_cannot_go_on(shop: Shop) -> None:
    with pytest.raises(RailNotStopped):
        await resume(shop)
    await stop(shop)
    await resume(shop)
    with pytest.raises(RailNotStopped):
        await resume(shop)


async def test_a_misspelt_rail_is_refused_for_it_would_stop_nothing(shop: Shop) -> None:
    with pytest.raises(RailNotFound):
        await stop(shop, rail="darajah")
    with pytest.raises(TextInvalid):
        await stop(shop, reason="")


async def test_a_stop_is_of_one_ledger(shop: Shop) -> None:
    async with open_shop(shop.engine) as neighbour:
        await stop(shop)

        assert isinstance((await neighbour.request_all(neighbour.draft()))[0], Requested)
