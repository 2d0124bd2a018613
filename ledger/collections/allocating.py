"""Allocating money of receipts: to the targets that references name, by a person's hand, and taking it back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from ledger.collections.allocation import Allocators, Claim, Share, Taken, Target, TargetKind, Unfit
from ledger.collections.directory import find_targets
from ledger.collections.moving import Bookkeeper, Made, Move
from ledger.collections.receipt import Event, Place, ReceiptMoney, allocated_entry, undone_entry, waiting_entry
from ledger.collections.shortcodes import Shortcode, find_shortcodes
from ledger.collections.writing import Allocation, LockedReceipt, find_allocations, find_lines
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.journal.decide import Refused
from ledger.journal.entry import Source
from ledger.money import Money

AUTOMATIC = "daftari.allocation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Money of a receipt that is to go to a target: `amount` of what waits at `source`. `at` is when that happens;
    `again` is Claim's."""

    receipt: LockedReceipt
    source: Place
    target: Target
    amount: Money
    at: datetime
    actor: str
    evidence: Source
    detail: str | None = None
    again: int = 0


AllocateResult: TypeAlias = Made | Unfit | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocating:
    """What allocating needs and never changes in a process: a door to each kind of target."""

    bookkeeper: Bookkeeper
    allocators: Allocators

    async def place(
        self, driver: Driver, *, ledger: Ledger, receipts: Sequence[LockedReceipt], now: datetime
    ) -> dict[int, str]:
        """Gives receipts whose reference is known to whom it names. Returns, by receipt id, why a target did not take
        its money; money whose reference means nothing stays unallocated, and is not in the answer."""
        indices = {one.reference_index for one in receipts if one.reference_index is not None}
        targets = await find_targets(driver, ledger_id=ledger.id, indices=indices)
        wants = [
            Want(
                receipt=one,
                source=Place.UNALLOCATED,
                target=targets[one.reference_index],
                amount=Money(one.amount.currency, one.holdings.unallocated),
                at=min(one.completed_at, now),
                actor=AUTOMATIC,
                evidence=Source.API,
            )
            for one in receipts
            if one.reference_index in targets and one.reference_index is not None and one.holdings.unallocated
        ]
        results = await self.allocate(driver, ledger=ledger, wants=wants, now=now)
        return {
            want.receipt.id: result.reason if isinstance(result, Unfit) else result.error.message
            for want, result in zip(wants, results, strict=True)
            if not isinstance(result, Made)
        }

    async def allocate(
        self, driver: Driver, *, ledger: Ledger, wants: Sequence[Want], now: datetime
    ) -> list[AllocateResult]:
        """Allocates what targets and books take, at most once of each receipt; a verdict per want, in order. The caller
        holds the receipts' locks. Raises ReceiptShort."""
        results: dict[int, AllocateResult] = {}
        shares = await self._shares(driver, ledger, wants, now)
        shortcodes = await _shortcodes(driver, ledger, [want.receipt for want in wants])
        moves: dict[int, Move] = {}
        for index, want in enumerate(wants):
            share = shares[index]
            if isinstance(share, Unfit):
                results[index] = share
            else:
                moves[index] = _allocation(want, share, shortcodes)
        made = await self.bookkeeper.make(driver, ledger=ledger, moves=list(moves.values()), now=now)
        results |= dict(zip(moves, made, strict=True))
        for kind, allocator in self.allocators.items():
            taken = [
                Taken(_claim(want), result.entry_id)
                for index, want in enumerate(wants)
                if want.target.kind is kind and isinstance(result := results[index], Made)
            ]
            if taken:
                await allocator.allocated(driver, ledger, taken, now=now)
        return [results[index] for index in range(len(wants))]

    async def take_back(
        self,
        driver: Driver,
        *,
        ledger: Ledger,
        receipt: LockedReceipt,
        allocation: Allocation,
        actor: str,
        detail: str,
        now: datetime,
        staying: int = 0,
    ) -> LockedReceipt:
        """Undoes one allocation: its money waits again where it came from, and the target goes back, but for what it
        is to have again. Raises what the books refuse: a target that has spent the money keeps it."""
        await self.lock_targets(driver, ledger, [allocation])
        entries = await find_lines(driver, ledger_id=ledger.id, entry_ids=[allocation.entry_id])
        lines = entries[allocation.entry_id]
        shortcodes = await _shortcodes(driver, ledger, [receipt])
        money, amount = _money(receipt, shortcodes), Money(receipt.amount.currency, allocation.amount)
        move = Move(
            receipt=receipt,
            event=Event.UNDONE,
            source=Place.ALLOCATED,
            target=Place.SUSPENDED if allocation.from_suspense else Place.UNALLOCATED,
            amount=amount,
            entry=undone_entry(money, allocation=lines, entry_id=allocation.entry_id, at=now, source=Source.MANUAL),
            actor=actor,
            detail=detail,
            undoes=allocation.id,
        )
        (made,) = await self.bookkeeper.make(driver, ledger=ledger, moves=[move], now=now)
        if isinstance(made, Refused):
            raise made.error
        claim = Claim(receipt.id, allocation.target.id, amount, receipt.completed_at)
        taken = [Taken(claim, made.entry_id, staying)]
        await self.allocators[allocation.target.kind].undone(driver, ledger, taken, now=now)
        return made.receipt

    async def take_back_all(
        self,
        driver: Driver,
        *,
        ledger: Ledger,
        receipt: LockedReceipt,
        actor: str,
        detail: str,
        now: datetime,
        staying: int = 0,
    ) -> tuple[LockedReceipt, list[Allocation]]:
        """Undoes every allocation of a receipt, the newest first; what they were, for whoever allocates anew. So many
        minor units are allocated again at once, to the same targets, the oldest first."""
        living = await find_allocations(driver, ledger_id=ledger.id, receipt_ids=[receipt.id])
        await self.lock_targets(driver, ledger, living)
        parts = portions(living, staying)
        for allocation in reversed(living):
            receipt = await self.take_back(
                driver,
                ledger=ledger,
                receipt=receipt,
                allocation=allocation,
                actor=actor,
                detail=detail,
                now=now,
                staying=parts[allocation.id],
            )
        return receipt, living

    async def park(
        self,
        driver: Driver,
        *,
        ledger: Ledger,
        receipts: Sequence[LockedReceipt],
        reasons: Sequence[str],
        actor: str,
        now: datetime,
    ) -> list[LockedReceipt]:
        """Puts unallocated money into suspense, for a person; the receipts as they are now."""
        shortcodes = await _shortcodes(driver, ledger, receipts)
        moves = [_parking(one, reason, shortcodes, actor, now) for one, reason in zip(receipts, reasons, strict=True)]
        made = await self.bookkeeper.make(driver, ledger=ledger, moves=moves, now=now)
        parked = [result for result in made if isinstance(result, Made)]
        assert len(parked) == len(moves), "suspense takes any money"
        return [one.receipt for one in parked]

    async def lock_targets(self, driver: Driver, ledger: Ledger, allocations: Sequence[Allocation]) -> None:
        """Targets before accounts, as whoever allocates takes them: or two would wait for each other."""
        for kind in TargetKind:
            ids = {one.target.id for one in allocations if one.target.kind is kind}
            if ids:
                await self.allocators[kind].lock(driver, ledger, ids)

    async def _shares(
        self, driver: Driver, ledger: Ledger, wants: Sequence[Want], now: datetime
    ) -> dict[int, Share | Unfit]:
        shares: dict[int, Share | Unfit] = {}
        for kind in TargetKind:
            indices = [index for index, want in enumerate(wants) if want.target.kind is kind]
            if not indices:
                continue
            if kind not in self.allocators:
                shares |= {index: Unfit(f"nothing here takes money for {kind.value}s") for index in indices}
                continue
            claims = [_claim(wants[index]) for index in indices]
            told = await self.allocators[kind].share(driver, ledger, claims, now=now)
            shares |= dict(zip(indices, told, strict=True))
        return shares


