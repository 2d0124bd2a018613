"""The REST facade for callers without gRPC: a thin skin over the payout commands, with the same keys and the same
answers.

A repeated `client_request_id` returns the first answer, for ever. What the wire calls a tenant is a ledger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any

import grpc
from daftari.v1 import money_pb2, payouts_pb2
from fastapi import APIRouter, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from api.authentication import Authenticator
from api.caller import Caller
from api.conversion.payouts import payout_id_of, request_of
from api.conversion.refusals import CODES
from api.core import Core
from api.failures import refusal_of
from api.permissions import Permission
from api.services.payout_commands import PayoutRequester
from ledger import partners
from ledger.database import driver, transaction
from ledger.errors import Denied
from ledger.journal.books import Ledger
from ledger.journal.decide import Refused
from ledger.money import parse_decimal
from ledger.parties import PartyKeys
from ledger.partners import Partner
from ledger.payouts import queries
from ledger.payouts.notice import Notice, find_conversations, notice
from ledger.payouts.queries import Payout

HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 422,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.UNAVAILABLE: 503,
}
Key = Annotated[str, Header(alias="x-api-key", description="A partner's API key")]


class Disbursement(BaseModel):
    """A payout to request."""

    model_config = ConfigDict(extra="ignore")

    amount: Decimal | str = Field(description='Decimal, such as "1500.00" or 1500; never rounded', examples=["1500.00"])
    msisdn: str = Field(description="International form", examples=["254712345678"], max_length=32)
    tenant_id: str = Field(description="The ledger's code", max_length=64)
    customer_id: str = Field(default="", description="Yours; shown to the payee's provider as remarks", max_length=100)
    client_request_id: str = Field(description="Yours, unique; repeating it returns the first answer", max_length=64)


class Accepted(BaseModel):
    """The payout is reserved and queued, or was by the same request before."""

    status: str = "accepted"
    disbursement_id: str
    client_request_id: str


class Rejected(BaseModel):
    """Nothing was done."""

    status: str = "rejected"
    error_code: str
    error: str
    field: str = ""


class Disbursements:
    """The two routes, over the same gatherer and queries as gRPC."""

    def __init__(
        self,
        core: Core,
        *,
        authenticator: Authenticator,
        requester: PayoutRequester,
        party_keys: PartyKeys,
        monotonic: Callable[[], float],
        timeout_seconds: float = 10.0,
    ) -> None:
        self._core = core
        self._authenticator = authenticator
        self._requester = requester
        self._party_keys = party_keys
        self._monotonic = monotonic
        self._timeout_seconds = timeout_seconds

    def router(self) -> APIRouter:
        """POST /v1/disburse and GET /v1/disburse/{id}."""
        router = APIRouter(prefix="/v1", tags=["disbursements"])
        answers: dict[int | str, dict[str, Any]] = {
            status: {"model": Rejected} for status in sorted(set(HTTP_STATUS.values()))
        }
        router.add_api_route(
            "/disburse", self.disburse, methods=["POST"], status_code=202, response_model=Accepted, responses=answers
        )
        router.add_api_route(
            "/disburse/{disbursement_id}", self.read, methods=["GET"], response_model=None, responses=answers
        )
        return router

    async def disburse(self, body: Disbursement, x_api_key: Key = "") -> JSONResponse:
        """Requests a payout."""
        return await self._answered(self._disburse(body, x_api_key), status=202)

    async def read(self, disbursement_id: str, x_api_key: Key = "") -> JSONResponse:
        """What became of a payout: the same words as in the webhook."""
        return await self._answered(self._read(disbursement_id, x_api_key), status=200)

    async def _answered(self, answer: Awaitable[Notice], *, status: int) -> JSONResponse:
        try:
            return JSONResponse(await answer, status_code=status)
        except Exception as error:  # noqa: BLE001 -- the process edge: logged under a number, answered with it
            refusal = refusal_of(error, request_id="rest")
            rejected = Rejected(error_code=refusal.reason, error=refusal.message, field=refusal.field)
            return JSONResponse(rejected.model_dump(), status_code=HTTP_STATUS.get(CODES[refusal.category], 500))

    async def _disburse(self, body: Disbursement, key: str) -> Notice:
        caller = await self._caller(key, Permission.PAYOUTS_REQUEST)
        ledger = await self._core.ledgers.find(body.tenant_id, caller=caller)
        partner = await self._partner(ledger, caller)
        request = request_of(
            _draft(body, partner.payout_fee.currency),
            partner=partner,
            client_id=caller.client_id,
            actor=caller.name,
            party_keys=self._party_keys,
            field="",
        )
        deadline = self._monotonic() + self._timeout_seconds
        verdict = await self._requester.submit(ledger, request, deadline=deadline)
        if isinstance(verdict, Refused):
            raise verdict.error
        payout = await self._payout(ledger, caller, verdict.payout_id)
        accepted = Accepted(disbursement_id=payout.public_id, client_request_id=payout.partner_reference)
        return {**accepted.model_dump()}

    async def _read(self, disbursement_id: str, key: str) -> Notice:
        caller = await self._caller(key, Permission.PAYOUTS_READ)
        payout_id = payout_id_of(disbursement_id)
        (ledger,) = await self._core.ledgers.visible(caller=caller, after_code="", limit=1)
        payout = await self._payout(ledger, caller, payout_id)
        async with transaction(self._core.engine) as connection:
            session = await driver(connection)
            found = await find_conversations(session, ledger_id=ledger.id, payout_ids=[payout_id])
        return notice(payout, conversation_id=found.get(payout_id))

    async def _payout(self, ledger: Ledger, caller: Caller, payout_id: int) -> Payout:
        async with transaction(self._core.engine) as connection:
            return await queries.get_payout(
                connection, ledger_id=ledger.id, partner_id=caller.partner_id, payout_id=payout_id
            )

    async def _caller(self, key: str, permission: Permission) -> Caller:
        caller = await self._authenticator.caller_of(key)
        if permission.value not in caller.permissions or caller.partner_id is None:
            raise Denied(f"this needs a partner's key with the permission {permission.value}")
        return caller

    async def _partner(self, ledger: Ledger, caller: Caller) -> Partner:
        assert caller.partner_id is not None
        async with transaction(self._core.engine) as connection:
            found = await partners.find_partners(connection, ledger_id=ledger.id, ids=[caller.partner_id])
        return found[caller.partner_id]


async def answer_invalid(_request: Request, error: Exception) -> JSONResponse:
    """A body that is not what the documents say, told like every other refusal and without quoting it."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part != "body")
    rejected = Rejected(error_code="REQUEST_INVALID", error=str(first["msg"]), field=field)
    return JSONResponse(rejected.model_dump(), status_code=400)


async def answer_refused(_request: Request, error: Exception) -> JSONResponse:
    """What the framework itself refuses (no such path or method, a body too deep to read) in the same form."""
    assert isinstance(error, HTTPException)
    rejected = Rejected(error_code="REQUEST_INVALID", error=HTTPStatus(error.status_code).phrase)
    return JSONResponse(rejected.model_dump(), status_code=error.status_code, headers=error.headers)


def _draft(body: Disbursement, currency: str) -> payouts_pb2.PayoutDraft:
    """The same draft a gRPC caller would send, so that a repeat over either is a repeat."""
    amount = parse_decimal(str(body.amount), currency)
    return payouts_pb2.PayoutDraft(
        request_id=body.client_request_id,
        partner_reference=body.client_request_id,
        msisdn=body.msisdn,
        amount=money_pb2.Money(currency=currency, minor_units=amount.minor_units),
        remarks=body.customer_id,
    )
