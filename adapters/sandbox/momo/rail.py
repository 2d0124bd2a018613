"""The simulated wallet's HTTP API: gateway, tokens, users, transfers, requests to pay, balances, at MoMo's paths."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask

from adapters.sandbox.courier import Parcel
from adapters.sandbox.listener import RoughListener
from adapters.sandbox.momo import behaviours, messages
from adapters.sandbox.momo.access import User, is_uuid_4
from adapters.sandbox.momo.behaviours import Answer, Behaviour, Fate
from adapters.sandbox.momo.simulation import MomoSimulation
from adapters.sandbox.momo.world import Transaction

PATHS = ("/disbursement/", "/collection/", "/v1_0/")
_CREATIONS = {"transfer": ("disbursement", "payee"), "requesttopay": ("collection", "payer")}
_HOST = re.compile(r"https?://([^/:]+)(:[0-9]+)?/.+")
_FORBIDDEN = (
    b"<html><head><title>403 Forbidden</title></head><body>Microsoft-Azure-Application-Gateway/v2</body></html>"
)


class Refused(Exception):
    """An answer that ends the handling of a request."""

    def __init__(self, response: Response) -> None:
        super().__init__("refused")
        self.response = response


class MomoRail:
    """The handlers."""

    def __init__(self, simulation: MomoSimulation, listener: RoughListener) -> None:
        self._simulation = simulation
        self._listener = listener

    def router(self) -> APIRouter:
        """The routes at MoMo's paths."""
        router = APIRouter()
        for path, handler, method in (
            ("/v1_0/apiuser", self.add_user, "POST"),
            ("/v1_0/apiuser/{user_id}", self.show_user, "GET"),
            ("/v1_0/apiuser/{user_id}/apikey", self.add_key, "POST"),
            ("/{product}/token/", self.token, "POST"),
            ("/{product}/v1_0/account/balance", self.balance, "GET"),
            ("/{product}/v1_0/accountholder/msisdn/{msisdn}/active", self.holder, "GET"),
            ("/{product}/v1_0/{kind}", self.create, "POST"),
            ("/{product}/v1_0/{kind}/{reference}", self.status, "GET"),
        ):
            router.add_route(path, handler, methods=[method])
        return router

    async def add_user(self, request: Request) -> Response:
        """Provisions a user under the reference that the client chose."""
        self._admit(request)
        user_id = request.headers.get("x-reference-id")
        host = _member(await request.body(), "providerCallbackHost")
        if self._product(request) is None:
            return _json(messages.SUBSCRIPTION_REFUSED, status=401)
        if not is_uuid_4(user_id) or not host or "/" in host:
            return Response(status_code=400)
        assert user_id is not None
        made = self._simulation.access.add_user(user_id, host)
        return Response(status_code=201) if made else _wallet_error("RESOURCE_ALREADY_EXIST", 409)

    async def show_user(self, request: Request) -> Response:
        """What was provisioned, without the key."""
        self._admit(request)
        user = self._simulation.access.users.get(request.path_params["user_id"])
        if user is None:
            return _wallet_error("RESOURCE_NOT_FOUND", 404)
        host = min(user.callback_hosts)
        return _json({"providerCallbackHost": host, "targetEnvironment": self._simulation.settings.target_environment})

    async def add_key(self, request: Request) -> Response:
        """Makes a key, told once."""
        self._admit(request)
        key = self._simulation.access.make_key(request.path_params["user_id"])
        return _wallet_error("RESOURCE_NOT_FOUND", 404) if key is None else _json({"apiKey": key}, status=201)

    async def token(self, request: Request) -> Response:
        """Grants a token of one product."""
        self._admit(request)
        product, simulation = request.path_params["product"], self._simulation
        if self._product(request) != product:
            return _json(messages.SUBSCRIPTION_REFUSED, status=401)
        if await request.body():
            return Response(status_code=400)
        environment = request.headers.get("x-target-environment")
        if simulation.settings.demands_environment and environment != simulation.settings.target_environment:
            return _json({"error": "Invalid or missing X-Target-Environment header"}, status=400)
        token = simulation.access.grant(request.headers.get("authorization", ""), product, simulation.clock())
        if token is None:
            return _json({"error": "invalid_client"}, status=401)
        lifetime = simulation.settings.token_seconds
        return _json({"access_token": token, "token_type": "access_token", "expires_in": lifetime})

    async def balance(self, request: Request) -> Response:
        """What a product's account holds."""
        self._authorise(request)
        simulation, settings = self._simulation, self._simulation.settings
        simulation.world.decide_due(simulation.clock())
        held = simulation.world.balances[request.path_params["product"]]
        return _json({"availableBalance": messages.amount_text(held, settings.exponent), "currency": settings.currency})

    async def holder(self, request: Request) -> Response:
        """Whether a number has an active wallet."""
        self._authorise(request)
        suffix = request.path_params["msisdn"].removeprefix(behaviours.PREFIX)
        status, word = behaviours.HOLDER_NUMBERS.get(suffix, (200, "active"))
        return _json({"result": word == "active"}) if status == 200 else _wallet_error(word, status)

    async def status(self, request: Request) -> Response:
        """What became of a transfer or a request to pay, on this platform."""
        self._authorise(request)
        simulation = self._simulation
        simulation.world.decide_due(simulation.clock())
        key = (request.path_params["product"], request.path_params["reference"])
        found = simulation.world.transactions.get(key)
        known = _CREATIONS.get(request.path_params["kind"], ("",))[0] == key[0]
        if found is None or not known or found.unseen > 0:
            if found is not None:
                found.unseen -= 1
            return _wallet_error("RESOURCE_NOT_FOUND", 404)
        return _json(messages.status_document(found, simulation.settings))

    async def create(self, request: Request) -> Response:
        """Takes a transfer or a request to pay in, or does to it what its number or the script says."""
        user = self._authorise(request)
        product, kind = request.path_params["product"], request.path_params["kind"]
        if _CREATIONS.get(kind, ("",))[0] != product:
            return _no_such_resource()
        wanted = messages.read_creation(
            await request.body(), party=_CREATIONS[kind][1], exponent=self._simulation.settings.exponent
        )
        reference = request.headers.get("x-reference-id")
        if wanted is None or not is_uuid_4(reference) or request.headers.get("x-callback-url") == "":
            return Response(status_code=400)
        assert reference is not None
        behaviour = self._simulation.choose(wanted.msisdn, collects=product == "collection")
        if behaviour.answer is Answer.DROPPED and behaviour.fate is Fate.REFUSED:
            return await self._drop(request)
        refusal = self._refusal(request, user, wanted, behaviour, product, reference)
        if refusal is not None:
            return refusal
        transaction = self._simulation.open(wanted, behaviour, product, reference)
        return await self._answer(request, transaction)

    def _refusal(
        self,
        request: Request,
        user: User,
        wanted: messages.Wanted,
        behaviour: Behaviour,
        product: str,
        reference: str,
    ) -> Response | None:
        settings, world = self._simulation.settings, self._simulation.world
        if (product, reference) in world.transactions:
            world.duplicates += 1
            return _wallet_error("RESOURCE_ALREADY_EXIST", 409)
        if wanted.currency != settings.currency or not wanted.amount:
            return _wallet_error("INVALID_CURRENCY", 500)
        host = _HOST.fullmatch(request.headers.get("x-callback-url", ""))
        named = request.headers.get("x-callback-url")
        if named is not None and (host is None or host.group(1) not in user.callback_hosts):
            return _wallet_error("INVALID_CALLBACK_URL_HOST", 500)
        if behaviour.fate is Fate.REFUSED:
            return _wallet_error(behaviour.code, behaviour.status)
        return None

    async def _answer(self, request: Request, transaction: Transaction) -> Response:
        behaviour = transaction.behaviour
        dispatch = self._simulation.courier.prepare(self._parcels(request, transaction))
        if behaviour.first:
            await dispatch.release()
            await dispatch.delivered()
        if behaviour.answer is Answer.DROPPED:
            return await self._drop(request)
        failed = behaviour.answer is Answer.ERROR
        response = _wallet_error(behaviour.code, 500) if failed else Response(status_code=202)
        # Runs when the last byte of the answer is written: callbacks never overtake it by chance.
        response.background = BackgroundTask(dispatch.release)
        return response

    def _parcels(self, request: Request, transaction: Transaction) -> list[Parcel]:
        url = request.headers.get("x-callback-url")
        if url is None:
            return []
        settings = self._simulation.settings
        body = _body(messages.callback_document(transaction, settings))
        parcel = Parcel(transaction.number, "callback", url, body, settings.callback_method)
        return [parcel] * transaction.behaviour.callbacks

    async def _drop(self, request: Request) -> Response:
        await self._listener.drop(request)
        return Response(status_code=499)

    def _admit(self, request: Request) -> None:
        """Counts the call. The new platform's gateway refuses a library's default name."""
        self._simulation.world.calls[f"{request.method} {_shape(request.url.path)}"] += 1
        if "python-requests" in request.headers.get("user-agent", ""):
            raise Refused(Response(_FORBIDDEN, status_code=403, media_type="text/html"))

    def _product(self, request: Request) -> str | None:
        return self._simulation.access.product_of(request.headers.get("ocp-apim-subscription-key"))

    def _authorise(self, request: Request) -> User:
        """Whoever calls. Raises Refused."""
        self._admit(request)
        product, simulation = request.path_params["product"], self._simulation
        if self._product(request) != product:
            raise Refused(_json(messages.SUBSCRIPTION_REFUSED, status=401))
        bearer = request.headers.get("authorization", "")
        user = simulation.access.user_of(bearer, product, simulation.clock())
        if user is None:
            raise Refused(_json({"statusCode": 401, "message": "Unauthorized. Access token is not valid."}, status=401))
        if request.headers.get("x-target-environment") != simulation.settings.target_environment:
            raise Refused(_wallet_error("NOT_ALLOWED_TARGET_ENVIRONMENT", 500))
        return user


def unrouted(path: str) -> Response | None:
    """What the gateway says of a path of MoMo's where nothing is; None for any other path."""
    return _no_such_resource() if path.startswith(PATHS) else None


def _no_such_resource() -> Response:
    return _json({"statusCode": 404, "message": "Resource not found"}, status=404)


def _wallet_error(code: str, status: int) -> Response:
    return _json(messages.wallet_error(code), status=status)


def _json(document: Mapping[str, object], *, status: int = 200) -> Response:
    return Response(_body(document), status_code=status, media_type="application/json")


def _body(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _member(body: bytes, name: str) -> str:
    try:
        value = json.loads(body)[name]
    except (ValueError, KeyError, TypeError):
        return ""
    return value if isinstance(value, str) else ""


def _shape(path: str) -> str:
    """A path without the ids in it."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]{8,15}", "*", path)
