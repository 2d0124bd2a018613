"""The errand of asking what became of money that came in, and judging the answers: a provider may take it back and tell
nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from adapters.collecting import CollectionRail, DeclaredCollections, QuestionAnswer
from adapters.dispatch import Call, Done, Errand
from adapters.errands import complete_sent, find_rail
from adapters.judging import ACTOR, verdict_on
from adapters.path_judging import PathJudge
from adapters.provider import CallbackUnreadable
from ledger.collections import checking
from ledger.collections.return_asking import Reversed
from ledger.collections.writing import LockedReceipt, lock_receipts
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.outbox.collecting import ReceiptFate, ReceiptInquiry
from ledger.outbox.inbox import Message, Verdict
from ledger.outbox.instruction import NotSent
from ledger.outbox.queue import Claimed
from ledger.receiving import ReceiptRecorder
from ledger.returns import ReturnRecorder


class ReceiptQuestions(Errand):
    """Asks, once each time that somebody wants to know."""

    def __init__(self, *, rails: Mapping[str, CollectionRail], now: Callable[[], datetime]) -> None:
        self._rails = rails
        self._now = now

    async def start(
        self, session: Driver, ledger: Ledger, claimed: Sequence[Claimed]
    ) -> list[tuple[Claimed, str, ReceiptInquiry]]:
        """All of them: asking is safe to repeat."""
        ids = [one.subject_id for one in claimed]
        found = await lock_receipts(session, ledger_id=ledger.id, receipt_ids=ids)
        return [
            (one, receipt.provider, ReceiptInquiry(receipt.provider, receipt.shortcode, receipt.receipt))
            for one in claimed
            if (receipt := found[one.subject_id])
        ]

    async def carry_out(self, call: Call) -> QuestionAnswer:
        """One question to the rail."""
        inquiry: ReceiptInquiry = call.content
        rail = find_rail(self._rails, inquiry.rail)
        return rail if isinstance(rail, NotSent) else await rail.query_receipt(inquiry, call.urls)

    async def finish(
        self, session: Driver, ledger: Ledger, results: Sequence[tuple[Call, QuestionAnswer]]
    ) -> list[Done]:
        """Asked is done: the answer comes by callback."""
        return await complete_sent(session, ledger, results, now=self._now())


@dataclass(frozen=True, slots=True)
class Stands:
    """The provider, asked about a receipt, says that it is paid and the money is here."""

    receipt_id: int
    inbox_id: int


@dataclass(frozen=True, slots=True)
class AskedReceipt:
    """The receipt that a path was given out for."""

    receipt: LockedReceipt

    @property
    def rail(self) -> str:
        """Over which it was asked about."""
        return self.receipt.provider


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptJudge(PathJudge[AskedReceipt, Reversed | Stands]):
    """Judges answers about receipts."""

    rails: Mapping[str, DeclaredCollections]
    recorder: ReturnRecorder
    receipts: ReceiptRecorder

    async def find_subjects(
        self, session: Driver, ledger: Ledger, token_hashes: Sequence[bytes]
    ) -> Mapping[bytes, AskedReceipt]:
        """The receipts that were asked about with these callback paths."""
        asked = await checking.find_asked(session, ledger_id=ledger.id, token_hashes=token_hashes)
        found = await lock_receipts(session, ledger_id=ledger.id, receipt_ids=set(asked.values()))
        return {token_hash: AskedReceipt(found[receipt_id]) for token_hash, receipt_id in asked.items()}

    def read(self, message: Message, asked: AskedReceipt, ledger: Ledger) -> Reversed | Stands | Verdict | None:
        """An answer that names the receipt and its amount. What is not final moves nothing."""
        receipt, rail = asked.receipt, self.rails[asked.rail]
        read = rail.read_receipt_query_callback(message.kind, message.raw)
        if isinstance(read, CallbackUnreadable):
            return verdict_on(message, "unanswered", read.reason, None)
        if (read.receipt, read.amount) != (receipt.receipt, receipt.amount):
            return verdict_on(message, "mismatch", "it tells of other money than was asked about", None)
        match read.fate:
            case ReceiptFate.STANDS:
                return Stands(receipt.id, message.id)
            case ReceiptFate.REVERSED:
                return Reversed(receipt.id, ACTOR, message.id)
            case ReceiptFate.UNKNOWN:
                return verdict_on(message, "answered", read.fate.value, None)
            case _:
                assert_never(read.fate)

    async def record(
        self, session: Driver, ledger: Ledger, reports: Sequence[Reversed | Stands], now: datetime
    ) -> list[tuple[str, str | None]]:
        """What stands may be given to its owners; what is still here of the rest is gone."""
        stands = [(one.receipt_id, one.inbox_id) for one in reports if isinstance(one, Stands)]
        gone = [one for one in reports if isinstance(one, Reversed)]
        await self.receipts.confirm(session, ledger=ledger, stands=stands, now=now)
        words = iter(await self.recorder.record_reversed(session, ledger=ledger, told=gone, now=now))
        return [("answered", "stands") if isinstance(one, Stands) else (next(words), None) for one in reports]
