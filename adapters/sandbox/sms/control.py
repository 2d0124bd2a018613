"""The control API of the simulated providers of messages, under /sandbox/sms. No part of any provider."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from adapters.sandbox.sms.world import BEHAVIOURS, DELIVERED, SmsSimulation

CONTROL_PREFIX = "/sandbox/sms"
ROWS_MAX = 1_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Scripted(_Strict):
    """The next `count` messages get `behaviour`, a name from /sandbox/sms/magic."""

    behaviour: str
    count: int = Field(default=1, ge=1, le=1_000_000)


class ReportsTo(_Strict):
    """Where a provider's reports go from now on."""

    provider: Literal["africastalking", "pindo"]
    url: str = Field(max_length=500)


class SmsControl:
    """The handlers."""

    def __init__(self, simulation: SmsSimulation) -> None:
        self._simulation = simulation

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix=CONTROL_PREFIX)
        router.add_api_route("/truth", self.truth, methods=["GET"])
        router.add_api_route("/magic", self.magic, methods=["GET"])
        router.add_api_route("/faults", self.put_in_faults, methods=["POST"])
        router.add_api_route("/reports", self.set_reports, methods=["POST"])
        router.add_api_route("/reset", self.reset, methods=["POST"])
        return router

    async def truth(self) -> dict[str, Any]:
        """Calls, the newest messages that were sent, and what became of reports."""
        simulation = self._simulation
        return {
            "calls": dict(simulation.calls),
            "sent_total": len(simulation.sent),
            "sent": [
                {
                    "provider": one.provider,
                    "id": one.message_id,
                    "to": one.to,
                    "sender": one.sender,
                    "text": one.text,
                    "behaviour": one.behaviour,
                }
                for one in simulation.sent[-ROWS_MAX:]
            ],
            "reports": [{"message": one.request_number, "outcome": one.outcome} for one in simulation.deliveries],
        }

    async def magic(self) -> list[dict[str, str]]:
        """The numbers, by their last three digits, and what happens to them."""
        return [{"ends_with": ends, "behaviour": name, "summary": words} for ends, (name, words) in BEHAVIOURS.items()]

    async def put_in_faults(self, wanted: Scripted) -> dict[str, int]:
        """What is scripted now. 422 for an unknown behaviour."""
        if wanted.behaviour not in {DELIVERED, *(name for name, _ in BEHAVIOURS.values())}:
            raise HTTPException(422, f"no behaviour is called {wanted.behaviour!r:.60}; see {CONTROL_PREFIX}/magic")
        self._simulation.scripted[wanted.behaviour] += wanted.count
        return dict(self._simulation.scripted)

    async def set_reports(self, wanted: ReportsTo) -> dict[str, bool]:
        """Takes the address."""
        self._simulation.reports_to[wanted.provider] = wanted.url
        return {"taken": True}

    async def reset(self) -> dict[str, Any]:
        """Starts over."""
        await self._simulation.courier.abandon()
        self._simulation.start_over()
        return await self.truth()
