"""The directory of references: what payers type, and whose money that is."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from ledger.collections.allocation import Target, TargetKind
from ledger.collections.reference import ReceiptKeys, compared, shown
from ledger.database import Driver
from ledger.errors import ReferenceTaken, TextInvalid
from ledger.ids import IdSource

REFERENCE_LENGTH_MAX = 20
NEAR_MAX = 5
# How many of the newest references a hint is looked for in.
SEARCHED_MAX = 5_000
_LIKE_ENOUGH = 0.7

_ADD = """
INSERT INTO collection_references (ledger_id, id, reference_index, shown, target_kind, target_id, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_FIND = """
SELECT reference_index, target_kind, target_id FROM collection_references
WHERE ledger_id = %s AND reference_index = ANY(%s) AND retired_at IS NULL
"""
_RETIRE = """
UPDATE collection_references SET retired_at = %s
WHERE ledger_id = %s AND target_kind = %s AND target_id = ANY(%s) AND retired_at IS NULL
"""
_NEWEST = """
SELECT shown, target_kind, target_id FROM collection_references
WHERE ledger_id = %s AND retired_at IS NULL ORDER BY id DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Near:
    """A living reference that looks like what was typed, as it may be shown, and its target."""

    shown: str
    target: Target


def check_reference(reference: str) -> None:
    """Raises TextInvalid for what nobody could type as an account."""
    if not compared(reference) or len(reference) > REFERENCE_LENGTH_MAX:
        raise TextInvalid(
            f"a reference is 1 to {REFERENCE_LENGTH_MAX} characters, letters or digits among them", field="reference"
        )


async def add_reference(
    driver: Driver, *, ledger_id: int, reference: str, target: Target, keys: ReceiptKeys, ids: IdSource, now: datetime
) -> None:
    """Gives a target a reference, or leaves it as it is. Case, spaces and punctuation do not count. Raises TextInvalid,
    ReferenceTaken."""
    check_reference(reference)
    index = keys.index(reference, ledger_id=ledger_id)
    assert index is not None, "checked above"
    known = (await find_targets(driver, ledger_id=ledger_id, indices=[index])).get(index)
    if known is not None:
        if known != target:
            raise ReferenceTaken("this reference means something else already; choose another", field="reference")
        return
    values = (ids.next(now), index, shown(reference), target.kind.value, target.id, now)
    try:
        await driver.execute(_ADD, (ledger_id, *values))
    except psycopg.errors.UniqueViolation:
        raise ReferenceTaken("this reference means something else already; choose another", field="reference") from None


async def find_targets(driver: Driver, *, ledger_id: int, indices: Collection[bytes]) -> dict[bytes, Target]:
    """Whose these references are, by index."""
    if not indices:
        return {}
    cursor = await driver.execute(_FIND, (ledger_id, list(indices)))
    return {bytes(index): Target(TargetKind(kind), target_id) for index, kind, target_id in await cursor.fetchall()}


async def retire(driver: Driver, *, ledger_id: int, kind: TargetKind, target_ids: Sequence[str], now: datetime) -> None:
    """The references of these targets mean nothing any more, and may be given anew."""
    if target_ids:
        await driver.execute(_RETIRE, (now, ledger_id, kind.value, list(target_ids)))


async def find_near(driver: Driver, *, ledger_id: int, typed_shown: str) -> list[Near]:
    """Living references that look like one that means nothing, most alike first."""
    cursor = await driver.execute(_NEWEST, (ledger_id, SEARCHED_MAX))
    rows = await cursor.fetchall()
    by_text: Mapping[str, tuple[str, str, str]] = {compared(row[0]): row for row in reversed(rows)}
    alike = difflib.get_close_matches(compared(typed_shown), by_text, n=NEAR_MAX, cutoff=_LIKE_ENOUGH)
    return [Near(by_text[one][0], Target(TargetKind(by_text[one][1]), by_text[one][2])) for one in alike]
