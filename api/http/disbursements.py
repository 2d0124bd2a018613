"""POST /v1/disburse and GET /v1/disburse/{id}: payouts for callers without gRPC, told in the words of the webhooks."""

from __future__ import annotations

from daftari.v1 import payouts_pb2 as pb
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from api.caller import Caller
from api.conversion.payouts import payout_id_of
from api.core import Core
from api.http.door import RestDoor, permit
from api.http.words import Amount, Body, Msisdn, RequestId, Shown, Tenant, TenantId, ledger_of, money_of
from api.permissions import Permission
from api.services.payout_commands import PayoutCommands
from ledger import partners
from ledger.database import driver, transaction
from ledger.errors import Denied
from ledger.journal.books import Ledger
from ledger.payouts import queries
from ledger.payouts.notice import find_conversations, notice

_NAMES = {
    "payout.request_id": "client_request_id",
    "payout.partner_reference": "client_request_id",
    "payout.remarks": "customer_id",
    "payout.amount.minor_units": "amount",
    "payout.amount": "amount",
    "payout.msisdn": "msisdn",
    "payout": "",
}


class Disbursement(Body):
    """A payout to request."""

    amount: Amount
    msisdn: Msisdn
    tenant_id: TenantId
    customer_id: str = Field(default="", description="Yours; shown to the payee's provider as remarks", max_length=100)
    client_request_id: RequestId


class Accepted(Shown):
    """The payout is reserved and queued, or was by the same request before."""

    status: str = "accepted"
    disbursement_id: str = Field(examples=["pay_0000000000001"])
    client_request_id: str


class Disbursements:
    """The two routes, over the same commands and queries as gRPC."""

    def __init__(self, core: Core, *, door: RestDoor, payouts: PayoutCommands) -> None:
        self._core = core
        self._door = door
        self._payouts = payouts

    def router(self) -> APIRouter:
        """The routes."""
        router = self._door.router("disbursements")
        router.add_api_route("/disburse", self.disburse, methods=["POST"], status_code=202)
        router.add_api_route("/disburse/{disbursement_id}", self.read, methods=["GET"], response_model=None)
        return router

    async def disburse(self, body: Disbursement) -> Accepted:
        """Requests a payout."""
        caller = _partners(permit(Permission.PAYOUTS_REQUEST))
        ledger = await self._core.ledgers.find(body.tenant_id, caller=caller)
        draft = pb.PayoutDraft(
            request_id=body.client_request_id,
            partner_reference=body.client_request_id,
            msisdn=body.msisdn,
            amount=money_of(body.amount, currency=await self._currency(ledger, caller)),
            remarks=body.customer_id,
        )
        request = pb.RequestPayoutRequest(ledger=body.tenant_id, payout=draft)
        made = await self._door.ask(self._payouts.RequestPayout, request, names=_NAMES)
        return Accepted(disbursement_id=made.payout.id, client_request_id=made.payout.partner_reference)

    async def read(self, disbursement_id: str, tenant: Tenant = "") -> JSONResponse:
        """What became of a payout: the same words as in the webhook."""
        caller = _partners(permit(Permission.PAYOUTS_READ))
        payout_id = payout_id_of(disbursement_id)
        ledger = await ledger_of(self._core, tenant)
        async with transaction(self._core.engine) as connection:
            payout = await queries.get_payout(
                connection, ledger_id=ledger.id, partner_id=caller.partner_id, payout_id=payout_id
            )
            session = await driver(connection)
            found = await find_conversations(session, ledger_id=ledger.id, payout_ids=[payout_id])
        return JSONResponse(notice(payout, conversation_id=found.get(payout_id)))

    async def _currency(self, ledger: Ledger, caller: Caller) -> str:
        """The partner's own."""
        assert caller.partner_id is not None
        async with transaction(self._core.engine) as connection:
            found = await partners.find_partners(connection, ledger_id=ledger.id, ids=[caller.partner_id])
        return found[caller.partner_id].payout_fee.currency


def _partners(caller: Caller) -> Caller:
    """Raises Denied for another than a partner's key."""
    if caller.partner_id is None:
        raise Denied("this needs a partner's key")
    return caller
