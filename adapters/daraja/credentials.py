"""Who we are to Daraja: one shortcode's settings and the SecurityCredential made of them. Never shows a secret."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from adapters.transport import Secret
from ledger.errors import TextInvalid

ApiVersion: TypeAlias = Literal["v3", "v1"]


@dataclass(frozen=True, slots=True)
class DarajaSettings:
    """Access to one B2C shortcode. `certificate` is Safaricom's X.509 certificate for the environment of `base_url`, in
    PEM or DER. `api_version` v1 is for apps that v3 refuses with 403.002.1001; only v3 carries our own reference."""

    base_url: str
    consumer_key: Secret
    consumer_secret: Secret
    initiator_name: str
    initiator_password: Secret
    certificate: bytes = field(repr=False)
    shortcode: str
    api_version: ApiVersion = "v3"

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("https://", "http://")):
            raise TextInvalid("Daraja's base URL starts with https://", field="base_url")


def security_credential(password: Secret, certificate: bytes) -> Secret:
    """base64 of the password's bytes under the certificate's RSA key with PKCS#1 v1.5, as Daraja wants it (not OAEP).

    Chain and expiry are not checked: the certificates Safaricom publishes expired years ago and are used for their key
    alone. Raises TextInvalid for a certificate without an RSA key, or a password too long for it.
    """
    key = _certificate_key(certificate)
    try:
        encrypted = key.encrypt(password.reveal().encode(), padding.PKCS1v15())
    except ValueError:
        raise TextInvalid("the initiator password is too long for the certificate's key", field="password") from None
    return Secret(base64.b64encode(encrypted).decode("ascii"))


def _certificate_key(certificate: bytes) -> rsa.RSAPublicKey:
    load = x509.load_pem_x509_certificate if b"-----BEGIN" in certificate else x509.load_der_x509_certificate
    try:
        key = load(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TextInvalid("the certificate is not X.509 in PEM or DER form", field="certificate") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise TextInvalid("the certificate holds no RSA key", field="certificate")
    return key
