"""What a superuser with the triggers off can do to sealed books, one random edit at a time, and what must be named.

Everything happens in a transaction that is rolled back.
"""

from __future__ import annotations

import io
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import LiteralString, TypeAlias

from ledger.database import Driver, conninfo
from ledger.journal.books import Ledger
from ledger.proof.chain import Checkpoint, Seal, chained, digest_of, genesis, marks_of, merkle_root
from ledger.proof.checking import check_export, read_forms
from ledger.proof.exporting import proof_lines
from ledger.proof.forms import Form
from ledger.proof.keys import SealKey
from ledger.proof.reading import checkpoints_until, read_documents, read_seals
from ledger.proof.verifying import Kind, Verifier
from ledger.session import Session
from tests.builders import NOW
from tests.fix_database import Database
from tests.ledger.proof.chains import KEY

# A position that no seal has.
_FAR = 10**15
FORGER = SealKey(bytes([9] * 32))


@dataclass(frozen=True, slots=True)
class Expected:
    """What the verifier must say: one of the kinds, about one of the entries or positions, and these words in it."""

    kinds: Collection[Kind]
    entries: Collection[int] = ()
    positions: Collection[int] = ()
    words: Collection[str] = ()

    def is_met(self, verifier: Verifier) -> bool:
        """Whether a finding fits."""
        return any(
            found.kind in self.kinds
            and (not self.entries or found.entry_id in self.entries or found.position in self.positions)
            and all(word in found.what for word in self.words)
            for found in verifier.findings
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """Sealed books, a superuser's session in a transaction, and chance."""

    driver: Driver
    ledger: Ledger
    seals: Sequence[Seal]
    chance: random.Random

    async def run(self, statement: LiteralString, **values: object) -> None:
        """A statement of theirs; %(ledger)s is the ledger."""
        done = await self.driver.execute(statement, {"ledger": self.ledger.id, **values})
        assert done.rowcount, "the edit changed nothing"

    def some(self) -> Seal:
        """A random seal."""
        return self.chance.choice(self.seals)

    async def verified(self, *, kept: Sequence[Form] = ()) -> Verifier:
        """What the verifier says of an export now."""
        lines = [line async for line in proof_lines(self.driver, ledger=self.ledger, now=NOW)]
        return check_export(read_forms(io.BytesIO("".join(lines).encode())), keys=[KEY.public], kept=kept)

    async def reseal(self, *, from_position: int = 1, checkpoints: bool = True) -> None:
        """Makes digests, marks, chain and roots anew as they would have to be; only signatures are beyond them."""
        seals = await read_seals(self.driver, ledger_id=self.ledger.id, after=from_position - 1, limit=100_000)
        ids = [seal.entry_id for seal in seals]
        written = await read_documents(self.driver, ledger_id=self.ledger.id, entry_ids=ids)
        before = await read_seals(self.driver, ledger_id=self.ledger.id, after=from_position - 2, limit=1)
        chain = before[0].chain if from_position > 1 else genesis(self.ledger.code)
        made: list[Seal] = []
        for seal in seals:
            document = written[seal.entry_id].document
            digest = digest_of(self.ledger.code, document)
            signature = seal.signature if digest == seal.digest else FORGER.sign(seal.signed_text(self.ledger.code))
            loose = replace(seal, digest=digest, marks=marks_of(document), signature=signature)
            made.append(replace(loose, chain=chained(chain, loose)))
            chain = made[-1].chain
        await self.driver.execute(
            "UPDATE entry_seals AS s SET digest = n.digest, marks = n.marks, chain = n.chain, signature = n.signature "
            "FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::bytea[], %s::bytea[]) "
            "AS n (position, digest, marks, chain, signature) WHERE s.ledger_id = %s AND s.position = n.position",
            (
                [one.position for one in made], [one.digest for one in made], [one.marks for one in made],
                [one.chain for one in made], [one.signature for one in made], self.ledger.id,
            ),
        )  # fmt: skip
        if checkpoints:
            await self._resign({one.position: one for one in made})

    async def _resign(self, made: dict[int, Seal]) -> None:
        last = max(made)
        for old in await checkpoints_until(self.driver, ledger_id=self.ledger.id, after=min(made) - 1, until=last):
            own = await read_seals(
                self.driver, ledger_id=self.ledger.id, after=old.from_position - 1,
                limit=old.until_position - old.from_position + 1,
            )  # fmt: skip
            new = replace(old, root=merkle_root([one.digest for one in own]), chain=own[-1].chain)
            await self.driver.execute(
                "UPDATE seal_checkpoints SET root = %s, chain = %s, signature = %s "
                "WHERE ledger_id = %s AND number = %s",
                (new.root, new.chain, FORGER.sign(new.signed_text(self.ledger.code)), self.ledger.id, new.number),
            )


Edit: TypeAlias = Callable[[Scene], Awaitable[Expected]]
EDITS: dict[str, Edit] = {}


def edit(name: str) -> Callable[[Edit], Edit]:
    """Enters an edit into the list."""

    def enter(function: Edit) -> Edit:
        EDITS[name] = function
        return function

    return enter


_ENTRY: LiteralString = "WHERE ledger_id = %(ledger)s AND id = %(id)s"
_POSTINGS: LiteralString = "WHERE ledger_id = %(ledger)s AND entry_id = %(id)s"
_AT: LiteralString = "WHERE ledger_id = %(ledger)s AND position = %(at)s"
_NUMBER: LiteralString = "WHERE ledger_id = %(ledger)s AND number = %(number)s"
_HEADER: dict[str, LiteralString] = {
    "kind": "'other.kind'",
    "effective_at": "effective_at - interval '1 microsecond'",
    "recorded_at": "recorded_at + interval '1 day'",
    "business_date": "business_date + 1",
    "source": "'manual'",
    "actor": "actor || ' '",
    "reference": "coalesce(reference, '') || 'X'",
    "narrative": "coalesce(narrative, '') || 'X'",
    "facts": """'{"why": "because"}'""",
    "posting_count": "posting_count + 1",
    "occurrence": "occurrence + 1",
    "reverses_id": "coalesce(reverses_id, 0) + 1",
    "xid": "(xid::text::bigint - 1)::text::xid8",
}
_LINE: dict[str, LiteralString] = {
    "amount": "amount + 1",
    "side": "CASE side WHEN 'D' THEN 'C' ELSE 'D' END",
    "balance_after": "balance_after - 5",
    "account_version": "account_version + 1000000",
    "currency": "'UGX'",
    "account_id": "-account_id",
}
_SEAL: dict[str, LiteralString] = {
    "digest": "sha256(digest)",
    "chain": "sha256(chain)",
    "marks": "marks || '\\x00'::bytea",
    "signature": "sha256(signature) || sha256(marks)",
    "entry_id": "-entry_id",
}
_CHECKPOINT: dict[str, LiteralString] = {
    "root": "sha256(root)",
    "chain": "sha256(chain)",
    "signed_at": "signed_at - interval '1 day'",
    "signature": "sha256(signature) || sha256(root)",
    "key": "'another'",
    "is_complete": "NOT is_complete",
    "from_position": "from_position - 1",
}


@edit("a field of an entry")
async def header(scene: Scene) -> Expected:
    """Any of its columns."""
    seal, (field, value) = scene.some(), scene.chance.choice(list(_HEADER.items()))
    await scene.run(f"UPDATE journal_entries SET {field} = {value} {_ENTRY}", id=seal.entry_id)
    return Expected({Kind.CHANGED}, {seal.entry_id}, words=[field])


@edit("a field of a posting")
async def line(scene: Scene) -> Expected:
    """Not balanced any more."""
    seal, (field, value) = scene.some(), scene.chance.choice(list(_LINE.items()))
    await scene.run(f"UPDATE postings SET {field} = {value} {_POSTINGS} AND line = 1", id=seal.entry_id)
    return Expected({Kind.CHANGED}, {seal.entry_id}, words=[f"posting 1: {field}"])


@edit("an amount, on both sides")
async def amounts(scene: Scene) -> Expected:
    """Balanced still."""
    seal = scene.some()
    await scene.run(f"UPDATE postings SET amount = amount + 99 {_POSTINGS}", id=seal.entry_id)
    return Expected({Kind.CHANGED}, {seal.entry_id}, words=["posting 1: amount", "posting 2: amount"])


@edit("an amount, with its seal and the chain made anew")
async def amounts_resealed(scene: Scene) -> Expected:
    """All but the signatures."""
    expected = await amounts(scene)
    await scene.reseal(from_position=_place(scene, expected))
    return Expected({Kind.CHANGED}, expected.entries)


@edit("an amount, with its seal alone made anew")
async def amounts_and_seal(scene: Scene) -> Expected:
    """Checkpoints stay as they were signed."""
    expected = await amounts(scene)
    await scene.reseal(from_position=_place(scene, expected), checkpoints=False)
    return Expected({Kind.CHANGED}, expected.entries)


@edit("an account's name or path")
async def account(scene: Scene) -> Expected:
    """Every entry on it says so."""
    seal = scene.some()
    await scene.run(
        "UPDATE accounts SET path = path || 'x' WHERE ledger_id = %(ledger)s AND id = (SELECT account_id FROM postings "
        "WHERE ledger_id = %(ledger)s AND entry_id = %(id)s AND line = 1)", id=seal.entry_id,
    )  # fmt: skip
    return Expected({Kind.CHANGED}, {seal.entry_id}, words=["posting 1: account"])


@edit("an entry deleted")
async def deleted(scene: Scene) -> Expected:
    """Its seal stays."""
    seal = scene.some()
    await _delete(scene, seal)
    return Expected({Kind.DELETED}, {seal.entry_id})


@edit("an entry deleted with its seal")
async def deleted_with_seal(scene: Scene) -> Expected:
    """What is left is the position."""
    seal = scene.some()
    await _delete(scene, seal)
    await scene.run(f"DELETE FROM entry_seals {_AT}", at=seal.position)
    return Expected({Kind.DELETED}, {seal.entry_id}, {seal.position})


@edit("an entry deleted with its seal, the rest renumbered")
async def deleted_and_closed_up(scene: Scene) -> Expected:
    """Every later seal stands where the next one was."""
    seal = scene.chance.choice(scene.seals[:-1])
    await _delete(scene, seal)
    await scene.run(f"DELETE FROM entry_seals {_AT}", at=seal.position)
    shift: LiteralString = "UPDATE entry_seals SET position = position + %(by)s WHERE ledger_id = %(ledger)s AND "
    # By way of numbers that no seal has, for two may never have the same.
    await scene.run(f"{shift} position > %(at)s", by=_FAR, at=seal.position)
    await scene.run(f"{shift} position > %(at)s", by=-_FAR - 1, at=_FAR)
    return Expected({Kind.DELETED}, {seal.entry_id}, {seal.position})


@edit("a posting deleted")
async def posting_deleted(scene: Scene) -> Expected:
    """One line of several."""
    seal = scene.some()
    await scene.run(f"DELETE FROM postings {_POSTINGS} AND line = 2", id=seal.entry_id)
    return Expected({Kind.CHANGED}, {seal.entry_id}, words=["posting 2 deleted"])


@edit("a posting inserted")
async def posting_inserted(scene: Scene) -> Expected:
    """A third line."""
    seal = scene.some()
    await scene.run(
        "INSERT INTO postings (ledger_id, entry_id, line, account_id, currency, side, amount, account_version, "
        "balance_after) SELECT ledger_id, entry_id, 3, account_id, currency, side, amount, -account_version, 0 "
        "FROM postings WHERE ledger_id = %(ledger)s AND entry_id = %(id)s AND line = 1", id=seal.entry_id,
    )  # fmt: skip
    return Expected({Kind.CHANGED}, {seal.entry_id}, words=["posting 3 inserted"])


@edit("an entry inserted among the old ones")
async def inserted(scene: Scene) -> Expected:
    """Without a seal."""
    return Expected({Kind.INSERTED}, {await _insert(scene)})


@edit("an entry inserted with a seal at the end")
async def inserted_with_seal(scene: Scene) -> Expected:
    """Chained as it should be, signed by another key."""
    entry_id = await _insert(scene)
    written = await read_documents(scene.driver, ledger_id=scene.ledger.id, entry_ids=[entry_id])
    document, last = written[entry_id].document, scene.seals[-1]
    digest = digest_of(scene.ledger.code, document)
    loose = Seal(last.position + 1, entry_id, digest, marks_of(document), b"", b"f" * 64)
    await scene.run(
        "INSERT INTO entry_seals (ledger_id, position, entry_id, digest, marks, chain, signature) "
        "VALUES (%(ledger)s, %(position)s, %(id)s, %(digest)s, %(marks)s, %(chain)s, %(signature)s)",
        position=loose.position, id=entry_id, digest=digest, marks=loose.marks, chain=chained(last.chain, loose),
        signature=loose.signature,
    )  # fmt: skip
    return Expected({Kind.INSERTED, Kind.CHANGED}, {entry_id})


@edit("two seals change places")
async def seals_swapped(scene: Scene) -> Expected:
    """Each with its entry."""
    one, other = scene.chance.sample(scene.seals, 2)
    for at, to in ((one.position, _FAR), (other.position, one.position), (_FAR, other.position)):
        await scene.run(f"UPDATE entry_seals SET position = %(to)s {_AT}", at=at, to=to)
    return Expected({Kind.REORDERED}, {one.entry_id, other.entry_id})


@edit("two entries change their ids")
async def entries_swapped(scene: Scene) -> Expected:
    """With their postings, so that each seal finds the other's entry."""
    one, other = scene.chance.sample(scene.seals, 2)
    for at, to in ((one.entry_id, 1), (other.entry_id, one.entry_id), (1, other.entry_id)):
        await scene.run(f"UPDATE journal_entries SET id = %(to)s {_ENTRY}", id=at, to=to)
        await scene.run(f"UPDATE postings SET entry_id = %(to)s {_POSTINGS}", id=at, to=to)
    return Expected({Kind.CHANGED}, {one.entry_id, other.entry_id})


@edit("a column of a seal")
async def seal_column(scene: Scene) -> Expected:
    """The entry is as it was."""
    seal, (column, value) = scene.some(), scene.chance.choice(list(_SEAL.items()))
    await scene.run(f"UPDATE entry_seals SET {column} = {value} {_AT}", at=seal.position)
    return Expected({Kind.SEAL}, {seal.entry_id}, {seal.position})


@edit("a seal deleted")
async def seal_deleted(scene: Scene) -> Expected:
    """Its entry looks like one that was never sealed."""
    seal = scene.some()
    await scene.run(f"DELETE FROM entry_seals {_AT}", at=seal.position)
    return Expected({Kind.DELETED}, {seal.entry_id}, {seal.position})


@edit("a column of a checkpoint")
async def checkpoint_column(scene: Scene) -> Expected:
    """Nothing else."""
    number, (column, value) = (await _some_checkpoint(scene)).number, scene.chance.choice(list(_CHECKPOINT.items()))
    await scene.run(f"UPDATE seal_checkpoints SET {column} = {value} {_NUMBER}", number=number)
    return Expected({Kind.CHECKPOINT}, words=[f"checkpoint {number} "])


@edit("a checkpoint deleted")
async def checkpoint_deleted(scene: Scene) -> Expected:
    """Not the last, which only a kept one shows."""
    last = scene.seals[-1].position
    number = (await _some_checkpoint(scene, before=last)).number
    await scene.run(f"DELETE FROM seal_checkpoints {_NUMBER}", number=number)
    return Expected({Kind.CHECKPOINT}, words=[f"checkpoints {number} to {number}"])


def _place(scene: Scene, expected: Expected) -> int:
    return next(seal.position for seal in scene.seals if seal.entry_id in expected.entries)


async def _some_checkpoint(scene: Scene, *, before: int = 2**62) -> Checkpoint:
    found = await checkpoints_until(scene.driver, ledger_id=scene.ledger.id, after=0, until=before - 1)
    return scene.chance.choice(found)


async def _delete(scene: Scene, seal: Seal) -> None:
    await scene.run(f"DELETE FROM postings {_POSTINGS}", id=seal.entry_id)
    await scene.run(f"DELETE FROM journal_entries {_ENTRY}", id=seal.entry_id)


async def _insert(scene: Scene) -> int:
    """A copy of an old entry under an id beside it; recorded when that was, long before the last seal."""
    taken = {one.entry_id for one in scene.seals}
    old = scene.seals[: len(scene.seals) // 2]
    seal = scene.chance.choice([one for one in old if one.entry_id + 1 not in taken])
    await scene.run(
        "INSERT INTO journal_entries SELECT (jsonb_populate_record(e, jsonb_build_object('id', e.id + 1))).* "
        "FROM journal_entries AS e WHERE ledger_id = %(ledger)s AND id = %(id)s", id=seal.entry_id,
    )  # fmt: skip
    await scene.run(
        "INSERT INTO postings SELECT (jsonb_populate_record(p, jsonb_build_object('entry_id', p.entry_id + 1, "
        "'account_version', -p.account_version))).* FROM postings AS p "
        "WHERE ledger_id = %(ledger)s AND entry_id = %(id)s", id=seal.entry_id,
    )  # fmt: skip
    return seal.entry_id + 1


@asynccontextmanager
async def superuser(database: Database, ledger: Ledger, chance: random.Random) -> AsyncIterator[Scene]:
    """A superuser in a transaction that ends with ROLLBACK, triggers off."""
    async with await Session.connect(conninfo(database.admin)) as session:
        await session.execute("SET timezone = 'UTC'")
        await session.execute("SET session_replication_role = replica")
        seals = await read_seals(session, ledger_id=ledger.id, after=0, limit=1_000_000)
        yield Scene(session, ledger, seals, chance)
        await session.rollback()
