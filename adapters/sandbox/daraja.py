"""Daraja at its own paths: OAuth, money out and in, questions. Reads HTTP, asks the cores, answers; keeps no books."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeVar

from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask

from adapters.sandbox import fields, magic, refusals
from adapters.sandbox.apis import ENDPOINTS, PAYBILL, PAYMENTS, Api
from adapters.sandbox.behaviours import Answer, Core, Timing
from adapters.sandbox.credentials import TOKEN_LIFETIME_SECONDS
from adapters.sandbox.faults import Target
from adapters.sandbox.fields import Fields
from adapters.sandbox.intake import Intake, Received
from adapters.sandbox.listener import RoughListener
from adapters.sandbox.paybill import PaybillCore, RegisterCore
from adapters.sandbox.payments import PaymentCore
from adapters.sandbox.prompting import PromptCore, PromptQueryCore
from adapters.sandbox.pull import PullQueryCore, PullRegisterCore
from adapters.sandbox.queries import QueryCore
from adapters.sandbox.refusals import ERROR_ANSWERS, Refusal, Refused, json_response
from adapters.sandbox.reversals import ReversalCore
from adapters.sandbox.settings import ExpiresIn
from adapters.sandbox.simulation import Simulation

R = TypeVar("R")
Handler = Callable[[Request], Awaitable[Response]]


class ApiCore(Protocol[R]):
    """What stands behind the gateway, for some APIs."""

    def read(self, fields: Fields, body: bytes, api: Api) -> R:
        """The request in the document. Raises Refused naming the first bad field."""

    def receive(self, request: R, api: Api, now: datetime) -> Received:
        """Takes the request in, or not. May raise Refused, having noted it."""


class DarajaRail:
    """The gateway: who may pass, in which words they are refused, and what they hear when they passed."""

    def __init__(self, simulation: Simulation, listener: RoughListener) -> None:
        self._simulation = simulation
        self._listener = listener
        self._intake = Intake(simulation)
        self._handlers = self._make_handlers()

    def router(self) -> APIRouter:
        """The routes at the provider's paths."""
        router = APIRouter()
        for api, endpoint in ENDPOINTS.items():
            is_oauth = api is Api.OAUTH
            handler = self.generate_token if is_oauth else self._handlers[api]
            router.add_api_route(endpoint.path, handler, methods=["GET" if is_oauth else "POST"])
        return router

    async def generate_token(self, request: Request) -> Response:
        """OAuth: Basic credentials for a token. A wrong key or secret is answered 400 with nothing in it. A fault may
        lose the answer after the token came into force, and so end the one before."""
        self._simulation.world.note_call(ENDPOINTS[Api.OAUTH].path)
        key, secret = _basic_credentials(request)
        if request.query_params.get("grant_type") != "client_credentials":
            raise Refused(refusals.INVALID_GRANT_TYPE)
        if not self._knows(key, secret):
            return Response(status_code=400)
        behaviour = self._simulation.faults.choose(Target(Api.OAUTH), magic.SUCCESS)
        token = self._issue() if behaviour.core is Core.DECIDES else ""
        if behaviour.answer is not Answer.ACKNOWLEDGED:
            return await self._trouble(request, behaviour.answer)
        as_text = self._simulation.settings.expires_in is ExpiresIn.TEXT
        lifetime = str(TOKEN_LIFETIME_SECONDS) if as_text else TOKEN_LIFETIME_SECONDS
        return json_response({"access_token": token, "expires_in": lifetime})

    def refusal_response(self, refusal: Refusal) -> Response:
        """The documented error answer, under a request id of its own."""
        return refusal.response(self._simulation.identifiers.request_id())

    def _make_handlers(self) -> dict[Api, Handler]:
        simulation, intake, handler = self._simulation, self._intake, self._handler
        payments, queries = PaymentCore(simulation, intake), QueryCore(simulation, intake)
        prompting, register = PromptCore(simulation, intake), RegisterCore(simulation, intake)
        paybill = PaybillCore(simulation, intake)
        return {
            **{api: handler(api, payments) for api in PAYMENTS},
            Api.STATUS: handler(Api.STATUS, queries),
            Api.BALANCE: handler(Api.BALANCE, queries),
            Api.STK: handler(Api.STK, prompting),
            Api.STK_QUERY: handler(Api.STK_QUERY, PromptQueryCore(simulation, intake, prompting)),
            Api.C2B_REGISTER_V1: handler(Api.C2B_REGISTER_V1, register),
            Api.C2B_REGISTER_V2: handler(Api.C2B_REGISTER_V2, register),
            **{api: handler(api, paybill) for api in PAYBILL},
            Api.REVERSAL: handler(Api.REVERSAL, ReversalCore(simulation, intake)),
            Api.PULL_REGISTER: handler(Api.PULL_REGISTER, PullRegisterCore(simulation, intake)),
            Api.PULL_QUERY: handler(Api.PULL_QUERY, PullQueryCore(simulation, intake)),
        }

    def _handler(self, api: Api, core: ApiCore[R]) -> Handler:
        async def handle(request: Request) -> Response:
            return await self._serve(request, api, core)

        return handle

    async def _serve(self, request: Request, api: Api, core: ApiCore[R]) -> Response:
        body = await request.body()
        try:
            wanted = core.read(self._admit(request, body, api), body, api)
        except Refused as refused:
            self._intake.note_refusal(api, refused.refusal)
            raise
        received = core.receive(wanted, api, self._simulation.clock())
        behaviour, taken = received.behaviour, received.taken
        if taken is not None and behaviour.timing is Timing.BEFORE_ANSWER:
            await taken.dispatch.release()
            await taken.dispatch.delivered()
        if behaviour.answer is Answer.ACKNOWLEDGED:
            assert taken is not None
            response = json_response(taken.answer)
        else:
            response = await self._trouble(request, behaviour.answer)
        if taken is not None:
            # Runs when the last byte of the answer is written: callbacks never overtake it by chance.
            response.background = BackgroundTask(taken.dispatch.release)
        return response

    def _admit(self, request: Request, body: bytes, api: Api) -> Fields:
        """Everything the gateway checks before it reads the fields."""
        world, faults, now = self._simulation.world, self._simulation.faults, self._simulation.clock()
        world.note_call(ENDPOINTS[api].path)
        token = _bearer_token(request)
        if not self._simulation.tokens.accepts(token, now=now):
            world.tokens_refused += 1
            raise Refused(refusals.invalid_access_token(faults.token_errors[api], token))
        if not faults.allowance.admits(now):
            raise Refused(refusals.SPIKE_ARREST)
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            raise Refused(refusals.invalid_field(ENDPOINTS[api].first_field))
        return fields.parse(body)

    async def _trouble(self, request: Request, answer: Answer) -> Response:
        """What is heard instead of the answer that was hoped for."""
        match answer:
            case Answer.DROPPED:
                await self._listener.drop(request)
                return Response()
            case Answer.HUNG:
                await self._listener.hold(request, seconds_max=self._simulation.settings.hang_seconds_max)
                return Response()
            case Answer.SERVICE_UNAVAILABLE:
                return Response(refusals.SERVICE_UNAVAILABLE_HTML, 503, media_type="text/html")
            case _:
                return self.refusal_response(ERROR_ANSWERS[answer])

    def _issue(self) -> str:
        token = self._simulation.identifiers.access_token()
        self._simulation.tokens.put_in_force(token, now=self._simulation.clock())
        self._simulation.world.tokens_issued += 1
        return token

    def _knows(self, key: str, secret: str) -> bool:
        settings = self._simulation.settings
        key_matches = hmac.compare_digest(key.encode(), settings.consumer_key.encode())
        return hmac.compare_digest(secret.encode(), settings.consumer_secret.encode()) and key_matches


def method_refusal(method: str, path: str) -> Refusal:
    """What a known path answers to a wrong method: GET on a POST path looks like a bad header, the rest is named."""
    if method == "GET" and path != ENDPOINTS[Api.OAUTH].path:
        return refusals.INVALID_AUTHENTICATION_HEADER
    return refusals.method_not_allowed(method)


def _basic_credentials(request: Request) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        key, separator, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise Refused(refusals.INVALID_AUTHENTICATION) from None
    if scheme.lower() != "basic" or not separator:
        raise Refused(refusals.INVALID_AUTHENTICATION)
    return key, secret


def _bearer_token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused(refusals.INVALID_AUTHENTICATION_HEADER)
    return token.strip()
