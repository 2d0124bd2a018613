"""Which receipts are known by what providers sent alone. A message on a secret path is good evidence; of large money
more is wanted: that the provider, asked by us, says so too."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ledger.collections.writing import LockedReceipt
from ledger.database import Driver
from ledger.outbox.collecting import Channel

# What the provider answered us, or gave us as its own books.
ANSWERED = (Channel.PULL, Channel.STATEMENT, Channel.QUERY)
_PROVEN = """
SELECT DISTINCT receipt_id FROM receipt_evidence WHERE ledger_id = %s AND receipt_id = ANY(%s) AND channel = ANY(%s)
"""


async def find_unproven(
    driver: Driver, *, ledger_id: int, receipts: Collection[LockedReceipt], above: int | None
) -> frozenset[int]:
    """The ids of receipts over `above` minor units (None: of none) that no answer to a question of ours has told."""
    large = [one.id for one in receipts if above is not None and one.amount.minor_units > above]
    if not large:
        return frozenset()
    cursor = await driver.execute(_PROVEN, (ledger_id, large, [channel.value for channel in ANSWERED]))
    return frozenset(large) - {receipt_id for (receipt_id,) in await cursor.fetchall()}


def without(receipts: Sequence[LockedReceipt], unproven: frozenset[int]) -> list[LockedReceipt]:
    """The receipts that may be given to somebody."""
    return [one for one in receipts if one.id not in unproven]
