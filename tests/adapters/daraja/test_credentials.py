"""The SecurityCredential and the settings it is made of."""

from __future__ import annotations

import base64
import dataclasses

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapters.daraja.credentials import DarajaSettings, certificate_key, security_credential
from adapters.transport import Secret
from ledger.errors import TextInvalid


@hypothesis_settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(password=st.text(min_size=1, max_size=60))
def test_the_credential_decrypts_to_the_password_and_nothing_more(
    password: str, private_key: rsa.RSAPrivateKey, certificate_pem: bytes
) -> None:
    credential = security_credential(Secret(password), certificate_key(certificate_pem)).reveal()

    assert len(credential) == 344
    assert private_key.decrypt(base64.b64decode(credential), padding.PKCS1v15()) == password.encode()


def test_a_certificate_in_der_serves_as_well(
    private_key: rsa.RSAPrivateKey, expired_certificate: x509.Certificate
) -> None:
    key = certificate_key(expired_certificate.public_bytes(Encoding.DER))

    credential = security_credential(Secret("p"), key).reveal()

    assert private_key.decrypt(base64.b64decode(credential), padding.PKCS1v15()) == b"p"


@pytest.mark.parametrize(
    "certificate", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_bytes_that_are_no_certificate_are_refused(certificate: bytes) -> None:
    with pytest.raises(TextInvalid, match=r"X\.509"):
        certificate_key(certificate)


def test_a_certificate_without_an_rsa_key_is_refused(expired_certificate: x509.Certificate) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        issuer_name=expired_certificate.issuer,
        subject_name=expired_certificate.subject,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=expired_certificate.not_valid_before_utc,
        not_valid_after=expired_certificate.not_valid_after_utc,
    )

    with pytest.raises(TextInvalid, match="RSA"):
        certificate_key(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


def test_a_password_too_long_for_the_key_is_refused_without_quoting_it(certificate_pem: bytes) -> None:
    key = certificate_key(certificate_pem)

    with pytest.raises(TextInvalid, match="too long") as refusal:
        security_credential(Secret("canary" * 100), key)

    assert "canary" not in str(refusal.value)


def test_a_base_url_without_a_scheme_is_refused(settings: DarajaSettings) -> None:
    with pytest.raises(TextInvalid, match="https"):
        dataclasses.replace(settings, base_url="sandbox.safaricom.co.ke")
