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
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_TEXT_LENGTH = 13
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
    characters = []
    for _ in range(_TEXT_LENGTH):
        characters.append(_ALPHABET[identifier & 31])
        identifier >>= 5
    return f"{prefix}_{''.join(reversed(characters))}"


def decode(prefix: str, text: str) -> int | None:
    """The integer behind "pay_..."; None for anything encode would not have made."""
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != _TEXT_LENGTH or any(character not in _VALUES for character in tail):
        return None
    identifier = 0
    for character in tail:
        identifier = identifier << 5 | _VALUES[character]
    return identifier if identifier < 1 << 63 else None
