"""Idempotency keys: one key of one client is one effect and one answer, for ever.

Keys are looked up before a set is decided and stored with its effects, so a refused request leaves nothing behind. A
key that another process stores meanwhile violates the primary key; the set is run again and reads it as a replay."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ledger.database import Driver
from ledger.errors import IdempotencyKeyReused
from ledger.session import Asked, Rows, Statement, plain_array, text_array
from ledger.text import check_text

KEY_LENGTH_MAX = 64

_FIND = Statement("SELECT * FROM stored_keys(%(ledger)s::integer, %(clients)s::bigint[], %(keys)s::text[])")
_STORE = """
INSERT INTO idempotency_keys (ledger_id, client_id, key, method, request_hash, result_id, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""


class KeyClaim(NamedTuple):
    """A request id under which a client asks: with the method and a hash of the request's content."""

    client_id: int
    key: str
    method: str
    request_hash: bytes

    @property
    def identity(self) -> tuple[int, str]:
        """What must be unique within a ledger."""
        return (self.client_id, self.key)

    def same_request(self, other: KeyClaim) -> bool:
        """Whether both ask for the very same thing."""
        return self.method == other.method and self.request_hash == other.request_hash


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key that has its answer: the id of what it made."""

    method: str
    request_hash: bytes
    result_id: int

    def matches(self, claim: KeyClaim) -> bool:
        """Whether the claim asks for what was answered."""
        return self.method == claim.method and self.request_hash == claim.request_hash


def claim(*, client_id: int, key: str, method: str, content: bytes) -> KeyClaim:
    """A claim for a request whose canonical content is given. Raises TextInvalid for a key of the wrong form."""
    check_text(key, field="request_id", length_max=KEY_LENGTH_MAX)
    return KeyClaim(client_id, key, method, hashlib.sha256(content).digest()[:16])


def key_reused(key: KeyClaim) -> IdempotencyKeyReused:
    """The refusal of a request id that came with other content before."""
    return IdempotencyKeyReused(
        "this request_id was used for another request; choose a new one for a new request",
        field="request_id",
        request_id=key.key,
    )


def key_question(*, ledger_id: int, claims: Sequence[KeyClaim]) -> Asked:
    """What asks for the stored keys among those claimed; stored_keys() reads the answer."""
    return _FIND.asked(
        {
            "ledger": ledger_id,
            "clients": plain_array([one.client_id for one in claims]),
            "keys": text_array([one.key for one in claims]),
        }
    )


def stored_keys(rows: Rows) -> dict[tuple[int, str], StoredKey]:
    """By (client id, key)."""
    return {(row[0], row[1]): StoredKey(row[2], bytes(row[3]), row[4]) for row in rows}


async def find_keys(
    driver: Driver, *, ledger_id: int, claims: Iterable[KeyClaim | None]
) -> dict[tuple[int, str], StoredKey]:
    """The stored keys among those claimed, by (client id, key); one query for the whole set."""
    wanted = [one for one in claims if one is not None]
    if not wanted:
        return {}
    [rows] = await driver.exchange(key_question(ledger_id=ledger_id, claims=wanted))
    return stored_keys(rows)


async def find_answer(driver: Driver, *, ledger_id: int, claim: KeyClaim) -> int | None:
    """What a request id had come to before; None for a new one. Raises IdempotencyKeyReused. Asked under the lock of
    what the command is about."""
    stored = (await find_keys(driver, ledger_id=ledger_id, claims=[claim])).get(claim.identity)
    if stored is None:
        return None
    if not stored.matches(claim):
        raise key_reused(claim)
    return stored.result_id


async def store_key(driver: Driver, *, ledger_id: int, claim: KeyClaim, result_id: int, now: datetime) -> None:
    """Stores the one key of a command whose effects are written by several statements of the same transaction."""
    values = (claim.client_id, claim.key, claim.method, claim.request_hash, result_id, now)
    await driver.execute(_STORE, (ledger_id, *values))
