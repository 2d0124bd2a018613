"""A model of a till that anybody can check by eye: dicts and lists, one receipt after the other.

It predicts where the money of every receipt is, how every order stands and what every account holds. Amounts are minor
units of one currency; receipts go by their number, orders by their id.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

# An account's path, or the id of an order.
Target: TypeAlias = str | int

PATIENCE = timedelta(seconds=300)
LANDING, UNALLOCATED, SUSPENSE, PARTNER = "landing", "unallocated", "suspended", "partner"


@dataclass(slots=True)
class Given:
    """A part of a receipt that a target has; `source` is where it waited before."""

    target: Target
    amount: int
    source: str


@dataclass(slots=True)
class PlainReceipt:
    """Money that came in, and where it is."""

    id: int
    amount: int
    reference: str
    paid_at: datetime
    told_at: datetime
    waits: Counter[str] = field(default_factory=Counter)
    given: list[Given] = field(default_factory=list)
    channels: set[str] = field(default_factory=set)

    @property
    def holdings(self) -> tuple[int, int, int]:
        """Minor units unallocated, suspended, allocated."""
        return (self.waits[UNALLOCATED], self.waits[SUSPENSE], sum(one.amount for one in self.given))


@dataclass(slots=True)
class PlainOrder:
    """What a shop expects, and how often it was told of it."""

    amount: int
    expires_at: datetime
    state: str = "OPEN"
    events: int = 1


@dataclass(slots=True)
class PlainTill:
    """One shop's money in. `accounts` are net: what came in less what went out."""

    receipts: dict[str, PlainReceipt] = field(default_factory=dict)
    orders: dict[int, PlainOrder] = field(default_factory=dict)
    references: dict[str, Target] = field(default_factory=dict)
    accounts: Counter[str] = field(default_factory=Counter)
    cases: Counter[str] = field(default_factory=Counter)

    def judge(self, number: str, amount: int, *, ours: bool, new: dict[str, int]) -> str:
        """The verdict on a message about a receipt; `new` are those of the same set, by number."""
        if not ours:
            return "NotOurs"
        known = new.get(number) or (self.receipts[number].amount if number in self.receipts else None)
        if known is None:
            new[number] = amount
            return "Booked"
        return "ToldBefore" if known == amount else "Contradiction"

    def book(self, number: str, receipt: PlainReceipt) -> None:
        """It is new, and nobody's."""
        receipt.waits[UNALLOCATED] = receipt.amount
        self.receipts[number] = receipt
        self.accounts[LANDING] += receipt.amount
        self.accounts[UNALLOCATED] += receipt.amount

    def place(self, receipts: list[PlainReceipt], *, park_unknown: bool) -> None:
        """Gives each to whom its reference names, one after the other; what its target does not take is suspended, and
        with `park_unknown` what means nothing is, too."""
        touched: list[Target] = []
        for one in receipts:
            target = self.references.get(plain(one.reference))
            amount = one.waits[UNALLOCATED]
            if target is not None and self.takes(target, one):
                self._give(one, Given(target, amount, UNALLOCATED))
                touched.append(target)
            elif target is not None or park_unknown:
                one.waits[UNALLOCATED] -= amount
                one.waits[SUSPENSE] += amount
                self.accounts[UNALLOCATED] -= amount
                self.accounts[SUSPENSE] += amount
                self.cases["receipt-unallocated"] += 1
        self._turned(touched)

    def waiting(self, now: datetime) -> list[PlainReceipt]:
        """Whose patience has ended, oldest first."""
        found = [one for one in self.receipts.values() if one.waits[UNALLOCATED] and one.told_at <= now - PATIENCE]
        return sorted(found, key=lambda one: (one.told_at, one.id))

    def takes(self, target: Target, receipt: PlainReceipt) -> bool:
        """Whether the target takes money of the receipt."""
        if isinstance(target, str):
            return True
        order = self.orders[target]
        return order.state == "OPEN" and receipt.paid_at < order.expires_at and self.paid(target) < order.amount

    def paid(self, order_id: int) -> int:
        """What was paid towards an order and is still its own."""
        return sum(one.amount for receipt in self.receipts.values() for one in receipt.given if one.target == order_id)

    def give(self, receipt: PlainReceipt, target: Target, amount: int, source: str) -> str:
        """By hand: "" or why not."""
        if not self.takes(target, receipt):
            return "Unfit"
        if receipt.waits[source] < amount:
            return "RECEIPT_SHORT"
        self._give(receipt, Given(target, amount, source))
        self._turned([target])
        return ""

    def take_back(self, receipt: PlainReceipt) -> str:
        """All that was given of it: "" or why not."""
        owed: Counter[str] = Counter()
        for one in receipt.given:
            owed[account_of(one.target)] += one.amount
        if any(self.accounts[account] < amount for account, amount in owed.items()):
            return "FLOOR_WOULD_BREAK"
        for one in list(receipt.given):
            receipt.given.remove(one)
            receipt.waits[one.source] += one.amount
            self.accounts[account_of(one.target)] -= one.amount
            self.accounts[one.source] += one.amount
            if isinstance(one.target, int):
                order = self.orders[one.target]
                order.events += 1
                if order.state == "PAID" and not self.paid(one.target):
                    order.state = "REVERSED"
        return ""

    def cancel(self, order_id: int) -> str:
        """The shop's wish: "" or why not."""
        order = self.orders[order_id]
        if order.state == "CANCELLED":
            return ""
        if order.state != "OPEN" or self.paid(order_id):
            return "ORDER_NOT_OPEN"
        order.state = "CANCELLED"
        order.events += 1
        return ""

    def open_orders(self) -> list[int]:
        """Those that still take money, or would if their time were not up."""
        return [order_id for order_id, one in self.orders.items() if one.state == "OPEN"]

    def expire(self, now: datetime) -> None:
        """Time is up for some."""
        for order in self.orders.values():
            if order.state == "OPEN" and order.expires_at <= now:
                order.state = "EXPIRED"
                order.events += 1

    def _give(self, receipt: PlainReceipt, given: Given) -> None:
        receipt.waits[given.source] -= given.amount
        receipt.given.append(given)
        self.accounts[given.source] -= given.amount
        self.accounts[account_of(given.target)] += given.amount

    def _turned(self, targets: list[Target]) -> None:
        """Each order is told once of all that was paid towards it now."""
        for target in dict.fromkeys(targets):
            if isinstance(target, int):
                order = self.orders[target]
                order.events += 1
                if self.paid(target) >= order.amount:
                    order.state = "PAID"


def account_of(target: Target) -> str:
    """The account that is credited: an order's money is its shop's."""
    return target if isinstance(target, str) else PARTNER


def plain(reference: str) -> str:
    """What is left of it where only letters and digits count."""
    return "".join(character for character in reference.upper() if character in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
