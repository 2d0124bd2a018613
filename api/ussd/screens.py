"""What a phone shows: one screen of text that every handset can draw, and whether it ends the session. Pure.

Africa's Talking takes text that begins with CON (the session goes on) or END, and shows at most 182 characters of the
GSM 7-bit alphabet (3GPP TS 23.038, section 6.2.1; the alphabet's extension counts double).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

CHARACTERS_MAX = 182
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€")
_UNKNOWN, _CUT = "?", "..."


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen: its text, and whether the session ends with it."""

    text: str
    ends: bool = False

    def render(self, *, characters_max: int = CHARACTERS_MAX) -> bytes:
        """The answer's body."""
        return f"{'END' if self.ends else 'CON'} {cut(fold(self.text), characters_max)}".encode()


def fold(text: str) -> str:
    """The text in letters of the GSM alphabet: an accent it lacks is left out, any other stranger is a question
    mark."""
    return "".join(_folded(character) for character in unicodedata.normalize("NFC", text))


def width(text: str) -> int:
    """How many characters of a screen a folded text takes."""
    return sum(2 if character in _EXTENDED else 1 for character in text)


def cut(text: str, characters_max: int) -> str:
    """As much of a folded text as fits, with dots where something is left out."""
    if width(text) <= characters_max:
        return text
    kept, used = [], len(_CUT)
    for character in text:
        used += width(character)
        if used > characters_max:
            break
        kept.append(character)
    return "".join(kept) + _CUT


def fitting(head: str, lines: Sequence[str], *, characters_max: int = CHARACTERS_MAX) -> int:
    """How many of the lines fit below a heading, in one screen."""
    used = width(fold(head))
    for number, line in enumerate(lines):
        used += 1 + width(fold(line))
        if used > characters_max:
            return number
    return len(lines)


def _folded(character: str) -> str:
    if character in _BASIC or character in _EXTENDED:
        return character
    bare = "".join(part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
    return "".join(part if part in _BASIC or part in _EXTENDED else _UNKNOWN for part in bare) or _UNKNOWN
