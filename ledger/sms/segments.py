"""How many segments a text takes on the air, in the alphabet that it needs (3GPP TS 23.038). Pure."""

from __future__ import annotations

SEGMENTS_MAX = 2
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
# Each of these takes the room of two.
_EXTENDED = frozenset("^{}\\[~]|€\f")


def is_gsm(text: str) -> bool:
    """Whether the GSM alphabet has every character; one that it has not makes the whole text UCS-2."""
    return all(character in _GSM or character in _EXTENDED for character in text)


def segments(text: str) -> int:
    """160 septets or 70 UTF-16 units alone, 153 or 67 in each of several."""
    if is_gsm(text):
        length = sum(2 if character in _EXTENDED else 1 for character in text)
        return _parts(length, alone=160, joined=153)
    return _parts(len(text.encode("utf-16-be")) // 2, alone=70, joined=67)


def _parts(length: int, *, alone: int, joined: int) -> int:
    return 1 if length <= alone else -(-length // joined)
