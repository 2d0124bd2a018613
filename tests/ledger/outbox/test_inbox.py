"""The inbox: messages sealed as they came, judged once by one worker, rested, and never changed. Interprets nothing."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import Driver, driver, run, transaction
from ledger.outbox import inbox
from ledger.outbox.inbox import Message, Received, Verdict
from ledger.sealing import Sealer
from tests.ledger.payouts.shop import SECRET, Shop

SEALER = Sealer(SECRET, purpose="inbox messages")
RAW = b'{"Result": "\x00\xff of 254712345678"}'
Result = TypeVar("Result")


class ProcessDied(Exception):
    """Before the COMMIT."""


async def within(shop: Shop, function: Callable[[Driver], Awaitable[Result]]) -> Result:
    """One committed transaction."""

    async def inside(connection: AsyncConnection) -> Result:
        return await function(await driver(connection))

    return await run(shop.engine, inside)


async def store(shop: Shop, *, raw: bytes = RAW, ledger_id: int | None = None) -> int:
    """The id of a message stored now."""
    message_id = shop.ids.next(shop.now())
    message = Received(
        shop.ledger.id if ledger_id is None else ledger_id,
        message_id,
        "daraja",
        "result",
        secrets.token_bytes(32),
        raw,
        "127.0.0.1",
    )
    kept = await within(shop, lambda session: inbox.store(session, messages=[message], sealer=SEALER, now=shop.now()))
    return message_id if kept else 0


async def claim(shop: Shop, *, sealer: Sealer = SEALER, limit: int = 100) -> list[Message]:
    return await within(shop, lambda session: inbox.claim(session, sealer=sealer, now=shop.now(), limit=limit))


async def settle(shop: Shop, message_ids: Sequence[int], *, word: str = "applied") -> None:
    verdicts = [Verdict(shop.ledger.id, one, word, None, None) for one in message_ids]
    await within(shop, lambda session: inbox.settle(session, verdicts=verdicts, now=shop.now()))


async def test_a_message_comes_out_as_it_went_in(shop: Shop) -> None:
    message_id = await store(shop)

    (found,) = await claim(shop)

    assert (found.ledger_id, found.id, found.rail, found.kind) == (shop.ledger.id, message_id, "daraja", "result")
    assert (found.raw, found.tries) == (RAW, 0)


async def test_a_message_is_never_shown(shop: Shop) -> None:
    await store(shop)

    (found,) = await claim(shop)

    assert "254712345678" not in repr(found)
    assert "Result" not in repr(found)
    (row,) = await shop.rows("SELECT m::text AS shown FROM inbox AS m WHERE ledger_id = :ledger")
    assert "254712345678" not in row.shown
    assert b"254712345678".hex() not in row.shown


async def test_a_message_opens_only_in_its_own_row_and_under_its_own_key(shop: Shop) -> None:
    await store(shop, raw=b"one")
    await store(shop, raw=b"two")
    rows = await shop.rows("SELECT ledger_id, id, raw FROM inbox WHERE ledger_id = :ledger ORDER BY id")
    place = rows[0].ledger_id.to_bytes(4) + rows[0].id.to_bytes(8)

    assert SEALER.open(bytes(rows[0].raw), bound_to=place) == b"one"
    with pytest.raises(InvalidTag):
        SEALER.open(bytes(rows[1].raw), bound_to=place)
    with pytest.raises(InvalidTag):
        await claim(shop, sealer=Sealer(bytes(32), purpose="inbox messages"))


async def test_the_oldest_are_judged_first_up_to_the_limit(shop: Shop) -> None:
    ids = []
    for _ in range(4):
        ids.append(await store(shop))
        shop.clock.advance(seconds=1)

    first = [one.id for one in await claim(shop, limit=2)]
    await settle(shop, first)

    assert first == ids[:2]
    assert [one.id for one in await claim(shop, limit=10)] == ids[2:]
    assert await within(shop, lambda session: inbox.list_due(session, now=shop.now(), limit=10)) == [
        (shop.ledger.id, one) for one in ids[2:]
    ]


async def test_a_message_under_judgement_is_left_alone_by_others(shop: Shop) -> None:
    message_id = await store(shop)

    async with transaction(shop.engine) as connection:
        session = await driver(connection)
        held = await inbox.claim(session, sealer=SEALER, now=shop.now(), limit=10)
        others = await claim(shop)
        single = await within(
            shop,
            lambda driver: inbox.claim_one(driver, sealer=SEALER, ledger_id=shop.ledger.id, message_id=message_id),
        )

    assert (len(held), others, single) == (1, [], [])


async def test_a_judgement_that_is_not_committed_is_made_again(shop: Shop) -> None:
    message_id = await store(shop)

    with contextlib.suppress(ProcessDied):
        async with transaction(shop.engine) as connection:
            session = await driver(connection)
            await inbox.claim(session, sealer=SEALER, now=shop.now(), limit=10)
            verdict = Verdict(shop.ledger.id, message_id, "applied", None, None)
            await inbox.settle(session, verdicts=[verdict], now=shop.now())
            raise ProcessDied

    assert [one.id for one in await claim(shop)] == [message_id]


async def test_a_message_is_judged_once_and_for_good(shop: Shop) -> None:
    message_id = await store(shop)
    await settle(shop, [message_id])

    with pytest.raises(psycopg.errors.RestrictViolation):
        await settle(shop, [message_id], word="orphan")

    assert await claim(shop) == []


async def test_a_message_that_rests_counts_its_failures_and_comes_back(shop: Shop) -> None:
    message_id = await store(shop)

    async def postpone(*, failures: int) -> tuple[int, bytes] | None:
        return await within(
            shop,
            lambda session: inbox.postpone(
                session,
                ledger_id=shop.ledger.id,
                message_id=message_id,
                failures=failures,
                due_at=shop.now() + timedelta(seconds=5),
            ),
        )

    tries = [(await postpone(failures=failures) or (None,))[0] for failures in (1, 0, 1)]
    resting = await claim(shop)
    shop.clock.advance(seconds=5)
    (found,) = await claim(shop)
    await settle(shop, [message_id])

    assert tries == [1, 1, 2]
    assert (resting, found.tries) == ([], 2)
    assert await postpone(failures=1) is None


async def test_a_message_for_a_ledger_that_is_not_there_is_left_out_and_harms_no_other(shop: Shop) -> None:
    def received(ledger_id: int) -> Received:
        return Received(ledger_id, shop.ids.next(shop.now()), "daraja", "result", bytes(32), b"{}", None)

    strange, ours = received(shop.ledger.id + 1), received(shop.ledger.id)

    kept = await within(
        shop, lambda session: inbox.store(session, messages=[strange, ours], sealer=SEALER, now=shop.now())
    )

    assert kept == {ours.id}


async def test_a_path_belongs_to_the_payout_of_its_try_in_its_own_ledger(shop: Shop) -> None:
    payout_id = await shop.request()
    token_hash = secrets.token_bytes(32)
    await within(
        shop,
        lambda session: session.execute(
            "INSERT INTO attempts (ledger_id, instruction_id, number, token_hash, started_at) "
            "SELECT ledger_id, id, 1, %s, now() FROM instructions WHERE payout_id = %s",
            (token_hash, payout_id),
        ),
    )

    async def owners(ledger_id: int) -> dict[bytes, int]:
        found = await within(
            shop,
            lambda session: inbox.find_owners(
                session, ledger_id=ledger_id, token_hashes=[token_hash, bytes(32)], now=shop.now()
            ),
        )
        return {path: owner for path, (owner, _) in found.items()}

    assert await owners(shop.ledger.id) == {token_hash: payout_id}
    assert await owners(shop.ledger.id + 1) == {}
