"""The truth of the sandbox: the organisation's accounts in integer cents, every movement, every request and its fate.

Decides nothing about outcomes and keeps no secret: neither credentials nor callback addresses come here.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from adapters.sandbox.behaviours import Behaviour
from adapters.sandbox.products import Account, MovementKind, Product
from adapters.sandbox.settings import SandboxSettings

CREDITS = {Account.UTILITY: MovementKind.UTILITY_CREDIT, Account.WORKING: MovementKind.WORKING_CREDIT}


class Fate(enum.Enum):
    """What became of a request in truth, whatever its sender was told."""

    REFUSED = "refused"  # answered with a documented error; nothing queued
    NOT_REACHED = "not reached"  # lost on the way in; nothing queued
    FORGOTTEN = "forgotten"  # queued, then never carried out
    FAILED = "failed"  # carried out and declined
    PAID = "paid"
    ANSWERED = "answered"  # a question, answered: what is told of it moves nothing


@dataclass(frozen=True, slots=True)
class Balances:
    """The sub-accounts in cents. B2C is paid from utility, B2B from working; charges paid only sinks below zero."""

    utility_cents: int
    working_cents: int
    charges_paid_cents: int

    def of(self, account: Account) -> int:
        """The balance of one account, in cents."""
        return self.utility_cents if account is Account.UTILITY else self.working_cents

    def moved(self, account: Account, cents: int) -> Balances:
        """The balances with `cents` more on one account, or fewer where negative."""
        if account is Account.UTILITY:
            return replace(self, utility_cents=self.utility_cents + cents)
        return replace(self, working_cents=self.working_cents + cents)

    def charged(self, cents: int) -> Balances:
        """The balances with a charge put onto charges paid."""
        return replace(self, charges_paid_cents=self.charges_paid_cents - cents)


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as it was asked for: whole-shilling amount and charge in cents. The receiver is an MSISDN or a
    shortcode, the other is empty. `reference` is the client's own remark for it (Occassion), `account` the receiver's
    account number. The conversation id is the gateway's, the originator's the client's where it gave one."""

    product: Product
    originator_conversation_id: str
    conversation_id: str
    msisdn: str = field(repr=False)
    shortcode: str
    amount_cents: int
    charge_cents: int
    reference: str
    account: str


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of money, with the balances it left behind. `payment` is None for a credit."""

    kind: MovementKind
    receipt: str
    payment: Payment | None
    amount_cents: int
    charge_cents: int
    completed_at: datetime
    balances_after: Balances


@dataclass(frozen=True, slots=True)
class Declined:
    """The core declined. `transaction_id` is a placeholder, or looks like a receipt and is none."""

    result_code: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Order:
    """A payment that was queued, what became of it (None: it was never carried out), and what queries may find."""

    payment: Payment
    behaviour: Behaviour
    opened_at: datetime
    outcome: Movement | Declined | None


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request as it came in. `answer` is what its sender was told, in a word or as an error code; `result_code`
    is the core's, empty where it never decided. What could not be read is empty or 0."""

    number: int
    received_at: datetime
    path: str
    answer: str
    fate: Fate
    behaviour: str = ""
    result_code: str = ""
    originator_conversation_id: str = ""
    conversation_id: str = ""
    msisdn: str = field(default="", repr=False)
    shortcode: str = ""
    amount_cents: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to call back about a request: `kind` is "result" or "timeout", `outcome` the HTTP status received,
    the name of the network error, or "withheld" where a fault swallowed it."""

    request_number: int
    kind: str
    outcome: str


class World:
    """The books and the diary. Balance = opening + credits - payments: only `pay` and `credit` move it."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self.start_over()

    def start_over(self) -> None:
        """Back to the opening balances, with nothing seen and nothing moved."""
        self.opening = Balances(
            utility_cents=self._settings.opening_utility_cents,
            working_cents=self._settings.opening_working_cents,
            charges_paid_cents=self._settings.opening_charges_paid_cents,
        )
        self.balances = self.opening
        self.movements: list[Movement] = []
        self.requests: list[SeenRequest] = []
        self.deliveries: list[Delivery] = []
        self.calls: Counter[str] = Counter()
        self.tokens_issued = 0
        self.tokens_refused = 0
        self._orders: dict[str, Order] = {}
        self._orders_by_receipt: dict[str, Order] = {}
        self._times_queried: Counter[str] = Counter()
        self._last_paid: dict[tuple[str, int], datetime] = {}

    def next_request_number(self) -> int:
        """The number the next noted request must carry; they count from 1 in order of arrival."""
        return len(self.requests) + 1

    def note_request(self, request: SeenRequest) -> None:
        """Writes a request into the diary."""
        self.requests.append(request)

    def note_delivery(self, delivery: Delivery) -> None:
        """Writes a callback attempt into the diary."""
        self.deliveries.append(delivery)

    def note_call(self, path: str) -> None:
        """Counts a call, whatever it is answered."""
        self.calls[path] += 1

    def note_order(self, order: Order) -> None:
        """Keeps a queued payment, under its ids and its receipt, for ever."""
        self._orders[order.payment.originator_conversation_id] = order
        if isinstance(order.outcome, Movement):
            self._orders_by_receipt[order.outcome.receipt] = order

    def has_seen(self, originator_conversation_id: str) -> bool:
        """Whether the core ever queued a payment under this id. Seen is not paid."""
        return originator_conversation_id in self._orders

    def order(self, *, originator_conversation_id: str, receipt: str) -> Order | None:
        """The queued payment with this receipt where one is given, else with this originator's id."""
        if receipt:
            return self._orders_by_receipt.get(receipt)
        return self._orders.get(originator_conversation_id)

    def query_number(self, order: Order) -> int:
        """How often a status query about the payment was answered before; counts this one."""
        number = self._times_queried[order.payment.conversation_id]
        self._times_queried[order.payment.conversation_id] += 1
        return number

    def can_pay(self, payment: Payment) -> bool:
        """Whether its account covers the amount; the charge falls on charges paid, which has no floor."""
        return self.balances.of(payment.product.debits) >= payment.amount_cents

    def paid_alike_within(self, *, window_seconds: int, payment: Payment, now: datetime) -> bool:
        """Whether this receiver was paid this very amount in the `window_seconds` before `now`."""
        last_paid = self._last_paid.get(_likeness(payment))
        return last_paid is not None and now - last_paid < timedelta(seconds=window_seconds)

    def pay(self, payment: Payment, *, receipt: str, now: datetime) -> Movement:
        """Moves the amount out of its account and the charge onto charges paid; a top-up of our own shortcode arrives
        on utility. The caller has asked `can_pay`."""
        assert self.can_pay(payment)
        product = payment.product
        self.balances = self.balances.moved(product.debits, -payment.amount_cents).charged(payment.charge_cents)
        if product.kind is MovementKind.TOP_UP and payment.shortcode == self._settings.shortcode:
            self.balances = self.balances.moved(Account.UTILITY, payment.amount_cents)
        self._last_paid[_likeness(payment)] = now
        return self._moved(
            Movement(product.kind, receipt, payment, payment.amount_cents, payment.charge_cents, now, self.balances)
        )

    def credit(self, account: Account, *, amount_cents: int, receipt: str, now: datetime) -> Movement:
        """Puts money into an account, as a transfer or a bank would."""
        self.balances = self.balances.moved(account, amount_cents)
        return self._moved(Movement(CREDITS[account], receipt, None, amount_cents, 0, now, self.balances))

    def _moved(self, movement: Movement) -> Movement:
        self.movements.append(movement)
        return movement


def _likeness(payment: Payment) -> tuple[str, int]:
    return payment.msisdn or payment.shortcode, payment.amount_cents
