"""JSON documents as any provider may send them: numbers kept as the text they were written in, and ids, codes and words
read from them. Pure.

Nothing here becomes a binary float, and nothing raises but Unreadable, whatever the bytes.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

# Some thirty times the longest message documented.
DOCUMENT_BYTES_MAX = 65_536

_IDENTIFIER = re.compile(r"[\x21-\x7e]{1,100}")
# Ten digits in a row are somebody's number, not a code; the longest code documented has nine.
_CODE = re.compile(r"(?!.*[0-9]{10})[A-Za-z0-9_.-]{1,64}")


class Unreadable(Exception):
    """The bytes are no document we know; `reason` is safe to show and quotes nothing of them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_document(body: bytes) -> dict[str, object]:
    """The JSON object in `body`, every number as the text it was written in. Raises Unreadable for anything else, for
    NaN, for a key told twice with different values, and for text a database cannot hold (NUL, half a surrogate)."""
    if len(body) > DOCUMENT_BYTES_MAX:
        raise Unreadable("the body is longer than any message documented")
    try:
        document: Any = json.loads(
            body.decode("utf-8-sig"),
            parse_int=str,
            parse_float=str,
            parse_constant=_refuse_constant,
            object_pairs_hook=_read_object,
        )
    except (ValueError, RecursionError):
        # The cause would carry the whole body, credentials and all, into a traceback.
        raise Unreadable("the body is not JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise Unreadable("the body is not a JSON object")
    return document


def text(value: object) -> str | None:
    """A JSON string, or a number as it was written; None for anything else."""
    return value if isinstance(value, str) else None


def printable(words: str) -> str:
    """Words for a person, in one line: whatever cannot be printed is a space, and none is left at the ends."""
    return "".join(character if character.isprintable() else " " for character in words).strip()


def identifier(value: object) -> str | None:
    """An id: up to 100 visible ASCII characters. Daraja's shapes vary too much to check more."""
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None


def code(value: object) -> str | None:
    """A result or error code, string or number, verbatim: 0, "SFC_IC0003", "400.002.02"."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def _read_object(members: list[tuple[str, object]]) -> dict[str, object]:
    document: dict[str, object] = {}
    for key, value in members:
        if key in document and document[key] != value:
            raise Unreadable("a key is told twice with different values")
        if not (_is_storable(key) and _is_storable(value)):
            raise Unreadable("a text holds characters that cannot be kept")
        document[key] = value
    return document


def _is_storable(value: object) -> bool:
    return not isinstance(value, str) or ("\x00" not in value and not re.search("[\ud800-\udfff]", value))


def _refuse_constant(name: str) -> NoReturn:
    raise Unreadable(f"{name} is not a JSON number")
