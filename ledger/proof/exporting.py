"""The proof of a ledger as lines of JSON, in the order of the chain, a page at a time: each seal with the entry it is
of, checkpoints where they end, then entries without a seal. Only reads, in one snapshot.

    {"kind": "ledger", ...}       whose books, and the format
    {"kind": "seal", ..., "entry": {...} or null}
    {"kind": "checkpoint", ...}   after the last of its seals
    {"kind": "unsealed", "entry": {...}}
    {"kind": "end", ...}          how many of each; without it the file is cut off
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime

from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.proof import reading
from ledger.proof.chain import Checkpoint
from ledger.proof.forms import FORMAT, checkpoint_form, seal_form

_PAGE = 1000
_START = -(2**63)
_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# Nothing here is quick for big books, and nobody waits with a lock.
_PATIENT = "SET LOCAL statement_timeout = '3600s'"


async def export_proof(driver: Driver, *, ledger: Ledger, now: datetime) -> AsyncIterator[str]:
    """The lines, each with its end. To be the first in its transaction."""
    await driver.execute(_SNAPSHOT)
    await driver.execute(_PATIENT)
    async for line in proof_lines(driver, ledger=ledger, now=now):
        yield line


async def proof_lines(driver: Driver, *, ledger: Ledger, now: datetime) -> AsyncIterator[str]:
    """The lines, in whatever transaction there is."""
    about = {"code": ledger.code, "name": ledger.name, "base_currency": ledger.base_currency}
    about |= {"time_zone": ledger.zone.key, "exported_at": now.isoformat()}
    yield _line({"kind": "ledger", "format": FORMAT, **about})
    seals, after, checkpoints = 0, _START, 0
    while page := await reading.read_seals(driver, ledger_id=ledger.id, after=after, limit=_PAGE):
        entry_ids = [seal.entry_id for seal in page]
        written = await reading.read_documents(driver, ledger_id=ledger.id, entry_ids=entry_ids)
        ended = await reading.checkpoints_until(driver, ledger_id=ledger.id, after=after, until=page[-1].position)
        for seal in page:
            entry = written.get(seal.entry_id)
            # The document goes out in the words it came in.
            yield f'{json.dumps(seal_form(seal))[:-1]}, "entry": {entry.text if entry else "null"}}}\n'
            while ended and ended[0].until_position <= seal.position:
                yield _checkpoint(ledger, ended.pop(0))
                checkpoints += 1
        seals, after = seals + len(page), page[-1].position
    rest = await reading.checkpoints_until(driver, ledger_id=ledger.id, after=after, until=2**63 - 1)
    for checkpoint in rest:
        yield _checkpoint(ledger, checkpoint)
    unsealed, after = 0, _START
    while found := await reading.read_unsealed(driver, ledger_id=ledger.id, after=after, limit=_PAGE):
        documents = await reading.read_documents(driver, ledger_id=ledger.id, entry_ids=found)
        for entry_id in found:
            yield f'{{"kind": "unsealed", "entry": {documents[entry_id].text}}}\n'
        unsealed, after = unsealed + len(found), found[-1]
    yield _line({"kind": "end", "seals": seals, "checkpoints": checkpoints + len(rest), "unsealed": unsealed})


def _checkpoint(ledger: Ledger, checkpoint: Checkpoint) -> str:
    return _line(checkpoint_form(ledger.code, checkpoint))


def _line(form: object) -> str:
    return f"{json.dumps(form)}\n"
