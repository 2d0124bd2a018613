"""Whatever a superuser does to sealed books is named by the verifier, which has the export and the public key alone."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import LiteralString

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.proof.forms import checkpoint_form
from ledger.proof.reading import last_checkpoint
from ledger.proof.verifying import Kind
from tests.builders import BANK, FEES, NOW, OTHER_WALLET, WALLET, Books, open_books, transfer
from tests.fix_database import Database
from tests.ledger.proof.chains import seal_all
from tests.ledger.proof.superuser import EDITS, Scene, superuser

# Of a set of 10 each; the entries of the first four are an hour older than the last seal.
AMOUNTS = range(2000, 1957, -1)


async def sealed_books(engine: AsyncEngine) -> Books:
    """43 entries in five sets, one of them a reversal."""
    books = await open_books(engine)
    pairs = [(BANK, WALLET), (BANK, OTHER_WALLET), (WALLET, FEES)]
    entries = [transfer(*pairs[number % 3], amount, reference=f"R{amount}") for number, amount in enumerate(AMOUNTS)]
    await books.post_all(entries[:40])
    await seal_all(books, limit=10)
    later = NOW + timedelta(hours=1)
    posted = await books.post_all(entries[40:], now=later)
    await books.reverse(posted[0].entry_id, now=later)
    await seal_all(books, limit=10, now=later)
    return books


@pytest.fixture(scope="module")
def shared() -> dict[str, Books]:
    """The books, sealed once for all tests of the module."""
    return {}


@pytest.fixture
async def scene(engine: AsyncEngine, database: Database, shared: dict[str, Books]) -> AsyncIterator[Scene]:
    """A superuser at work on them."""
    if not shared:
        shared["books"] = await sealed_books(engine)
    async with superuser(database, shared["books"].ledger, random.Random(7)) as opened:
        yield opened


async def test_of_untouched_books_nothing_is_said(scene: Scene) -> None:
    verifier = await scene.verified()

    assert verifier.findings == []
    assert (verifier.seals, verifier.checkpoints, verifier.unsealed) == (44, 5, 0)


@pytest.mark.parametrize("name", EDITS)
async def test_an_edit_is_named(scene: Scene, name: str) -> None:
    for seed in range(2):
        scene.chance.seed(f"{name} {seed}")
        await scene.driver.execute("SAVEPOINT before")
        expected = await EDITS[name](scene)

        verifier = await scene.verified()

        assert expected.is_met(verifier), (expected, verifier.findings)
        await scene.driver.execute("ROLLBACK TO before")


async def test_an_end_that_was_cut_off_is_shown_by_a_kept_checkpoint_alone(scene: Scene) -> None:
    last = await last_checkpoint(scene.driver, ledger_id=scene.ledger.id)
    assert last is not None
    kept = [checkpoint_form(scene.ledger.code, last)]
    sealed: LiteralString = "(SELECT entry_id FROM entry_seals WHERE ledger_id = %(ledger)s AND position >= %(from)s)"
    for statement in (
        f"DELETE FROM postings WHERE ledger_id = %(ledger)s AND entry_id IN {sealed}",
        f"DELETE FROM journal_entries WHERE ledger_id = %(ledger)s AND id IN {sealed}",
        "DELETE FROM entry_seals WHERE ledger_id = %(ledger)s AND position >= %(from)s",
        "DELETE FROM seal_checkpoints WHERE ledger_id = %(ledger)s AND from_position >= %(from)s",
    ):
        await scene.run(statement, **{"from": last.from_position})

    without, with_it = await scene.verified(), await scene.verified(kept=kept)

    assert without.findings == []
    assert [(found.kind, "41 to 44" in found.what) for found in with_it.findings] == [(Kind.CUT, True)]
