"""What seals entries, where this process was given the key."""

from __future__ import annotations

from adapters.proof_watch import ProofWatch
from api.credentials import seal_key
from api.wiring import WorkerApplication
from ledger.proof.sealing import EntrySealer


def proof_watch(application: WorkerApplication) -> ProofWatch | None:
    """Seals entries; None without a key to sign with. Raises TextInvalid for what is no key."""
    key = seal_key(application.settings)
    return None if key is None else ProofWatch(engine=application.engine, sealer=EntrySealer(key), now=application.now)
