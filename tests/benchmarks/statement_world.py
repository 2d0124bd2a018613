"""A month at the simulated rail: payouts, collections, reversals, charges, an insider, and its statements.

The rail's world moves every cent itself and writes the statements; what the books are told of it, and where they were
planted to be wrong, is beside each movement.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapters.sandbox import magic
from adapters.sandbox.apis import Api
from adapters.sandbox.identifiers import Identifiers
from adapters.sandbox.money_in import Collection, Command, Reversal, ReversedBy
from adapters.sandbox.products import PRODUCTS
from adapters.sandbox.settings import SandboxSettings
from adapters.sandbox.statements import statement
from adapters.sandbox.tariff import B2C_BANDS, COLLECTION_BANDS, charge_cents
from adapters.sandbox.world import Movement, Payment, World
from ledger.reconciliation.matching import LATE

SHORTCODE, OPENING_CENTS = "600584", 10**12
DAYS = 30
UTILITY, CHARGES_PAID = "utility", "charges_paid"
# What the books are told late: the statement ends so long before they do.
TAIL = timedelta(minutes=10)
# One of so many movements is it, if it is a payout where that matters.
INSIDER, UNSEEN, OFF, FEE_OFF, REVERSED = 2_000, 5_000, 10_000, 5_000, 200
COLLECTIONS = 0.4
OFF_CENTS, FEE_OFF_CENTS = 7_00, 1_00
_PRODUCT = PRODUCTS[Api.B2C_V1]["BusinessPayment"]


@dataclass(frozen=True, slots=True)
class Happening:
    """A movement, None where the rail knows of none, and what the books say of it, in cents: an entry over `booked`,
    signed, with `charge` accrued; nothing where the books were not told."""

    movement: Movement | None
    receipt: str
    at: datetime
    booked: int | None
    charge: int = 0
    undoes: str = ""


@dataclass(slots=True)
class Month:
    """What happened, oldest first, and what must be found: the planted by what they are, and the cents that no
    explanation covers, by sub-account."""

    first_at: datetime
    until: datetime
    world: World
    happenings: list[Happening] = field(default_factory=list)
    planted: Counter[str] = field(default_factory=Counter)
    unexplained: Counter[str] = field(default_factory=Counter)

    def write(self, sub_account: str, *, since: datetime | None = None) -> str:
        """The rail's statement, of the whole month unless it begins later."""
        return statement(
            self.world, sub_account, shortcode=SHORTCODE, since=since or self.first_at, until=self.until - TAIL
        )


def make_month(movements: int, *, first_at: datetime) -> Month:
    """So many movements, evenly spread over the days from `first_at`, the start of a business date."""
    until = first_at + timedelta(days=DAYS) - timedelta(seconds=1)
    settings = SandboxSettings(shortcode=SHORTCODE, opening_utility_cents=OPENING_CENTS)
    month = Month(first_at, until, World(settings))
    maker = _Maker(month, random.Random(1))
    pause = (until - first_at) / movements
    for number in range(movements):
        at = first_at + number * pause
        # The books keep milliseconds.
        month.happenings.extend(maker.happen(number, at - timedelta(microseconds=at.microsecond % 1000)))
    return month


@dataclass(slots=True)
class _Maker:
    month: Month
    chance: random.Random
    identifiers: Identifiers = field(init=False)
    collected: list[Movement] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.identifiers = Identifiers(self.chance)

    def happen(self, number: int, at: datetime) -> Iterator[Happening]:
        if number % INSIDER == 7 and self._may_plant(at):
            yield self._insider(number, at)
        elif number % REVERSED == 3 and self.collected:
            yield self._reversal(self.collected.pop(), at)
        elif self.chance.random() < COLLECTIONS:
            yield self._collection(number, at)
        else:
            yield self._payout(number, at)
        if number % UNSEEN == 11 and self._may_plant(at):
            yield self._unseen(at)

    def _pay(self, originator: str, at: datetime) -> Movement:
        shillings = self.chance.randint(10, 5_000)
        payment = Payment(
            product=_PRODUCT,
            originator_conversation_id=originator,
            conversation_id=self.identifiers.conversation_id(at),
            msisdn=f"2547{self.chance.randrange(10**8):08}",
            shortcode="",
            amount_cents=shillings * 100,
            charge_cents=charge_cents(B2C_BANDS, shillings),
            reference="",
            account="",
        )
        return self.month.world.pay(payment, receipt=self.identifiers.receipt(at), now=at)

    def _payout(self, number: int, at: datetime) -> Happening:
        made = self._pay(f"pay_{number:013}", at)
        booked, charge = -made.amount_cents, made.charge_cents
        if self._may_plant(at) and number % OFF == 23:
            booked -= OFF_CENTS
            self._plant("booked over another amount", UTILITY, OFF_CENTS)
        if self._may_plant(at) and number % FEE_OFF == 37:
            charge += FEE_OFF_CENTS
            self._plant("another charge accrued", CHARGES_PAID, FEE_OFF_CENTS)
        return Happening(made, made.receipt, at, booked, charge)

    def _insider(self, number: int, at: datetime) -> Happening:
        made = self._pay(f"thief-{number}", at)
        self._plant("paid by an insider", UTILITY, made.amount_cents)
        self.month.unexplained[CHARGES_PAID] += made.charge_cents
        return Happening(made, made.receipt, at, None)

    def _collection(self, number: int, at: datetime) -> Happening:
        shillings = self.chance.randint(10, 8_000)
        collection = Collection(
            command=Command.PAY_BILL,
            msisdn=f"2547{self.chance.randrange(10**8):08}",
            shortcode=SHORTCODE,
            reference=f"INV{number}",
            amount_cents=shillings * 100,
            charge_cents=charge_cents(COLLECTION_BANDS, shillings),
            initiated_at=at,
        )
        receipt = self.identifiers.receipt(at)
        made = self.month.world.collect(collection, behaviour=magic.SUCCESS, receipt=receipt, now=at)
        self.collected.append(made)
        return Happening(made, receipt, at, made.amount_cents, made.charge_cents)

    def _reversal(self, original: Movement, at: datetime) -> Happening:
        reversal = Reversal(
            original_receipt=original.receipt,
            amount_cents=original.amount_cents,
            charge_cents=0,
            by=ReversedBy.ORGANISATION,
            operator="fin.viewer",
        )
        made = self.month.world.reverse(reversal, receipt=self.identifiers.receipt(at), now=at)
        self.month.planted["reversed"] += 1
        return Happening(made, made.receipt, at, -made.amount_cents, 0, undoes=original.receipt)

    def _unseen(self, at: datetime) -> Happening:
        cents = self.chance.randint(10, 5_000) * 100
        self._plant("booked, and in no statement", UTILITY, cents)
        return Happening(None, self.identifiers.receipt(at), at, -cents)

    def _may_plant(self, at: datetime) -> bool:
        """What is booked close before a statement's end is not missing yet."""
        return at < self.month.until - TAIL - 2 * LATE

    def _plant(self, name: str, sub_account: str, cents: int) -> None:
        self.month.planted[name] += 1
        self.month.unexplained[sub_account] += cents