def portions(allocations: Sequence[Allocation], units: int) -> dict[int, int]:
    """How much each allocation gets of so much, the oldest first, none more than it had."""
    parts: dict[int, int] = {}
    for one in allocations:
        parts[one.id] = min(one.amount, units)
        units -= parts[one.id]
    return parts


async def _shortcodes(
    driver: Driver, ledger: Ledger, receipts: Iterable[LockedReceipt]
) -> dict[tuple[str, str], Shortcode]:
    names = {(one.provider, one.shortcode) for one in receipts}
    return await find_shortcodes(driver, ledger_id=ledger.id, names=names) if names else {}


def _money(receipt: LockedReceipt, shortcodes: dict[tuple[str, str], Shortcode]) -> ReceiptMoney:
    accounts = shortcodes[receipt.provider, receipt.shortcode].accounts
    return ReceiptMoney(receipt.provider, receipt.receipt, accounts)


def _claim(want: Want) -> Claim:
    return Claim(want.receipt.id, want.target.id, want.amount, want.receipt.completed_at, want.again)


def _allocation(want: Want, share: Share, shortcodes: dict[tuple[str, str], Shortcode]) -> Move:
    entry = allocated_entry(
        _money(want.receipt, shortcodes),
        want.amount,
        source_place=want.source,
        shares=share.lines,
        at=want.at,
        source=want.evidence,
    )
    return Move(
        receipt=want.receipt,
        event=Event.ALLOCATED,
        source=want.source,
        target=Place.ALLOCATED,
        amount=want.amount,
        entry=entry,
        actor=want.actor,
        detail=want.detail,
        allocation=want.target,
    )


def _parking(
    receipt: LockedReceipt, reason: str, shortcodes: dict[tuple[str, str], Shortcode], actor: str, now: datetime
) -> Move:
    amount = Money(receipt.amount.currency, receipt.holdings.unallocated)
    entry = waiting_entry(
        _money(receipt, shortcodes), amount, event=Event.PARKED, source_place=Place.UNALLOCATED, at=now,
        source=Source.API,
    )  # fmt: skip
    return Move(
        receipt=receipt,
        event=Event.PARKED,
        source=Place.UNALLOCATED,
        target=Place.SUSPENDED,
        amount=amount,
        entry=entry,
        actor=actor,
        detail=reason[:200],
    )
