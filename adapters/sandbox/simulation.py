"""What all simulated rails and the control API share: books, credentials, faults, callbacks, clock, identifiers."""

from __future__ import annotations

import random

from adapters.sandbox.c2b_setup import C2bSetup
from adapters.sandbox.courier import Courier
from adapters.sandbox.credentials import Initiator, Tokens, make_certificate
from adapters.sandbox.faults import CallbackFaults, Faults
from adapters.sandbox.identifiers import Identifiers
from adapters.sandbox.prompts import Prompts
from adapters.sandbox.settings import Clock, SandboxSettings
from adapters.sandbox.world import World


class Simulation:
    """One organisation at one provider. Everything that happens in it comes from the clock and randomness given."""

    def __init__(self, settings: SandboxSettings, *, clock: Clock, randomness: random.Random) -> None:
        self.settings = settings
        self.clock = clock
        self.identifiers = Identifiers(randomness)
        self.certificate = settings.certificate or make_certificate(clock())
        self.world = World(settings)
        self.prompts = Prompts()
        self.c2b = C2bSetup(settings)
        self.tokens = Tokens()
        self.initiator = Initiator(
            password=settings.initiator_password,
            private_key=self.certificate.private_key,
            mismatches_max=settings.credential_mismatches_max,
        )
        self.faults = Faults(
            callbacks=CallbackFaults(delay_seconds=settings.callback_delay_seconds), seed=randomness.getrandbits(32)
        )
        self.courier = Courier(world=self.world, faults=self.faults, timeout_seconds=settings.callback_timeout_seconds)

    async def start_over(self) -> None:
        """Opening balances, empty diary, no faults, initiator unlocked, nothing registered, pending callbacks dropped.

        Certificate and access token stay, so that clients need not begin again.
        """
        await self.courier.abandon()
        self.world.start_over()
        self.prompts.start_over()
        self.c2b.start_over()
        self.faults.clear()
        self.initiator.unlock()
        self.tokens.requests_max = None
