"""What a code looks like: XXXX-XXYY-XXMM-XXDD, ten random characters with the day of issue woven in; and reading what
people make of it. Pure: randomness is passed in.

Codes are read as they are meant: case, spaces, dashes, dots and underscores do not count, the letter O is the digit 0,
I and L are 1. Codes that are imported are read the same way, so two that differ by such letters alone are one code.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date

from ledger.promotions.refusals import CodeMalformed

# Crockford's base 32: without I, L, O and U. Ten characters are 50 random bits.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_LENGTH = 10
LENGTH_MIN, LENGTH_MAX = 10, 32
_TYPED_LENGTH_MAX = 80
_BYTES = 7  # 56 bits, of which 50 are used
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_GROUPED_LENGTH, _GROUP = 16, 4
_IGNORED = re.compile(r"[\s._\-\u2010-\u2015\u2212]")
_NORMAL = re.compile(r"[0-9A-HJKMNP-Z]+", re.ASCII)
_LOOKALIKES = str.maketrans("OIL", "011")


def draw_codes(randomness: Callable[[int], bytes], *, count: int, issued_on: date) -> list[str]:
    """So many codes in normal form. `randomness` returns as many bytes as it is asked for, from a cryptographic
    source."""
    drawn = randomness(_BYTES * count)
    year, month, day = (f"{part:02d}" for part in (issued_on.year % 100, issued_on.month, issued_on.day))
    codes = []
    for at in range(0, _BYTES * count, _BYTES):
        number = int.from_bytes(drawn[at : at + _BYTES])
        pairs = [_PAIRS[number >> shift & 1023] for shift in (0, 10, 20, 30, 40)]
        codes.append(f"{pairs[0]}{pairs[1]}{pairs[2]}{year}{pairs[3]}{month}{pairs[4]}{day}")
    return codes


def printed(code: str) -> str:
    """A code in normal form as it is printed: in groups of four where it has sixteen characters."""
    if len(code) != _GROUPED_LENGTH:
        return code
    return "-".join(code[at : at + _GROUP] for at in range(0, _GROUPED_LENGTH, _GROUP))


def normalise(typed: str, *, field: str = "code") -> str:
    """The normal form of what somebody typed, 10 to 32 letters and digits. Raises CodeMalformed, without quoting it."""
    compact = typed if len(typed) <= _TYPED_LENGTH_MAX else ""
    compact = _IGNORED.sub("", unicodedata.normalize("NFKC", compact)).upper().translate(_LOOKALIKES)
    if not (LENGTH_MIN <= len(compact) <= LENGTH_MAX and _NORMAL.fullmatch(compact)):
        raise CodeMalformed(
            f"a code has {LENGTH_MIN} to {LENGTH_MAX} letters and digits; type it as it is printed", field=field
        )
    return compact


def first_repeated(codes: Sequence[str]) -> int | None:
    """Where a code stands that stood there before; None where all differ."""
    seen: set[str] = set()
    for index, code in enumerate(codes):
        if code in seen:
            return index
        seen.add(code)
    return None
