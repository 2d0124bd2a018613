"""Credentials from the vault for the call under way, and the access token that an app's processes share.

The dispatcher grants each call; outside of a granted call the vault stays shut.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.daraja.credentials import DarajaSecrets
from adapters.grants import current_grant
from adapters.transport import Secret, SharedToken
from ledger.database import driver, run, transaction
from ledger.ids import IdSource
from ledger.sealing import Sealer
from ledger.vault import VaultKey, open_secrets

DARAJA_NAMES = ("consumer_key", "consumer_secret", "initiator_password")
_LOAD = "SELECT sealed, usable_until FROM provider_tokens WHERE app = %s"
_SAVE = """
INSERT INTO provider_tokens (app, sealed, usable_until) VALUES (%s, %s, %s)
ON CONFLICT (app) DO UPDATE SET sealed = excluded.sealed, usable_until = excluded.usable_until
"""


class VaultedDaraja:
    """adapters.daraja's SecretsProvider: the newest versions in the vault of the granted call's ledger."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        shortcode: str,
        key: VaultKey,
        ids: IdSource,
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._names = {name: f"daraja/{shortcode}/{name}" for name in DARAJA_NAMES}
        self._key = key
        self._ids = ids
        self._now = now

    async def daraja_secrets(self) -> DarajaSecrets:
        """Raises VaultSealed, SecretNotFound."""
        opened = await run(self._engine, self._open)
        return DarajaSecrets(**{name: Secret(opened[place]) for name, place in self._names.items()})

    async def _open(self, connection: AsyncConnection) -> dict[str, str]:
        return await open_secrets(
            await driver(connection),
            grant=current_grant(),
            names=list(self._names.values()),
            key=self._key,
            ids=self._ids,
            now=self._now(),
        )


class SharedTokens:
    """adapters.transport's TokenStore on PostgreSQL: one sealed row per app, one refresher at a time by advisory
    lock."""

    def __init__(self, *, engine: AsyncEngine, app: str, sealer: Sealer, now: Callable[[], datetime]) -> None:
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
        nobody."""
        async with self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            name = {"name": f"token:{self._app}"}
            await connection.execute(text("SELECT pg_advisory_lock(hashtextextended(:name, 0))"), name)
            try:
                yield
            finally:
                await connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))"), name)

    async def load(self) -> SharedToken | None:
        """The token saved last."""
        async with transaction(self._engine) as connection:
            row = await (await (await driver(connection)).execute(_LOAD, (self._app,))).fetchone()
        if row is None:
            return None
        token = self._sealer.open(bytes(row[0]), bound_to=self._app.encode()).decode()
        return SharedToken(Secret(token), row[1])

    async def save(self, shared: SharedToken) -> None:
        """Replaces the token."""
        sealed = self._sealer.seal(shared.token.reveal().encode(), bound_to=self._app.encode())
        async with transaction(self._engine) as connection:
            await (await driver(connection)).execute(_SAVE, (self._app, sealed, shared.usable_until))
