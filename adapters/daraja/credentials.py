"""Who we are to Daraja: one shortcode's access, where its secrets come from, and the SecurityCredential made of them.

Secrets are asked for when a call needs them and kept by nobody here. Never shows one.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from adapters.transport import Secret
from ledger.errors import TextInvalid

ApiVersion: TypeAlias = Literal["v3", "v1"]

# "2" is a till. Daraja's page says "4", an organisation's shortcode; production refuses that with SFC_IC0003.
TillIdentifierType: TypeAlias = Literal["2", "4"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DarajaAccess:
    """Access to one shortcode, without its secrets. `certificate` is Safaricom's X.509 certificate for the environment
    of `base_url`, in PEM or DER. `api_version` v1 is for apps that v3 refuses with 403.002.1001; only v3 carries our
    own reference. `till_identifier_type` is how a till is named as the receiver of a B2B payment. `resubmits` trusts v3
    to refuse a reference it has seen, as its page says, so that silence may be answered by sending again."""

    base_url: str
    initiator_name: str
    certificate: bytes = field(repr=False)
    shortcode: str
    api_version: ApiVersion = "v3"
    till_identifier_type: TillIdentifierType = "2"
    resubmits: bool = False

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("https://", "http://")):
            raise TextInvalid("Daraja's base URL starts with https://", field="base_url")
        if self.resubmits and self.api_version != "v3":
            raise TextInvalid("only v3 refuses a payment it has seen; with v1 nothing is sent again", field="resubmits")


@dataclass(frozen=True, slots=True)
class DarajaSecrets:
    """The app's consumer key and secret, the API operator's password, and the passkey that prompts are made with, None
    where payers are not prompted."""

    consumer_key: Secret
    consumer_secret: Secret
    initiator_password: Secret
    passkey: Secret | None = None


class SecretsProvider(Protocol):
    """Where the secrets are kept. Asked at each payment, question and token request, and never between them."""

    async def daraja_secrets(self) -> DarajaSecrets:
        """The secrets now in force. Raises LedgerError, and nothing else, where they cannot be had; its message must be
        safe to show."""


@dataclass(frozen=True, slots=True)
class ConstantSecrets:
    """A SecretsProvider of secrets that are known from the start, such as those of the environment."""

    secrets: DarajaSecrets

    async def daraja_secrets(self) -> DarajaSecrets:
        """Always the same."""
        return self.secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class DarajaSettings(DarajaAccess):
    """Access to one shortcode together with its secrets, as the environment gives them."""

    consumer_key: Secret
    consumer_secret: Secret
    initiator_password: Secret
    passkey: Secret | None = None

    @property
    def secrets(self) -> DarajaSecrets:
        """The secrets alone."""
        return DarajaSecrets(self.consumer_key, self.consumer_secret, self.initiator_password, self.passkey)


def security_credential(password: Secret, key: rsa.RSAPublicKey) -> Secret:
    """base64 of the password's bytes under the certificate's key with PKCS#1 v1.5, as Daraja wants it (not OAEP). Cheap
    enough to make for each call, so none is kept. Raises TextInvalid for a password too long for the key."""
    try:
        encrypted = key.encrypt(password.reveal().encode(), padding.PKCS1v15())
    except ValueError:
        raise TextInvalid("the initiator password is too long for the certificate's key", field="password") from None
    return Secret(base64.b64encode(encrypted).decode("ascii"))


def certificate_key(certificate: bytes) -> rsa.RSAPublicKey:
    """The RSA key of a certificate in PEM or DER. Chain and expiry are not checked: the certificates Safaricom
    publishes expired years ago and are used for their key alone. Raises TextInvalid."""
    load = x509.load_pem_x509_certificate if b"-----BEGIN" in certificate else x509.load_der_x509_certificate
    try:
        key = load(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TextInvalid("the certificate is not X.509 in PEM or DER form", field="certificate") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise TextInvalid("the certificate holds no RSA key", field="certificate")
    return key
