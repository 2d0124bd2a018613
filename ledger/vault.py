"""The vault: provider credentials under envelope encryption, written and replaced, never given out to anyone but a
call.

Each secret has a data key of its own, wrapped by the vault's key, and is bound to its ledger, name and version, so that
no row opens in the place of another. Opening needs an attempt that is committed and under way, and leaves a record.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets as chance
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag

from ledger.database import Driver
from ledger.errors import SecretNotFound, TextInvalid, VaultSealed
from ledger.ids import IdSource
from ledger.sealing import SECRET_BYTES, Sealer, derive_key

SECRET_LENGTH_MAX = 4096
# How long a question about balances entitles to its call. It has no attempt that ends; no call lasts nearly as long.
QUESTION_LIFE = timedelta(minutes=10)
# Two processes may write one name at once, or choose the same id in the same millisecond: the transaction is run again.
RACING_CONSTRAINTS = frozenset({"vault_secrets_pkey", "vault_openings_pkey"})
_NAME = re.compile(r"[a-z0-9][a-z0-9/_.-]{1,99}", re.ASCII)

_PUT = """
INSERT INTO vault_secrets (ledger_id, name, version, sealed, wrapped_key, key_fingerprint, fingerprint,
    written_by, written_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_LATEST = "SELECT coalesce(max(version), 0) FROM vault_secrets WHERE ledger_id = %s AND name = %s"
_LIST = """
SELECT DISTINCT ON (name) name, version, fingerprint, written_by, written_at FROM vault_secrets
WHERE ledger_id = %s ORDER BY name, version DESC
"""
_READ = """
SELECT DISTINCT ON (name) name, version, sealed, wrapped_key, key_fingerprint FROM vault_secrets
WHERE ledger_id = %s AND name = ANY(%s) ORDER BY name, version DESC
"""
_IS_UNDER_WAY = """
SELECT EXISTS (SELECT FROM attempts WHERE ledger_id = %(ledger)s AND token_hash = %(token)s AND finished_at IS NULL)
    OR EXISTS (SELECT FROM balance_queries
        WHERE ledger_id = %(ledger)s AND token_hash = %(token)s AND asked_at > %(asked_after)s)
"""
_RECORD = """
INSERT INTO vault_openings (ledger_id, id, name, version, purpose, opened_at)
SELECT %s, o.*, %s, %s FROM unnest(%s::bigint[], %s::text[], %s::int[]) AS o
"""
_STALE = """
SELECT ledger_id, name, version, wrapped_key FROM vault_secrets WHERE key_fingerprint <> %s
ORDER BY ledger_id, name, version LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
"""
_REWRAP = """
UPDATE vault_secrets AS s SET wrapped_key = r.wrapped, key_fingerprint = %s
FROM unnest(%s::int[], %s::text[], %s::int[], %s::bytea[]) AS r (ledger_id, name, version, wrapped)
WHERE s.ledger_id = r.ledger_id AND s.name = r.name AND s.version = r.version
"""
_OTHER_KEY = "this process has not the key the secret was sealed with; give it that key"


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to open secrets for one call: the hash of the callback token of an attempt or a balance query, which is
    stored before the call. `purpose` is for the record."""

    ledger_id: int
    token_hash: bytes
    purpose: str


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """What can be known of a secret: never the secret. The fingerprint tells two apart, and fits none by trial."""

    name: str
    version: int
    fingerprint: str
    written_by: str
    written_at: datetime


class VaultKey:
    """The vault's key: wraps data keys. Its fingerprint says which key wrapped a row."""

    def __init__(self, key: bytes) -> None:
        self._wrapper = Sealer(key, purpose="vault data keys")
        self._fingerprints = derive_key(key, purpose="vault fingerprints")
        self.fingerprint = hashlib.sha256(derive_key(key, purpose="vault key name")).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"VaultKey({self.fingerprint})"

    def wrap(self, data_key: bytes, *, place: bytes) -> bytes:
        """A data key for storage beside its secret."""
        return self._wrapper.seal(data_key, bound_to=place)

    def unwrap(self, wrapped: bytes, *, place: bytes) -> bytes:
        """The data key. Raises VaultSealed where this key did not wrap it, or not for this place."""
        try:
            return self._wrapper.open(wrapped, bound_to=place)
        except InvalidTag:
            raise VaultSealed(_OTHER_KEY) from None

    def fingerprint_of(self, secret: str) -> str:
        """Twelve digits that tell two secrets apart and help nobody to guess one."""
        return hmac.digest(self._fingerprints, secret.encode(), "sha256").hex()[:12]


async def put_secret(
    driver: Driver, *, ledger_id: int, name: str, secret: str, key: VaultKey, actor: str, now: datetime
) -> SecretInfo:
    """Stores a secret as the newest version of its name. Raises TextInvalid without quoting it."""
    if not _NAME.fullmatch(name):
        raise TextInvalid(
            "a secret's name is 2 to 100 of a-z, 0-9, slash, dot, dash, such as daraja/600584/x", field="name"
        )
    if not 1 <= len(secret) <= SECRET_LENGTH_MAX or not _is_text(secret):
        raise TextInvalid(f"a secret has 1 to {SECRET_LENGTH_MAX} characters of Unicode text", field="secret")
    row = await (await driver.execute(_LATEST, (ledger_id, name))).fetchone()
    assert row is not None, "an aggregate has a row"
    version, place = row[0] + 1, _place(ledger_id, name, row[0] + 1)
    data_key = chance.token_bytes(SECRET_BYTES)
    sealed = Sealer(data_key, purpose="vault secret").seal(secret.encode(), bound_to=place)
    wrapped, fingerprint = key.wrap(data_key, place=place), key.fingerprint_of(secret)
    values = (version, sealed, wrapped, key.fingerprint, fingerprint, actor, now)
    await driver.execute(_PUT, (ledger_id, name, *values))
    return SecretInfo(name, version, fingerprint, actor, now)


async def list_secrets(driver: Driver, *, ledger_id: int) -> list[SecretInfo]:
    """The newest version of every secret of a ledger."""
    return [SecretInfo(*row) for row in await (await driver.execute(_LIST, (ledger_id,))).fetchall()]


async def open_secrets(
    driver: Driver, *, grant: Grant, names: Sequence[str], keys: Sequence[VaultKey], ids: IdSource, now: datetime
) -> dict[str, str]:
    """The newest version of each named secret, for the call that the grant is bound to, and a record of it.

    `keys` are the one in force and, during a rotation, the one before. Raises VaultSealed where no such call is
    committed and under way or none of the keys fits, SecretNotFound where a secret was never written."""
    parameters = {"ledger": grant.ledger_id, "token": grant.token_hash, "asked_after": now - QUESTION_LIFE}
    row = await (await driver.execute(_IS_UNDER_WAY, parameters)).fetchone()
    if row is None or not row[0]:
        raise VaultSealed("secrets are opened for a committed attempt under way and for nothing else")
    rows = await (await driver.execute(_READ, (grant.ledger_id, list(names)))).fetchall()
    by_fingerprint = {key.fingerprint: key for key in keys}
    opened = {}
    for name, version, sealed, wrapped, fingerprint in rows:
        if fingerprint not in by_fingerprint:
            raise VaultSealed(_OTHER_KEY)
        place = _place(grant.ledger_id, name, version)
        opened[name] = _open(by_fingerprint[fingerprint], bytes(sealed), bytes(wrapped), place)
    missing = sorted(set(names) - set(opened))
    if missing:
        raise SecretNotFound(f"the vault has no {', '.join(missing)}; write it with `daftari vault put`", field="name")
    columns = ([ids.next(now) for _ in rows], [row[0] for row in rows], [row[1] for row in rows])
    await driver.execute(_RECORD, (grant.ledger_id, grant.purpose, now, *columns))
    return opened


async def rewrap(driver: Driver, *, old: VaultKey, new: VaultKey, limit: int) -> int:
    """Wraps the data keys of up to `limit` secrets anew; returns how many. Secrets stay readable throughout to whoever
    has the key of their row; repeat until it returns 0, then the old key can be destroyed."""
    rows = await (await driver.execute(_STALE, (new.fingerprint, limit))).fetchall()
    if rows:
        wrapped = [new.wrap(old.unwrap(bytes(row[3]), place=_place(*row[:3])), place=_place(*row[:3])) for row in rows]
        columns = [list(column) for column in zip(*(row[:3] for row in rows), strict=True)]
        await driver.execute(_REWRAP, (new.fingerprint, *columns, wrapped))
    return len(rows)


def _open(key: VaultKey, sealed: bytes, wrapped: bytes, place: bytes) -> str:
    data_key = key.unwrap(wrapped, place=place)
    try:
        return Sealer(data_key, purpose="vault secret").open(sealed, bound_to=place).decode()
    except InvalidTag:
        raise VaultSealed("a secret in the vault is not the one that was written there; write it again") from None


def _is_text(secret: str) -> bool:
    """Lone surrogates stand for bytes that were not UTF-8; the codec's own error would quote the secret."""
    return not any("\ud800" <= character <= "\udfff" for character in secret)


def _place(ledger_id: int, name: str, version: int) -> bytes:
    return f"{ledger_id}/{name}/{version}".encode()
