"""The vault: provider credentials under envelope encryption, written and replaced, never given out to anyone but a
call.

Each secret has a data key of its own, wrapped by the vault's public key, and is bound to its ledger, name and version,
so that no row opens in the place of another. Opening needs the private key and an attempt that is committed and under
way, and leaves a record.
"""

from __future__ import annotations

import re
import secrets as chance
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag

from ledger.database import Driver
from ledger.errors import SecretNotFound, TextInvalid, VaultKeyUnusable, VaultSealed
from ledger.idempotency import claim, find_keys, key_reused, store_key
from ledger.ids import IdSource
from ledger.sealing import SECRET_BYTES, Sealer
from ledger.vault_keys import CHANGED, Opener, Writer

SECRET_LENGTH_MAX = 4096
PUT_METHOD = "PutSecret"
# How long a question about balances entitles to its call. It has no attempt that ends; no call lasts nearly as long.
QUESTION_LIFE = timedelta(minutes=10)
# Two processes may write one name at once, or choose the same id in the same millisecond: the transaction is run again.
RACING_CONSTRAINTS = frozenset({"vault_secrets_pkey", "vault_openings_pkey", "idempotency_keys_pkey"})
_NAME = re.compile(r"[a-z0-9][a-z0-9/_.-]{1,99}", re.ASCII)

# Shared by writers, held alone by a retirement: once a key is retired, nothing wrapped for it is still on its way.
_LOCK_KEYS = "SELECT pg_advisory_xact_lock_shared(hashtextextended('vault keys', 0))"
_LATEST = """
SELECT coalesce(max(version), 0), EXISTS (SELECT FROM vault_retired_keys WHERE key_fingerprint = %s)
FROM vault_secrets WHERE ledger_id = %s AND name = %s
"""
_PUT = """
INSERT INTO vault_secrets (ledger_id, name, version, sealed, wrapped_key, key_fingerprint, fingerprint,
    written_by, written_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_WRITTEN = """
SELECT name, version, fingerprint, written_by, written_at FROM vault_secrets
WHERE ledger_id = %s AND name = %s AND version = %s
"""
_LIST = """
SELECT DISTINCT ON (name) name, version, fingerprint, written_by, written_at FROM vault_secrets
WHERE ledger_id = %s AND name > %s ORDER BY name, version DESC LIMIT %s
"""
_READ = """
SELECT DISTINCT ON (name) name, version, sealed, wrapped_key, key_fingerprint FROM vault_secrets
WHERE ledger_id = %s AND name = ANY(%s) ORDER BY name, version DESC
"""
_IS_UNDER_WAY = """
SELECT EXISTS (SELECT FROM attempts WHERE ledger_id = %(ledger)s AND token_hash = %(token)s AND finished_at IS NULL)
    OR EXISTS (SELECT FROM balance_queries
        WHERE ledger_id = %(ledger)s AND token_hash = %(token)s AND asked_at > %(asked_after)s)
    OR EXISTS (SELECT FROM collection_calls
        WHERE ledger_id = %(ledger)s AND token_hash = %(token)s AND made_at > %(asked_after)s)
