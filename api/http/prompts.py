"""POST /v1/stk-push and GET /v1/stk-push/{id}: a payer's phone is asked for money."""

from __future__ import annotations

from typing import Any

from daftari.v1 import prompts_pb2 as pb
from fastapi import APIRouter
from pydantic import Field

from api.core import Core
from api.http.door import RestDoor
from api.http.words import (
    STATUSES,
    Amount,
    AmountShown,
    Body,
    Currency,
    CurrencyShown,
    Masked,
    Moment,
    Msisdn,
    RequestId,
    Shown,
    Status,
    Tenant,
    TenantId,
    ledger_of,
    money_of,
    shown,
)
from api.services.prompts import PromptCommands, PromptQueries


class StkPush(Body):
    """A payer to ask. A partner asks towards an order of its own; an operator may name a reference instead."""

    tenant_id: TenantId
    client_request_id: RequestId
    msisdn: Msisdn
    shortcode: str = Field(description="The shortcode to pay into", examples=["600584"], max_length=20)
    provider: str = Field(default="daraja", description="The rail", max_length=40)
    order_id: str = Field(default="", description="The order it is towards", examples=["ord_0000000000001"])
    reference: str = Field(default="", description="Without an order: the account of the receipt", max_length=64)
    amount: Amount | None = Field(default=None, description="Left out for all that the order misses")
    currency: Currency = ""
    description: str = Field(default="", description="Shown to the payer", examples=["Shoes"], max_length=100)


class PromptAccepted(Shown):
    """The payer will be asked, or was by the same request before."""

    status: str = "accepted"
    prompt_id: str = Field(examples=["prm_0000000000001"])
    client_request_id: str


class PromptShown(Shown):
    """A prompt as it stands. Once succeeded, `receipt_id` is the money."""

    prompt_id: str = Field(examples=["prm_0000000000001"])
    status: Status
    provider: str
    shortcode: str
    order_id: str
    reference: str
    amount: AmountShown
    currency: CurrencyShown
    payer: Masked
    receipt_id: str
    failure_code: str
    failure_text: str
    expire_time: Moment
    create_time: Moment
    update_time: Moment
    version: int


class Prompts:
    """The two routes."""

    def __init__(self, core: Core, *, door: RestDoor, commands: PromptCommands) -> None:
        self._core = core
        self._door = door
        self._commands = commands
        self._queries = PromptQueries(core)

    def router(self) -> APIRouter:
        """The routes."""
        router = self._door.router("prompts")
        router.add_api_route("/stk-push", self.push, methods=["POST"], status_code=202)
        router.add_api_route("/stk-push/{prompt_id}", self.read, methods=["GET"])
        return router

    async def push(self, body: StkPush) -> PromptAccepted:
        """Asks a payer's phone for money."""
        ledger = await ledger_of(self._core, body.tenant_id)
        request = pb.RequestPromptRequest(
            ledger=ledger.code,
            request_id=body.client_request_id,
            provider=body.provider,
            shortcode=body.shortcode,
            msisdn=body.msisdn,
            order_id=body.order_id,
            reference=body.reference,
            amount=money_of(body.amount, currency=body.currency or ledger.base_currency),
            description=body.description,
        )
        made = await self._door.ask(self._commands.RequestPrompt, request)
        return PromptAccepted(prompt_id=made.prompt.id, client_request_id=body.client_request_id)

    async def read(self, prompt_id: str, tenant: Tenant = "") -> PromptShown:
        """What became of it."""
        ledger = await ledger_of(self._core, tenant)
        request = pb.GetPromptRequest(ledger=ledger.code, prompt_id=prompt_id)
        found = await self._door.ask(self._queries.GetPrompt, request)
        return PromptShown(**prompt_told(found.prompt))


def prompt_told(prompt: pb.Prompt) -> dict[str, Any]:
    """A prompt as JSON."""
    told = shown(prompt)
    return told | {"prompt_id": prompt.id, "status": STATUSES[told["state"]]}
