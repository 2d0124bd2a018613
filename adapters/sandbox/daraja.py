"""Daraja at its own paths: OAuth and B2C. Reads HTTP, asks the core, words the answer; keeps no books itself."""

from __future__ import annotations

import base64
import binascii
import hmac

from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask

from adapters.sandbox import b2c_request, b2c_results, refusals
from adapters.sandbox.b2c import B2CCore, Taken
from adapters.sandbox.b2c_request import B2CRequest, Version
from adapters.sandbox.credentials import TOKEN_LIFETIME_SECONDS
from adapters.sandbox.listener import RoughListener
from adapters.sandbox.magic import SUCCESS, Answer, Behaviour, Timing
from adapters.sandbox.refusals import Refusal, Refused, json_response
from adapters.sandbox.settings import ExpiresIn
from adapters.sandbox.simulation import Simulation

OAUTH_PATH = "/oauth/v1/generate"
B2C_PATHS = {version: f"/mpesa/b2c/{version.value}/paymentrequest" for version in Version}

# How Daraja words the answers that are one of its documented errors.
ERROR_ANSWERS: dict[Answer, Refusal] = {
    Answer.INTERNAL_SERVER_ERROR: refusals.INTERNAL_SERVER_ERROR,
    Answer.SYSTEM_INTERNAL_ERROR: refusals.SYSTEM_INTERNAL_ERROR,
    Answer.SPIKE_ARREST: refusals.SPIKE_ARREST,
    Answer.QUOTA_VIOLATION: refusals.QUOTA_VIOLATION,
    Answer.NOT_AUTHORISED: refusals.NOT_AUTHORISED,
}


class DarajaRail:
    """The gateway: who may pass, in which words they are refused, and what they hear when they passed."""

    def __init__(self, simulation: Simulation, listener: RoughListener) -> None:
        self._simulation = simulation
        self._listener = listener
        self._core = B2CCore(simulation)

    def router(self) -> APIRouter:
        """The routes at the provider's paths."""
        router = APIRouter()
        router.add_api_route(OAUTH_PATH, self.generate_token, methods=["GET"])
        router.add_api_route(B2C_PATHS[Version.V1], self.pay_v1, methods=["POST"])
        router.add_api_route(B2C_PATHS[Version.V3], self.pay_v3, methods=["POST"])
        return router

    async def generate_token(self, request: Request) -> Response:
        """OAuth: Basic credentials for a token. A wrong key or secret is answered 400 with nothing in it."""
        key, secret = _basic_credentials(request)
        if request.query_params.get("grant_type") != "client_credentials":
            raise Refused(refusals.INVALID_GRANT_TYPE)
        if not self._knows(key, secret):
            return Response(status_code=400)
        token = self._simulation.identifiers.access_token()
        self._simulation.tokens.put_in_force(token, now=self._simulation.clock())
        as_text = self._simulation.settings.expires_in is ExpiresIn.TEXT
        lifetime = str(TOKEN_LIFETIME_SECONDS) if as_text else TOKEN_LIFETIME_SECONDS
        return json_response({"access_token": token, "expires_in": lifetime})

    async def pay_v1(self, request: Request) -> Response:
        """B2C v1: no client id, so nothing stops a repeat."""
        return await self._pay(request, Version.V1)

    async def pay_v3(self, request: Request) -> Response:
        """B2C v3: a repeated OriginatorConversationID is refused."""
        return await self._pay(request, Version.V3)

    def refusal_response(self, refusal: Refusal) -> Response:
        """The documented error answer, under a request id of its own."""
        return refusal.response(self._simulation.identifiers.request_id())

    async def _pay(self, request: Request, version: Version) -> Response:
        body = await request.body()
        try:
            payment = self._admit(request, body, version)
        except Refused as refused:
            self._core.note_refusal(B2C_PATHS[version], refused.refusal)
            raise
        behaviour = self._behaviour(payment, version)
        taken = self._core.take(payment, behaviour, path=B2C_PATHS[version], now=self._simulation.clock())
        if taken is not None and behaviour.timing is Timing.BEFORE_ANSWER:
            await taken.dispatch.release()
            await taken.dispatch.delivered()
        response = await self._response(request, behaviour.answer, taken)
        if taken is not None:
            # Runs when the last byte of the answer is written: callbacks never overtake it by chance.
            response.background = BackgroundTask(taken.dispatch.release)
        return response

    def _admit(self, request: Request, body: bytes, version: Version) -> B2CRequest:
        """Everything the gateway checks before anyone behind it hears of the request."""
        token = _bearer_token(request)
        if not self._simulation.tokens.accepts(token, now=self._simulation.clock()):
            raise Refused(refusals.invalid_access_token(token))
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            raise Refused(refusals.invalid_field(version.first_field))
        fields = b2c_request.parse(body)
        return b2c_request.read(fields, body=body, version=version, settings=self._simulation.settings)

    def _behaviour(self, payment: B2CRequest, version: Version) -> Behaviour:
        behaviour = self._simulation.faults.choose(payment.msisdn)
        return behaviour if behaviour.only_on in {"", version.value} else SUCCESS

    async def _response(self, request: Request, answer: Answer, taken: Taken | None) -> Response:
        match answer:
            case Answer.ACKNOWLEDGED:
                assert taken is not None
                return _acknowledgement(taken)
            case Answer.DROPPED:
                await self._listener.drop(request)
                return Response()
            case Answer.HUNG:
                await self._listener.hold(request, seconds_max=self._simulation.settings.hang_seconds_max)
                return Response()
            case Answer.SERVICE_UNAVAILABLE:
                return Response(refusals.SERVICE_UNAVAILABLE_HTML, 503, media_type="text/html")
            case Answer.RATE_LIMITED:
                return json_response(refusals.APIGEE_SPIKE_ARREST, 429)
            case _:
                return self.refusal_response(ERROR_ANSWERS[answer])

    def _knows(self, key: str, secret: str) -> bool:
        settings = self._simulation.settings
        key_matches = hmac.compare_digest(key.encode(), settings.consumer_key.encode())
        return hmac.compare_digest(secret.encode(), settings.consumer_secret.encode()) and key_matches


def method_refusal(method: str, path: str) -> Refusal:
    """What a known path answers to a wrong method: GET on a POST path looks like a bad header, the rest is named."""
    if method == "GET" and path != OAUTH_PATH:
        return refusals.INVALID_AUTHENTICATION_HEADER
    return refusals.method_not_allowed(method)


def _acknowledgement(taken: Taken) -> Response:
    return json_response(
        b2c_results.acknowledgement(
            originator_conversation_id=taken.originator_conversation_id, conversation_id=taken.conversation_id
        )
    )


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
