"""The verifier: reads an export line by line and names what is not as it was sealed. Pure: it needs the file and the
public key, no database, and knows nothing that the database's owner could have changed.

What cannot be seen from an export alone is an end that was cut off: a checkpoint kept elsewhere shows it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ledger.proof.chain import Checkpoint, Document, Seal, digest_of, genesis
from ledger.proof.keys import SealPublicKey
from ledger.proof.segments import Judge, Judged, Row, out_of_order, row_of

# A transaction that takes longer than this to commit is not one of ours.
LATE_MAX = timedelta(minutes=10)
# More seals than this without a checkpoint are judged as they come, so that memory stays bounded.
_SEGMENT_MAX = 5000


class Kind(enum.Enum):
    """What happened."""

    CHANGED = "changed"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    SEAL = "seal changed"
    CHECKPOINT = "checkpoint"
    CUT = "cut off"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was sealed: of which entry, at which position, as far as that can be known."""

    kind: Kind
    what: str
    entry_id: int | None = None
    position: int | None = None


@dataclass(slots=True)
class Verifier:
    """Takes the lines of one ledger's export in order; finish() ends it. `kept` are checkpoints from elsewhere."""

    ledger: str
    keys: Sequence[SealPublicKey]
    kept: Sequence[Checkpoint] = ()
    findings: list[Finding] = field(default_factory=list)
    seals: int = 0
    checkpoints: int = 0
    unsealed: int = 0
    last: Checkpoint | None = None
    _rows: list[Row] = field(default_factory=list)
    _chain: bytes = b""
    _expected: int = 1
    _number: int = 0
    _complete_at: datetime | None = None
    _strays: list[Judged] = field(default_factory=list)
    _missing: dict[int, None] = field(default_factory=dict)
    _ahead: set[int] = field(default_factory=set)
    _troubled: dict[bytes, tuple[Finding, Seal]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._chain = genesis(self.ledger)
        for one in self.kept:
            if not self._judge.is_genuine(one):
                self._find(Kind.CHECKPOINT, f"the kept checkpoint {one.number} is not signed with the key given")

    @property
    def _judge(self) -> Judge:
        return Judge(self.ledger, self.keys)

    def add_seal(self, seal: Seal, document: Document | None) -> None:
        """The next seal, with its entry where there is one."""
        self.seals += 1
        self._rows.append(row_of(self.ledger, seal, document))
        if len(self._rows) > _SEGMENT_MAX:
            self._end_segment(None)

    def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """A checkpoint, after the last of its seals."""
        self.checkpoints += 1
        genuine = self._judge.is_genuine(checkpoint)
        if not genuine:
            self._find(Kind.CHECKPOINT, f"checkpoint {checkpoint.number} does not carry the signature of the key")
        elif checkpoint.number != self._number + 1:
            self._find(Kind.CHECKPOINT, f"checkpoints {self._number + 1} to {checkpoint.number - 1} are gone")
        told = len(self.findings)
        self._end_segment(checkpoint if genuine else None)
        if genuine:
            if len(self.findings) == told and self._chain != checkpoint.chain:
                self._find(Kind.CHECKPOINT, f"the chain up to checkpoint {checkpoint.number} is not the one it signs")
            self._number, self.last = checkpoint.number, checkpoint
            self._expected = checkpoint.until_position + 1
            if checkpoint.is_complete:
                self._complete_at = _moment(checkpoint.signed_at) or self._complete_at
        else:
            self._number += 1
        self._compare_with_kept(checkpoint)

    def add_unsealed(self, document: Document) -> None:
        """An entry without a seal: a new one, or one that came behind the seals."""
        self.unsealed += 1
        entry_id, digest = document["id"], digest_of(self.ledger, document)
        if digest in self._troubled:
            finding, seal = self._troubled.pop(digest)
            self.findings.remove(finding)
            self._find(Kind.SEAL, "the entry is as sealed, but its seal names another one", entry_id, seal.position)
        elif self._is_late(str(document.get("recorded_at"))):
            what = "has no seal, though older than the seals: inserted, or its seal deleted"
            self._find(Kind.INSERTED, what, entry_id)

    def finish(self) -> None:
        """The end of the file."""
        if self._rows:
            first, last = self._rows[0].seal.position, self._rows[-1].seal.position
            self._end_segment(None)
            self._find(Kind.CHECKPOINT, f"seals {first} to {last} have no checkpoint")
        self._find_strays()
        for position in self._missing:
            self._find(Kind.DELETED, "the seal is gone, and with it whatever names its entry", position=position)
        if self.unsealed and not self.checkpoints:
            self._find(Kind.CUT, "not one of the entries is sealed: this proves nothing")
        newest = 0 if self.last is None else self.last.number
        for one in self.kept:
            if one.number > newest:
                gone = f"{one.from_position} to {one.until_position}"
                self._find(Kind.CUT, f"the kept checkpoint {one.number} over positions {gone} is not in the export")

    def unreadable(self, line: int, why: str) -> None:
        """A line that is none."""
        self._find(Kind.FILE, f"line {line}: {why}")

    def _end_segment(self, checkpoint: Checkpoint | None) -> None:
        rows, self._rows = self._rows, []
        judged = self._judge.judge(rows, checkpoint, before=self._chain)
        if rows:
            self._chain = rows[-1].seal.chain
        known = [one.signed_position for one in judged if one.signed_position is not None]
        if checkpoint is not None:
            end = checkpoint.until_position
        else:
            # A position that somebody made up may be anywhere.
            near = range(self._expected, self._expected + len(rows) + _SEGMENT_MAX)
            end = max([self._expected - 1, *(row.seal.position for row in rows if row.seal.position in near), *known])
        self._account_for(known, range(self._expected, end + 1))
        self._expected = max(self._expected, end + 1)
        moved = out_of_order(known)
        for one in judged:
            if one.signed_position is None:
                self._strays.append(one)
            else:
                self._tell(one, is_moved=one.signed_position in moved)

    def _account_for(self, known: Iterable[int], expected: range) -> None:
        """Positions that somebody should answer for, and nobody did yet; and those that came before their time."""
        for position in known:
            if position >= expected.stop:
                self._ahead.add(position)
            self._missing.pop(position, None)
        there = set(known) | self._ahead
        self._missing.update(dict.fromkeys(position for position in expected if position not in there))
        self._ahead = {position for position in self._ahead if position >= expected.stop}

    def _tell(self, one: Judged, *, is_moved: bool) -> None:
        seal, row = one.row.seal, one.row
        if is_moved:
            what = f"sealed at {one.signed_position}, it stands at {seal.position}"
            self._find(Kind.REORDERED, what, seal.entry_id, seal.position)
        if row.digest is None:
            finding = self._find(Kind.DELETED, "the entry is gone, its seal is there", seal.entry_id, seal.position)
            self._troubled[one.digest] = finding, seal
        elif row.digest != one.digest:
            what = ", ".join(row.changed) or "what was changed is not known: its marks were changed as well"
            finding = self._find(Kind.CHANGED, what, seal.entry_id, seal.position)
            self._troubled[one.digest] = finding, seal
        elif not one.is_seal_whole:
            what = "the entry is as sealed, but its seal is not as it was written"
            self._find(Kind.SEAL, what, seal.entry_id, seal.position)
        elif self._is_late(row.recorded_at):
            what = "recorded long before it was sealed, and not there when all of its time were"
            self._find(Kind.INSERTED, what, seal.entry_id, seal.position)

    def _find_strays(self) -> None:
        """Seals that nobody signed for where they stand: from elsewhere, instead of one that was, or of nothing."""
        for one in self._judge.find(self._strays, list(self._missing)):
            seal, place = one.row.seal, one.row.seal.position
            if one.signed_position is not None:
                self._missing.pop(one.signed_position)
                self._tell(one, is_moved=True)
            elif place in self._missing:
                self._missing.pop(place)
                what = "it and its seal were made anew, or its seal was: nobody signed it"
                self._find(Kind.CHANGED, what, seal.entry_id, place)
            else:
                self._find(Kind.INSERTED, "with a seal that nobody signed", seal.entry_id, place)

    def _is_late(self, recorded_at: str) -> bool:
        recorded = _moment(recorded_at)
        return recorded is None or (self._complete_at is not None and recorded < self._complete_at - LATE_MAX)

    def _compare_with_kept(self, checkpoint: Checkpoint) -> None:
        for one in self.kept:
            if one.number == checkpoint.number and one.signed_text(self.ledger) != checkpoint.signed_text(self.ledger):
                self._find(Kind.CHECKPOINT, f"checkpoint {one.number} is not the one that was kept")

    def _find(self, kind: Kind, what: str, entry_id: int | None = None, position: int | None = None) -> Finding:
        finding = Finding(kind, what, entry_id, position)
        self.findings.append(finding)
        return finding


def _moment(text: str) -> datetime | None:
    """A moment with its zone; None for what is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment
