"""Prompts sent to customers' phones, and what became of each. Keeps no callback address where it could be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from adapters.sandbox.behaviours import Behaviour, PromptFinding, Timing
from adapters.sandbox.money_in import Command
from adapters.sandbox.world import Declined, Movement


@dataclass(slots=True)
class Prompt:
    """One prompt. `outcome` is None while the customer has not acted, and for ever where nobody was reached.
    `objection` is the result code it will end with whatever the customer does, "0" for none."""

    merchant_request_id: str
    checkout_request_id: str = field(repr=False)
    command: Command
    msisdn: str = field(repr=False)
    shortcode: str
    reference: str
    amount_cents: int
    objection: str
    callback_url: str = field(repr=False)
    behaviour: Behaviour
    opened_at: datetime
    request_number: int
    outcome: Movement | Declined | None = None
    is_waiting: bool = False
    times_asked: int = 0

    def found_next(self) -> PromptFinding:
        """What the next STK query finds; counts it."""
        findings = self.behaviour.prompt_findings
        found = findings[min(self.times_asked, len(findings) - 1)]
        self.times_asked += 1
        return found

    @property
    def is_due(self) -> bool:
        """Whether the customer waited for queries, and they were all told otherwise by now."""
        late = self.behaviour.timing is Timing.AFTER_QUERIES
        return self.is_waiting and late and self.times_asked >= len(self.behaviour.prompt_findings) - 1


class Prompts:
    """All prompts, by CheckoutRequestID."""

    def __init__(self) -> None:
        self._prompts: dict[str, Prompt] = {}

    def start_over(self) -> None:
        """Forgets them all."""
        self._prompts.clear()

    def open(self, prompt: Prompt) -> None:
        """Keeps a prompt."""
        self._prompts[prompt.checkout_request_id] = prompt

    def find(self, checkout_request_id: str) -> Prompt | None:
        """The prompt of this name."""
        return self._prompts.get(checkout_request_id)

    def page(self, *, offset: int, limit: int) -> list[Prompt]:
        """Prompts in the order they were sent."""
        return list(self._prompts.values())[offset : offset + limit]
