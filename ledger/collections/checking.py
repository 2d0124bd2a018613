"""Which receipts providers were asked about, by the paths that were given out for the answers."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.database import Driver

_ASKED = """
SELECT a.token_hash, i.receipt_id FROM attempts AS a
JOIN instructions AS i ON i.ledger_id = a.ledger_id AND i.id = a.instruction_id
WHERE a.ledger_id = %s AND a.token_hash = ANY(%s) AND i.receipt_id IS NOT NULL
"""


async def find_asked(driver: Driver, *, ledger_id: int, token_hashes: Sequence[bytes]) -> dict[bytes, int]:
    """The receipts that were asked about with these callback paths."""
    cursor = await driver.execute(_ASKED, (ledger_id, list(token_hashes)))
    return {bytes(token_hash): receipt_id for token_hash, receipt_id in await cursor.fetchall()}
