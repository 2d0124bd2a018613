"""Which answers a caller has given so far. Pure, but for the memory of hops.

Africa's Talking repeats all answers of a session with every hop, joined by `*`, so an answer that holds a `*` looks
like two. Who remembers the hop before knows better: whatever is new after its text is one answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from api.ussd.screens import Screen

SESSIONS_MAX = 20_000
# A telco ends a session after 180 seconds; a hop may be repeated a little later.
SESSION_SECONDS_MAX = 300.0
_JOIN = "*"


def answers_of(text: str, *, known: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The answers behind the text of a hop; `known` holds those of the hops that were seen. A text of which no hop was
    seen is split at each `*`: so it is with what was dialled at once, and after a restart."""
    if text in known:
        return known[text]
    if not text:
        return ()
    before = max((one for one in known if _continues(text, one)), key=len, default=None)
    if before is None:
        return tuple(text.split(_JOIN))
    return (*known[before], text[len(before) + 1 :] if before else text)


def _continues(text: str, before: str) -> bool:
    return not before or text.startswith(before + _JOIN)


@dataclass(slots=True)
class Session:
    """What is remembered of one caller's session: the answers at each hop, the screens that were shown for them, and
    what the core answered, in the order it was asked."""

    answers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    screens: dict[str, Screen] = field(default_factory=dict)
    core_answers: dict[str, Any] = field(default_factory=dict)
    touched_at: float = 0.0

    def hear(self, text: str) -> tuple[str, ...]:
        """The answers at a hop, which is remembered."""
        self.answers[text] = heard = answers_of(text, known=self.answers)
        return heard


class Sessions:
    """The sessions of this process, by id and caller; the oldest are forgotten, which loses nothing but the meaning of
    a `*` within an answer."""

    def __init__(self, *, monotonic: Callable[[], float], sessions_max: int = SESSIONS_MAX) -> None:
        self._monotonic = monotonic
        self._sessions_max = sessions_max
        self._sessions: OrderedDict[tuple[str, str], Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def enter(self, session_id: str, caller: str) -> Session:
        """The session, new or remembered."""
        now = self._monotonic()
        while self._sessions and self._is_over(now):
            self._sessions.popitem(last=False)
        session = self._sessions.setdefault((session_id, caller), Session())
        session.touched_at = now
        self._sessions.move_to_end((session_id, caller))
        return session

    def forget(self, session_id: str, caller: str) -> None:
        """It has ended."""
        self._sessions.pop((session_id, caller), None)

    def _is_over(self, now: float) -> bool:
        oldest = next(iter(self._sessions.values()))
        return len(self._sessions) >= self._sessions_max or now - oldest.touched_at > SESSION_SECONDS_MAX
