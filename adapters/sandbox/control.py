"""The control API under /sandbox: the truth of what moved, faults to put in, the magic numbers.

No part of any provider. Gives out no secret. Amounts are integer cents, times ISO 8601 in UTC.
"""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from adapters.sandbox import magic
from adapters.sandbox.faults import CallbackFaults, Rate, Scripted
from adapters.sandbox.simulation import Simulation
from adapters.sandbox.world import Balances, Delivery, Movement, SeenRequest

CONTROL_PREFIX = "/sandbox"
ROWS_PER_PAGE = 1_000
ROWS_PER_PAGE_MAX = 10_000

Json = dict[str, object]
Share = Field(default=0.0, ge=0, le=1)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScriptedFault(_Strict):
    """The next `count` requests to `msisdn` (absent: to anyone) get `behaviour`, a name from /sandbox/magic."""

    behaviour: str
    count: int = Field(default=1, ge=1, le=1_000_000)
    msisdn: str | None = None


class CallbackFaultsWanted(_Strict):
    """What happens to every callback on its way; times in seconds, rates 0 to 1."""

    delay_seconds: float = Field(default=0.05, ge=0, le=3600)
    jitter_seconds: float = Field(default=0.0, ge=0, le=3600)
    drop_rate: float = Share
    duplicate_rate: float = Share


class FaultsWanted(_Strict):
    """Scripted faults are added to those waiting; rates, seed and callbacks, where given, replace what stood before."""

    scripted: list[ScriptedFault] = []
    rates: dict[str, float] | None = None
    seed: int | None = None
    callbacks: CallbackFaultsWanted | None = None


class Credit(_Strict):
    """Money to put into the utility account, in cents."""

    amount_cents: int = Field(gt=0, le=10**15)


