"""Identifiers: 63-bit integers in time order inside, a prefixed text form (`pay_0C8Q...`) outside.

Layout: 41 bits of milliseconds since 2020-01-01 UTC, then 22 bits that differ within the millisecond.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
LOW_BITS = 22
_LOW_MASK = (1 << LOW_BITS) - 1
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
# Ten bits at a time: half as many steps for what every answer carries.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_TEXT_LENGTH = 13
_PAIR_SHIFTS = (50, 40, 30, 20, 10, 0)
_MILLISECOND = timedelta(milliseconds=1)


class IdSource:
    """Hands out ids that rise within this source; two sources differ by their random low bits.

    A clash between two processes in one millisecond is caught by the primary key and the transaction is run again.
    """

    def __init__(self, randomness: random.Random) -> None:
        self._random = randomness
        self._last = 0

    def next(self, now: datetime, *, after: int = 0) -> int:
        """An id whose time is `now`, or just above `after` and the last one handed out when the clock lags behind."""
        fresh = first_id_at(now) | self._random.getrandbits(LOW_BITS - 1)
        floor = max(self._last, after)
        step = 1 + self._random.getrandbits(6)
        self._last = fresh if fresh > floor else floor + step
        return self._last

    def next_many(self, now: datetime, *, count: int, after: int = 0) -> list[int]:
        """So many ids that rise, the first like next()'s; chance is asked once for all of them."""
        if count < 1:
            return []
        made = [self.next(now, after=after)]
        for byte in self._random.randbytes(count - 1):
            made.append(made[-1] + 1 + byte % 64)
        self._last = made[-1]
        return made


def first_id_at(moment: datetime) -> int:
    """The smallest id of the millisecond that `moment` (aware) falls in."""
    return ((moment - EPOCH) // _MILLISECOND) << LOW_BITS


def last_id_at(moment: datetime) -> int:
    """The largest id of the millisecond that `moment` (aware) falls in."""
    return first_id_at(moment) | _LOW_MASK


def time_of(identifier: int) -> datetime:
    """The millisecond an id was made in, in UTC."""
    return EPOCH + (identifier >> LOW_BITS) * _MILLISECOND


def encode(prefix: str, identifier: int) -> str:
    """encode("pay", n) -> "pay_" and 13 characters that sort like n."""
    pairs = "".join([_PAIRS[identifier >> shift & 1023] for shift in _PAIR_SHIFTS])
    return f"{prefix}_{_ALPHABET[identifier >> 60 & 31]}{pairs}"


def decode(prefix: str, text: str) -> int | None:
    """The integer behind "pay_..."; None for anything encode would not have made."""
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != _TEXT_LENGTH or any(character not in _VALUES for character in tail):
        return None
    identifier = 0
    for character in tail:
        identifier = identifier << 5 | _VALUES[character]
    return identifier if identifier < 1 << 63 else None
