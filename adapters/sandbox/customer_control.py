"""The control API of money in: customers who pay, prompts that wait, how C2B is set up, what the provider takes back.

No part of any provider, like the rest under /sandbox. Amounts are integer cents.
"""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from adapters.sandbox import collecting, magic
from adapters.sandbox import control_rows as rows
from adapters.sandbox.behaviours import PayerForm
from adapters.sandbox.c2b_request import CustomerPayment
from adapters.sandbox.control_rows import Json
from adapters.sandbox.intake import Intake
from adapters.sandbox.money_in import Command
from adapters.sandbox.paybill import PaybillCore
from adapters.sandbox.products import MovementKind
from adapters.sandbox.prompting import PromptCore
from adapters.sandbox.settings import Registering
from adapters.sandbox.simulation import Simulation

ROWS_PER_PAGE = 1_000
ROWS_PER_PAGE_MAX = 10_000
CENTS_MAX = 10**15

Offset = Query(default=0, ge=0)
Limit = Query(default=ROWS_PER_PAGE, ge=1, le=ROWS_PER_PAGE_MAX)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CustomerPays(_Strict):
    """A customer pays the shortcode, or its till where `to_till`; `reference` is what ought to be typed. `behaviour` is
    a name from /sandbox/magic; absent, script, number and rates decide."""

    msisdn: str = Field(pattern=r"^254[17][0-9]{8}$", repr=False)
    amount_cents: int = Field(gt=0, le=CENTS_MAX)
    reference: str = ""
    to_till: bool = False
    behaviour: str | None = None


class PromptNamed(_Strict):
    """Which prompt."""

    checkout_request_id: str = Field(repr=False)


class C2bWanted(_Strict):
    """Where given, replaces what stood before."""

    external_validation: bool | None = None
    validation_patience_seconds: float | None = Field(default=None, gt=0, le=60)
    payer_form: PayerForm | None = None
    registering: Registering | None = None


class TakenBack(_Strict):
    """What the provider takes back of a movement, or gives back of a payout; `amount_cents` absent means all that is
    left of it."""

    receipt: str
    amount_cents: int | None = Field(default=None, gt=0, le=CENTS_MAX)


class CustomerControl:
    """The handlers; each reads or turns one thing of the simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        intake = Intake(simulation)
        self._paybill = PaybillCore(simulation, intake)
        self._prompting = PromptCore(simulation, intake)

    def add_to(self, router: APIRouter) -> None:
        """The routes under /sandbox."""
        router.add_api_route("/customers/pay", self.pay, methods=["POST"])
        router.add_api_route("/prompts", self.prompts, methods=["GET"])
        router.add_api_route("/prompts/act", self.act, methods=["POST"])
        router.add_api_route("/c2b", self.c2b, methods=["GET"])
        router.add_api_route("/c2b", self.set_up_c2b, methods=["POST"])
        router.add_api_route("/reversals", self.take_back, methods=["POST"])
        router.add_api_route("/movements", self.movements, methods=["GET"])

    async def pay(self, wanted: CustomerPays) -> Json:
        """Lets a customer pay; answers when it is decided, before it is confirmed."""
        if wanted.behaviour is not None and wanted.behaviour not in magic.BEHAVIOURS:
            raise HTTPException(422, f"no behaviour is called {wanted.behaviour!r:.60}; GET /sandbox/magic lists them")
        settings = self._simulation.settings
        payment = CustomerPayment(
            command=Command.BUY_GOODS if wanted.to_till else Command.PAY_BILL,
            msisdn=wanted.msisdn,
            shortcode=settings.till if wanted.to_till else settings.shortcode,
            reference=wanted.reference,
            amount_cents=wanted.amount_cents,
        )
        attempt, dispatch = self._paybill.pay(payment, behaviour_name=wanted.behaviour, now=self._simulation.clock())
        await dispatch.release()
        await attempt.decided.wait()
        return rows.attempt(attempt)

    async def prompts(self, offset: int = Offset, limit: int = Limit) -> list[Json]:
        """Prompts in the order they were sent, with what became of each."""
        return [rows.prompt(prompt) for prompt in self._simulation.prompts.page(offset=offset, limit=limit)]

    async def act(self, wanted: PromptNamed) -> Json:
        """Lets a customer who waits for queries act now."""
        prompt = self._simulation.prompts.find(wanted.checkout_request_id)
        if prompt is None or not prompt.is_waiting:
            raise HTTPException(409, "no customer waits at such a prompt; GET /sandbox/prompts lists them")
        await self._prompting.act(prompt).release()
        return rows.prompt(prompt)

    async def c2b(self) -> Json:
        """How C2B and Pull are set up; tells no address."""
        return rows.c2b(self._simulation.c2b)

    async def set_up_c2b(self, wanted: C2bWanted) -> Json:
        """Changes the habits of C2B."""
        setup = self._simulation.c2b
        if wanted.external_validation is not None:
            setup.external_validation = wanted.external_validation
        if wanted.validation_patience_seconds is not None:
            setup.validation_patience_seconds = wanted.validation_patience_seconds
        if wanted.payer_form is not None:
            setup.payer_form = wanted.payer_form
        if wanted.registering is not None:
            setup.registering = wanted.registering
        return await self.c2b()

    async def take_back(self, wanted: TakenBack) -> Json:
        """The provider takes money of a collection back, or gives that of a payout back, and calls nobody."""
        left_cents = self._simulation.world.reversible_cents(wanted.receipt)
        amount_cents = left_cents if wanted.amount_cents is None else wanted.amount_cents
        movement = collecting.take_back(self._simulation, wanted.receipt, amount_cents=amount_cents)
        if movement is None:
            raise HTTPException(409, "so much cannot be taken back under this receipt; GET /sandbox/truth lists them")
        return rows.movement(movement, self._simulation.settings.shortcode)

    async def movements(self, kind: MovementKind | None = None, offset: int = Offset, limit: int = Limit) -> Json:
        """Movements of one kind, or all, oldest first."""
        shown = [one for one in self._simulation.world.movements if kind in {None, one.kind}]
        shortcode = self._simulation.settings.shortcode
        page = [rows.movement(one, shortcode) for one in shown[offset : offset + limit]]
        return {"movements_total": len(shown), "movements": page}
