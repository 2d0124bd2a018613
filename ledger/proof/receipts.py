"""The receipt of one entry: a Merkle path of at most ten hashes from its digest to the root that a checkpoint signs.

The chain would prove the same, by up to a thousand links of seals of other entries, which are nobody else's business.
"""

from __future__ import annotations

from typing import Any

from ledger.database import Driver
from ledger.errors import EntryNotFound
from ledger.journal.books import Ledger
from ledger.proof import reading
from ledger.proof.chain import merkle_path
from ledger.proof.checking import receipt_form


async def make_receipt(driver: Driver, *, ledger: Ledger, entry_id: int) -> dict[str, Any]:
    """The receipt, as it is given away. Raises EntryNotFound, also where it is not sealed yet. Nothing is
    judged here: what it says is true as far as it verifies."""
    written = await reading.read_documents(driver, ledger_id=ledger.id, entry_ids=[entry_id])
    if entry_id not in written:
        raise EntryNotFound("no such entry in this ledger", field="entry")
    position = await reading.find_position(driver, ledger_id=ledger.id, entry_id=entry_id)
    over = None if position is None else await reading.checkpoint_over(driver, ledger_id=ledger.id, position=position)
    if position is None or over is None:
        raise EntryNotFound("this entry is not sealed yet; a worker with DAFTARI_SEAL_KEY seals it soon", field="entry")
    first, count = over.from_position, over.until_position - over.from_position + 1
    seals = await reading.read_seals(driver, ledger_id=ledger.id, after=first - 1, limit=count)
    index = next((index for index, seal in enumerate(seals) if seal.position == position), 0)
    path = merkle_path([seal.digest for seal in seals], index)
    return receipt_form(ledger.code, written[entry_id].document, position=position, path=path, checkpoint=over)
