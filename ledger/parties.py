"""Parties: whom money goes to. Everything else knows them by id; the number or business account is encrypted and found
by a keyed hash.

The ledger and the index are bound into each ciphertext, so that none can stand in for another.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Sequence
from datetime import datetime

from ledger.database import Driver
from ledger.ids import IdSource
from ledger.payee import Payee, decode_payee, encode_payee
from ledger.sealing import Sealer, derive_key

_FIND = "SELECT payee_index, id FROM parties WHERE ledger_id = %s AND payee_index = ANY(%s)"
_INSERT = """
INSERT INTO parties (ledger_id, id, payee_index, payee_ciphertext, payee_masked, created_at)
SELECT %s, p.*, %s FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::text[]) AS p
ORDER BY 3 ON CONFLICT DO NOTHING
"""
_READ = "SELECT id, payee_index, payee_ciphertext FROM parties WHERE ledger_id = %s AND id = ANY(%s)"


class PartyKeys:
    """The two keys of the party table, derived from one 32-byte secret of the installation."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = Sealer(secret, purpose="party msisdn encryption")
        self._index_key = derive_key(secret, purpose="party msisdn index")

    def __repr__(self) -> str:
        return "PartyKeys(...)"

    def index(self, payee: Payee, *, ledger_id: int) -> bytes:
        """The keyed hash a payee is found by, different in every ledger."""
        return hmac.digest(self._index_key, f"{ledger_id}:{encode_payee(payee)}".encode(), "sha256")

    def encrypt(self, payee: Payee, *, ledger_id: int) -> bytes:
        """Nonce and ciphertext."""
        bound_to = self._bound_to(ledger_id, self.index(payee, ledger_id=ledger_id))
        return self._cipher.seal(encode_payee(payee).encode(), bound_to=bound_to)

    def decrypt(self, ciphertext: bytes, *, index: bytes, ledger_id: int) -> Payee:
        """The payee behind a row's ciphertext; raises cryptography's InvalidTag if it is not that row's."""
        return decode_payee(self._cipher.open(ciphertext, bound_to=self._bound_to(ledger_id, index)).decode())

    def _bound_to(self, ledger_id: int, index: bytes) -> bytes:
        return ledger_id.to_bytes(4) + index


async def find_or_add(
    driver: Driver, *, ledger_id: int, payees: Collection[Payee], keys: PartyKeys, ids: IdSource, now: datetime
) -> dict[Payee, int]:
    """The party ids of the payees, adding those not known; at most three queries for any set."""
    by_index = {keys.index(payee, ledger_id=ledger_id): payee for payee in payees}
    found = await _find(driver, ledger_id, by_index)
    missing = [(index, payee) for index, payee in by_index.items() if payee not in found]
    if missing:
        columns = (
            [ids.next(now) for _ in missing],
            [index for index, _ in missing],
            [keys.encrypt(payee, ledger_id=ledger_id) for _, payee in missing],
            [payee.masked for _, payee in missing],
        )
        await driver.execute(_INSERT, (ledger_id, now, *columns))
        found = await _find(driver, ledger_id, by_index)
    return found


async def _find(driver: Driver, ledger_id: int, by_index: dict[bytes, Payee]) -> dict[Payee, int]:
    cursor = await driver.execute(_FIND, (ledger_id, list(by_index)))
    return {by_index[bytes(index)]: party_id for index, party_id in await cursor.fetchall()}


async def read_payees(driver: Driver, *, ledger_id: int, party_ids: Sequence[int], keys: PartyKeys) -> dict[int, Payee]:
    """The payees behind parties, for the rail that must have them."""
    cursor = await driver.execute(_READ, (ledger_id, list(party_ids)))
    return {
        party_id: keys.decrypt(bytes(ciphertext), index=bytes(index), ledger_id=ledger_id)
        for party_id, index, ciphertext in await cursor.fetchall()
    }
