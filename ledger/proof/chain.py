"""What a seal says, byte by byte: an entry's digest, its place in the chain, the checkpoint over a set. Pure.

An entry's document is a JSON object of all its columns, its lines with their accounts, and its reversal links. Digests
are SHA-256 in the manner of RFC 6962: 0x00 before a leaf, 0x01 before a node. Whoever rebuilds this elsewhere needs
nothing but this module and Ed25519.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from typing import Any, TypeAlias

Document: TypeAlias = Mapping[str, Any]

# The order in which marks stand; a test holds it against the documents that the database makes.
HEADER = (
    "id", "kind", "subject_kind", "subject_id", "occurrence", "effective_at", "recorded_at", "business_date",
    "posting_count", "reverses_id", "source", "actor", "reference", "narrative", "facts", "xid",
)  # fmt: skip
LINE = ("line", "account_id", "account", "currency", "side", "amount", "account_version", "balance_after")
_MARK_BYTES = 2
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Seal:
    """One entry's place in the chain. The signature is over all but marks and chain, so that a row stands for itself;
    marks are two bytes per field, which only help to say what was changed."""

    position: int
    entry_id: int
    digest: bytes
    marks: bytes
    chain: bytes
    signature: bytes

    def signed_text(self, ledger: str) -> bytes:
        """What the signature is over."""
        return sealed_text(ledger, position=self.position, entry_id=self.entry_id, digest=self.digest)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement about the seals `from_position` to `until_position`: their Merkle root, and the chain up to
    there. `is_complete` says that whatever had been committed by then was sealed."""

    number: int
    from_position: int
    until_position: int
    root: bytes
    chain: bytes
    is_complete: bool
    signed_at: str
    key: str
    signature: bytes = b""

    def signed_text(self, ledger: str) -> bytes:
        """What the signature is over: one line per value."""
        lines = (
            "daftari checkpoint 1",
            f"ledger {ledger}",
            f"number {self.number}",
            f"positions {self.from_position} to {self.until_position}",
            f"root {encoded(self.root)}",
            f"chain {encoded(self.chain)}",
            f"complete {'yes' if self.is_complete else 'no'}",
            f"signed {moment_text(self.signed_at)}",
            f"key {self.key}",
        )
        return "".join(f"{line}\n" for line in lines).encode()


def sealed_text(ledger: str, *, position: int, entry_id: int, digest: bytes) -> bytes:
    """What a seal's signature is over."""
    told = f"ledger {ledger}\nposition {position}\nentry {entry_id}\ndigest {encoded(digest)}"
    return f"daftari seal 1\n{told}\n".encode()


def encoded(raw: bytes) -> str:
    """Base 64, as bytes are written in texts and files."""
    return base64.b64encode(raw).decode("ascii")


def moment_text(text: str) -> str:
    """The same moment always in the same words, in UTC; what is no moment stays as it is, and no signature fits it."""
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC).isoformat(timespec="microseconds")
    return text


def digest_of(ledger: str, document: Document) -> bytes:
    """The leaf of an entry: every value of its document, and whose books it is in."""
    return hashlib.sha256(b"\0daftari entry 1\n" + ledger.encode() + b"\n" + _canonical(document)).digest()


def genesis(ledger: str) -> bytes:
    """What the first seal is chained to."""
    return hashlib.sha256(b"daftari chain 1\n" + ledger.encode()).digest()


def chained(before: bytes, seal: Seal) -> bytes:
    """The chain's value after this seal: over every other value of it."""
    places = seal.position.to_bytes(8, "big", signed=True) + seal.entry_id.to_bytes(8, "big", signed=True)
    return hashlib.sha256(before + places + seal.digest + seal.signature + seal.marks).digest()


def _canonical(value: object) -> bytes:
    """JSON with sorted keys, without spaces, in ASCII."""
    # What most fields are, without the price of an encoder each.
    if type(value) is str:
        return encode_basestring_ascii(value).encode("ascii")
    if value is None or type(value) is int:
        return b"null" if value is None else str(value).encode("ascii")
    return _JSON.encode(value).encode("ascii")


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962's tree head over leaves that are hashed already; at least one."""
    level = list(leaves)
    while len(level) > 1:
        paired = [_node(level[index], level[index + 1]) for index in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def merkle_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes beside the way from a leaf up to the root, from below."""
    level, path = list(leaves), list[bytes]()
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        paired = [_node(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
        level, index = paired + level[len(paired) * 2 :], index // 2
    return path


def root_by_path(leaf: bytes, *, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to from leaf `index` of `count`; None for a path of another length."""
    if not 0 <= index < count:
        return None
    node, beside = leaf, iter(path)
    while count > 1:
        if index ^ 1 < count:
            other = next(beside, None)
            if other is None:
                return None
            node = _node(other, node) if index & 1 else _node(node, other)
        index, count = index // 2, (count + 1) // 2
    return node if next(beside, None) is None else None


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def marks_of(document: Document) -> bytes:
    """Two bytes per field: of the header, of each line in order, of each reversal link; before them how many lines and
    links there are."""
    lines, links = document["postings"], document["reversals"]
    values = [document[name] for name in HEADER]
    values += [line[name] for line in lines for name in LINE]
    counts = len(lines).to_bytes(_MARK_BYTES, "big") + len(links).to_bytes(_MARK_BYTES, "big")
    return counts + b"".join(_mark(value) for value in [*values, *links])


def _mark(value: object) -> bytes:
    return (zlib.crc32(_canonical(value)) & 0xFFFF).to_bytes(_MARK_BYTES, "big")


def changed_fields(document: Document, marks: bytes) -> list[str]:
    """What of the document is not as marked: fields, lines and links by name. Empty where the marks show nothing."""
    given = [marks[place : place + _MARK_BYTES] for place in range(0, len(marks), _MARK_BYTES)]
    if len(given) < 2:
        return []
    line_count, link_count = (int.from_bytes(count, "big") for count in given[:2])
    if len(given) != 2 + len(HEADER) + line_count * len(LINE) + link_count:
        return []
    header, rest = given[2 : 2 + len(HEADER)], given[2 + len(HEADER) :]
    found = [name for name, mark in zip(HEADER, header, strict=True) if _mark(document.get(name)) != mark]
    found += _changed_lines(document, rest[: line_count * len(LINE)])
    links, marked = [_mark(link) for link in document.get("reversals") or []], rest[line_count * len(LINE) :]
    found += ["reversal link inserted" for mark in links if mark not in marked]
    found += ["reversal link deleted" for mark in marked if mark not in links]
    return found


def _changed_lines(document: Document, marks: Sequence[bytes]) -> list[str]:
    there = {line.get("line"): line for line in document.get("postings") or []}
    starts = range(0, len(marks), len(LINE))
    sealed = {number: marks[start : start + len(LINE)] for number, start in enumerate(starts, start=1)}
    found = [f"posting {number} deleted" for number in sealed if number not in there]
    found += [f"posting {number} inserted" for number in there if number not in sealed]
    for number, marked in sealed.items():
        line = there.get(number, {})
        names = [name for name, mark in zip(LINE, marked, strict=True) if line and _mark(line.get(name)) != mark]
        found += [f"posting {number}: {name}" for name in names]
    return found