"""
_RECORD = """
INSERT INTO vault_openings (ledger_id, id, name, version, purpose, opened_at)
SELECT %s, o.*, %s, %s FROM unnest(%s::bigint[], %s::text[], %s::int[]) AS o
"""
_RETIRE = """
INSERT INTO vault_retired_keys (key_fingerprint, retired_at) SELECT r.*, %s FROM unnest(%s::text[]) AS r
ON CONFLICT DO NOTHING
"""
# Waits for whoever holds a row, so that two rotations at once do not turn in circles.
_STALE = """
SELECT ledger_id, name, version, wrapped_key, key_fingerprint FROM vault_secrets WHERE key_fingerprint <> %s
ORDER BY ledger_id, name, version LIMIT %s FOR NO KEY UPDATE
"""
_REWRAP = """
UPDATE vault_secrets AS s SET wrapped_key = r.wrapped, key_fingerprint = %s
FROM unnest(%s::int[], %s::text[], %s::int[], %s::bytea[]) AS r (ledger_id, name, version, wrapped)
WHERE s.ledger_id = r.ledger_id AND s.name = r.name AND s.version = r.version
"""
_COUNT_STALE = "SELECT count(*) FROM vault_secrets WHERE key_fingerprint <> %s"


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to open secrets for one call: the hash of the callback token of an attempt or a balance query, which is
    stored before the call. `purpose` is for the record."""

    ledger_id: int
    token_hash: bytes
    purpose: str


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """What can be known of a secret: never the secret. The fingerprint tells two of a name apart, and fits none by
    trial."""

    name: str
    version: int
    fingerprint: str
    written_by: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Draft:
    """A secret to be written. Raises TextInvalid for a name or a secret of the wrong form, quoting neither."""

    name: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise TextInvalid(
                "a secret's name is 2 to 100 of a-z, 0-9, slash, dot, dash, such as daraja/600584/x", field="name"
            )
        if not 1 <= len(self.secret) <= SECRET_LENGTH_MAX or not _is_text(self.secret):
            raise TextInvalid(f"a secret has 1 to {SECRET_LENGTH_MAX} characters of Unicode text", field="secret")


@dataclass(frozen=True, slots=True)
class Written:
    """What a request wrote; `replayed` where an earlier one with the same id did."""

    secret: SecretInfo
    replayed: bool


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """How many data keys were wrapped anew, and how many are still left."""

    count: int
    left: int


async def put_secret(
    driver: Driver, *, ledger_id: int, draft: Draft, writer: Writer, actor: str, now: datetime
) -> SecretInfo:
    """Stores a secret as the newest version of its name. Raises VaultKeyUnusable for a key that was retired."""
    await driver.execute(_LOCK_KEYS)
    row = await (await driver.execute(_LATEST, (writer.key.fingerprint, ledger_id, draft.name))).fetchone()
    assert row is not None, "an aggregate has a row"
    latest, is_retired = row
    if is_retired:
        raise VaultKeyUnusable(
            "the public key of this process is retired and what it wrote could not be opened: set "
            "DAFTARI_VAULT_PUBLIC_KEY to what `daftari vault key` prints beside the key now in force"
        )
    place, data_key = _place(ledger_id, draft.name, latest + 1), chance.token_bytes(SECRET_BYTES)
    sealed = Sealer(data_key, purpose="vault secret").seal(draft.secret.encode(), bound_to=place)
    wrapped = writer.wrap(data_key, place=place)
    fingerprint = writer.mark.fingerprint_of(draft.secret, name=f"{ledger_id}/{draft.name}".encode())
    values = (latest + 1, sealed, wrapped, writer.key.fingerprint, fingerprint, actor, now)
    await driver.execute(_PUT, (ledger_id, draft.name, *values))
    return SecretInfo(draft.name, latest + 1, fingerprint, actor, now)


async def put_requested_secret(
    driver: Driver,
    *,
    ledger_id: int,
    client_id: int,
    request_id: str,
    draft: Draft,
    writer: Writer,
    actor: str,
    now: datetime,
) -> Written:
    """put_secret() once per request id: the same again gets the first answer, by a hash that only this installation can
    make. Raises IdempotencyKeyReused, TextInvalid for the request id, and as put_secret() does."""
    content = writer.mark.content_of(draft.name, draft.secret)
    key = claim(client_id=client_id, key=request_id, method=PUT_METHOD, content=content)
    stored = (await find_keys(driver, ledger_id=ledger_id, claims=[key])).get(key.identity)
    if stored is None:
        info = await put_secret(driver, ledger_id=ledger_id, draft=draft, writer=writer, actor=actor, now=now)
        await store_key(driver, ledger_id=ledger_id, claim=key, result_id=info.version, now=now)
        return Written(info, replayed=False)
    if not stored.matches(key):
        raise key_reused(key)
    # The request names its secret, so that the version is all that its answer adds.
    row = await (await driver.execute(_WRITTEN, (ledger_id, draft.name, stored.result_id))).fetchone()
    assert row is not None, "secrets are never deleted"
    return Written(SecretInfo(*row), replayed=True)


async def list_secrets(driver: Driver, *, ledger_id: int, after: str, limit: int) -> list[SecretInfo]:
    """The newest version of every secret of a ledger, by name, those after `after`."""
    return [SecretInfo(*row) for row in await (await driver.execute(_LIST, (ledger_id, after, limit))).fetchall()]


async def open_secrets(
    driver: Driver,
    *,
    grant: Grant,
    names: Sequence[str],
    opener: Opener,
    ids: IdSource,
    now: datetime,
    optional: Sequence[str] = (),
) -> dict[str, str]:
    """The newest version of each named secret, for the call that the grant is bound to, and a record of it; of the
    `optional` ones those that were ever written.

    Raises VaultSealed where no such call is committed and under way or the opener's keys do not fit, SecretNotFound
    where a secret was never written."""
    parameters = {"ledger": grant.ledger_id, "token": grant.token_hash, "asked_after": now - QUESTION_LIFE}
    row = await (await driver.execute(_IS_UNDER_WAY, parameters)).fetchone()
    if row is None or not row[0]:
        raise VaultSealed("secrets are opened for a committed attempt under way and for nothing else")
    rows = await (await driver.execute(_READ, (grant.ledger_id, [*names, *optional]))).fetchall()
    opened = {}
    for name, version, sealed, wrapped, fingerprint in rows:
        place = _place(grant.ledger_id, name, version)
        opened[name] = _open(opener, bytes(sealed), bytes(wrapped), fingerprint=fingerprint, place=place)
    missing = sorted(set(names) - set(opened))
    if missing:
        raise SecretNotFound(f"the vault has no {', '.join(missing)}; write it with `daftari vault put`", field="name")
    columns = ([ids.next(now) for _ in rows], [row[0] for row in rows], [row[1] for row in rows])
    await driver.execute(_RECORD, (grant.ledger_id, grant.purpose, now, *columns))
    return opened


async def retire_keys(driver: Driver, *, fingerprints: Collection[str], now: datetime) -> None:
    """No secret is written for these keys any more; what they wrapped already stays readable until it is rewrapped."""
    await driver.execute(_RETIRE, (now, sorted(fingerprints)))


async def rewrap(driver: Driver, *, opener: Opener, writer: Writer, limit: int) -> Rewrapped:
    """Wraps up to `limit` data keys of other keys for the writer's. Secrets stay readable throughout to whoever has the
    key of their row. Once the other keys are retired and none is left, they can be destroyed."""
    fingerprint = writer.key.fingerprint
    rows = await (await driver.execute(_STALE, (fingerprint, limit))).fetchall()
    if rows:
        wrapped = [_rewrap(opener, writer, bytes(row[3]), fingerprint=row[4], place=_place(*row[:3])) for row in rows]
        columns = [list(column) for column in zip(*(row[:3] for row in rows), strict=True)]
        await driver.execute(_REWRAP, (fingerprint, *columns, wrapped))
    left = await (await driver.execute(_COUNT_STALE, (fingerprint,))).fetchone()
    assert left is not None, "an aggregate has a row"
    return Rewrapped(len(rows), left[0])


def _rewrap(opener: Opener, writer: Writer, wrapped: bytes, *, fingerprint: str, place: bytes) -> bytes:
    return writer.wrap(opener.unwrap(wrapped, fingerprint=fingerprint, place=place), place=place)


def _open(opener: Opener, sealed: bytes, wrapped: bytes, *, fingerprint: str, place: bytes) -> str:
    data_key = opener.unwrap(wrapped, fingerprint=fingerprint, place=place)
    try:
        return Sealer(data_key, purpose="vault secret").open(sealed, bound_to=place).decode()
    except InvalidTag:
        raise VaultSealed(CHANGED) from None


def _is_text(secret: str) -> bool:
    """Lone surrogates stand for bytes that were not UTF-8; the codec's own error would quote the secret."""
    return not any("\ud800" <= character <= "\udfff" for character in secret)


def _place(ledger_id: int, name: str, version: int) -> bytes:
    return f"{ledger_id}/{name}/{version}".encode()
