"""Taking money out of a receipt, wherever it is: to be returned, or because the provider took it back already.

What waits is used first. Where that is not enough, everything is taken back from its owners, and what is left goes to
the same owners again, in the same transaction. An owner may have spent the money: what lacks is lent by the receivable
of what customers owe, for as long as it lacks. Of what is asked for, nothing may lack in the end; what the provider
took is gone, and its owner owes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from ledger.collections.allocating import Allocating, Want, portions
from ledger.collections.allocation import Unfit
from ledger.collections.moving import Made, Move
from ledger.collections.receipt import (
    Event,
    Place,
    ReceiptMoney,
    covered_entry,
    gone_entry,
    uncovered_entry,
    waiting_entry,
)
from ledger.collections.shortcodes import find_shortcodes
from ledger.collections.writing import Allocation, LockedReceipt, find_allocations, find_lines
from ledger.database import Driver
from ledger.errors import FloorWouldBreak, TargetUnfit
from ledger.journal.books import Ledger
from ledger.journal.decide import LockedAccount, Refused
from ledger.journal.entry import JournalEntry, Side, Source
from ledger.journal.post import lock_accounts
from ledger.money import Money

_TAKEN = {
    Event.RETURN_RESERVED: "its money goes back to the payer",
    Event.TAKEN_BACK: "the provider took its money back",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What is to be taken out of a locked receipt: RETURN_RESERVED or TAKEN_BACK. `at` is when that happens; `charge`
    is what the provider took for taking it back."""

    receipt: LockedReceipt
    amount: Money
    event: Event
    at: datetime
    source: Source
    actor: str
    detail: str
    charge: Money | None = None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """It is in the books (once the transaction commits), by that entry; the receipt as it is now. `owed` is what owners
    lacked in the end, by account."""

    receipt: LockedReceipt
    entry_id: int
    owed: Mapping[str, Money]


