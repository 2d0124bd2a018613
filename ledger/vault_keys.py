"""The keys of the vault: the public one writes, the private one opens, and the installation's mark proves who wrote.

Whoever has the public key alone reads nothing, not even what it wrote itself. As a public key may come into anybody's
hands, each data key is wrapped together with a proof of the installation's secret: a stranger's row does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from ledger.errors import TextInvalid, VaultKeyUnusable, VaultSealed
from ledger.sealing import SECRET_BYTES, RotatedSealer, Sealer, derive_key

# RFC 9180, base mode; the place of a secret is HPKE's `info`.
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
# The prefix keeps a private key, which has as many digits, from being taken for a public one.
_TEXT = re.compile(r"vpk_([0-9a-f]{64})", re.ASCII)
_OTHER_KEY = "this process has not the key the secret was sealed with; give it that key"
_STRANGER = "a secret in the vault was not written by this installation; write it again"
CHANGED = "a secret in the vault is not the one that was written there; write it again"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Wraps for one private key, and opens nothing. No secret; `fingerprint` says which key wrapped a row."""

    raw: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """As settings carry it."""
        return f"vpk_{self.raw.hex()}"

    @property
    def fingerprint(self) -> str:
        """Sixteen digits, the same for every process."""
        return hashlib.sha256(b"daftari vault public key" + self.raw).hexdigest()[:16]

    def wrap(self, content: bytes, *, place: bytes) -> bytes:
        """Content that the private key opens at this place alone."""
        return _SUITE.encrypt(content, X25519PublicKey.from_public_bytes(self.raw), info=place)


class PrivateKey:
    """Opens what was wrapped for its public key, and what the same 32 bytes wrapped when the vault's key was one for
    all. `sealer` is for what workers share among themselves alone."""

    def __init__(self, key: bytes) -> None:
        self._key = X25519PrivateKey.from_private_bytes(derive_key(key, purpose="vault private key"))
        self._symmetric = Sealer(key, purpose="vault data keys")
        self.sealer = Sealer(key, purpose="provider tokens")
        self.public = PublicKey(self._key.public_key().public_bytes_raw())
        self.symmetric_fingerprint = hashlib.sha256(derive_key(key, purpose="vault key name")).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.fingerprint})"

    def unwrap(self, wrapped: bytes, *, place: bytes) -> bytes:
        """The content. Raises cryptography.exceptions.InvalidTag for another key, another place, anything changed."""
        return _SUITE.decrypt(wrapped, self._key, info=place)

    def unwrap_symmetric(self, wrapped: bytes, *, place: bytes) -> bytes:
        """The data key that this key wrapped when it was symmetric. Raises InvalidTag."""
        return self._symmetric.open(wrapped, bound_to=place)


class Mark:
    """What only a process of this installation can put on a secret, made with the installation's one secret. Opens
    nothing."""

    def __init__(self, secret: bytes) -> None:
        self._fingerprints = derive_key(secret, purpose="vault fingerprints")
        self._requests = derive_key(secret, purpose="vault requests")
        self._proofs = derive_key(secret, purpose="vault proofs")

    def __repr__(self) -> str:
        return "Mark(...)"

    def fingerprint_of(self, secret: str, *, name: bytes) -> str:
        """Twelve digits that tell two secrets of a name apart. Beside another name's they say nothing: who may write
        cannot try guesses elsewhere."""
        return hmac.digest(self._fingerprints, name + b"\0" + secret.encode(), "sha256").hex()[:12]

    def content_of(self, name: str, secret: str) -> bytes:
        """Stands for a request's content where it is stored: equal for the same, and no help in guessing it."""
        return hmac.digest(self._requests, b"\0".join((name.encode(), secret.encode())), "sha256")

    def prove(self, data_key: bytes, *, place: bytes) -> bytes:
        """32 bytes that say: this data key belongs here, by a process of ours."""
        return hmac.digest(self._proofs, data_key + place, "sha256")


@dataclass(frozen=True, slots=True)
class Writer:
    """All that writing takes."""

    key: PublicKey
    mark: Mark

    def wrap(self, data_key: bytes, *, place: bytes) -> bytes:
        """A data key for storage beside its secret."""
        return self.key.wrap(data_key + self.mark.prove(data_key, place=place), place=place)


@dataclass(frozen=True, slots=True)
class Opener:
    """All that opening takes. `keys` are the one in force and, during a rotation, those before."""

    keys: Sequence[PrivateKey] = field(repr=False)
    mark: Mark

    def fingerprints(self) -> set[str]:
        """Of all rows that this opens."""
        return {name for key in self.keys for name in (key.public.fingerprint, key.symmetric_fingerprint)}

    def sealer(self) -> RotatedSealer:
        """Seals what workers share, such as access tokens; a process that only writes opens none of it."""
        return RotatedSealer([key.sealer for key in self.keys])

    def unwrap(self, wrapped: bytes, *, fingerprint: str, place: bytes) -> bytes:
        """The data key that the key of that fingerprint wrapped. Raises VaultSealed where the key is none of ours, the
        row is not as it was written, or no process of this installation wrote it."""
        for key in self.keys:
            try:
                if fingerprint == key.public.fingerprint:
                    return self._proven(key.unwrap(wrapped, place=place), place)
                if fingerprint == key.symmetric_fingerprint:
                    return key.unwrap_symmetric(wrapped, place=place)
            except InvalidTag:
                raise VaultSealed(CHANGED) from None
        raise VaultSealed(_OTHER_KEY)

    def _proven(self, content: bytes, place: bytes) -> bytes:
        data_key, proof = content[:SECRET_BYTES], content[SECRET_BYTES:]
        if not hmac.compare_digest(proof, self.mark.prove(data_key, place=place)):
            raise VaultSealed(_STRANGER)
        return data_key


def parse_public_key(text: str, *, field: str) -> PublicKey:
    """The public key that `daftari vault key` printed. Raises TextInvalid without quoting what may be a private one."""
    matched = _TEXT.fullmatch(text)
    key = PublicKey(bytes.fromhex(matched[1])) if matched else None
    if key is None or not _wraps(key):
        raise TextInvalid(f"set {field} to what `daftari vault key` prints: vpk_ and 64 digits", field=field)
    return key


def _wraps(key: PublicKey) -> bool:
    """A few points of the curve are nobody's key."""
    try:
        key.wrap(b"", place=b"")
    except ValueError:
        return False
    return True


def writer_given(writer: Writer | None) -> Writer:
    """The writer of this process. Raises VaultKeyUnusable where it was given none."""
    if writer is None:
        raise VaultKeyUnusable(
            "this process has no public key to write secrets with: set DAFTARI_VAULT_PUBLIC_KEY to what `daftari vault "
            "key` prints beside the private one"
        )
    return writer
