"""The sandbox's own credentials: its certificate and key, the initiator's lock, the one access token in force.

Compares secrets in constant time and gives none of them out, save the token to whoever asked for it properly.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

TOKEN_LIFETIME_SECONDS = 3599  # Daraja's OAuth answer


@dataclass(frozen=True, slots=True)
class Certificate:
    """An X.509 certificate that initiator passwords are encrypted with, and the RSA-2048 key that reads them."""

    pem: str
    private_key: rsa.RSAPrivateKey = field(repr=False)


def make_certificate(now: datetime) -> Certificate:
    """A fresh RSA-2048 key and its self-signed certificate, valid for ten years from `now`."""
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Daftari sandbox initiator certificate")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3650))
        .sign(private_key, hashes.SHA256())
    )
    return Certificate(certificate.public_bytes(serialization.Encoding.PEM).decode(), private_key)


class Initiator:
    """The API operator. Too many wrong passwords lock it until the sandbox is reset, as the real one is locked."""

    def __init__(self, *, password: str, private_key: rsa.RSAPrivateKey, mismatches_max: int) -> None:
        self._password = password
        self._private_key = private_key
        self._mismatches_max = mismatches_max
        self._mismatches = 0

    @property
    def is_locked(self) -> bool:
        """True once `mismatches_max` wrong credentials have been seen since the last right one."""
        return self._mismatches >= self._mismatches_max

    def admits(self, security_credential: str) -> bool:
        """Whether this is the password under the certificate (RSA, PKCS#1 v1.5, base64). Counts mismatches in a row."""
        matches = hmac.compare_digest(self._decrypted(security_credential), self._password.encode())
        if not self.is_locked:
            self._mismatches = 0 if matches else self._mismatches + 1
        return matches

    def objections(self, security_credential: str) -> Iterator[str]:
        """The result codes that speak against a request with this credential; asking for them counts a mismatch."""
        if self.is_locked:
            yield "8006"
        if not self.admits(security_credential):
            yield "2001"

    def unlock(self) -> None:
        """Forgets the mismatches."""
        self._mismatches = 0

    def _decrypted(self, security_credential: str) -> bytes:
        try:
            # Daraja asks for PKCS#1 v1.5; a credential made any other way must fail here as it fails there.
            ciphertext = base64.b64decode(security_credential, validate=True)
            return self._private_key.decrypt(ciphertext, padding.PKCS1v15())
        except (binascii.Error, ValueError):
            return b""


class Tokens:
    """The one access token in force: issuing another ends it (Daraja authorization FAQ), and so does its hour.

    `requests_max`, None for no such limit, makes tokens expire in storms.
    """

    def __init__(self) -> None:
        self._token = ""
        self._expires_at: datetime | None = None
        self._requests = 0
        self.requests_max: int | None = None

    def put_in_force(self, token: str, *, now: datetime) -> None:
        """Replaces whatever token was valid until now."""
        self._token = token
        self._expires_at = now + timedelta(seconds=TOKEN_LIFETIME_SECONDS)
        self._requests = 0

    def accepts(self, token: str, *, now: datetime) -> bool:
        """Whether this very token is in force at `now`. Counts the requests it admits: after `requests_max` of them
        the token is spent."""
        in_time = self._expires_at is not None and now < self._expires_at
        spent = self.requests_max is not None and self._requests >= self.requests_max
        admitted = in_time and not spent and hmac.compare_digest(token.encode(), self._token.encode())
        self._requests += admitted
        return admitted

    def expire(self) -> None:
        """Ends the token in force without issuing another."""
        self._expires_at = None
