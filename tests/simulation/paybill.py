"""The paybill at the provider, with a truth of its own: what was paid in, what was asked of phones, what went back.

Shares no code with the adapter or the ledger. One payment may be told by a prompt's callback, by a confirmation and by
the list; none of them need come, and all of them may come twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.simulation import paybill_messages as messages
from tests.simulation.clock import Clock
from tests.simulation.options import Options
from tests.simulation.paybill_portal import Clawed

if TYPE_CHECKING:
    from tests.simulation.daraja import Daraja

SHORTCODE = "600584"
# How a prompt ends that is not paid: cancelled, out of reach, expired, too little money.
DECLINES = ("1032", "1037", "1019", "1")
REVERSAL_REFUSALS, ACCESS_REFUSAL = ("1", "11"), "2001"
REVERSED_BEFORE, NO_SUCH_TRANSACTION = "R000001", "R000002"
# Daraja waits about eight seconds for the answer to its question.
QUESTION_SECONDS = 8.0
NOT_FOUND = (500, b'{"requestId":"1","errorCode":"500.001.1001","errorMessage":"The service is unavailable"}')


@dataclass(slots=True)
class Taken:
    """Money that came in. `checkout` is the prompt's that it answers; `listed_from` when the list shows it first."""

    receipt: str
    msisdn: str
    cents: int
    typed: str
    at: datetime
    listed_from: datetime
    checkout: str = ""
    back_cents: int = 0


@dataclass(slots=True)
class Attempt:
    """Somebody about to pay. `wanted` is our answer to the question before it, None while there is none."""

    number: int
    receipt: str
    msisdn: str
    cents: int
    typed: str
    work_at: datetime
    wanted: bool | None = None


@dataclass(slots=True)
class Asked:
    """A prompt on a phone, and how it ended: paid, or with a code."""

    checkout: str
    msisdn: str
    cents: int
    typed: str
    url: str
    work_at: datetime
    taken: Taken | None = None
    code: str = ""
    lied: bool = False

    @property
    def is_done(self) -> bool:
        """Whether its fate is decided."""
        return self.taken is not None or bool(self.code)


@dataclass(slots=True)
class Reversal:
    """A request to send money back, and what became of it: its own number, or a code."""

    originator: str
    conversation: str
    original: str
    cents: int
    result_url: str
    timeout_url: str
    work_at: datetime
    number: str = ""
    code: str = ""
    lied: bool = False

    @property
    def is_done(self) -> bool:
        """Whether its fate is decided."""
        return bool(self.number or self.code)


