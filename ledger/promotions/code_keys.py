"""Hiding codes: a keyed hash finds a code, and the copies for the printer are sealed, many together.

Whoever reads the database can neither redeem a code nor test a guess without the installation's secret."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from ledger.sealing import Sealer, derive_key

HASH_BYTES = 16
_SEPARATOR = "\n"


class CodeKeys:
    """The keys of codes, derived from the installation's secret."""

    def __init__(self, secret: bytes) -> None:
        self._hash_key = derive_key(secret, purpose="promotion code hash")
        self._attempt_key = derive_key(secret, purpose="promotion attempt digest")
        self._sealer = Sealer(secret, purpose="promotion code sheets")

    def __repr__(self) -> str:
        return "CodeKeys(...)"

    def hash(self, code: str, *, ledger_id: int) -> bytes:
        """What a code in normal form is found by, different in every ledger."""
        return hmac.digest(self._hash_key, f"{ledger_id}:{code}".encode(), "sha256")[:HASH_BYTES]

    def hashes(self, codes: Sequence[str], *, ledger_id: int) -> list[bytes]:
        """The same for many."""
        key, prefix = self._hash_key, f"{ledger_id}:"
        return [hmac.digest(key, f"{prefix}{code}".encode(), "sha256")[:HASH_BYTES] for code in codes]

    def attempt(self, *parts: bytes) -> bytes:
        """What an attempt is known by, so that its repetition is."""
        content = b"".join(len(part).to_bytes(2) + part for part in parts)
        return hmac.digest(self._attempt_key, content, "sha256")[:HASH_BYTES]

    def seal(self, codes: Sequence[str], *, ledger_id: int, batch_id: int, first_number: int) -> bytes:
        """A sheet of codes, openable only as this sheet of this batch."""
        bound_to = _bound_to(ledger_id, batch_id, first_number)
        return self._sealer.seal(_SEPARATOR.join(codes).encode(), bound_to=bound_to)

    def open(self, sealed: bytes, *, ledger_id: int, batch_id: int, first_number: int) -> list[str]:
        """What was sealed. Raises cryptography's InvalidTag for anything changed or moved."""
        bound_to = _bound_to(ledger_id, batch_id, first_number)
        return self._sealer.open(sealed, bound_to=bound_to).decode().split(_SEPARATOR)


def _bound_to(ledger_id: int, batch_id: int, first_number: int) -> bytes:
    return ledger_id.to_bytes(4) + batch_id.to_bytes(8) + first_number.to_bytes(4)
