"""The vault in PostgreSQL: what opens, for whom, and what a thief of the database, of rows or of a key finds."""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
from collections.abc import AsyncIterator

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import floats, vault
from ledger.database import conninfo, driver, run
from ledger.errors import LedgerError, SecretNotFound, VaultSealed
from ledger.sealing import SECRET_BYTES, Sealer, derive_key
from ledger.vault import Grant
from ledger.vault_keys import Mark, Opener, PrivateKey
from tests.fix_database import Database
from tests.ledger.payouts.shop import SECRET, Shop, open_shop
from tests.ledger.vault_hands import (
    BOTH,
    CANARY,
    MARK,
    NAME,
    NEW,
    NEW_OPENER,
    OLD,
    OLD_WRITER,
    OTHER,
    attempt,
    finish,
    put,
    put_many,
    retire,
    rotate,
    tamper,
    unlock,
)


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[Shop]:
    """A ledger with payouts."""
    async with open_shop(engine) as opened:
        yield opened


async def test_what_was_written_opens_for_the_call_under_way(shop: Shop) -> None:
    await put(shop)
    await put(shop, "p\u00e4ssword", name=OTHER)

    opened = await unlock(shop, await attempt(shop), NAME, OTHER)

    assert opened == {NAME: CANARY, OTHER: "p\u00e4ssword"}


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

    tamper(database, change, shop.ledger.id, shop.ledger.id)

    with pytest.raises(VaultSealed) as caught:
        await unlock(shop, grant)
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize("moved", ["ledger_id", "name", "version"])
async def test_a_row_does_not_open_in_another_place(shop: Shop, database: Database, moved: str) -> None:
    await put(shop)
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


async def test_a_thousand_secrets_are_rotated_under_reads_without_an_error(fresh_engine: AsyncEngine) -> None:
    async with open_shop(fresh_engine) as shop:
        names = [f"daraja/{number}/consumer_secret" for number in range(1000)]
        await put_many(shop, names)
        grant, chance, done = await attempt(shop), random.Random(1), asyncio.Event()

        async def read() -> int:
            count = 0
            while not done.is_set() or count < 20:
                wanted = chance.sample(names, 5)
                assert await unlock(shop, grant, *wanted, opener=BOTH) == {name: name for name in wanted}
                count += 1
            return count

        readers = [asyncio.create_task(read()) for _ in range(3)]
        await retire(shop, OLD.public.fingerprint)
        batches = [await rotate(shop, limit=100) for _ in range(11)]
        done.set()
        await asyncio.gather(*readers)

        assert [(one.count, one.left) for one in batches] == [(100, left) for left in range(900, -1, -100)] + [(0, 0)]
        assert await unlock(shop, grant, *names, opener=NEW_OPENER) == {name: name for name in names}
        with pytest.raises(VaultSealed):
            await unlock(shop, grant, names[0])


async def test_two_rotations_at_once_share_the_rows_and_neither_ends_before_the_last(
    fresh_engine: AsyncEngine,
) -> None:
    async with open_shop(fresh_engine) as shop:
        await put_many(shop, [f"daraja/{number}/consumer_secret" for number in range(60)])

        async def whole() -> int:
            total, left = 0, 1
            while left:
                done = await rotate(shop, limit=7)
                total, left = total + done.count, done.left
                if not left:
                    query = "SELECT count(*) FROM vault_secrets WHERE key_fingerprint <> :new"
                    assert await shop.rows(query, new=NEW.public.fingerprint) == [(0,)]
            return total

        assert sum(await asyncio.gather(whole(), whole())) == 60


async def test_rotation_wraps_older_versions_too_and_a_foreign_key_changes_nothing(fresh_engine: AsyncEngine) -> None:
    async with open_shop(fresh_engine) as shop:
        await put(shop, "the old one")
        await put(shop)
        before = await shop.rows("SELECT sealed FROM vault_secrets ORDER BY version")

        with pytest.raises(VaultSealed):
            await rotate(shop, limit=10, opener=Opener([NEW], MARK))
        wrapped = await rotate(shop, limit=10)

        assert (wrapped.count, wrapped.left) == (2, 0)
        assert await shop.rows("SELECT sealed FROM vault_secrets ORDER BY version") == before
        assert await shop.rows("SELECT DISTINCT key_fingerprint FROM vault_secrets") == [(NEW.public.fingerprint,)]


