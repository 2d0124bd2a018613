"""The truth of the sandbox: the organisation's accounts in integer cents, every movement, every request and its fate.

Decides nothing about outcomes and keeps no secret: neither credentials nor callback addresses come here.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from adapters.sandbox.behaviours import Behaviour
from adapters.sandbox.money_in import Collection, Reversal
from adapters.sandbox.products import Account, MovementKind, Product
from adapters.sandbox.settings import SandboxSettings

CREDITS = {Account.UTILITY: MovementKind.UTILITY_CREDIT, Account.WORKING: MovementKind.WORKING_CREDIT}
_INTO_ITS_ACCOUNT = frozenset({*CREDITS.values(), MovementKind.COLLECTION, MovementKind.RETURN})


class Fate(enum.Enum):
    """What became of a request in truth, whatever its sender was told."""

    REFUSED = "refused"  # answered with a documented error; nothing queued
    NOT_REACHED = "not reached"  # lost on the way in; nothing queued
    FORGOTTEN = "forgotten"  # queued, then never carried out
    FAILED = "failed"  # carried out and declined
    PAID = "paid"
    ANSWERED = "answered"  # a question, answered: what is told of it moves nothing
    PENDING = "pending"  # waits for a customer, or for what a validation is answered


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
    """One movement of money, with the balances it left behind. At most one of `payment`, `collection` and `reversal`
    says what it is about; none does for a credit. A reversal's charge is negative: it is given back."""

    kind: MovementKind
    receipt: str
    payment: Payment | None
    amount_cents: int
    charge_cents: int
    completed_at: datetime
    balances_after: Balances
    account: Account
    initiated_at: datetime
    collection: Collection | None = None
    reversal: Reversal | None = None

    @property
    def is_credit(self) -> bool:
        """Whether its account has more for it."""
        return self.kind in _INTO_ITS_ACCOUNT

    @property
    def linked_receipt(self) -> str:
        """The receipt of what was reversed; empty for all else."""
        return self.reversal.original_receipt if self.reversal else ""


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
class ReversalOrder:
    """A reversal that was queued, and what became of it, as for a payment."""

    reversal: Reversal
    msisdn: str = field(repr=False)
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
    """One attempt to call back about a request: `kind` is "result", "timeout", "validation" or "confirmation";
    `outcome` the HTTP status received, the name of the network error, or "withheld" where a fault swallowed it."""

    request_number: int
    kind: str
    outcome: str


class World:
    """The books and the diary. Balance = opening + credits - debits: only `pay`, `credit`, `collect` and `reverse` move
    it."""

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
        self._movements_by_receipt: dict[str, Movement] = {}
        self._customers: dict[str, Behaviour] = {}
        self._reversals: dict[str, ReversalOrder] = {}
        self._reversed_cents: Counter[str] = Counter()

    def next_request_number(self) -> int:
        """The number the next noted request must carry; they count from 1 in order of arrival."""
        return len(self.requests) + 1

    def note_request(self, request: SeenRequest) -> None:
        """Writes a request into the diary."""
        self.requests.append(request)

    def settle_request(self, number: int, *, fate: Fate, result_code: str) -> None:
        """Says what became of a request that was pending."""
        index = number - 1
        self.requests[index] = replace(self.requests[index], fate=fate, result_code=result_code)

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

    def note_reversal(self, order: ReversalOrder) -> None:
        """Keeps a queued reversal, under its ids and its receipt, for ever."""
        if order.reversal.originator_conversation_id:
            self._reversals[order.reversal.originator_conversation_id] = order
        if isinstance(order.outcome, Movement):
            self._reversals[order.outcome.receipt] = order

    def reversal_order(self, name: str) -> ReversalOrder | None:
        """The queued reversal with this receipt or originator's id."""
        return self._reversals.get(name)

    def movement(self, receipt: str) -> Movement | None:
        """What moved under a receipt."""
        return self._movements_by_receipt.get(receipt)

    def customer_behaviour(self, receipt: str) -> Behaviour:
        """How the customer behaved who paid a collection in."""
        return self._customers[receipt]

    def query_number(self, name: str) -> int:
        """How often a status query about what goes by this name was answered before; counts this one."""
        number = self._times_queried[name]
        self._times_queried[name] += 1
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
            Movement(
                product.kind, receipt, payment, payment.amount_cents, payment.charge_cents, now, self.balances,
                account=product.debits, initiated_at=now,
            )
        )  # fmt: skip

    def credit(self, account: Account, *, amount_cents: int, receipt: str, now: datetime) -> Movement:
        """Puts money into an account, as a transfer or a bank would."""
        self.balances = self.balances.moved(account, amount_cents)
        return self._moved(
            Movement(CREDITS[account], receipt, None, amount_cents, 0, now, self.balances, account, initiated_at=now)
        )

    def collect(self, collection: Collection, *, behaviour: Behaviour, receipt: str, now: datetime) -> Movement:
        """Puts what a customer pays onto the account where collections land, and the charge onto charges paid."""
        account = self._settings.collections_land_on
        self.balances = self.balances.moved(account, collection.amount_cents).charged(collection.charge_cents)
        self._customers[receipt] = behaviour
        return self._moved(
            Movement(
                MovementKind.COLLECTION, receipt, None, collection.amount_cents, collection.charge_cents, now,
                self.balances, account, initiated_at=collection.initiated_at, collection=collection,
            )
        )  # fmt: skip

    def reversible_cents(self, receipt: str) -> int:
        """How much of a collection or payout was not taken back yet; 0 where nothing of the kind has this receipt."""
        original = self._movements_by_receipt.get(receipt)
        if original is None or (original.collection is None and original.payment is None):
            return 0
        return original.amount_cents - self._reversed_cents[receipt]

    def can_reverse(self, reversal: Reversal) -> bool:
        """Whether as much is left of the original, and its account covers it: a payout comes back, and needs none."""
        if not 0 < reversal.amount_cents <= self.reversible_cents(reversal.original_receipt):
            return False
        original = self._movements_by_receipt[reversal.original_receipt]
        return original.collection is None or self.balances.of(original.account) >= reversal.amount_cents

    def reverse(self, reversal: Reversal, *, receipt: str, now: datetime) -> Movement:
        """Takes money of a collection out again, or puts that of a payout back, under a receipt of its own. The caller
        has asked `can_reverse`."""
        assert self.can_reverse(reversal)
        original = self._movements_by_receipt[reversal.original_receipt]
        kind = MovementKind.REVERSAL if original.collection else MovementKind.RETURN
        cents = reversal.amount_cents if kind in _INTO_ITS_ACCOUNT else -reversal.amount_cents
        self.balances = self.balances.moved(original.account, cents).charged(-reversal.charge_cents)
        self._reversed_cents[original.receipt] += reversal.amount_cents
        return self._moved(
            Movement(
                kind, receipt, None, reversal.amount_cents, -reversal.charge_cents, now, self.balances,
                original.account, initiated_at=now, reversal=reversal,
            )
        )  # fmt: skip

    def _moved(self, movement: Movement) -> Movement:
        self.movements.append(movement)
        self._movements_by_receipt[movement.receipt] = movement
        return movement


def _likeness(payment: Payment) -> tuple[str, int]:
    return payment.msisdn or payment.shortcode, payment.amount_cents
