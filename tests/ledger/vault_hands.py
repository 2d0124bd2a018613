"""The hands on the vault in tests: those that write, that open for a call, that rotate, and a thief's."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import vault
from ledger.database import conninfo, driver, run, transaction
from ledger.outbox import queue
from ledger.outbox.queue import Finished
from ledger.vault import Draft, Grant, Rewrapped, SecretInfo, Written
from ledger.vault_keys import Mark, Opener, PrivateKey, Writer
from tests.fix_database import Database
from tests.ledger.payouts.shop import SECRET, Shop

MARK = Mark(SECRET)
OLD, NEW = PrivateKey(bytes(range(1, 33))), PrivateKey(bytes(range(32, 64)))
OLD_WRITER, NEW_WRITER = Writer(OLD.public, MARK), Writer(NEW.public, MARK)
OLD_OPENER, NEW_OPENER, BOTH = Opener([OLD], MARK), Opener([NEW], MARK), Opener([NEW, OLD], MARK)
NAME, OTHER = "daraja/600584/consumer_secret", "daraja/600584/initiator_password"
CANARY = "canary-Zx81-consumer-secret"


async def put(shop: Shop, secret: str = CANARY, *, name: str = NAME, writer: Writer = OLD_WRITER) -> SecretInfo:
    """Writes a secret."""
    draft = Draft(name, secret)

    async def command(connection: AsyncConnection) -> SecretInfo:
        return await vault.put_secret(
            await driver(connection),
            ledger_id=shop.ledger.id,
            draft=draft,
            writer=writer,
            actor="amina",
            now=shop.now(),
        )

    return await run(shop.engine, command, again_on=vault.RACING_CONSTRAINTS)


async def put_many(shop: Shop, names: Sequence[str], *, writer: Writer = OLD_WRITER) -> None:
    """Writes secrets that are each their own name, in one transaction."""

    async def command(connection: AsyncConnection) -> None:
        session, place = await driver(connection), {"ledger_id": shop.ledger.id}
        for name in names:
            draft = Draft(name, name)
            await vault.put_secret(session, **place, draft=draft, writer=writer, actor="a", now=shop.now())

    await run(shop.engine, command)


async def ask_to_put(
    shop: Shop,
    secret: str = CANARY,
    *,
    name: str = NAME,
    request_id: str = "put-1",
    client_id: int = 7,
    writer: Writer = OLD_WRITER,
) -> Written:
    """Writes a secret under a request id."""

    async def command(connection: AsyncConnection) -> Written:
        return await vault.put_requested_secret(
            await driver(connection),
            ledger_id=shop.ledger.id,
            client_id=client_id,
            request_id=request_id,
            draft=Draft(name, secret),
            writer=writer,
            actor="amina",
            now=shop.now(),
        )

    return await run(shop.engine, command, again_on=vault.RACING_CONSTRAINTS)


async def listed(shop: Shop, *, after: str = "", limit: int = 100) -> list[SecretInfo]:
    """What can be known of the shop's secrets."""
    async with transaction(shop.engine) as connection:
        return await vault.list_secrets(await driver(connection), ledger_id=shop.ledger.id, after=after, limit=limit)


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


async def unlock(shop: Shop, grant: Grant, *names: str, opener: Opener = OLD_OPENER) -> dict[str, str]:
    """Opens secrets as a submitter does."""

    async def command(connection: AsyncConnection) -> dict[str, str]:
        return await vault.open_secrets(
            await driver(connection), grant=grant, names=names or (NAME,), opener=opener, ids=shop.ids, now=shop.now()
        )

    return await run(shop.engine, command)


async def retire(shop: Shop, *fingerprints: str) -> None:
    """No secret is written for these keys any more."""

    async def command(connection: AsyncConnection) -> None:
        await vault.retire_keys(await driver(connection), fingerprints=fingerprints, now=shop.now())

    await run(shop.engine, command)


async def rotate(shop: Shop, *, limit: int, opener: Opener = BOTH) -> Rewrapped:
    """One batch of a rotation to the new key."""

    async def command(connection: AsyncConnection) -> Rewrapped:
        return await vault.rewrap(await driver(connection), opener=opener, writer=NEW_WRITER, limit=limit)

    return await run(shop.engine, command)


def tamper(database: Database, query: str, *parameters: object) -> None:
    """As somebody who can write the tables, guards or not."""
    with psycopg.connect(conninfo(database.admin), autocommit=True) as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute(query.encode(), parameters)
