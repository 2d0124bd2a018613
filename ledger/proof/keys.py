"""The key that signs seals, which the database never sees, and the public one that anybody checks them with."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.errors import TextInvalid
from ledger.sealing import derive_key

# In base 64 for URLs, which no private key is written in.
_TEXT = re.compile(r"spk_([0-9A-Za-z_-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class SealPublicKey:
    """Checks signatures; no secret."""

    raw: bytes

    @property
    def text(self) -> str:
        """As `daftari proof key` prints it."""
        return f"spk_{base64.urlsafe_b64encode(self.raw).decode().rstrip('=')}"

    @property
    def fingerprint(self) -> str:
        """Sixteen digits that a checkpoint names its key by."""
        return hashlib.sha256(b"daftari seal public key" + self.raw).hexdigest()[:16]

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether the private key signed exactly this."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, text)
        except InvalidSignature:
            return False
        return True


class SealKey:
    """Signs seals and checkpoints (Ed25519)."""

    def __init__(self, key: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(derive_key(key, purpose="seal signing key"))
        self.public = SealPublicKey(self._key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"SealKey({self.public.fingerprint})"

    def sign(self, text: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(text)


def parse_seal_key(text: str, *, field: str) -> SealPublicKey:
    """The public key that `daftari proof key` printed. Raises TextInvalid without quoting what may be a private one."""
    matched = _TEXT.fullmatch(text)
    if matched is None:
        raise TextInvalid(f"give as {field} what `daftari proof key` prints: spk_ and 43 characters", field=field)
    return SealPublicKey(base64.urlsafe_b64decode(matched[1] + "="))
