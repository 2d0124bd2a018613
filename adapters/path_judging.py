"""Messages on paths that were given out for a prompt or a return: whose they are, and what became of each. What they
say is read by the subject's own judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Generic, Protocol, TypeVar

from adapters.collecting import DeclaredCollections
from adapters.judging import verdict_on
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.outbox.inbox import Message, Verdict


class _Routed(Protocol):
    @property
    def rail(self) -> str: ...


SubjectT = TypeVar("SubjectT", bound=_Routed)
ReportT = TypeVar("ReportT")


class PathJudge(Protocol, Generic[SubjectT, ReportT]):
    """Judges the messages on the paths of one kind of subject."""

    rails: Mapping[str, DeclaredCollections]

    async def find_subjects(
        self, session: Driver, ledger: Ledger, token_hashes: Sequence[bytes]
    ) -> Mapping[bytes, SubjectT]:
        """Whom these paths were given out for."""

    def read(self, message: Message, subject: SubjectT, ledger: Ledger) -> ReportT | Verdict | None:
        """What a message tells; the verdict on one that tells nothing; None for one that must wait."""

    async def record(
        self, session: Driver, ledger: Ledger, reports: Sequence[ReportT], now: datetime
    ) -> Sequence[tuple[str, str | None]]:
        """Records what was told as one set; the word and detail of each verdict."""

    async def judge(
        self, session: Driver, ledger: Ledger, messages: Sequence[Message], *, now: datetime
    ) -> list[tuple[Message, Verdict]]:
        """The messages that were on such paths, but for those that must wait, with what became of each."""
        if not messages:
            return []
        subjects = await self.find_subjects(session, ledger, [message.token_hash for message in messages])
        verdicts: list[tuple[Message, Verdict]] = []
        told: list[tuple[Message, ReportT]] = []
        for message in messages:
            subject = subjects.get(message.token_hash)
            if subject is None or subject.rail != message.rail or message.rail not in self.rails:
                continue
            read = self.read(message, subject, ledger)
            if isinstance(read, Verdict):
                verdicts.append((message, read))
            elif read is not None:
                told.append((message, read))
        results = await self.record(session, ledger, [one for _, one in told], now)
        return verdicts + [
            (message, verdict_on(message, word, detail, None))
            for (message, _), (word, detail) in zip(told, results, strict=True)
        ]


def word_of(result: Enum, *, applied: type[Enum]) -> tuple[str, str | None]:
    """The verdict on what was recorded: the state it led to, or why it led to none."""
    return ("applied", result.value) if isinstance(result, applied) else (result.value, None)
