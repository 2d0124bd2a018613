"""The truth of the simulated wallet: balances per product, every transfer and request to pay, every call and its
callback.

Keeps no credential and no callback address. Amounts are integers of minor units."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapters.sandbox.momo.behaviours import Behaviour, Fate
from adapters.sandbox.momo.settings import MomoSandboxSettings
from adapters.sandbox.world import Delivery

SUCCESSFUL, FAILED, PENDING = "SUCCESSFUL", "FAILED", "PENDING"


@dataclass(slots=True)
class Transaction:
    """A transfer, or a request to pay where its product is collection. `receipt` is the financialTransactionId, empty
    unless SUCCESSFUL; `unseen` status reads still find nothing; `decides_at` is when an ongoing one is paid."""

    number: int
    product: str
    reference: str
    msisdn: str = field(repr=False)
    amount: int
    external_id: str
    payer_message: str = field(repr=False)
    payee_note: str = field(repr=False)
    behaviour: Behaviour
    created_at: datetime
    status: str = PENDING
    reason: str = ""
    receipt: str = ""
    unseen: int = 0
    decides_at: datetime | None = None

    @property
    def collects(self) -> bool:
        """Whether money comes in by it."""
        return self.product == "collection"


class MomoWorld:
    """Books and diary; decides what money moves, and nothing about the wire."""

    def __init__(self, settings: MomoSandboxSettings) -> None:
        self._settings = settings
        self.start_over()

    def start_over(self) -> None:
        """Opening balances, empty diary."""
        settings = self._settings
        self.balances = {"disbursement": settings.opening_disbursement, "collection": settings.opening_collection}
        self.transactions: dict[tuple[str, str], Transaction] = {}
        self.calls: Counter[str] = Counter()
        self.duplicates = 0
        self.deliveries: list[Delivery] = []
        self._receipts = 912_000_000

    def note_delivery(self, delivery: Delivery) -> None:
        """Keeps what became of a callback."""
        self.deliveries.append(delivery)

    def open(self, transaction: Transaction) -> None:
        """Takes one in, and decides it as its behaviour says."""
        self.transactions[transaction.product, transaction.reference] = transaction
        transaction.unseen = transaction.behaviour.unseen
        match transaction.behaviour.fate:
            case Fate.PAID:
                self.pay(transaction)
            case Fate.FAILED:
                self.fail(transaction, transaction.behaviour.code)
            case Fate.ONGOING:
                transaction.decides_at = transaction.created_at + timedelta(seconds=self._settings.ongoing_seconds)
            case _:
                pass

    def pay(self, transaction: Transaction) -> None:
        """Moves the money, if the paying account holds it."""
        if not transaction.collects and self.balances["disbursement"] < transaction.amount:
            self.fail(transaction, "NOT_ENOUGH_FUNDS")
            return
        self.balances[transaction.product] += transaction.amount if transaction.collects else -transaction.amount
        self._receipts += 1
        transaction.status, transaction.receipt, transaction.decides_at = SUCCESSFUL, str(self._receipts), None

    def fail(self, transaction: Transaction, reason: str) -> None:
        """Ends it without money."""
        transaction.status, transaction.reason, transaction.decides_at = FAILED, reason, None

    def decide_due(self, now: datetime) -> None:
        """Pays what was ongoing for long enough."""
        for transaction in self.transactions.values():
            if transaction.decides_at is not None and transaction.decides_at <= now:
                self.pay(transaction)

    def credit(self, product: str, amount: int) -> None:
        """Money put into an account from outside."""
        self.balances[product] += amount

    def paid(self, product: str) -> list[Transaction]:
        """What really moved."""
        return [one for one in self.transactions.values() if one.product == product and one.status == SUCCESSFUL]
