"""The vault in PostgreSQL: what opens, for whom, and what a thief of the database, of rows or of a key finds."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import floats, vault
from ledger.database import conninfo, driver, run, transaction
from ledger.errors import LedgerError, SecretNotFound, TextInvalid, VaultSealed
from ledger.outbox import queue
from ledger.outbox.queue import Finished
from ledger.vault import Grant, SecretInfo, VaultKey
from tests.fix_database import Database
from tests.ledger.payouts.shop import Shop, open_shop

OLD, NEW = VaultKey(bytes(range(32))), VaultKey(bytes(range(32, 64)))
NAME, OTHER = "daraja/600584/consumer_secret", "daraja/600584/initiator_password"
CANARY = "canary-Zx81-consumer-secret"


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[Shop]:
    """A ledger with payouts."""
    async with open_shop(engine) as opened:
        yield opened


async def put(shop: Shop, secret: str = CANARY, *, name: str = NAME, key: VaultKey = OLD) -> SecretInfo:
    """Writes a secret."""

    async def command(connection: AsyncConnection) -> SecretInfo:
        return await vault.put_secret(
            await driver(connection),
            ledger_id=shop.ledger.id,
            name=name,
            secret=secret,
            key=key,
            actor="amina",
            now=shop.now(),
        )

    return await run(shop.engine, command, again_on=vault.RACING_CONSTRAINTS)


async def attempt(shop: Shop) -> Grant:
    """A payout's committed attempt, under way."""
    payout_id, token = await shop.request(), secrets.token_bytes(32)

    async def command(connection: AsyncConnection) -> None:
        session = await driver(connection)
        claimed = await queue.claim(
            session,
            kinds=[queue.SUBMIT],
            rails=["daraja"],
            now=shop.now(),
            lease=timedelta(minutes=3),
            token=shop.ids.next(shop.now()),
            limit=100_000,
        )
        (mine,) = [one for one in claimed if one.payout_id == payout_id]
        await queue.start_attempts(session, ledger_id=shop.ledger.id, attempts=[(mine, token)], now=shop.now())

    await run(shop.engine, command)
    return Grant(shop.ledger.id, token, "payout.submit")


async def finish(shop: Shop, grant: Grant) -> None:
    """The attempt has its answer."""
    query = "SELECT instruction_id, number FROM attempts WHERE ledger_id = :ledger AND token_hash = :token"
    ((instruction_id, number),) = await shop.rows(query, token=grant.token_hash)

    async def command(connection: AsyncConnection) -> None:
        finished = [Finished(instruction_id, number, "Acknowledged", "")]
        await queue.finish_attempts(
            await driver(connection), ledger_id=shop.ledger.id, finished=finished, now=shop.now()
        )

    await run(shop.engine, command)


async def unlock(shop: Shop, grant: Grant, *names: str, keys: tuple[VaultKey, ...] = (OLD,)) -> dict[str, str]:
    """Opens secrets as a submitter does."""

    async def command(connection: AsyncConnection) -> dict[str, str]:
        return await vault.open_secrets(
            await driver(connection), grant=grant, names=names or (NAME,), keys=keys, ids=shop.ids, now=shop.now()
        )

    return await run(shop.engine, command)


async def rotate(shop: Shop, *, limit: int) -> int:
    """One batch of a rotation from the old key to the new."""

    async def command(connection: AsyncConnection) -> int:
        return await vault.rewrap(await driver(connection), old=OLD, new=NEW, limit=limit)

    return await run(shop.engine, command)


def tamper(database: Database, query: str, *parameters: object) -> None:
    """As somebody who can write the tables, guards or not."""
    with psycopg.connect(conninfo(database.admin), autocommit=True) as admin:
        admin.execute(query.encode(), parameters)


async def test_what_was_written_opens_for_the_call_under_way(shop: Shop) -> None:
    await put(shop)
    await put(shop, "p\u00e4ssword", name=OTHER)

    opened = await unlock(shop, await attempt(shop), NAME, OTHER)

    assert opened == {NAME: CANARY, OTHER: "p\u00e4ssword"}


async def test_the_newest_version_opens_and_is_the_one_listed(shop: Shop) -> None:
    first, second = await put(shop, "the old one"), await put(shop, "the new one")

    async with transaction(shop.engine) as connection:
        listed = await vault.list_secrets(await driver(connection), ledger_id=shop.ledger.id)

    assert await unlock(shop, await attempt(shop)) == {NAME: "the new one"}
    assert (first.version, second.version) == (1, 2)
    assert [(one.version, one.fingerprint) for one in listed] == [(2, second.fingerprint)]


async def test_the_same_secret_has_one_fingerprint_and_another_sealing(shop: Shop) -> None:
    first, again, other = await put(shop), await put(shop), await put(shop, "something else")

    rows = await shop.rows("SELECT sealed, wrapped_key FROM vault_secrets WHERE ledger_id = :ledger AND version < 3")

    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert VaultKey(bytes(32)).fingerprint_of(CANARY) != first.fingerprint
    assert len({bytes(value) for row in rows for value in row}) == 4


