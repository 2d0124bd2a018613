"""Moving money of receipts: posts the entry of each move and writes the move down, as one set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from ledger.collections.allocation import Target
from ledger.collections.receipt import Event, Place
from ledger.collections.writing import LockedReceipt, Step, write_moves
from ledger.database import Driver
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.decide import Posted, PostRequest, Refused
from ledger.journal.entry import JournalEntry
from ledger.journal.post import link_whole_reversals, post_entries
from ledger.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A move to be made, with its entry. `allocation` is the target of an ALLOCATED one; `undoes` the allocation that
    an UNDONE one takes back."""

    receipt: LockedReceipt
    event: Event
    source: Place
    target: Place
    amount: Money
    entry: JournalEntry
    actor: str
    detail: str | None = None
    allocation: Target | None = None
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """The move is in the books (once the transaction commits); the receipt as it is now."""

    receipt: LockedReceipt
    entry_id: int


MoveResult: TypeAlias = Made | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookkeeper:
    """What moving money needs and never changes in a process."""

    directory: AccountDirectory
    ids: IdSource

    async def make(self, driver: Driver, *, ledger: Ledger, moves: Sequence[Move], now: datetime) -> list[MoveResult]:
        """Makes what the books allow, at most one move of each receipt, inside the transaction that holds their locks;
        a verdict per move, in order. Raises ReceiptShort."""
        if not moves:
            return []
        assert len({move.receipt.id for move in moves}) == len(moves), "one move of a receipt at a time"
        held = [m.receipt.holdings.moved(m.event, m.source, m.target, m.amount.minor_units) for m in moves]
        verdicts = await post_entries(
            driver,
            ledger=ledger,
            requests=[PostRequest(move.entry, move.actor) for move in moves],
            directory=self.directory,
            ids=self.ids,
            now=now,
        )
        results: list[MoveResult] = []
        steps: list[Step] = []
        for move, holdings, verdict in zip(moves, held, verdicts, strict=True):
            if isinstance(verdict, Refused):
                results.append(verdict)
                continue
            assert isinstance(verdict, Posted), "moves carry no request id"
            receipt = replace(move.receipt, holdings=holdings, version=move.receipt.version + 1)
            results.append(Made(receipt, verdict.entry_id))
            steps.append(self._step(move, receipt, verdict.entry_id, now))
        if steps:
            await write_moves(driver, ledger_id=ledger.id, steps=steps, now=now)
            undoing = [one.entry_id for one in steps if one.undoes is not None]
            await link_whole_reversals(driver, ledger_id=ledger.id, entry_ids=undoing)
        return results

    async def post(self, driver: Driver, *, ledger: Ledger, entry: JournalEntry, actor: str, now: datetime) -> int:
        """Posts an entry about a receipt that moves none of its money. Raises what the books refuse."""
        (verdict,) = await post_entries(
            driver,
            ledger=ledger,
            requests=[PostRequest(entry, actor)],
            directory=self.directory,
            ids=self.ids,
            now=now,
        )
        if isinstance(verdict, Refused):
            raise verdict.error
        assert isinstance(verdict, Posted), "it carries no request id"
        return verdict.entry_id

    def _step(self, move: Move, receipt: LockedReceipt, entry_id: int, now: datetime) -> Step:
        return Step(
            receipt_id=receipt.id,
            event=move.event.value,
            amount=move.amount.minor_units,
            entry_id=entry_id,
            detail=move.detail,
            actor=move.actor,
            holdings=receipt.holdings,
            version=receipt.version,
            allocation_id=self.ids.next(now) if move.allocation else None,
            from_suspense=move.source is Place.SUSPENDED,
            target=move.allocation,
            undoes=move.undoes,
        )
