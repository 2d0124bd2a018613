"""The control API under /sandbox: the truth of what moved, faults to put in, the magic numbers.

No part of any provider. Gives out no secret. Amounts are integer cents, times ISO 8601 in UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from adapters.sandbox import control_rows as rows
from adapters.sandbox import magic, statements
from adapters.sandbox.apis import Api, TokenError
from adapters.sandbox.control_rows import Json
from adapters.sandbox.customer_control import CustomerControl
from adapters.sandbox.faults import Allowance, CallbackFaults, Rate, Scripted
from adapters.sandbox.products import Account
from adapters.sandbox.simulation import Simulation

CONTROL_PREFIX = "/sandbox"
ROWS_PER_PAGE = 1_000
ROWS_PER_PAGE_MAX = 10_000

Share = Field(default=0.0, ge=0, le=1)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScriptedFault(_Strict):
    """The next `count` requests to `msisdn` or `shortcode` (absent: to anyone) get `behaviour`, a name from
    /sandbox/magic. `api` absent means any payment; questions and OAuth have to be named."""

    behaviour: str
    count: int = Field(default=1, ge=1, le=1_000_000)
    msisdn: str | None = None
    shortcode: str | None = None
    api: Api | None = None


class CallbackFaultsWanted(_Strict):
    """What happens to every callback on its way; times in seconds, rates 0 to 1."""

    delay_seconds: float = Field(default=0.05, ge=0, le=3600)
    jitter_seconds: float = Field(default=0.0, ge=0, le=3600)
    drop_rate: float = Share
    duplicate_rate: float = Share


class AllowanceWanted(_Strict):
    """So many requests in so many seconds, over all APIs but OAuth; more meet a spike arrest. None: no limit."""

    requests: int | None = Field(ge=0)
    seconds: float = Field(default=1.0, gt=0, le=3600)


class FaultsWanted(_Strict):
    """Scripted faults are added to those waiting; all the rest, where given, replaces what stood before.

    `rates` are for payments and reversals, `collection_rates` for prompts and what customers pay, `query_rates` for all
    else. `requests_per_token` (0: no limit) makes every token expire
    after so many requests. `token_errors` says per API how a token not in force is answered, `not_found_code` what a
    status query hears that finds nothing.
    """

    scripted: list[ScriptedFault] = []
    rates: dict[str, float] | None = None
    collection_rates: dict[str, float] | None = None
    query_rates: dict[str, float] | None = None
    seed: int | None = None
    callbacks: CallbackFaultsWanted | None = None
    requests_per_token: int | None = Field(default=None, ge=0)
    allowance: AllowanceWanted | None = None
    token_errors: dict[Api, TokenError] = {}
    not_found_code: Literal["2033", "25"] | None = None


class Credit(_Strict):
    """Money to put into an account, in cents."""

    amount_cents: int = Field(gt=0, le=10**15)


class Control:
    """The handlers; each reads or turns one thing of the simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def router(self) -> APIRouter:
        """The routes under /sandbox."""
        router = APIRouter(prefix=CONTROL_PREFIX)
        router.add_api_route("/truth", self.truth, methods=["GET"])
        router.add_api_route("/statement", self.statement, methods=["GET"], response_class=Response)
        router.add_api_route("/faults", self.faults, methods=["GET"])
        router.add_api_route("/faults", self.put_in_faults, methods=["POST"])
        router.add_api_route("/utility/credit", self.credit_utility, methods=["POST"])
        router.add_api_route("/working/credit", self.credit_working, methods=["POST"])
        router.add_api_route("/tokens/expire", self.expire_token, methods=["POST"])
        router.add_api_route("/reset", self.reset, methods=["POST"])
        router.add_api_route("/magic", self.magic, methods=["GET"])
        CustomerControl(self._simulation).add_to(router)
        router.add_api_route("/certificate", self.certificate, methods=["GET"], response_class=Response)
        return router

    async def truth(
        self,
        offset: int = Query(default=0, ge=0),
        limit: int = Query(default=ROWS_PER_PAGE, ge=1, le=ROWS_PER_PAGE_MAX),
    ) -> Json:
        """Balances, totals, calls by path; a page of movements, of requests with their fate, of callback attempts."""
        world, shortcode = self._simulation.world, self._simulation.settings.shortcode
        page = slice(offset, offset + limit)
        return {
            "shortcode": self._simulation.settings.shortcode,
            "now": self._simulation.clock().isoformat(),
            "opening": rows.balances(world.opening),
            "balances": rows.balances(world.balances),
            "calls": dict(world.calls),
            "tokens_issued": world.tokens_issued,
            "tokens_refused": world.tokens_refused,
            "callbacks_pending": self._simulation.courier.pending,
            "initiator_is_locked": self._simulation.initiator.is_locked,
            "movements_total": len(world.movements),
            "requests_total": len(world.requests),
            "deliveries_total": len(world.deliveries),
            "movements": [rows.movement(movement, shortcode) for movement in world.movements[page]],
            "requests": [rows.request(request) for request in world.requests[page]],
            "deliveries": [rows.delivery(delivery) for delivery in world.deliveries[page]],
        }

    async def statement(
        self, account: Literal["utility", "working", "charges_paid"], since: datetime, until: datetime
    ) -> Response:
        """The statement of one account as the portal exports it, a CSV file; the moments carry an offset."""
        if since.tzinfo is None or until.tzinfo is None:
            raise HTTPException(422, "since and until carry an offset")
        world, shortcode = self._simulation.world, self._simulation.settings.shortcode
        text = statements.statement(world, account, shortcode=shortcode, since=since, until=until)
        return Response(text, media_type="text/csv")

    async def faults(self) -> Json:
        """What is put in at present."""
        return rows.faults(self._simulation.faults, requests_per_token=self._simulation.tokens.requests_max)

    async def put_in_faults(self, wanted: FaultsWanted) -> Json:
        """Takes effect from the next request; callbacks already under way are left alone. 422 for an unknown behaviour
        or rates that add up to more than 1; then nothing changes."""
        rates, query_rates = _checked_rates(wanted.rates or {}), _checked_rates(wanted.query_rates or {})
        collection_rates = _checked_rates(wanted.collection_rates or {})
        scripted = [_checked_script(fault) for fault in wanted.scripted]
        faults = self._simulation.faults
        faults.script(scripted)
        if wanted.rates is not None:
            faults.rates = rates
        if wanted.collection_rates is not None:
            faults.collection_rates = collection_rates
        if wanted.query_rates is not None:
            faults.query_rates = query_rates
        if wanted.seed is not None:
            faults.reseed(wanted.seed)
        if wanted.callbacks is not None:
            faults.callbacks = CallbackFaults(**wanted.callbacks.model_dump())
        self._change_gateway(wanted)
        return await self.faults()

    async def credit_utility(self, credit: Credit) -> Json:
        """Adds to the utility account; the movement has a receipt like any other."""
        return self._credit(Account.UTILITY, credit)

    async def credit_working(self, credit: Credit) -> Json:
        """Adds to the working account."""
        return self._credit(Account.WORKING, credit)

    async def expire_token(self) -> Json:
        """The token in force is refused from now on."""
        self._simulation.tokens.expire()
        return {"expired": True}

    async def reset(self) -> Json:
        """Starts the simulation over; certificate and access token stay."""
        await self._simulation.start_over()
        return await self.truth(offset=0, limit=ROWS_PER_PAGE)

    async def magic(self) -> list[Json]:
        """Every magic MSISDN and shortcode, those of payees first: the name of its behaviour, what happens, and what a
        status query says."""
        return [rows.magic_row(suffix, behaviour) for suffix, behaviour in magic.ROWS.items()]

    async def certificate(self) -> Response:
        """The X.509 certificate, as PEM, that SecurityCredential must be made with."""
        return Response(self._simulation.certificate.pem, media_type="application/x-pem-file")

    def _change_gateway(self, wanted: FaultsWanted) -> None:
        faults = self._simulation.faults
        if wanted.requests_per_token is not None:
            self._simulation.tokens.requests_max = wanted.requests_per_token or None
        if wanted.allowance is not None:
            faults.allowance = Allowance(requests_max=wanted.allowance.requests, seconds=wanted.allowance.seconds)
        if wanted.not_found_code is not None:
            faults.not_found_code = wanted.not_found_code
        faults.token_errors |= wanted.token_errors

    def _credit(self, account: Account, credit: Credit) -> Json:
        now = self._simulation.clock()
        receipt = self._simulation.identifiers.receipt(now)
        movement = self._simulation.world.credit(account, amount_cents=credit.amount_cents, receipt=receipt, now=now)
        return rows.movement(movement, self._simulation.settings.shortcode)


def _checked_script(fault: ScriptedFault) -> Scripted:
    _require_behaviour(fault.behaviour)
    return Scripted(fault.behaviour, fault.count, fault.msisdn, fault.shortcode, fault.api)


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