async def test_concurrent_writes_of_one_name_become_versions(shop: Shop) -> None:
    written = await asyncio.gather(*(put(shop, f"secret {number}") for number in range(5)))

    assert sorted(one.version for one in written) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "change",
    [
        (
            "UPDATE vault_secrets SET sealed = (SELECT sealed FROM vault_secrets WHERE ledger_id = %s "
            "AND name = 'other') WHERE ledger_id = %s AND name <> 'other'"
        ),
        (
            "UPDATE vault_secrets SET wrapped_key = (SELECT wrapped_key FROM vault_secrets WHERE ledger_id = %s "
            "AND name = 'other') WHERE ledger_id = %s AND name <> 'other'"
        ),
        (
            "UPDATE vault_secrets AS t SET sealed = o.sealed, wrapped_key = o.wrapped_key FROM vault_secrets AS o "
            "WHERE o.ledger_id = %s AND o.name = 'other' AND t.ledger_id = %s AND t.name <> 'other'"
        ),
        (
            "UPDATE vault_secrets SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE %s = ledger_id "
            "AND ledger_id = %s"
        ),
        "UPDATE vault_secrets SET sealed = '' WHERE %s = ledger_id AND ledger_id = %s",
    ],
    ids=["secrets swapped", "keys swapped", "rows swapped", "a bit turned", "cut off"],
)
async def test_a_row_that_is_not_as_it_was_written_does_not_open(shop: Shop, database: Database, change: str) -> None:
    await put(shop)
    await put(shop, "another", name="other")
    grant = await attempt(shop)

    tamper(database, "ALTER TABLE vault_secrets DISABLE TRIGGER USER")
    tamper(database, change, shop.ledger.id, shop.ledger.id)
    tamper(database, "ALTER TABLE vault_secrets ENABLE TRIGGER USER")

    with pytest.raises(VaultSealed) as caught:
        await unlock(shop, grant)
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize("moved", ["ledger_id", "name", "version"])
async def test_a_row_does_not_open_in_another_place(shop: Shop, database: Database, moved: str) -> None:
    await put(shop, key=OLD)
    async with open_shop(shop.engine) as neighbour:
        places = {"ledger_id": f"{neighbour.ledger.id}", "name": "'elsewhere'", "version": "2"}
        columns = ("ledger_id", "name", "version")
        columns_there = ", ".join(places[moved] if one == moved else one for one in columns)
        rest = "sealed, wrapped_key, key_fingerprint, fingerprint, written_by, written_at"
        tamper(
            database,
            f"INSERT INTO vault_secrets (ledger_id, name, version, {rest}) "
            f"SELECT {columns_there}, {rest} FROM vault_secrets WHERE ledger_id = %s AND name = %s AND version = 1",
            shop.ledger.id,
            NAME,
        )
        thief = neighbour if moved == "ledger_id" else shop

        with pytest.raises(VaultSealed):
            await unlock(thief, await attempt(thief), "elsewhere" if moved == "name" else NAME)


async def test_nothing_opens_without_an_attempt(shop: Shop) -> None:
    await put(shop)

    with pytest.raises(VaultSealed):
        await unlock(shop, Grant(shop.ledger.id, secrets.token_bytes(32), "curiosity"))


async def test_nothing_opens_for_an_attempt_that_has_its_answer(shop: Shop) -> None:
    await put(shop)
    grant = await attempt(shop)
    before = await unlock(shop, grant)

    await finish(shop, grant)

    assert before == {NAME: CANARY}
    with pytest.raises(VaultSealed):
        await unlock(shop, grant)


async def test_nothing_opens_for_another_ledgers_attempt(shop: Shop) -> None:
    await put(shop)
    async with open_shop(shop.engine) as neighbour:
        theirs = await attempt(neighbour)

        with pytest.raises(VaultSealed):
            await unlock(shop, Grant(shop.ledger.id, theirs.token_hash, "payout.submit"))
        with pytest.raises(SecretNotFound):
            await unlock(neighbour, theirs)


async def test_a_question_about_balances_entitles_to_its_call_and_not_for_ever(shop: Shop) -> None:
    await put(shop)
    grant = Grant(shop.ledger.id, secrets.token_bytes(32), "balance")

    async def ask(connection: AsyncConnection) -> None:
        await floats.write_query(
            await driver(connection),
            ledger_id=shop.ledger.id,
            provider="daraja",
            shortcode="600584",
            token_hash=grant.token_hash,
            ids=shop.ids,
            now=shop.now(),
        )

    await run(shop.engine, ask)
    opened = await unlock(shop, grant)
    shop.clock.advance(seconds=vault.QUESTION_LIFE.total_seconds())

    assert opened == {NAME: CANARY}
    with pytest.raises(VaultSealed):
        await unlock(shop, grant)


async def test_each_opening_is_recorded_with_its_version_and_purpose_and_a_refused_one_is_not(shop: Shop) -> None:
    await put(shop, "the old one")
    await put(shop)
    grant = await attempt(shop)

    await unlock(shop, grant)
    for bad in (Grant(shop.ledger.id, bytes(32), "curiosity"), grant):
        with pytest.raises(LedgerError):
            await unlock(shop, bad, "never/written")

    recorded = await shop.rows("SELECT name, version, purpose, opened_at FROM vault_openings WHERE ledger_id = :ledger")
    assert [tuple(row) for row in recorded] == [(NAME, 2, "payout.submit", shop.now())]


