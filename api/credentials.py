"""Which keys and credentials a process holds: whoever writes the vault has its public key, only a worker what opens it.

A process that was given more than its roles need, or less, does not start."""

from __future__ import annotations

from collections.abc import Callable, Collection

from pydantic import SecretStr

from api.profile import read_key
from api.roles import Role
from api.settings import Settings
from ledger.errors import TextInvalid
from ledger.proof.keys import SealKey
from ledger.sealing import derive_key
from ledger.vault_keys import Mark, Opener, PrivateKey, PublicKey, Writer, parse_public_key

# Settings that open the vault or pay: for a process with the worker role, and no other.
WORKERS_ALONE = (
    "vault_key",
    "vault_key_file",
    "vault_key_old",
    "seal_key",
    "seal_key_file",
    "daraja_consumer_key",
    "daraja_consumer_secret",
    "daraja_initiator_password",
    "daraja_passkey",
    "momo_disbursement_subscription_key",
    "momo_disbursement_credential",
    "momo_collection_subscription_key",
    "momo_collection_credential",
    "momo_old_disbursement_credential",
    "momo_old_collection_credential",
    "africastalking_key",
    "pindo_token",
    "alert_url",
    "alert_secret",
)


def check_roles(settings: Settings, *, roles: Collection[Role]) -> None:
    """Raises TextInvalid where a process of these roles holds what only a worker may, or lacks what a worker needs."""
    if Role.WORKER in roles:
        if _needs_a_key(settings) and settings.vault_key is None and settings.vault_key_file is None:
            raise TextInvalid(
                "set DAFTARI_VAULT_KEY or DAFTARI_VAULT_KEY_FILE to 64 hexadecimal digits that only workers are given: "
                "with a database of your own, the vault has a key of its own; `openssl rand -hex 32` makes one",
                field="DAFTARI_VAULT_KEY",
            )
        return
    given = [f"DAFTARI_{name.upper()}" for name in WORKERS_ALONE if _is_given(settings, name)]
    if given:
        raise TextInvalid(
            f"take {', '.join(given)} from this process: only one with the worker role calls a provider, and any other "
            "writes the vault with DAFTARI_VAULT_PUBLIC_KEY",
            field=given[0],
        )


def public_key(settings: Settings, *, secret: Callable[[], bytes]) -> PublicKey | None:
    """The key to write with: given, or that of the private key given; with an embedded database, derived from the
    installation's secret. None where there is none. Raises TextInvalid for keys that do not belong together."""
    given, private = settings.vault_public_key, _private_key(settings)
    if given:
        found = parse_public_key(given, field="DAFTARI_VAULT_PUBLIC_KEY")
        if private is not None and private.public != found:
            raise TextInvalid(
                "set DAFTARI_VAULT_PUBLIC_KEY to what `daftari vault key` prints beside DAFTARI_VAULT_KEY, or leave it "
                "out: it is another key's",
                field="DAFTARI_VAULT_PUBLIC_KEY",
            )
        return found
    if private is not None:
        return private.public
    return _derived_key(secret()).public if settings.database_url is None else None


def vault_writer(settings: Settings, *, secret: bytes) -> Writer | None:
    """What writes the vault; None where this process was given no public key."""
    key = public_key(settings, secret=lambda: secret)
    return None if key is None else Writer(key, Mark(secret))


def vault_opener(settings: Settings, *, secret: bytes) -> Opener:
    """What opens the vault: with the key in force, the one before if it is given, and the one that was derived from the
    installation's secret, so that every row can be read while the key is rotated."""
    old = settings.vault_key_old
    before = [] if old is None else [PrivateKey(read_key(old.get_secret_value(), field="vault_key_old"))]
    now = _private_key(settings)
    keys = ([] if now is None else [now]) + before
    return Opener((*keys, _derived_key(secret)), Mark(secret))


def seal_key(settings: Settings) -> SealKey | None:
    """The key that signs seals; None where none is given, and then nothing is sealed. Raises TextInvalid."""
    if settings.seal_key_file is not None:
        return SealKey(read_key(settings.seal_key_file.read_text().strip(), field="seal_key_file"))
    if settings.seal_key is not None:
        return SealKey(read_key(settings.seal_key.get_secret_value(), field="seal_key"))
    return None


def _private_key(settings: Settings) -> PrivateKey | None:
    if settings.vault_key_file is not None:
        return PrivateKey(read_key(settings.vault_key_file.read_text().strip(), field="vault_key_file"))
    if settings.vault_key is not None:
        return PrivateKey(read_key(settings.vault_key.get_secret_value(), field="vault_key"))
    return None


def _derived_key(secret: bytes) -> PrivateKey:
    return PrivateKey(derive_key(secret, purpose="vault"))


def _needs_a_key(settings: Settings) -> bool:
    places = (
        settings.daraja_secrets,
        settings.momo_secrets,
        settings.africastalking_secrets,
        settings.pindo_secrets,
    )
    return settings.database_url is not None and "vault" in places


def _is_given(settings: Settings, name: str) -> bool:
    value = getattr(settings, name)
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)
