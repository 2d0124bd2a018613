"""Credentials from the vault for the call under way, and the access token that an app's processes share.

The dispatcher grants each call; outside of a granted call the vault stays shut.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import fields
from datetime import datetime

import psycopg
from cryptography.exceptions import InvalidTag
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.daraja.credentials import DarajaSecrets
from adapters.grants import current_grant
from adapters.momo.credentials import MomoSecrets
from adapters.transport import Secret, SharedToken
from ledger.database import driver, run, transaction
from ledger.errors import DatabaseUnavailable, Overloaded
from ledger.ids import IdSource
from ledger.sealing import RotatedSealer, Sealer
from ledger.vault import RACING_CONSTRAINTS, open_secrets
from ledger.vault_keys import Opener

DARAJA_NAMES = ("consumer_key", "consumer_secret", "initiator_password")
# Prompts need it, and nothing else does.
DARAJA_OPTIONAL_NAMES = ("passkey",)
MOMO_NAMES = tuple(one.name for one in fields(MomoSecrets))
# A session waits its lock_timeout of five seconds for a lock; this often is longer than any provider takes for a token.
LOCK_TRIES_MAX = 12
_LOCK = text("SELECT pg_advisory_lock(hashtextextended(:name, 0))")
_LOAD = "SELECT sealed, usable_until FROM provider_tokens WHERE app = %s"
_SAVE = """
INSERT INTO provider_tokens (app, sealed, usable_until) VALUES (%s, %s, %s)
ON CONFLICT (app) DO UPDATE SET sealed = excluded.sealed, usable_until = excluded.usable_until
"""


class VaultedSecrets:
    """The newest versions of a rail's secrets in the vault of the granted call's ledger, which calls each
    `place`/name. `names` are needed; `optional` ones are left out where nobody wrote them."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        place: str,
        names: Sequence[str],
        optional: Sequence[str],
        opener: Opener,
        ids: IdSource,
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._names = {name: f"{place}/{name}" for name in names}
        self._optional = {name: f"{place}/{name}" for name in optional}
        self._opener = opener
        self._ids = ids
        self._now = now

    async def read(self) -> dict[str, Secret]:
        """By name. Raises VaultSealed, SecretNotFound for one that is needed, DatabaseUnavailable."""
        with _refusing():
            opened = await run(self._engine, self._open, again_on=RACING_CONSTRAINTS)
        places = self._names | self._optional
        return {name: Secret(opened[place]) for name, place in places.items() if place in opened}

    async def _open(self, connection: AsyncConnection) -> dict[str, str]:
        return await open_secrets(
            await driver(connection),
            grant=current_grant(),
            names=list(self._names.values()),
            optional=list(self._optional.values()),
            opener=self._opener,
            ids=self._ids,
            now=self._now(),
        )


class VaultedDaraja:
    """adapters.daraja's SecretsProvider."""

    def __init__(
        self, *, engine: AsyncEngine, shortcode: str, opener: Opener, ids: IdSource, now: Callable[[], datetime]
    ) -> None:
        self._secrets = VaultedSecrets(
            engine=engine,
            place=f"daraja/{shortcode}",
            names=DARAJA_NAMES,
            optional=DARAJA_OPTIONAL_NAMES,
            opener=opener,
            ids=ids,
            now=now,
        )

    async def daraja_secrets(self) -> DarajaSecrets:
        """Raises VaultSealed, SecretNotFound for one that is needed, DatabaseUnavailable."""
        return DarajaSecrets(**await self._secrets.read())


class VaultedMomo:
    """adapters.momo's SecretsProvider. Which of them are needed depends on what is called."""

    def __init__(
        self, *, engine: AsyncEngine, wallet: str, opener: Opener, ids: IdSource, now: Callable[[], datetime]
    ) -> None:
        self._secrets = VaultedSecrets(
            engine=engine,
            place=f"momo/{wallet}",
            names=(),
            optional=MOMO_NAMES,
            opener=opener,
            ids=ids,
            now=now,
        )

    async def momo_secrets(self) -> MomoSecrets:
        """Raises VaultSealed, DatabaseUnavailable."""
        return MomoSecrets(**await self._secrets.read())


class VaultedKey:
    """adapters.sms's KeyProvider: one secret of a provider of messages, at `place`/name."""

    def __init__(
        self, *, engine: AsyncEngine, place: str, name: str, opener: Opener, ids: IdSource, now: Callable[[], datetime]
    ) -> None:
        self._name = name
        self._secrets = VaultedSecrets(
            engine=engine, place=place, names=(name,), optional=(), opener=opener, ids=ids, now=now
        )

    async def key(self) -> Secret:
        """Raises VaultSealed, SecretNotFound, DatabaseUnavailable."""
        return (await self._secrets.read())[self._name]


class SharedTokens:
    """adapters.transport's TokenStore on PostgreSQL: one sealed row per app, one refresher at a time by advisory
    lock."""

    def __init__(
        self, *, engine: AsyncEngine, app: str, sealer: Sealer | RotatedSealer, now: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._app = app
        self._sealer = sealer
        self._now = now

    def now(self) -> datetime:
        """The clock of `usable_until`."""
        return self._now()

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Held by one process at a time and by no transaction; it ends with its connection, so a dead holder blocks
        nobody. Raises DatabaseUnavailable, Overloaded."""
        with _refusing():
            connection = await self._engine.execution_options(isolation_level="AUTOCOMMIT").connect()
        try:
            await self._acquire(connection)
            yield
        finally:
            # Closed, not given back: the lock ends with the session, however an error or a cancellation left it.
            await connection.invalidate()
            await connection.close()

    async def _acquire(self, connection: AsyncConnection) -> None:
        for _ in range(LOCK_TRIES_MAX):
            with _refusing():
                try:
                    await connection.execute(_LOCK, {"name": f"token:{self._app}"})
                except OperationalError as error:
                    if isinstance(error.orig, psycopg.errors.LockNotAvailable):
                        continue
                    raise
            return
        raise Overloaded("another process holds the provider's token and does not let go of it: try again later")

    async def load(self) -> SharedToken | None:
        """The token saved last; one that this process has not the key of is none."""
        with _refusing():
            async with transaction(self._engine) as connection:
                row = await (await (await driver(connection)).execute(_LOAD, (self._app,))).fetchone()
        if row is None:
            return None
        try:
            token = self._sealer.open(bytes(row[0]), bound_to=self._app.encode()).decode()
        except InvalidTag:
            return None
        return SharedToken(Secret(token), row[1])

    async def save(self, shared: SharedToken) -> None:
        """Replaces the token."""
        sealed = self._sealer.seal(shared.token.reveal().encode(), bound_to=self._app.encode())
        with _refusing():
            async with transaction(self._engine) as connection:
                await (await driver(connection)).execute(_SAVE, (self._app, sealed, shared.usable_until))


@contextmanager
def _refusing() -> Iterator[None]:
    """Tells the database's errors as refusals: whoever asks for a secret or a token is promised no other."""
    try:
        yield
    except (SQLAlchemyError, psycopg.Error, OSError) as error:
        raise DatabaseUnavailable("the database cannot be reached or did not answer; repeat in a moment") from error
