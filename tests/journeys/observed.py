"""The real rail under a test's eyes: it may be held before or after a call, and callback addresses may be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from adapters.daraja.client import DarajaRail
from adapters.provider import CallbackUrls
from ledger.outbox.instruction import Answer, PayoutInstruction


class Gate:
    """A place on the way of a call: open until it is shut; `reached` says that a call stands before it."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self.reached = asyncio.Event()

    def shut(self) -> None:
        """Whoever comes now waits."""
        self._open.clear()
        self.reached.clear()

    def open(self) -> None:
        """Lets everybody pass."""
        self._open.set()

    async def passed(self) -> None:
        """Returns once the gate is open."""
        self.reached.set()
        await self._open.wait()


class ObservedRail:
    """Everything goes to the Daraja rail; payouts pass a gate before they leave, and one when they are back."""

    def __init__(self, rail: DarajaRail) -> None:
        self._rail = rail
        self.before, self.after = Gate(), Gate()
        self.urls: dict[str, list[CallbackUrls]] = {}
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rail, name)

    async def submit_payout(self, instruction: PayoutInstruction, callback_urls: CallbackUrls) -> Answer:
        """Sends over real HTTP, between the gates; `meanwhile`, if given, runs while the call is under way."""
        self.urls.setdefault(instruction.provider_reference, []).append(callback_urls)
        await self.before.passed()
        if self.meanwhile is not None:
            await self.meanwhile()
        answer = await self._rail.submit_payout(instruction, callback_urls)
        await self.after.passed()
        return answer
