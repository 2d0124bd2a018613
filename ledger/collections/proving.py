"""Which receipts are known by what providers sent alone. A message on a secret path is good evidence; of large money
more is wanted: that the provider, asked by us, says so too."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ledger.collections.reference import ReceiptKeys
from ledger.collections.writing import LockedReceipt
from ledger.database import Driver
from ledger.outbox.collecting import Channel, Payer

# What the provider gave us as its own books, and what it answered us.
LISTED = (Channel.PULL, Channel.STATEMENT)
ANSWERED = (*LISTED, Channel.QUERY)
_PROVEN = """
SELECT DISTINCT receipt_id FROM receipt_evidence WHERE ledger_id = %s AND receipt_id = ANY(%s) AND channel = ANY(%s)
"""
# Of those that pay no prompt yet.
_SEALED = """
SELECT r.id, r.sealed FROM receipts AS r WHERE r.ledger_id = %s AND r.id = ANY(%s) AND NOT EXISTS (
    SELECT FROM prompts AS p WHERE p.ledger_id = r.ledger_id AND p.receipt_id = r.id)
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


async def read_payers(
    driver: Driver, *, ledger_id: int, receipts: Sequence[LockedReceipt], keys: ReceiptKeys
) -> list[tuple[LockedReceipt, Payer | None]]:
    """Receipts that pay no prompt yet, with who paid them, as the first message about each told it."""
    if not receipts:
        return []
    cursor = await driver.execute(_SEALED, (ledger_id, [one.id for one in receipts]))
    sealed = {receipt_id: bytes(told) for receipt_id, told in await cursor.fetchall()}
    return [
        (one, keys.open(sealed[one.id], ledger_id=ledger_id, receipt_id=one.id)[0])
        for one in receipts
        if one.id in sealed
    ]


def without(receipts: Sequence[LockedReceipt], unproven: frozenset[int]) -> list[LockedReceipt]:
    """The receipts that may be given to somebody."""
    return [one for one in receipts if one.id not in unproven]
