"""The truth of the sandbox: the organisation's accounts in integer cents, every movement, every request and its fate.

Decides nothing about outcomes and keeps no secret: neither credentials nor callback addresses come here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapters.sandbox.settings import SandboxSettings


class MovementKind(enum.Enum):
    """Why money moved."""

    B2C_PAYMENT = "b2c payment"
    UTILITY_CREDIT = "utility credit"


class Fate(enum.Enum):
    """What became of a request in truth, whatever its sender was told."""

    REFUSED = "refused"  # answered with a documented error; nothing queued
    NOT_REACHED = "not reached"  # lost on the way in; nothing queued
    FORGOTTEN = "forgotten"  # queued, then never carried out
    FAILED = "failed"  # carried out and declined
    PAID = "paid"


@dataclass(frozen=True, slots=True)
class Balances:
    """The sub-accounts in cents. B2C is paid from utility; charges paid only sinks below zero."""

    utility_cents: int
    working_cents: int
    charges_paid_cents: int


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment the core has agreed to make: whole-shilling amount and charge in cents. `reference` is the client's own
    remark for it (Occassion); the two conversation ids are the gateway's."""

    originator_conversation_id: str
    conversation_id: str
    msisdn: str = field(repr=False)
    amount_cents: int
    charge_cents: int
    reference: str


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of money, with the balances it left behind. Ids and MSISDN are empty for a utility credit."""

    kind: MovementKind
    receipt: str
    payment: Payment | None
    amount_cents: int
    charge_cents: int
    completed_at: datetime
    balances_after: Balances


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A money request as it came in. `answer` is what its sender was told, in a word or as an error code; `result_code`
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
    amount_cents: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to call back about a request: `kind` is "result" or "timeout", `outcome` the HTTP status received,
    the name of the network error, or "withheld" where a fault swallowed it."""

    request_number: int
    kind: str
    outcome: str


class World:
    """The books and the diary. Balance = opening + credits - payments: only `pay` and `credit_utility` move it."""

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
        self._originator_ids: set[str] = set()
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

    def has_seen(self, originator_conversation_id: str) -> bool:
        """Whether the core ever queued a request under this id. Seen is not paid."""
        return originator_conversation_id in self._originator_ids

    def remember(self, originator_conversation_id: str) -> None:
        """Marks the id as used, for ever."""
        self._originator_ids.add(originator_conversation_id)

    def can_pay(self, amount_cents: int) -> bool:
        """Whether the utility account covers the amount; the charge falls on charges paid, which has no floor."""
        return self.balances.utility_cents >= amount_cents

    def paid_alike_within(self, *, window_seconds: int, msisdn: str, amount_cents: int, now: datetime) -> bool:
        """Whether this MSISDN received this very amount in the `window_seconds` before `now`."""
        last_paid = self._last_paid.get((msisdn, amount_cents))
        return last_paid is not None and now - last_paid < timedelta(seconds=window_seconds)

    def pay(self, payment: Payment, *, receipt: str, now: datetime) -> Movement:
        """Moves the amount out of utility and the charge onto charges paid. The caller has asked `can_pay`."""
        assert self.can_pay(payment.amount_cents)
        self.balances = Balances(
            utility_cents=self.balances.utility_cents - payment.amount_cents,
            working_cents=self.balances.working_cents,
            charges_paid_cents=self.balances.charges_paid_cents - payment.charge_cents,
        )
        self._last_paid[payment.msisdn, payment.amount_cents] = now
        return self._moved(
            kind=MovementKind.B2C_PAYMENT,
            receipt=receipt,
            payment=payment,
            amount_cents=payment.amount_cents,
            charge_cents=payment.charge_cents,
            now=now,
        )

    def credit_utility(self, *, amount_cents: int, receipt: str, now: datetime) -> Movement:
        """Puts money into utility, as a transfer from the working account or a bank would."""
        self.balances = Balances(
            utility_cents=self.balances.utility_cents + amount_cents,
            working_cents=self.balances.working_cents,
            charges_paid_cents=self.balances.charges_paid_cents,
        )
        return self._moved(
            kind=MovementKind.UTILITY_CREDIT,
            receipt=receipt,
            payment=None,
            amount_cents=amount_cents,
            charge_cents=0,
            now=now,
        )

    def _moved(
        self,
        *,
        kind: MovementKind,
        receipt: str,
        payment: Payment | None,
        amount_cents: int,
        charge_cents: int,
        now: datetime,
    ) -> Movement:
        movement = Movement(kind, receipt, payment, amount_cents, charge_cents, now, self.balances)
        self.movements.append(movement)
        return movement
