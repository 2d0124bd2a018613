"""Messages about money that came in, on the paths that a provider was given for it: read, booked, and judged.

A path says which shortcode it is for, and what is told on it must be about that one. A confirmation is settled money,
whatever it is answered; whatever is told wrongly parks its own message alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, assert_never

from adapters.collecting import DeclaredCollections
from adapters.judging import verdict_on
from adapters.provider import CallbackUnreadable
from ledger.collections.booking import Booked, BookResult, Contradiction, NotOurs, Told, ToldBefore
from ledger.collections.shortcodes import Path, find_paths
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.outbox.collecting import Channel, Received
from ledger.outbox.inbox import Message, Verdict
from ledger.receiving import ReceiptRecorder

ACTOR = "daftari.inbound"
CONFIRMATION, VALIDATION = "confirmation", "validation"


class Judge(Protocol):
    """Judges messages on the paths of one kind of call."""

    async def judge(
        self, session: Driver, ledger: Ledger, messages: Sequence[Message], *, now: datetime
    ) -> list[tuple[Message, Verdict]]:
        """The messages that are its business and can be judged, with what became of each."""


class CollectionJudge:
    """Judges messages on the paths of shortcodes, and by `judges` those on the paths of calls about money in; those on
    other paths are not its business."""

    def __init__(
        self, *, rails: Mapping[str, DeclaredCollections], recorder: ReceiptRecorder, judges: Sequence[Judge]
    ) -> None:
        self._rails = rails
        self._recorder = recorder
        self._judges = judges

    @property
    def asked(self) -> frozenset[str]:
        """The rails that can be asked what became of a receipt: those that reverse one."""
        return frozenset(name for name, rail in self._rails.items() if rail.collection_capabilities.reverses)

    async def judge(
        self, session: Driver, ledger: Ledger, messages: Sequence[Message], *, now: datetime
    ) -> list[tuple[Message, Verdict]]:
        """Books what was told as one set, and says which messages were such ones and what became of each."""
        paths = await find_paths(
            session, ledger_id=ledger.id, token_hashes=[message.token_hash for message in messages]
        )
        verdicts: list[tuple[Message, Verdict]] = []
        told: list[tuple[Message, Told]] = []
        for message in messages:
            path = paths.get(message.token_hash)
            if path is None or path.provider != message.rail or message.rail not in self._rails:
                continue
            read = self._read(message, path)
            if isinstance(read, Verdict):
                verdicts.append((message, read))
            else:
                told.append((message, Told(path.provider, read, Channel.CONFIRMATION, ACTOR, message.id)))
        results = await self._recorder.record(session, ledger=ledger, told=[one for _, one in told], now=now)
        booked = [(message, _conclude(message, result)) for (message, _), result in zip(told, results, strict=True)]
        others = [message for message in messages if message.token_hash not in paths]
        asked = [answer for judge in self._judges for answer in await judge.judge(session, ledger, others, now=now)]
        return verdicts + booked + asked

    def _read(self, message: Message, path: Path) -> Received | Verdict:
        if path.kind != message.kind:
            return verdict_on(message, "unreadable", f"a {message.kind} on a path for a {path.kind}", None)
        if path.kind == VALIDATION:
            return verdict_on(message, "answered", "a question before a payment moves nothing", None)
        read = self._rails[path.provider].read_confirmation(message.raw)
        if isinstance(read, CallbackUnreadable):
            return verdict_on(message, "unreadable", read.reason, None)
        if read.shortcode != path.shortcode:
            return verdict_on(message, "mismatch", "it names another shortcode than its path", None)
        return read


def _conclude(message: Message, result: BookResult) -> Verdict:
    match result:
        case Booked():
            return verdict_on(message, "applied", "booked", None)
        case ToldBefore():
            return verdict_on(message, "repeated", "the receipt is booked already", None)
        case Contradiction(reason=reason):
            return verdict_on(message, "conflict", reason, None)
        case NotOurs(reason=reason):
            return verdict_on(message, "mismatch", reason, None)
        case _:
            assert_never(result)
