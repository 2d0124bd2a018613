"""Provider credentials across the wire: one way only."""

from __future__ import annotations

from daftari.v1 import vault_pb2 as pb

from api.conversion.times import timestamp_of
from ledger.vault import Draft, SecretInfo


def draft_of(request: pb.PutSecretRequest) -> Draft:
    """The secret to write. Raises TextInvalid, quoting nothing: a codec's own error would hold the bytes it refused."""
    return Draft(request.name, request.secret.decode(errors="surrogateescape"))


def secret_message(info: SecretInfo) -> pb.VaultSecret:
    """What can be known of a secret."""
    return pb.VaultSecret(
        name=info.name,
        version=info.version,
        fingerprint=info.fingerprint,
        written_by=info.written_by,
        write_time=timestamp_of(info.written_at),
    )
