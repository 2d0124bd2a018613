"""Credentials from the vault for the call under way."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.dispatch import hash_token
from adapters.grants import current_grant, granted
from adapters.vaulted import DARAJA_NAMES, DARAJA_OPTIONAL_NAMES, VaultedDaraja
from ledger import floats, vault
from ledger.database import connect, driver, run
from ledger.errors import DatabaseUnavailable, SecretNotFound, VaultSealed
from ledger.vault import Draft, Grant
from ledger.vault_keys import Mark, Opener, PrivateKey, Writer
from tests.ledger.payouts.shop import SECRET, Shop, open_shop

KEY, OTHER, MARK = PrivateKey(bytes(range(1, 33))), PrivateKey(bytes(32)), Mark(SECRET)


@pytest.fixture
async def shop(fresh_engine: AsyncEngine) -> AsyncIterator[Shop]:
    """A ledger."""
    async with open_shop(fresh_engine) as opened:
        yield opened


def credentials(shop: Shop, *keys: PrivateKey, engine: AsyncEngine | None = None) -> VaultedDaraja:
    """What the shop's rail asks."""
    opener = Opener(keys or (KEY,), MARK)
    return VaultedDaraja(engine=engine or shop.engine, shortcode="600584", opener=opener, ids=shop.ids, now=shop.now)


async def write_secrets(shop: Shop, names: Sequence[str] = DARAJA_NAMES) -> None:
    """Those of a rail, each its own name."""

    async def command(connection: AsyncConnection) -> None:
        for name in names:
            await vault.put_secret(
                await driver(connection),
                ledger_id=shop.ledger.id,
                draft=Draft(f"daraja/600584/{name}", f"canary {name}"),
                writer=Writer(KEY.public, MARK),
                actor="amina",
                now=shop.now(),
            )

    await run(shop.engine, command)


async def ask(shop: Shop) -> Grant:
    """A question that is stored, and what it entitles to."""
    token = secrets.token_hex(32)

    async def command(connection: AsyncConnection) -> None:
        await floats.write_query(
            await driver(connection),
            ledger_id=shop.ledger.id,
            provider="daraja",
            shortcode="600584",
            token_hash=hash_token(token),
            ids=shop.ids,
            now=shop.now(),
        )

    await run(shop.engine, command)
    return Grant(shop.ledger.id, hash_token(token), "balance 600584")


async def test_the_three_credentials_come_from_the_vault_for_a_granted_call(shop: Shop) -> None:
    await write_secrets(shop)
    grant = await ask(shop)

    with granted(grant):
        found = await credentials(shop).daraja_secrets()

    assert found.consumer_key.reveal() == "canary consumer_key"
    assert found.consumer_secret.reveal() == "canary consumer_secret"
    assert found.initiator_password.reveal() == "canary initiator_password"
    assert "canary" not in repr(found)
    assert len(await shop.rows("SELECT 1 FROM vault_openings WHERE ledger_id = :ledger")) == 3


async def test_the_passkey_is_there_where_it_was_written_and_missed_by_nobody_where_it_was_not(shop: Shop) -> None:
    await write_secrets(shop)
    with granted(await ask(shop)):
        without = await credentials(shop).daraja_secrets()
    await write_secrets(shop, DARAJA_OPTIONAL_NAMES)
    with granted(await ask(shop)):
        found = await credentials(shop).daraja_secrets()

    assert without.passkey is None
    assert found.passkey is not None
    assert found.passkey.reveal() == "canary passkey"
    assert "canary" not in repr(found)


async def test_outside_of_a_granted_call_the_vault_stays_shut(shop: Shop) -> None:
    await write_secrets(shop)
    with granted(await ask(shop)):
        pass

    with pytest.raises(VaultSealed):
        current_grant()
    with pytest.raises(VaultSealed):
        await credentials(shop).daraja_secrets()
    with granted(Grant(shop.ledger.id, bytes(32), "made up")), pytest.raises(VaultSealed):
        await credentials(shop).daraja_secrets()


async def test_each_of_several_calls_at_once_has_its_own_grant(shop: Shop) -> None:
    async def call(number: int) -> bytes:
        with granted(Grant(shop.ledger.id, bytes([number]) * 32, "call")):
            await asyncio.sleep(0)
            return current_grant().token_hash

    found = await asyncio.gather(*(call(number) for number in range(8)))

    assert found == [bytes([number]) * 32 for number in range(8)]


async def test_a_credential_that_was_not_written_or_has_another_key_is_a_refusal(shop: Shop) -> None:
    grant = await ask(shop)
    with granted(grant), pytest.raises(SecretNotFound):
        await credentials(shop).daraja_secrets()

    await write_secrets(shop)

    with granted(grant), pytest.raises(VaultSealed):
        await credentials(shop, OTHER).daraja_secrets()
    with granted(grant):
        assert await credentials(shop, OTHER, KEY).daraja_secrets()


async def test_a_database_that_is_away_is_a_refusal(shop: Shop) -> None:
    away = shop.engine.url.set(host="127.0.0.1", port=1, query={})
    dead = connect(away, pool_size=1, application_name="away")

    with granted(await ask(shop)), pytest.raises(DatabaseUnavailable):
        await credentials(shop, engine=dead).daraja_secrets()
    await dead.dispose()
