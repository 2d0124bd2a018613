"""What the wallet's API and its control share: books, access, faults, callbacks, clock."""

from __future__ import annotations

import random
from collections import Counter

from adapters.sandbox.courier import Courier
from adapters.sandbox.faults import CallbackFaults, Journey
from adapters.sandbox.momo import behaviours
from adapters.sandbox.momo.access import Access
from adapters.sandbox.momo.behaviours import BEHAVIOURS, Behaviour
from adapters.sandbox.momo.messages import Wanted
from adapters.sandbox.momo.settings import MomoSandboxSettings
from adapters.sandbox.momo.world import MomoWorld, Transaction
from adapters.sandbox.settings import Clock


class Script:
    """Behaviours for the next requests whatever their numbers say, and what callbacks meet on their way."""

    def __init__(self, *, delay_seconds: float) -> None:
        self._at_start = CallbackFaults(delay_seconds=delay_seconds)
        self.clear()

    def clear(self) -> None:
        """Nothing scripted."""
        self.waiting: Counter[str] = Counter()
        self.callbacks = self._at_start

    def next(self) -> Behaviour | None:
        """Uses one up."""
        for name, count in self.waiting.items():
            if count > 0:
                self.waiting[name] -= 1
                return BEHAVIOURS[name]
        return None

    def journey(self) -> Journey:
        """What the next callback meets."""
        return Journey(self.callbacks.delay_seconds, copies=1)


class MomoSimulation:
    """One wallet. Everything in it comes from the clock and randomness given."""

    def __init__(
        self,
        settings: MomoSandboxSettings,
        *,
        clock: Clock,
        randomness: random.Random,
        callback_delay_seconds: float,
        callback_timeout_seconds: float,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.world = MomoWorld(settings)
        self.access = Access(settings, randomness=randomness)
        self.script = Script(delay_seconds=callback_delay_seconds)
        self.courier = Courier(world=self.world, faults=self.script, timeout_seconds=callback_timeout_seconds)

    def choose(self, msisdn: str, *, collects: bool) -> Behaviour:
        """Scripted ones first, then the number's."""
        return self.script.next() or behaviours.by_number(msisdn, collects=collects)

    def open(self, wanted: Wanted, behaviour: Behaviour, product: str, reference: str) -> Transaction:
        """Takes a transfer or a request to pay in, and decides it."""
        assert wanted.amount, "an amount was checked"
        transaction = Transaction(
            number=len(self.world.transactions) + 1,
            product=product,
            reference=reference,
            msisdn=wanted.msisdn,
            amount=wanted.amount,
            external_id=wanted.external_id,
            payer_message=wanted.payer_message,
            payee_note=wanted.payee_note,
            behaviour=behaviour,
            created_at=self.clock(),
        )
        self.world.open(transaction)
        return transaction

    async def start_over(self) -> None:
        """Opening balances, empty diary, nothing scripted, pending callbacks dropped; users and tokens stay."""
        await self.courier.abandon()
        self.world.start_over()
        self.script.clear()