@dataclass(slots=True, eq=False)
class Paybill:
    """The provider's side of money in. `troubled` draws whether a trouble comes now."""

    daraja: Daraja
    options: Options
    clock: Clock = field(kw_only=True)
    chance: random.Random = field(kw_only=True)
    troubled: Callable[[str, float], bool] = field(kw_only=True)
    confirmation_url: str = ""
    validation_url: str = ""
    taken: list[Taken] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    reversals: list[Reversal] = field(default_factory=list)
    clawed: list[Clawed] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)

    # What the network brings.

    def answer(self, path: str, document: dict[str, Any]) -> tuple[int, bytes] | None:
        """The answer to a request about money in; None for any other."""
        doors: dict[str, Callable[[dict[str, Any]], tuple[int, bytes]]] = {
            "/registerurl": self._take_registration,
            "/stkpush/": self._take_prompt,
            "/stkpushquery/": self._take_question,
            "/reversal/": self._take_reversal,
            "/pulltransactions/v1/query": self._list,
            "/pulltransactions/v1/register": lambda _: (200, b'{"ResponseStatus":"1000"}'),
        }
        found = [door for part, door in doors.items() if part in path]
        return found[0](document) if found else None

    def moments(self) -> list[datetime]:
        """When there is something to do."""
        waiting = [one.work_at for one in self.attempts]
        waiting += [one.work_at for one in self.asked if not one.is_done]
        return waiting + [one.work_at for one in self.reversals if not one.is_done]

    def work(self) -> int:
        """Carries out what is due; returns how many."""
        now = self.clock.now()
        paying = [one for one in self.attempts if one.work_at <= now]
        for attempt in paying:
            self.attempts.remove(attempt)
            if attempt.wanted is not False:
                self.take(attempt.msisdn, attempt.cents, attempt.typed, receipt=attempt.receipt)
        asked = [one for one in self.asked if not one.is_done and one.work_at <= now]
        for prompt in asked:
            self._decide_prompt(prompt)
            self._tell_prompt(prompt)
        going = [one for one in self.reversals if not one.is_done and one.work_at <= now]
        for reversal in going:
            self._decide_reversal(reversal)
            self._tell_reversal(reversal)
        return len(paying) + len(asked) + len(going)

    # Payments.

    def attempt(self, msisdn: str, cents: int, typed: str) -> Attempt:
        """Somebody types an account and a PIN; whoever asks us beforehand waits for our answer a while."""
        made = Attempt(self.daraja.number(), self._receipt(), msisdn, cents, typed, self.daraja.after(QUESTION_SECONDS))
        self.attempts.append(made)
        return made

    def question(self, attempt: Attempt) -> bytes:
        """What we are asked about it."""
        return messages.payment(
            receipt=attempt.receipt,
            cents=attempt.cents,
            at=self.clock.now(),
            shortcode=SHORTCODE,
            typed=attempt.typed,
            payer=self._shown(attempt.msisdn),
            balance_cents=None,
        )

    def take(self, msisdn: str, cents: int, typed: str, *, receipt: str = "", checkout: str = "") -> Taken:
        """Money comes in: the truth. It is told of, if the mail lets it."""
        at = self.clock.now().replace(microsecond=0)
        late = self.chance.uniform(60, 1_500) if self.troubled("list-late", 0.3) else 0.0
        made = Taken(
            receipt or self._receipt(), msisdn, cents, typed, at, at + timedelta(seconds=late), checkout=checkout
        )
        self.taken.append(made)
        self.daraja.utility_cents += cents
        self.daraja.account.take(made)
        self.confirm(made)
        return made

    def confirm(self, taken: Taken) -> None:
        """Tells of it where we were registered to be told."""
        if not self.confirmation_url or "callbacks" in self.options.without:
            return
        body = messages.payment(
            receipt=taken.receipt,
            cents=taken.cents,
            at=taken.at,
            shortcode=SHORTCODE,
            typed=taken.typed,
            payer=self._shown(taken.msisdn),
            balance_cents=self.daraja.utility_cents,
        )
        self.daraja.post(self.confirmation_url, body, taken.receipt, says=f"confirms {taken.receipt}")

    def find(self, receipt: str) -> Taken | None:
        """What came in under a number."""
        return next((one for one in self.taken if one.receipt == receipt), None)

    def _shown(self, msisdn: str) -> str:
        return self.chance.choice([msisdn, messages.masked(msisdn), messages.hashed(msisdn)])

    def _receipt(self) -> str:
        return f"UI2{self.daraja.number():07d}"

    def _take_registration(self, document: dict[str, Any]) -> tuple[int, bytes]:
        if not self.confirmation_url:  # in production the first addresses stay
            self.confirmation_url, self.validation_url = document["ConfirmationURL"], document["ValidationURL"]
        return 200, messages.registered()

    def _list(self, document: dict[str, Any]) -> tuple[int, bytes]:
        if "list" in self.options.without:
            return NOT_FOUND
        since, until = (messages.read_local(document[key]) for key in ("StartDate", "EndDate"))
        found = [one for one in self.taken if since <= one.at <= until and one.listed_from <= self.clock.now()]
        if self.troubled("list-repeated", 0.3):
            found += found[: self.chance.randint(1, 3)]
        rows = [(one.receipt, one.at, self._shown(one.msisdn), one.typed, one.cents) for one in found]
        return 200, messages.listing(rows[int(document["OffSetValue"]) :])

    # Prompts.

    def _take_prompt(self, document: dict[str, Any]) -> tuple[int, bytes]:
        late = self.chance.choice([600.0, 3_000.0, 9_000.0]) if self.troubled("prompt-late", 0.4) else 0.0
        prompt = Asked(
            checkout=f"ws_CO_01092026{self.daraja.number():09d}",
            msisdn=document["PhoneNumber"],
            cents=int(document["Amount"]) * 100,
            typed=document["AccountReference"],
            url=document["CallBackURL"],
            work_at=self.daraja.after(self.chance.expovariate(1 / 20) + late),
        )
        self.asked.append(prompt)
        if self.troubled("callback-early", 0.25):
            self._decide_prompt(prompt)
            self._tell_prompt(prompt)
        return 200, messages.prompted(prompt.checkout)

    def _decide_prompt(self, prompt: Asked) -> None:
        if self.troubled("prompt-declined", 0.35):
            prompt.code = self.chance.choice(DECLINES)
        else:
            prompt.taken = self.take(prompt.msisdn, prompt.cents, prompt.typed, checkout=prompt.checkout)

    def _tell_prompt(self, prompt: Asked) -> None:
        if "callbacks" in self.options.without:
            return
        if prompt.taken is None:
            told = messages.prompt_failed(checkout=prompt.checkout, code=prompt.code)
            self.daraja.post(prompt.url, told, prompt.typed, says=f"failed {prompt.checkout}")
            return
        if self.troubled("false-failure", 0.15):
            prompt.lied = True
            lie = messages.prompt_failed(checkout=prompt.checkout, code="1037")
            self.daraja.post(prompt.url, lie, prompt.typed)
        wrong = 10_000 if self.troubled("wrong-figure", 0.25) else 0
        told = messages.prompt_paid(
            checkout=prompt.checkout,
            receipt=prompt.taken.receipt,
            cents=prompt.cents + wrong,
            at=prompt.taken.at,
            msisdn=prompt.msisdn,
        )
        says = "too much" if wrong else f"paid {prompt.checkout} {prompt.taken.receipt}"
        self.daraja.post(prompt.url, told, prompt.typed, says=says)

    def _take_question(self, document: dict[str, Any]) -> tuple[int, bytes]:
        found = [one for one in self.asked if one.checkout == document["CheckoutRequestID"]]
        if "queries" in self.options.without or not found or self.troubled("query-silent", 0.3):
            return NOT_FOUND
        (prompt,) = found
        if not prompt.is_done or self.troubled("query-pending", 0.2):
            if self.troubled("query-contradicts", 0.4):
                prompt.lied = True
                return 200, messages.prompt_status(checkout=prompt.checkout, code="1037")
            if self.chance.random() < 0.5:
                return 500, messages.being_processed()
            return 200, messages.prompt_status(checkout=prompt.checkout, code=messages.STILL_PROCESSING)
        return 200, messages.prompt_status(checkout=prompt.checkout, code=prompt.code or "0")

    # Money that goes back.

    def _take_reversal(self, document: dict[str, Any]) -> tuple[int, bytes]:
        number = self.daraja.number()
        reversal = Reversal(
            originator=f"44f9-3a4a-d47d-{number:012x}0000000",
            conversation=f"AG_20260901_{number:020x}",
            original=document["TransactionID"],
            cents=int(document["Amount"]) * 100,
            result_url=document["ResultURL"],
            timeout_url=document["QueueTimeOutURL"],
            work_at=self.daraja.after(self.chance.expovariate(1 / 20)),
        )
        self.reversals.append(reversal)
        if self.troubled("callback-early", 0.25):
            self._decide_reversal(reversal)
            self._tell_reversal(reversal)
        return 200, messages.accepted(reversal.conversation, reversal.originator)

    def _decide_reversal(self, reversal: Reversal) -> None:
        taken = self.find(reversal.original)
        left = taken.cents - taken.back_cents if taken else 0
        if taken is None:
            reversal.code = NO_SUCH_TRANSACTION
        elif left < reversal.cents:
            reversal.code = REVERSED_BEFORE
        elif self.troubled("access-refused", 0.05):
            reversal.code = ACCESS_REFUSAL
        elif self.troubled("declined", 0.3):
            reversal.code = self.chance.choice(REVERSAL_REFUSALS)
        else:
            reversal.number = f"UI3{self.daraja.number():07d}"
            taken.back_cents += reversal.cents
            self.daraja.utility_cents -= reversal.cents
            self.daraja.account.give_back(reversal.number, reversal.original, reversal.cents, unasked=False)

    def _tell_reversal(self, reversal: Reversal) -> None:
        if "callbacks" in self.options.without:
            return
        ids = {"originator": reversal.originator, "conversation": reversal.conversation}
        about = reversal.original
        if self.troubled("timeout-notice", 0.15):
            self.daraja.post(reversal.timeout_url, messages.reversal_timed_out(**ids), about)
            if self.chance.random() < 0.3:
                return
        if reversal.code:
            told = messages.not_reversed(**ids, code=reversal.code)
            self.daraja.post(reversal.result_url, told, about, says=f"kept {reversal.conversation}")
            return
        if self.troubled("false-failure", 0.1):
            reversal.lied = True
            self.daraja.post(reversal.result_url, messages.not_reversed(**ids, code="1"), about)
        told = messages.reversed_back(
            **ids,
            number=reversal.number,
            original=reversal.original,
            cents=reversal.cents,
            at=self.clock.now(),
            utility_cents=self.daraja.utility_cents,
        )
        self.daraja.post(reversal.result_url, told, about, says=f"returned {reversal.conversation}")
