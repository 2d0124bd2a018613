"""Which receipts providers are asked about: by the paths that were given out for the answers, and by the money that a
balance lacks, for a provider takes payments back and tells nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ledger.database import Driver

_ASKED = """
SELECT a.token_hash, i.receipt_id FROM attempts AS a
JOIN instructions AS i ON i.ledger_id = a.ledger_id AND i.id = a.instruction_id
WHERE a.ledger_id = %s AND a.token_hash = ANY(%s) AND i.receipt_id IS NOT NULL
"""
# How many of the newest receipts are looked at, how many of them are asked about at once, how often one is, and how far
# apart: whatever else a balance lacks, it costs few questions.
RECENT_MAX, SUSPECTS_MAX, ASKED_MAX, ASKED_APART = 10_000, 10, 5, timedelta(hours=1)
# What a receipt still holds here is what its provider can have taken back. What is on its way back is no riddle.
_SUSPECTS = """
SELECT r.id FROM (
    SELECT id, provider, shortcode, returning_now, unallocated + suspended + allocated AS here FROM receipts
    WHERE ledger_id = %(ledger)s ORDER BY id DESC LIMIT %(recent)s) AS r
JOIN collection_shortcodes AS s ON s.ledger_id = %(ledger)s AND s.provider = r.provider AND s.shortcode = r.shortcode
JOIN unnest(%(account)s::text[], %(missing)s::bigint[]) AS m (account, missing) ON m.account = s.landing
LEFT JOIN instructions AS i ON i.ledger_id = %(ledger)s AND i.receipt_id = r.id AND i.kind = 'receipt.query'
WHERE r.provider = %(provider)s AND r.shortcode = %(shortcode)s AND r.here BETWEEN 1 AND m.missing
    AND r.returning_now = 0 AND (i.id IS NULL OR i.done_at <= %(asked_before)s AND i.attempts < %(asked)s)
ORDER BY r.here = m.missing DESC, coalesce(i.attempts, 0), r.id DESC LIMIT %(limit)s
"""


async def find_asked(driver: Driver, *, ledger_id: int, token_hashes: Sequence[bytes]) -> dict[bytes, int]:
    """The receipts that were asked about with these callback paths."""
    cursor = await driver.execute(_ASKED, (ledger_id, list(token_hashes)))
    return {bytes(token_hash): receipt_id for token_hash, receipt_id in await cursor.fetchall()}


async def find_suspects(
    driver: Driver, *, ledger_id: int, place: tuple[str, str], missing: Sequence[tuple[str, int]], now: datetime
) -> list[int]:
    """The receipts of a place (provider, shortcode) whose provider may have taken them back, given the accounts that
    hold too little (path, minor units): first those of exactly what is missing. A few, each a few times at most."""
    parameters = {
        "ledger": ledger_id,
        "provider": place[0],
        "shortcode": place[1],
        "account": [account for account, _ in missing],
        "missing": [amount for _, amount in missing],
        "asked_before": now - ASKED_APART,
        "asked": ASKED_MAX,
        "recent": RECENT_MAX,
        "limit": SUSPECTS_MAX,
    }
    return [receipt_id for (receipt_id,) in await (await driver.execute(_SUSPECTS, parameters)).fetchall()]
