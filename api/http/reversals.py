"""POST /v1/reversals and GET /v1/reversals/{id}: money of a receipt goes back to its payer. For operators."""

from __future__ import annotations

from typing import Any

from daftari.v1 import returns_pb2 as pb
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
    Moment,
    RequestId,
    Shown,
    Status,
    Tenant,
    TenantId,
    ledger_of,
    money_of,
    shown,
)
from api.services.returns import ReturnCommands, ReturnQueries


class Reversal(Body):
    """Money of a receipt to give back."""

    tenant_id: TenantId
    client_request_id: RequestId
    receipt_id: str = Field(description="What goes back", examples=["rcp_0000000000001"], max_length=40)
    amount: Amount | None = Field(default=None, description="Left out for all that is still here")
    currency: Currency = ""
    reason: str = Field(description="Kept by the provider", examples=["wrong goods"], max_length=100)


class ReversalAccepted(Shown):
    """The money is reserved and will be sent back, or was by the same request before."""

    status: str = "accepted"
    reversal_id: str = Field(examples=["rtn_0000000000001"])
    client_request_id: str


class ReversalShown(Shown):
    """A reversal as it stands. Once succeeded, `return_receipt` is the provider's proof."""

    reversal_id: str = Field(examples=["rtn_0000000000001"])
    status: Status
    receipt_id: str
    amount: AmountShown
    currency: CurrencyShown
    reason: str
    return_receipt: str
    failure_code: str
    failure_text: str
    create_time: Moment
    update_time: Moment
    version: int


class Reversals:
    """The two routes."""

    def __init__(self, core: Core, *, door: RestDoor, commands: ReturnCommands) -> None:
        self._core = core
        self._door = door
        self._commands = commands
        self._queries = ReturnQueries(core)

    def router(self) -> APIRouter:
        """The routes."""
        router = self._door.router("reversals")
        router.add_api_route("/reversals", self.reverse, methods=["POST"], status_code=202)
        router.add_api_route("/reversals/{reversal_id}", self.read, methods=["GET"])
        return router

    async def reverse(self, body: Reversal) -> ReversalAccepted:
        """Returns money of a receipt to whoever paid it."""
        ledger = await ledger_of(self._core, body.tenant_id)
        request = pb.RequestReturnRequest(
            ledger=ledger.code,
            request_id=body.client_request_id,
            receipt_id=body.receipt_id,
            amount=money_of(body.amount, currency=body.currency or ledger.base_currency),
            reason=body.reason,
        )
        made = await self._door.ask(self._commands.RequestReturn, request)
        return ReversalAccepted(reversal_id=made.refund.id, client_request_id=body.client_request_id)

    async def read(self, reversal_id: str, tenant: Tenant = "") -> ReversalShown:
        """What became of it."""
        ledger = await ledger_of(self._core, tenant)
        request = pb.GetReturnRequest(ledger=ledger.code, return_id=reversal_id)
        found = await self._door.ask(self._queries.GetReturn, request, names={"return_id": "reversal_id"})
        return ReversalShown(**reversal_told(found.refund))


def reversal_told(refund: pb.Return) -> dict[str, Any]:
    """A reversal as JSON."""
    told = shown(refund)
    return told | {"reversal_id": refund.id, "status": STATUSES[told["state"]]}