@dataclass(frozen=True, slots=True)
class Withdrawing:
    """Takes money out of receipts."""

    allocating: Allocating

    async def withdraw(self, driver: Driver, *, ledger: Ledger, wanted: Withdrawal, now: datetime) -> Withdrawn:
        """Takes the amount out, which is not more than is unallocated, suspended and allocated together. Raises
        FloorWouldBreak and TargetUnfit for a return whose money owners have spent, or would not take again."""
        receipt, place, taken = wanted.receipt, Place.UNALLOCATED, list[Allocation]()
        money = await self.money(driver, ledger, receipt)
        lacking: dict[str, Money] = {}
        if receipt.holdings.unallocated < wanted.amount.minor_units:
            place = Place.SUSPENDED
            lacking = await self._cover(driver, ledger, wanted, money, now)
            receipt, taken = await self._gather(driver, ledger, wanted, now)
        made = await self._take(driver, ledger, receipt, wanted, money, place, now)
        left = await self._allocate_again(driver, ledger, made.receipt, taken, wanted, now)
        owed = await self._uncover(driver, ledger, wanted, money, lacking, now)
        return Withdrawn(left, made.entry_id, owed)

    async def money(self, driver: Driver, ledger: Ledger, receipt: LockedReceipt) -> ReceiptMoney:
        """What entries about the receipt need."""
        name = (receipt.provider, receipt.shortcode)
        found = await find_shortcodes(driver, ledger_id=ledger.id, names=[name])
        return ReceiptMoney(receipt.provider, receipt.receipt, found[name].accounts)

    async def _take(
        self,
        driver: Driver,
        ledger: Ledger,
        receipt: LockedReceipt,
        wanted: Withdrawal,
        money: ReceiptMoney,
        place: Place,
        now: datetime,
    ) -> Made:
        reserved = wanted.event is Event.RETURN_RESERVED
        make = waiting_entry if reserved else partial(gone_entry, charge=wanted.charge)
        entry = make(money, wanted.amount, event=wanted.event, source_place=place, at=wanted.at, source=wanted.source)
        move = Move(
            receipt=receipt,
            event=wanted.event,
            source=place,
            target=Place.RETURNING if reserved else Place.RETURNED,
            amount=wanted.amount,
            entry=entry,
            actor=wanted.actor,
            detail=wanted.detail[:200],
        )
        (made,) = await self.allocating.bookkeeper.make(driver, ledger=ledger, moves=[move], now=now)
        if isinstance(made, Refused):
            raise made.error
        return made

    async def _gather(
        self, driver: Driver, ledger: Ledger, wanted: Withdrawal, now: datetime
    ) -> tuple[LockedReceipt, list[Allocation]]:
        """The receipt with enough of its money in suspense, and what was taken back from its owners for that."""
        receipt, units, taken = wanted.receipt, wanted.amount.minor_units, list[Allocation]()
        held = receipt.holdings
        if held.suspended >= units:
            return receipt, taken
        if held.unallocated + held.suspended < units:
            receipt, taken = await self.allocating.take_back_all(
                driver,
                ledger=ledger,
                receipt=receipt,
                actor=wanted.actor,
                detail=_TAKEN[wanted.event],
                now=now,
                staying=held.unallocated + held.suspended + held.allocated - units,
            )
        if receipt.holdings.unallocated:
            (receipt,) = await self.allocating.park(
                driver,
                ledger=ledger,
                receipts=[receipt],
                reasons=[_TAKEN[wanted.event]],
                actor=wanted.actor,
                now=now,
            )
        return receipt, taken

    async def _allocate_again(
        self,
        driver: Driver,
        ledger: Ledger,
        receipt: LockedReceipt,
        taken: Sequence[Allocation],
        wanted: Withdrawal,
        now: datetime,
    ) -> LockedReceipt:
        """What is left goes to whom it was taken from, the oldest first; the receipt as it is then. What an owner does
        not take again stays in suspense, where the provider took the rest."""
        parts = portions(taken, receipt.holdings.suspended)
        for allocation in taken:
            if not parts[allocation.id]:
                break
            want = Want(
                receipt=receipt,
                source=Place.SUSPENDED,
                target=allocation.target,
                amount=Money(receipt.amount.currency, parts[allocation.id]),
                at=now,
                actor=wanted.actor,
                evidence=wanted.source,
                detail="what is left of it",
                again=allocation.amount,
            )
            (result,) = await self.allocating.allocate(driver, ledger=ledger, wants=[want], now=now)
            if isinstance(result, Made):
                receipt = result.receipt
            elif wanted.event is Event.RETURN_RESERVED:
                raise _refusal(result)
        return receipt

    async def _cover(
        self, driver: Driver, ledger: Ledger, wanted: Withdrawal, money: ReceiptMoney, now: datetime
    ) -> dict[str, Money]:
        """Lends owners what they lack of what is about to be taken back from them; how much, by account."""
        held = wanted.receipt.holdings
        if held.unallocated + held.suspended >= wanted.amount.minor_units:
            return {}
        living = await find_allocations(driver, ledger_id=ledger.id, receipt_ids=[wanted.receipt.id])
        await self.allocating.lock_targets(driver, ledger, living)
        lines = await find_lines(driver, ledger_id=ledger.id, entry_ids=[one.entry_id for one in living])
        given: dict[str, int] = {}
        for line in (line for own in lines.values() for line in own if line.side is Side.CREDIT):
            given[line.account] = given.get(line.account, 0) + line.money.minor_units
        currency = wanted.amount.currency
        locked = await self._lock(driver, ledger, {*given, *money.accounts.paths}, currency)
        short = {one.path: given[one.path] - _spendable(one, given[one.path]) for one in locked if one.path in given}
        lacking = {path: Money(currency, units) for path, units in short.items() if units}
        if lacking:
            entry = covered_entry(money, lacking, at=now, source=wanted.source)
            await self._post(driver, ledger, entry, wanted.actor, now)
        return lacking

    async def _uncover(
        self,
        driver: Driver,
        ledger: Ledger,
        wanted: Withdrawal,
        money: ReceiptMoney,
        lacking: Mapping[str, Money],
        now: datetime,
    ) -> dict[str, Money]:
        """Takes back what was lent, from owners who have it now; what they lack still, by account."""
        if not lacking:
            return {}
        currency = wanted.amount.currency
        locked = await self._lock(driver, ledger, lacking, currency)
        had = {one.path: Money(currency, _spendable(one, lacking[one.path].minor_units)) for one in locked}
        given_back = {path: amount for path, amount in had.items() if amount.minor_units}
        if given_back:
            entry = uncovered_entry(money, given_back, at=now, source=wanted.source)
            await self._post(driver, ledger, entry, wanted.actor, now)
        owed = {path: amount - had[path] for path, amount in lacking.items() if amount != had[path]}
        if owed and wanted.event is Event.RETURN_RESERVED:
            raise FloorWouldBreak("whoever has the money has spent it: it cannot be returned", field="amount")
        return owed

    async def _lock(
        self, driver: Driver, ledger: Ledger, paths: Mapping[str, Money] | set[str], currency: str
    ) -> list[LockedAccount]:
        names = {(path, currency) for path in paths}
        identities = await self.allocating.bookkeeper.directory.find(driver, ledger_id=ledger.id, names=names)
        return await lock_accounts(driver, ledger_id=ledger.id, identities=identities)

    async def _post(self, driver: Driver, ledger: Ledger, entry: JournalEntry, actor: str, now: datetime) -> None:
        await self.allocating.bookkeeper.post(driver, ledger=ledger, entry=entry, actor=actor, now=now)


def _spendable(account: LockedAccount, wanted: int) -> int:
    """How much of so much an account could give by a debit."""
    if account.sign > 0 or account.floor is None:
        return wanted
    return max(0, min(wanted, account.balance - account.floor))


def _refusal(result: Unfit | Refused) -> Exception:
    if isinstance(result, Refused):
        return result.error
    return TargetUnfit(f"what is not returned finds no way back: {result.reason}", field="amount")