class Control:
    """The handlers; each reads or turns one thing of the simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def router(self) -> APIRouter:
        """The routes under /sandbox."""
        router = APIRouter(prefix=CONTROL_PREFIX)
        router.add_api_route("/truth", self.truth, methods=["GET"])
        router.add_api_route("/faults", self.faults, methods=["GET"])
        router.add_api_route("/faults", self.put_in_faults, methods=["POST"])
        router.add_api_route("/utility/credit", self.credit_utility, methods=["POST"])
        router.add_api_route("/tokens/expire", self.expire_token, methods=["POST"])
        router.add_api_route("/reset", self.reset, methods=["POST"])
        router.add_api_route("/magic", self.magic, methods=["GET"])
        router.add_api_route("/certificate", self.certificate, methods=["GET"], response_class=Response)
        return router

    async def truth(
        self,
        offset: int = Query(default=0, ge=0),
        limit: int = Query(default=ROWS_PER_PAGE, ge=1, le=ROWS_PER_PAGE_MAX),
    ) -> Json:
        """Balances and totals, and a page of movements, of requests with their fate, and of callback attempts."""
        world = self._simulation.world
        page = slice(offset, offset + limit)
        return {
            "shortcode": self._simulation.settings.shortcode,
            "now": self._simulation.clock().isoformat(),
            "opening": _balances(world.opening),
            "balances": _balances(world.balances),
            "callbacks_pending": self._simulation.courier.pending,
            "initiator_is_locked": self._simulation.initiator.is_locked,
            "movements_total": len(world.movements),
            "requests_total": len(world.requests),
            "deliveries_total": len(world.deliveries),
            "movements": [_movement(movement) for movement in world.movements[page]],
            "requests": [_request(request) for request in world.requests[page]],
            "deliveries": [_delivery(delivery) for delivery in world.deliveries[page]],
        }

    async def faults(self) -> Json:
        """What is put in at present."""
        faults = self._simulation.faults
        callbacks = faults.callbacks
        return {
            "scripted": [
                {"behaviour": fault.behaviour, "count": fault.count, "msisdn": fault.msisdn}
                for fault in faults.scripted
            ],
            "rates": {rate.behaviour: rate.share for rate in faults.rates},
            "callbacks": {
                "delay_seconds": callbacks.delay_seconds,
                "jitter_seconds": callbacks.jitter_seconds,
                "drop_rate": callbacks.drop_rate,
                "duplicate_rate": callbacks.duplicate_rate,
            },
        }

    async def put_in_faults(self, wanted: FaultsWanted) -> Json:
        """Takes effect from the next request; callbacks already under way are left alone. 422 for an unknown behaviour
        or rates that add up to more than 1; then nothing changes."""
        rates = _checked_rates(wanted.rates or {})
        scripted = [_checked_script(fault) for fault in wanted.scripted]
        faults = self._simulation.faults
        faults.script(scripted)
        if wanted.rates is not None:
            faults.rates = rates
        if wanted.seed is not None:
            faults.reseed(wanted.seed)
        if wanted.callbacks is not None:
            faults.callbacks = CallbackFaults(**wanted.callbacks.model_dump())
        return await self.faults()

    async def credit_utility(self, credit: Credit) -> Json:
        """Adds to the utility account; the movement has a receipt like any other."""
        now = self._simulation.clock()
        receipt = self._simulation.identifiers.receipt(now)
        movement = self._simulation.world.credit_utility(amount_cents=credit.amount_cents, receipt=receipt, now=now)
        return _movement(movement)

    async def expire_token(self) -> Json:
        """The token in force is refused from now on."""
        self._simulation.tokens.expire()
        return {"expired": True}

    async def reset(self) -> Json:
        """Starts the simulation over; certificate and access token stay."""
        await self._simulation.start_over()
        return await self.truth(offset=0, limit=ROWS_PER_PAGE)

    async def magic(self) -> list[Json]:
        """Every magic MSISDN, the name of its behaviour, and what happens."""
        return [
            {"msisdn": magic.magic_msisdn(suffix), "behaviour": behaviour.name, "summary": behaviour.summary}
            for suffix, behaviour in magic.MAGIC.items()
        ]

    async def certificate(self) -> Response:
        """The X.509 certificate, as PEM, that SecurityCredential must be made with."""
        return Response(self._simulation.certificate.pem, media_type="application/x-pem-file")


def _checked_script(fault: ScriptedFault) -> Scripted:
    _require_behaviour(fault.behaviour)
    return Scripted(fault.behaviour, fault.count, fault.msisdn)


def _checked_rates(rates: dict[str, float]) -> tuple[Rate, ...]:
    for name, share in rates.items():
        _require_behaviour(name)
        if not 0 <= share <= 1:
            raise HTTPException(422, f"the rate of {name} must be between 0 and 1")
    if sum(rates.values()) > 1:
        raise HTTPException(422, "the rates add up to more than 1")
    return tuple(Rate(name, share) for name, share in rates.items())


def _require_behaviour(name: str) -> None:
    if name not in magic.BEHAVIOURS:
        raise HTTPException(422, f"no behaviour is called {name!r:.60}; GET /sandbox/magic lists them")


def _balances(balances: Balances) -> Json:
    return {
        "utility_cents": balances.utility_cents,
        "working_cents": balances.working_cents,
        "charges_paid_cents": balances.charges_paid_cents,
    }


def _movement(movement: Movement) -> Json:
    payment = movement.payment
    return {
        "kind": movement.kind.value,
        "receipt": movement.receipt,
        "reference": payment.reference if payment else "",
        "originator_conversation_id": payment.originator_conversation_id if payment else "",
        "conversation_id": payment.conversation_id if payment else "",
        "msisdn": payment.msisdn if payment else "",
        "amount_cents": movement.amount_cents,
        "charge_cents": movement.charge_cents,
        "completed_at": movement.completed_at.isoformat(),
        "balances_after": _balances(movement.balances_after),
    }


def _request(request: SeenRequest) -> Json:
    return {
        "number": request.number,
        "received_at": request.received_at.isoformat(),
        "path": request.path,
        "answer": request.answer,
        "fate": request.fate.value,
        "behaviour": request.behaviour,
        "result_code": request.result_code,
        "originator_conversation_id": request.originator_conversation_id,
        "conversation_id": request.conversation_id,
        "msisdn": request.msisdn,
        "amount_cents": request.amount_cents,
    }


def _delivery(delivery: Delivery) -> Json:
    return {"request_number": delivery.request_number, "kind": delivery.kind, "outcome": delivery.outcome}
