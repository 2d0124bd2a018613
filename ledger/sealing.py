"""Sealing what must not be readable in a dump: AES-256-GCM under keys derived from the installation's one secret.

Every ciphertext is bound to the row it belongs to; swapped rows do not open. The secret itself is held by the caller.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16


class Sealer:
    """Seals and opens bytes for one purpose."""

    def __init__(self, secret: bytes, *, purpose: str) -> None:
        self._cipher = AESGCM(derive_key(secret, purpose=purpose))

    def __repr__(self) -> str:
        return "Sealer(...)"

    def seal(self, plain: bytes, *, bound_to: bytes) -> bytes:
        """Nonce and ciphertext, openable only with the same `bound_to`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, bound_to)

    def open(self, sealed: bytes, *, bound_to: bytes) -> bytes:
        """What was sealed. Raises cryptography.exceptions.InvalidTag for anything changed, moved or not ours."""
        if len(sealed) < _NONCE_BYTES + _TAG_BYTES:
            raise InvalidTag  # the cipher itself calls a short nonce a ValueError
        return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)


class RotatedSealer:
    """Seals as the first of its sealers, and opens what any of them sealed: for keys that are being replaced."""

    def __init__(self, sealers: Sequence[Sealer]) -> None:
        self._sealers = tuple(sealers)

    def seal(self, plain: bytes, *, bound_to: bytes) -> bytes:
        """As Sealer.seal()."""
        return self._sealers[0].seal(plain, bound_to=bound_to)

    def open(self, sealed: bytes, *, bound_to: bytes) -> bytes:
        """As Sealer.open()."""
        for sealer in self._sealers:
            with suppress(InvalidTag):
                return sealer.open(sealed, bound_to=bound_to)
        raise InvalidTag


def derive_key(secret: bytes, *, purpose: str) -> bytes:
    """A 32-byte key of its own for a purpose, from the installation's secret."""
    assert len(secret) == SECRET_BYTES, f"the installation's secret is {SECRET_BYTES} bytes"
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"daftari {purpose}".encode()).derive(secret)
