"""A Daraja with a truth of its own: who was paid what, whatever it tells. The only judge of where money went.

Shares no code with the adapter or the ledger. It takes requests in, carries them out at its own time, and posts
callbacks into the history's mail; what goes wrong on the way is drawn from the history's troubles.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.simulation import daraja_messages as messages
from tests.simulation import paybill_portal
from tests.simulation.account import Account
from tests.simulation.clock import Clock
from tests.simulation.mail import Letter
from tests.simulation.options import Options
from tests.simulation.paybill import Paybill

OPENING_UTILITY_CENTS = 100_000_000
REFUSALS = ("1", "4", "8", "26", "2040")
ACCESS_REFUSAL = "2001"
SHORTCODE = "600584"
THIEF = "254799999999"
TOKEN_REFUSED = (404, messages.refused("404.001.03", "Invalid Access Token"))


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that left. `reference` is ours, empty for the thief's."""

    reference: str
    msisdn: str
    cents: int
    receipt: str
    at: datetime


@dataclass(slots=True)
class Order:
    """A payment that was taken in, and what became of it: a movement, a result code, or nothing yet."""

    reference: str
    originator: str
    conversation: str
    msisdn: str
    cents: int
    result_url: str
    timeout_url: str
    work_at: datetime
    movement: Movement | None = None
    code: str = ""
    told: list[str] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether its fate is decided."""
        return self.movement is not None or bool(self.code)


class Daraja:
    """The provider. `troubled` draws whether a trouble comes now, and notes that it did."""

    def __init__(
        self,
        options: Options,
        *,
        clock: Clock,
        chance: random.Random,
        troubled: Callable[[str, float], bool],
    ) -> None:
        self._options = options
        self._clock = clock
        self._chance = chance
        self._troubled = troubled
        self.utility_cents = OPENING_UTILITY_CENTS
        self.working_cents = 0
        self.movements: list[Movement] = []
        self.account = Account(options, clock=clock, troubled=troubled)
        self.orders: list[Order] = []
        self.seen: list[str] = []
        self.mail: list[Letter] = []
        self._token = ""
        self._numbers = 0
        self.paybill = Paybill(self, options, clock=clock, chance=chance, troubled=troubled)

    # What the network brings.

    def grant(self) -> bytes:
        """A token; the one before ends."""
        self._token = f"token-{self.number()}"
        return messages.token(self._token)

    def answer(self, path: str, bearer: str, document: dict[str, Any]) -> tuple[int, bytes]:
        """Takes a request in, or refuses it."""
        if bearer != f"Bearer {self._token}" or self._troubled("token", 0.1):
            self._token = ""
            return TOKEN_REFUSED
        if "/b2c/" in path:
            return self._take_payment(path, document)
        if (answer := self.paybill.answer(path, document)) is not None:
            return answer
        question = f"question-{self.number()}"
        if "/transactionstatus/" in path:
            self._take_status_query(question, document)
        else:
            self._take_balance_query(question, document)
        return 200, messages.answered(f"AG_{question}", f"115-{self.number()}-1")

    def work(self) -> int:
        """Carries out what is due; returns how many."""
        due = [one for one in self.orders if not one.is_done and one.work_at <= self._clock.now()]
        for order in due:
            self._decide(order)
            self._tell(order)
        return len(due) + self.paybill.work()

    def next_due(self) -> datetime | None:
        """When there is something to do: a payment to carry out, or a callback to bring."""
        moments = [one.work_at for one in self.orders if not one.is_done] + [one.due for one in self.mail]
        moments += self.paybill.moments()
        return min(moments, default=None)

    def collect(self) -> Letter | None:
        """The callback that is due first."""
        due = [one for one in self.mail if one.due <= self._clock.now()]
        if not due:
            return None
        first = min(due, key=lambda one: (one.due, self.mail.index(one)))
        self.mail.remove(first)
        return first

    def steal(self, cents: int) -> None:
        """The thief pays with our credentials, past the books."""
        self._move("", THIEF, min(cents, self.utility_cents), f"77120-{len(self.movements)}-1")

    # What only the checker may ask.

    def paid(self, reference: str) -> list[Movement]:
        """The movements under one reference of ours."""
        return [one for one in self.movements if one.reference == reference]

    def orders_of(self, reference: str) -> list[Order]:
        """The requests under it that were taken in."""
        return [one for one in self.orders if one.reference == reference]

    @property
    def stolen_cents(self) -> int:
        """What left past the books."""
        return sum(one.cents for one in self.movements if not one.reference)

    # Payments.

    def _take_payment(self, path: str, document: dict[str, Any]) -> tuple[int, bytes]:
        is_v3 = "/v3/" in path
        reference = document["OriginatorConversationID"] if is_v3 else document["Occasion"]
        self.seen.append(reference)
        if is_v3 and any(one.originator == reference for one in self.orders):
            return 500, messages.refused("500.002.1001", "Duplicate OriginatorConversationID.")
        order = Order(
            reference=reference,
            originator=reference if is_v3 else f"29115-{self.number()}-1",
            conversation=f"AG_20260901_{self.number():020x}",
            msisdn=document["PartyB"],
            cents=int(document["Amount"]) * 100,
            result_url=document["ResultURL"],
            timeout_url=document["QueueTimeOutURL"],
            work_at=self.after(self._chance.expovariate(1 / 20)),
        )
        self.orders.append(order)
        if self._troubled("callback-early", 0.25):
            self._decide(order)
            self._tell(order)
        return 200, messages.answered(order.conversation, order.originator)

    def _decide(self, order: Order) -> None:
        if self._troubled("access-refused", 0.03):
            order.code = ACCESS_REFUSAL
        elif self._troubled("declined", 0.2) or order.cents > self.utility_cents:
            order.code = self._chance.choice(REFUSALS)
        else:
            order.movement = self._move(order.reference, order.msisdn, order.cents, order.originator)

    def _move(self, reference: str, msisdn: str, cents: int, originator: str) -> Movement:
        self.utility_cents -= cents
        movement = Movement(reference, msisdn, cents, f"UI1{self.number():07d}", self._clock.now())
        self.movements.append(movement)
        self.utility_cents -= self.account.pay(movement, originator)
        return movement

    def _tell(self, order: Order) -> None:
        """Posts what is told of a payment whose fate is decided."""
        if "callbacks" in self._options.without:
            return
        if self._troubled("timeout-notice", 0.15):
            notice = messages.timed_out(originator=order.originator, conversation=order.conversation)
            self.post(order.timeout_url, notice, order.reference)
            if self._chance.random() < 0.3:
                return
        if order.movement is None:
            told = messages.declined(originator=order.originator, conversation=order.conversation, code=order.code)
            self.post(order.result_url, told, order.reference)
            return
        if self._troubled("false-failure", 0.15):
            lie = messages.declined(originator=order.originator, conversation=order.conversation, code="26")
            order.told.append("false failure")
            self.post(order.result_url, lie, order.reference)
        wrong = 10_000 if self._troubled("wrong-figure", 0.1) else 0
        told = self._success(order, order.movement, order.cents + wrong)
        self.post(order.result_url, told, order.reference, says="too much" if wrong else "paid")

    def _success(self, order: Order, movement: Movement, cents: int) -> bytes:
        return messages.paid(
            originator=order.originator,
            conversation=order.conversation,
            receipt=movement.receipt,
            msisdn=order.msisdn,
            cents=cents,
            at=movement.at,
            utility_cents=self.utility_cents,
        )

    # Questions.

    def _take_status_query(self, question: str, document: dict[str, Any]) -> None:
        if self._troubled("query-silent", 0.4) or "queries" in self._options.without:
            return
        wanted = document.get("OriginalConversationID") or document.get("TransactionID")
        found = [one for one in self.orders if wanted in self._names_of(one)]
        told = None if found else paybill_portal.status(self.paybill, wanted=str(wanted), question=question)
        if (not found and told is None) or self._troubled("query-blind", 0.4):
            body = messages.not_found(question=question)
        else:
            body = told or self._status_of(found[0], question)
        self.post(document["ResultURL"], body, document["Occasion"])

    def _status_of(self, order: Order, question: str) -> bytes:
        told = "Failed" if order.code else "Completed"
        if not order.is_done or self._troubled("query-pending", 0.2):
            told = "Pending Authorized"
        movement = order.movement
        return messages.status(
            question=question,
            originator=order.originator,
            conversation=order.conversation,
            told=told,
            msisdn=order.msisdn,
            cents=order.cents,
            receipt=movement.receipt if movement is not None else messages.PLACEHOLDER,
            at=movement.at if movement is not None else self._clock.now(),
        )

    @staticmethod
    def _names_of(order: Order) -> set[str]:
        receipt = {order.movement.receipt} if order.movement is not None else set()
        return {order.originator, order.conversation, *receipt}

    def _take_balance_query(self, question: str, document: dict[str, Any]) -> None:
        body = messages.balances(
            question=question,
            utility_cents=self.utility_cents,
            working_cents=self.working_cents,
            at=self._clock.now(),
        )
        self.post(document["ResultURL"], body, "balance")

    # The mail.

    def post(self, url: str, body: bytes, about: str, *, says: str = "") -> None:
        """A callback sets out, if it is not lost."""
        if self._troubled("callback-lost", 0.25):
            return
        delay = self._chance.expovariate(1 / 3)
        if self._troubled("callback-late", 0.2):
            delay = self._chance.choice([120.0, 1_000.0, 4_000.0, 10_000.0]) * (0.5 + self._chance.random())
        self.mail.append(Letter(self.after(delay), url, body, about, says))
        if self._troubled("callback-twice", 0.2):
            again = self.after(delay + self._chance.choice([0.0, 1.0, 600.0]))
            self.mail.append(Letter(again, url, body, about, says))

    def after(self, seconds: float) -> datetime:
        """The moment so much later."""
        return self._clock.now() + timedelta(seconds=seconds)

    def number(self) -> int:
        """One that was not given before."""
        self._numbers += 1
        return self._numbers
