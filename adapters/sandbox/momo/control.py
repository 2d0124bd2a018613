"""The wallet's control API under /sandbox/momo: the truth, the numbers, scripts, money from outside, payers who decide.

No part of any provider. Gives out no secret. Amounts are integers of minor units."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from adapters.sandbox.momo import behaviours
from adapters.sandbox.momo.behaviours import BEHAVIOURS, FAULT_NUMBERS, PREFIX, REQUEST_NUMBERS, TRANSFER_NUMBERS
from adapters.sandbox.momo.simulation import MomoSimulation
from adapters.sandbox.momo.world import PENDING, Transaction

CONTROL_PREFIX = "/sandbox/momo"
ROWS_MAX = 1_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Scripted(_Strict):
    """The next `count` transfers and requests to pay get `behaviour`, a name from /sandbox/momo/magic."""

    behaviour: str
    count: int = Field(default=1, ge=1, le=1_000_000)


class Credit(_Strict):
    """Money from outside, into one product's account."""

    product: Literal["disbursement", "collection"]
    amount: int = Field(gt=0, le=10**15)


class Decision(_Strict):
    """What a payer does about a request to pay that is pending."""

    reference: str
    approves: bool


class MomoControl:
    """The handlers."""

    def __init__(self, simulation: MomoSimulation) -> None:
        self._simulation = simulation

    def router(self) -> APIRouter:
        """The routes under /sandbox/momo."""
        router = APIRouter(prefix=CONTROL_PREFIX)
        router.add_api_route("/truth", self.truth, methods=["GET"])
        router.add_api_route("/magic", self.magic, methods=["GET"])
        router.add_api_route("/faults", self.put_in_faults, methods=["POST"])
        router.add_api_route("/credit", self.credit, methods=["POST"])
        router.add_api_route("/decide", self.decide, methods=["POST"])
        router.add_api_route("/tokens/expire", self.expire_tokens, methods=["POST"])
        router.add_api_route("/reset", self.reset, methods=["POST"])
        return router

    async def truth(self) -> dict[str, Any]:
        """Balances, calls, the newest transfers and requests to pay with what really became of them, callbacks."""
        simulation = self._simulation
        simulation.world.decide_due(simulation.clock())
        world = simulation.world
        return {
            "wallet": simulation.settings.wallet,
            "target_environment": simulation.settings.target_environment,
            "currency": simulation.settings.currency,
            "balances": world.balances,
            "calls": dict(world.calls),
            "duplicates_refused": world.duplicates,
            "tokens_issued": simulation.access.tokens_issued,
            "callbacks_pending": simulation.courier.pending,
            "transactions_total": len(world.transactions),
            "transactions": [_row(one) for one in list(world.transactions.values())[-ROWS_MAX:]],
            "deliveries": [
                {"transaction": one.request_number, "outcome": one.outcome} for one in world.deliveries[-ROWS_MAX:]
            ],
        }

    async def magic(self) -> list[dict[str, str]]:
        """The numbers, those of transfers first, and what happens to them."""
        tables = (("transfer", TRANSFER_NUMBERS), ("requesttopay", REQUEST_NUMBERS), ("either", FAULT_NUMBERS))
        return [
            {"msisdn": PREFIX + suffix, "of": kind, "behaviour": one.name, "summary": one.summary}
            for kind, numbers in tables
            for suffix, one in numbers.items()
        ]

    async def put_in_faults(self, wanted: Scripted) -> dict[str, int]:
        """What is scripted now. 422 for an unknown behaviour."""
        if wanted.behaviour not in BEHAVIOURS:
            raise HTTPException(422, f"no behaviour is called {wanted.behaviour!r:.60}; see {CONTROL_PREFIX}/magic")
        self._simulation.script.waiting[wanted.behaviour] += wanted.count
        return dict(self._simulation.script.waiting)

    async def credit(self, credit: Credit) -> dict[str, int]:
        """The balances after it."""
        self._simulation.world.credit(credit.product, credit.amount)
        return self._simulation.world.balances

    async def decide(self, decision: Decision) -> dict[str, Any]:
        """A payer approves or declines; nothing is called back. 404 for what is not pending."""
        world = self._simulation.world
        found = world.transactions.get(("collection", decision.reference))
        if found is None or found.status != PENDING:
            raise HTTPException(404, "no such request to pay is pending")
        if decision.approves:
            world.pay(found)
        else:
            world.fail(found, behaviours.BEHAVIOURS["rejected"].code)
        return _row(found)

    async def expire_tokens(self) -> dict[str, bool]:
        """Every token is refused from now on."""
        self._simulation.access.expire()
        return {"expired": True}

    async def reset(self) -> dict[str, Any]:
        """Starts over."""
        await self._simulation.start_over()
        return await self.truth()


def _row(transaction: Transaction) -> dict[str, Any]:
    return {
        "product": transaction.product,
        "reference": transaction.reference,
        "external_id": transaction.external_id,
        "msisdn": transaction.msisdn,
        "amount": transaction.amount,
        "behaviour": transaction.behaviour.name,
        "status": transaction.status,
        "reason": transaction.reason,
        "receipt": transaction.receipt,
    }
