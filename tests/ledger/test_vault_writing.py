"""Writing the vault: versions, fingerprints, request ids, what is refused without being quoted, and retired keys."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import vault
from ledger.database import driver, run, transaction
from ledger.errors import IdempotencyKeyReused, TextInvalid, VaultKeyUnusable
from ledger.vault import Draft
from ledger.vault_keys import Mark, Writer, writer_given
from tests.ledger.payouts.shop import Shop, open_shop
from tests.ledger.vault_hands import (
    BOTH,
    CANARY,
    MARK,
    NAME,
    NEW,
    NEW_WRITER,
    OLD,
    OLD_WRITER,
    OTHER,
    ask_to_put,
    attempt,
    listed,
    put,
    put_many,
    retire,
    rotate,
    unlock,
)


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[Shop]:
    """A ledger with payouts."""
    async with open_shop(engine) as opened:
        yield opened


@pytest.fixture
async def own_shop(fresh_engine: AsyncEngine) -> AsyncIterator[Shop]:
    """A ledger on a database of its own: retired keys are everybody's."""
    async with open_shop(fresh_engine) as opened:
        yield opened


async def test_the_newest_version_opens_and_is_the_one_listed(shop: Shop) -> None:
    first, second = await put(shop, "the old one"), await put(shop, "the new one")

    opened, shown = await unlock(shop, await attempt(shop)), await listed(shop)

    assert opened == {NAME: "the new one"}
    assert (first.version, second.version) == (1, 2)
    assert shown == [second]


async def test_a_list_goes_on_after_a_name(shop: Shop) -> None:
    names = [f"daraja/{number}/consumer_secret" for number in range(5)]
    await put_many(shop, names)

    first = await listed(shop, limit=2)
    rest = await listed(shop, after=first[-1].name)

    assert [one.name for one in first + rest] == names


async def test_the_same_secret_of_a_name_has_one_fingerprint_and_another_sealing(shop: Shop) -> None:
    first, again, other = await put(shop), await put(shop), await put(shop, "something else")
    elsewhere = await put(shop, name=OTHER)

    rows = await shop.rows(
        "SELECT sealed, wrapped_key FROM vault_secrets WHERE ledger_id = :ledger AND version < 3 AND name = :name",
        name=NAME,
    )

    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert elsewhere.fingerprint != first.fingerprint
    assert len({bytes(value) for row in rows for value in row}) == 4


async def test_a_fingerprint_is_the_installations_and_not_the_keys(shop: Shop) -> None:
    first = await put(shop, writer=OLD_WRITER)

    under_another_key = await put(shop, writer=NEW_WRITER)
    elsewhere = await put(shop, writer=Writer(OLD.public, Mark(bytes(32))))

    assert first.fingerprint == under_another_key.fingerprint != elsewhere.fingerprint


async def test_concurrent_writes_of_one_name_become_versions(shop: Shop) -> None:
    written = await asyncio.gather(*(put(shop, f"secret {number}") for number in range(5)))

    assert sorted(one.version for one in written) == [1, 2, 3, 4, 5]


async def test_a_repeated_request_gets_the_first_answer_and_writes_nothing(shop: Shop) -> None:
    first = await ask_to_put(shop)
    await put(shop, "written meanwhile")

    again = await ask_to_put(shop)

    assert (first.replayed, again.replayed) == (False, True)
    assert first.secret == again.secret
    assert [one.version for one in await listed(shop)] == [2]


@pytest.mark.parametrize(("secret", "name"), [("something else", NAME), (CANARY, OTHER)])
async def test_a_request_id_with_other_content_is_refused_and_writes_nothing(
    shop: Shop, secret: str, name: str
) -> None:
    first = await ask_to_put(shop)

    with pytest.raises(IdempotencyKeyReused):
        await ask_to_put(shop, secret, name=name)

    assert await listed(shop) == [first.secret]


async def test_each_client_has_request_ids_of_its_own(shop: Shop) -> None:
    written = [await ask_to_put(shop, f"of {client}", client_id=client) for client in (7, 8)]

    assert [(one.secret.version, one.replayed) for one in written] == [(1, False), (2, False)]


async def test_eight_at_once_under_one_request_id_write_once(shop: Shop) -> None:
    written = await asyncio.gather(*(ask_to_put(shop) for _ in range(8)))

    assert sorted(one.replayed for one in written) == [False] + [True] * 7
    assert {one.secret.version for one in written} == {1}
    assert [one.version for one in await listed(shop)] == [1]


async def test_the_stored_hash_of_a_request_fits_no_guess(shop: Shop) -> None:
    await ask_to_put(shop)
    query = "SELECT request_hash FROM idempotency_keys WHERE ledger_id = :ledger AND method = 'PutSecret'"

    ((stored,),) = await shop.rows(query)

    # Whoever has a dump and the right guess, but not the installation's secret: every digest that takes no key.
    texts = [CANARY, NAME + CANARY, f"{NAME}\0{CANARY}", f"{NAME}/{CANARY}", f"{NAME}:{CANARY}"]
    guesses = {hashlib.sha256(text.encode()).digest()[:16] for text in texts}
    other = hashlib.sha256(Mark(bytes(32)).content_of(NAME, CANARY)).digest()[:16]
    assert bytes(stored) == hashlib.sha256(MARK.content_of(NAME, CANARY)).digest()[:16]
    assert bytes(stored) not in guesses | {other}