async def test_a_row_of_the_time_of_one_key_for_all_opens_and_is_rotated(fresh_engine: AsyncEngine) -> None:
    async with open_shop(fresh_engine) as shop:
        await put_as_once(shop, key=bytes(range(1, 33)))
        grant = await attempt(shop)

        as_it_was = await unlock(shop, grant)
        rotated = await rotate(shop, limit=10)

        assert (rotated.count, rotated.left) == (1, 0)
        assert as_it_was == await unlock(shop, grant, opener=NEW_OPENER) == {NAME: CANARY}
        assert NEW.public.fingerprint != NEW.symmetric_fingerprint


async def put_as_once(shop: Shop, *, key: bytes) -> None:
    """A secret as it was written while the vault's key was symmetric."""
    place, data_key = f"{shop.ledger.id}/{NAME}/1".encode(), secrets.token_bytes(SECRET_BYTES)
    values = (
        Sealer(data_key, purpose="vault secret").seal(CANARY.encode(), bound_to=place),
        Sealer(key, purpose="vault data keys").seal(data_key, bound_to=place),
        hashlib.sha256(derive_key(key, purpose="vault key name")).hexdigest()[:16],
    )
    await insert_row(shop, *values)


async def insert_row(shop: Shop, sealed: bytes, wrapped: bytes, fingerprint: str) -> None:
    """A row that no function of ours wrote."""

    async def command(connection: AsyncConnection) -> None:
        query = """
        INSERT INTO vault_secrets (ledger_id, name, version, sealed, wrapped_key, key_fingerprint, fingerprint,
            written_by, written_at) VALUES (%s, %s, 1, %s, %s, %s, 'f', 'a', %s)
        """
        values = (shop.ledger.id, NAME, sealed, wrapped, fingerprint, shop.now())
        await (await driver(connection)).execute(query, values)

    await run(shop.engine, command)


@pytest.mark.parametrize("proof", ["none", "another installation's", "another place's"])
async def test_whoever_has_the_database_and_the_public_key_can_plant_nothing_that_opens(shop: Shop, proof: str) -> None:
    place, data_key = f"{shop.ledger.id}/{NAME}/1".encode(), secrets.token_bytes(SECRET_BYTES)
    proofs = {
        "none": b"",
        "another installation's": Mark(bytes(32)).prove(data_key, place=place),
        "another place's": MARK.prove(data_key, place=f"{shop.ledger.id}/{NAME}/2".encode()),
    }
    wrapped = OLD.public.wrap(data_key + proofs[proof], place=place)

    sealed = Sealer(data_key, purpose="vault secret").seal(b"the thief's own", bound_to=place)
    await insert_row(shop, sealed, wrapped, OLD.public.fingerprint)

    with pytest.raises(VaultSealed, match="not written by this installation"):
        await unlock(shop, await attempt(shop))


async def test_nobody_opens_what_it_wrote_with_all_that_writing_takes(shop: Shop) -> None:
    await put(shop)
    ((wrapped,),) = await shop.rows("SELECT wrapped_key FROM vault_secrets WHERE ledger_id = :ledger")
    # Whatever a writer holds, taken for a private key: the public key's bytes and the installation's secret.
    guesses = [OLD.public.raw, SECRET, derive_key(SECRET, purpose="vault")]

    for guess in guesses:
        with pytest.raises(VaultSealed):
            await unlock(shop, await attempt(shop), opener=Opener([PrivateKey(guess)], MARK))
        with pytest.raises(InvalidTag):
            PrivateKey(guess).unwrap(bytes(wrapped), place=f"{shop.ledger.id}/{NAME}/1".encode())
    held = [*dir(OLD_WRITER), *dir(OLD_WRITER.key), *dir(OLD_WRITER.mark)]
    assert not [name for name in held if "unwrap" in name or "open" in name or "private" in name]


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
    shown = f"{dumped}{info!r}{grant!r}{OLD!r}{OLD.__dict__!r}{OLD_WRITER!r}{BOTH!r}{MARK!r}"

    assert len(dumped) >= 2
    for form in (CANARY, CANARY.encode().hex(), bytes(range(1, 33)).hex(), repr(bytes(range(1, 33))), SECRET.hex()):
        assert form not in shown