async def test_a_secret_that_was_never_written_is_named_and_nothing_else_opens(shop: Shop) -> None:
    await put(shop)

    with pytest.raises(SecretNotFound, match="never/written"):
        await unlock(shop, await attempt(shop), NAME, "never/written")


async def test_five_hundred_secrets_are_rotated_under_reads_without_an_error(fresh_engine: AsyncEngine) -> None:
    async with open_shop(fresh_engine) as shop:
        names = [f"daraja/{number}/consumer_secret" for number in range(500)]

        async def write(connection: AsyncConnection) -> None:
            session = await driver(connection)
            for name in names:
                await vault.put_secret(
                    session, ledger_id=shop.ledger.id, name=name, secret=name, key=OLD, actor="a", now=shop.now()
                )

        await run(shop.engine, write)
        grant = await attempt(shop)
        chance = random.Random(1)
        done = asyncio.Event()

        async def read() -> int:
            count = 0
            while not done.is_set() or count < 20:
                wanted = chance.sample(names, 5)
                assert await unlock(shop, grant, *wanted, keys=(NEW, OLD)) == {name: name for name in wanted}
                count += 1
            return count

        readers = [asyncio.create_task(read()) for _ in range(3)]
        batches = [await rotate(shop, limit=50) for _ in range(11)]
        done.set()
        await asyncio.gather(*readers)

        assert batches == [50] * 10 + [0]
        assert await unlock(shop, grant, *names, keys=(NEW,)) == {name: name for name in names}
        with pytest.raises(VaultSealed):
            await unlock(shop, grant, names[0], keys=(OLD,))


async def test_rotation_wraps_older_versions_too_and_a_foreign_key_changes_nothing(fresh_engine: AsyncEngine) -> None:
    async with open_shop(fresh_engine) as shop:
        await put(shop, "the old one")
        await put(shop)
        before = await shop.rows("SELECT sealed FROM vault_secrets ORDER BY version")
        wrong = partial(vault.rewrap, old=VaultKey(bytes(32)), new=NEW, limit=10)

        async def command(connection: AsyncConnection) -> int:
            return await wrong(await driver(connection))

        with pytest.raises(VaultSealed):
            await run(shop.engine, command)
        wrapped = await rotate(shop, limit=10)

        assert wrapped == 2
        assert await shop.rows("SELECT sealed FROM vault_secrets ORDER BY version") == before
        assert await shop.rows("SELECT DISTINCT key_fingerprint FROM vault_secrets") == [(NEW.fingerprint,)]


@pytest.mark.parametrize("column", ["sealed", "wrapped_key", "key_fingerprint", "*"])
def test_the_reader_sees_no_sealed_column(database: Database, column: str) -> None:
    with psycopg.connect(conninfo(database.reader)) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(f"SELECT {column} FROM vault_secrets".encode())


def test_the_reader_sees_what_may_be_known(database: Database) -> None:
    with psycopg.connect(conninfo(database.reader)) as reader:
        reader.execute("SELECT ledger_id, name, version, fingerprint, written_by, written_at FROM vault_secrets")
        reader.execute("SELECT * FROM vault_openings")


async def test_a_dump_and_whatever_prints_itself_hold_no_secret(shop: Shop) -> None:
    info, grant = await put(shop), await attempt(shop)
    await unlock(shop, grant)

    tables = ("vault_secrets", "vault_openings")
    dumped = [str(row) for table in tables for row in await shop.rows("SELECT vault_secrets::text FROM vault_secrets")]
    shown = f"{dumped}{info!r}{grant!r}{OLD!r}{OLD.__dict__!r}"

    assert len(dumped) >= 2
    for form in (CANARY, CANARY.encode().hex(), bytes(range(32)).hex(), repr(bytes(range(32)))):
        assert form not in shown


@pytest.mark.parametrize("secret", ["", "x" * 4097, f"{CANARY}\udcff"], ids=["empty", "too long", "not text"])
async def test_a_refused_secret_is_not_quoted(shop: Shop, secret: str) -> None:
    with pytest.raises(TextInvalid) as caught:
        await put(shop, secret)

    assert caught.value.field == "secret"
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert CANARY not in repr(chain)
    assert "xxx" not in repr(chain)


@pytest.mark.parametrize("name", ["", "x", "UPPER", "a b", "../etc", f"a/{CANARY}\n", "a" * 101, "\u0430/secret"])
async def test_a_name_is_plain(shop: Shop, name: str) -> None:
    with pytest.raises(TextInvalid) as caught:
        await put(shop, name=name)

    assert caught.value.field == "name"


def test_a_key_is_known_by_a_fingerprint_of_its_own() -> None:
    assert VaultKey(bytes(32)).fingerprint == VaultKey(bytes(32)).fingerprint != OLD.fingerprint