@pytest.mark.parametrize("secret", ["", "x" * 4097, f"{CANARY}\udcff"], ids=["empty", "too long", "not text"])
def test_a_refused_secret_is_not_quoted(secret: str) -> None:
    with pytest.raises(TextInvalid) as caught:
        Draft(NAME, secret)

    assert caught.value.field == "secret"
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert CANARY not in repr(chain)
    assert "xxx" not in repr(chain)


@pytest.mark.parametrize("name", ["", "x", "UPPER", "a b", "../etc", f"a/{CANARY}\n", "a" * 101, "\u0430/secret"])
def test_a_name_is_plain_and_a_refused_one_is_not_quoted(name: str) -> None:
    with pytest.raises(TextInvalid) as caught:
        Draft(name, CANARY)

    assert caught.value.field == "name"
    assert CANARY not in repr(caught.value)


def test_a_draft_does_not_show_its_secret() -> None:
    assert CANARY not in f"{Draft(NAME, CANARY)!r} {Draft(NAME, CANARY)}"


async def test_a_request_id_of_the_wrong_form_is_refused(shop: Shop) -> None:
    with pytest.raises(TextInvalid) as caught:
        await ask_to_put(shop, request_id="")

    assert caught.value.field == "request_id"


def test_a_process_without_a_public_key_is_told_what_to_set() -> None:
    with pytest.raises(VaultKeyUnusable, match="DAFTARI_VAULT_PUBLIC_KEY"):
        writer_given(None)


async def test_nothing_is_written_for_a_retired_key_and_what_was_is_still_read(own_shop: Shop) -> None:
    before = await ask_to_put(own_shop)
    await retire(own_shop, OLD.public.fingerprint)

    with pytest.raises(VaultKeyUnusable, match="retired"):
        await put(own_shop, "lost")
    with pytest.raises(VaultKeyUnusable):
        await ask_to_put(own_shop, "lost", request_id="put-2")
    again = await ask_to_put(own_shop)

    assert again.secret == before.secret
    assert await unlock(own_shop, await attempt(own_shop)) == {NAME: CANARY}
    assert (await put(own_shop, "kept", writer=NEW_WRITER)).version == 2
    await retire(own_shop, OLD.public.fingerprint)


async def test_a_retirement_waits_for_a_secret_that_is_being_written(own_shop: Shop) -> None:
    async with transaction(own_shop.engine) as connection:
        await vault.put_secret(
            await driver(connection),
            ledger_id=own_shop.ledger.id,
            draft=Draft(NAME, CANARY),
            writer=OLD_WRITER,
            actor="amina",
            now=own_shop.now(),
        )
        retiring = asyncio.create_task(retire(own_shop, OLD.public.fingerprint))
        await until_one_waits(own_shop)
        assert await own_shop.rows("SELECT 1 FROM vault_retired_keys") == []
    await retiring

    rotated = await rotate(own_shop, limit=10)

    assert (rotated.count, rotated.left) == (1, 0)
    assert await unlock(own_shop, await attempt(own_shop), opener=BOTH) == {NAME: CANARY}


async def until_one_waits(shop: Shop) -> None:
    """Returns once a session waits for an advisory lock."""
    query = """
    SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
    """
    async with asyncio.timeout(10):
        while not await shop.rows(query):  # noqa: ASYNC110  (the server sets no event)
            await asyncio.sleep(0.01)


async def test_the_database_itself_takes_nothing_wrapped_for_a_retired_key(own_shop: Shop) -> None:
    await put(own_shop)
    await retire(own_shop, OLD.public.fingerprint, NEW.public.fingerprint)
    copy = """
    INSERT INTO vault_secrets SELECT ledger_id, name, 2, sealed, wrapped_key, key_fingerprint, fingerprint, written_by,
        written_at FROM vault_secrets
    """
    back = "UPDATE vault_secrets SET key_fingerprint = %s"

    for query, values in ((copy, ()), (back, (NEW.public.fingerprint,))):

        async def command(connection: AsyncConnection) -> None:
            await (await driver(connection)).execute(query.encode(), values)  # noqa: B023  (awaited within the turn)

        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            await run(own_shop.engine, command)
        assert caught.value.diag.constraint_name == "vault_secrets_have_a_key_in_force"


@pytest.mark.parametrize(
    "statement", ["UPDATE vault_retired_keys SET retired_at = now()", "DELETE FROM vault_retired_keys"]
)
async def test_a_retired_key_does_not_come_back(own_shop: Shop, statement: str) -> None:
    await retire(own_shop, OLD.public.fingerprint)

    async def command(connection: AsyncConnection) -> None:
        await (await driver(connection)).execute(statement.encode())

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await run(own_shop.engine, command)
