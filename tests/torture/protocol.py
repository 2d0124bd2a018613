"""PostgreSQL's wire protocol as far as it must be known to see a COMMIT: frames, statements and portals. Pure.

A COMMIT is one wherever it stands: as a simple query, or executed under a name that was prepared long ago, alone or at
the end of a pipeline.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_WRITES = re.compile(rb"\b(?:INSERT\s+INTO|DELETE\s+FROM|UPDATE\s+\w+(?:\s+AS\s+\w+)?\s+SET)\b", re.IGNORECASE)
_LENGTH = 4


class Frames:
    """A stream of bytes, given out as whole messages. What a client says first bears no letter."""

    def __init__(self, *, starts_bare: bool) -> None:
        self._bare = starts_bare
        self._waiting = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now."""
        self._waiting += data
        messages: list[bytes] = []
        while (size := self._size()) is not None and len(self._waiting) >= size:
            message, self._waiting = self._waiting[:size], self._waiting[size:]
            if self._bare and not asks_for_encryption(message):
                self._bare = False
            messages.append(message)
        return messages

    def _size(self) -> int | None:
        letter = 0 if self._bare else 1
        if len(self._waiting) < letter + _LENGTH:
            return None
        return letter + int.from_bytes(self._waiting[letter : letter + _LENGTH])


def asks_for_encryption(message: bytes) -> bool:
    """Whether a client asks, before it says anything else, if it may encrypt: one byte answers it."""
    return len(message) == 8 and int.from_bytes(message[4:]) in {_SSL_REQUEST, _GSS_REQUEST}


class Seen(enum.Enum):
    """What a client's message does to its transaction."""

    NOTHING = "nothing to it"
    COMMIT = "commits what it wrote"
    EMPTY_COMMIT = "commits a transaction that wrote nothing"


@dataclass(slots=True)
class Transactions:
    """What one client does, message by message."""

    _statements: dict[bytes, bytes] = field(default_factory=dict)
    _portals: dict[bytes, bytes] = field(default_factory=dict)
    _wrote: bool = False

    def see(self, message: bytes) -> Seen:
        """Takes note of the client's next message."""
        letter, body = message[:1], message[5:]
        match letter:
            case b"Q":
                return self._carried_out(body.partition(b"\0")[0])
            case b"P":
                name, sql, *_ = body.split(b"\0", 2)
                self._statements[name] = sql
            case b"B":
                portal, statement, *_ = body.split(b"\0", 2)
                self._portals[portal] = self._statements.get(statement, b"")
            case b"E":
                return self._carried_out(self._portals.get(body.partition(b"\0")[0], b""))
        return Seen.NOTHING

    def _carried_out(self, sql: bytes) -> Seen:
        word = sql.strip(b" ;\n").upper()
        if word == b"COMMIT":
            wrote, self._wrote = self._wrote, False
            return Seen.COMMIT if wrote else Seen.EMPTY_COMMIT
        if word.startswith((b"BEGIN", b"ROLLBACK")):
            self._wrote = False
        self._wrote = self._wrote or bool(_WRITES.search(sql))
        return Seen.NOTHING


def says_committed(message: bytes) -> bool:
    """Whether the server says that a COMMIT was carried out."""
    return message[:1] == b"C" and message[5:] == b"COMMIT\0"


def says_ready(message: bytes) -> bool:
    """Whether the server has answered all that it was asked."""
    return message[:1] == b"Z"
