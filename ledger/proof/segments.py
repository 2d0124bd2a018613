"""What became of the seals up to a checkpoint: which still stand for what was signed, and where. Pure.

Where a checkpoint is genuine and its root is that of the seals before it, all of them are. Where not, each seal answers
for itself by its own signature, which names the position it was made for: so a row that was moved is found elsewhere,
one that was made anew nowhere, and a position that nobody answers for was deleted.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ledger.proof.chain import Checkpoint, Document, Seal, chained, changed_fields, digest_of, merkle_root, sealed_text
from ledger.proof.keys import SealPublicKey

# So many signatures are tried to find where seals come from that are not where they belong.
_TRIES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """A seal as it stands, with the digest of the entry that is there now, and what of that is not as marked."""

    seal: Seal
    digest: bytes | None
    changed: tuple[str, ...]
    recorded_at: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A row, and the position its seal was signed for; None where nobody signed it. `digest` is the one signed."""

    row: Row
    signed_position: int | None
    digest: bytes
    is_seal_whole: bool


def row_of(ledger: str, seal: Seal, document: Document | None) -> Row:
    """A seal beside its entry, as far as it is needed."""
    if document is None:
        return Row(seal, None, ())
    digest = digest_of(ledger, document)
    changed = () if digest == seal.digest else tuple(changed_fields(document, seal.marks))
    return Row(seal, digest, changed, str(document.get("recorded_at")))


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges by the public keys in force."""

    ledger: str
    keys: Sequence[SealPublicKey]

    def is_genuine(self, checkpoint: Checkpoint) -> bool:
        """Whether one of the keys signed it, and it is the key it names."""
        text = checkpoint.signed_text(self.ledger)
        return any(key.fingerprint == checkpoint.key and key.signed(text, checkpoint.signature) for key in self.keys)

    def judge(self, rows: Sequence[Row], checkpoint: Checkpoint | None, *, before: bytes) -> list[Judged]:
        """The rows up to a checkpoint, None where it is not genuine; `before` is the chain ahead of them."""
        chains = _chains(rows, before)
        is_rooted = checkpoint is not None and _is_rooted(rows, checkpoint)
        if is_rooted and all(chains):
            return [Judged(row, row.seal.position, row.seal.digest, True) for row in rows]
        if is_rooted:
            # Digests are as signed; what else a seal has is judged by the chain and its signature.
            return [
                Judged(row, row.seal.position, row.seal.digest, fits and self._signed(row.seal, row.seal.position))
                for row, fits in zip(rows, chains, strict=True)
            ]
        return self._one_by_one(rows, chains)

    def find(self, judged: Sequence[Judged], positions: Sequence[int]) -> list[Judged]:
        """The same, those that nobody signed looked for at these positions as well."""
        tries = itertools.islice(itertools.count(), _TRIES_MAX)
        left, found = list(positions), list[Judged]()
        for one in judged:
            place = None
            if one.signed_position is None:
                place = next((at for at, _ in zip(left, tries, strict=False) if self._signed(one.row.seal, at)), None)
            if place is not None:
                left.remove(place)
            found.append(one if place is None else replace(one, signed_position=place))
        return found

    def _one_by_one(self, rows: Sequence[Row], chains: Sequence[bool]) -> list[Judged]:
        judged, shift, is_quiet = list[Judged](), 0, True
        for row, is_chained in zip(rows, chains, strict=True):
            place = row.seal.position
            # What is chained to a seal that is not in its place is not to blame for it.
            fits = is_chained or not is_quiet or (bool(judged) and judged[-1].row.seal.position != place - 1)
            shifts = (0, shift, shift + 1, shift - 1) if shift else (0, 1, -1)
            near = next((by for by in shifts if self._signed(row.seal, place + by)), None)
            if near is not None:
                shift = near
                judged.append(Judged(row, place + near, row.seal.digest, fits or near != 0))
            elif row.digest is not None and self._signed(replace(row.seal, digest=row.digest), place):
                judged.append(Judged(row, place, row.digest, False))
            else:
                judged.append(Judged(row, None, row.seal.digest, False))
            is_quiet = judged[-1].signed_position == place and judged[-1].is_seal_whole
        there = {one.signed_position for one in judged}
        missing = [row.seal.position for row in rows if row.seal.position not in there]
        return self.find(judged, missing)

    def _signed(self, seal: Seal, position: int) -> bool:
        text = sealed_text(self.ledger, position=position, entry_id=seal.entry_id, digest=seal.digest)
        return any(key.signed(text, seal.signature) for key in self.keys)


def _is_rooted(rows: Sequence[Row], checkpoint: Checkpoint) -> bool:
    places = range(checkpoint.from_position, checkpoint.until_position + 1)
    if len(rows) != len(places) or any(row.seal.position != place for row, place in zip(rows, places, strict=True)):
        return False
    return merkle_root([row.seal.digest for row in rows]) == checkpoint.root


def _chains(rows: Sequence[Row], before: bytes) -> list[bool]:
    """Whether each seal is chained to the one before: as that stands, or as it would have to be."""
    fitting, candidates = list[bool](), [before]
    for row in rows:
        made = [chained(candidate, row.seal) for candidate in candidates]
        fits = row.seal.chain in made
        fitting.append(fits)
        candidates = [row.seal.chain] if fits else [row.seal.chain, made[0]]
    return fitting


def out_of_order(places: Sequence[int]) -> set[int]:
    """Those of the numbers without which the rest would rise, as few as can be."""
    tails, ends, before = list[int](), list[int](), list[int]()
    for index, place in enumerate(places):
        length = bisect_left(tails, place)
        tails[length : length + 1] = [place]
        ends[length : length + 1] = [index]
        before.append(ends[length - 1] if length else -1)
    kept, index = set[int](), ends[-1] if ends else -1
    while index >= 0:
        kept.add(places[index])
        index = before[index]
    return set(places) - kept
