"""The sandbox as one server: every simulated rail and the control API on one port, in-process or as a command."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from starlette.exceptions import HTTPException

from adapters.sandbox import magic, refusals
from adapters.sandbox.apis import ENDPOINTS, Api
from adapters.sandbox.c2b_setup import C2bSetup
from adapters.sandbox.control import CONTROL_PREFIX, Control
from adapters.sandbox.daraja import DarajaRail, method_refusal
from adapters.sandbox.listener import RoughListener
from adapters.sandbox.momo.control import CONTROL_PREFIX as MOMO_CONTROL
from adapters.sandbox.momo.control import MomoControl
from adapters.sandbox.momo.rail import MomoRail, unrouted
from adapters.sandbox.momo.rail import Refused as MomoRefused
from adapters.sandbox.momo.settings import MomoSandboxSettings
from adapters.sandbox.momo.simulation import MomoSimulation
from adapters.sandbox.prompts import Prompts
from adapters.sandbox.refusals import Refused
from adapters.sandbox.settings import Clock, SandboxSettings
from adapters.sandbox.simulation import Simulation
from adapters.sandbox.sms.control import CONTROL_PREFIX as SMS_CONTROL
from adapters.sandbox.sms.control import SmsControl
from adapters.sandbox.sms.rail import SmsRails
from adapters.sandbox.sms.world import SmsSimulation, sms_credentials
from adapters.sandbox.world import World

LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 1  # connections are cut at stop; this is for handlers to notice
MOMO_DEFAULTS = MomoSandboxSettings()
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SandboxServer:
    """A sandbox to embed: `start`, use its base URL, read `world` for the truth, `stop`.

    `clock` gives the aware present, `randomness` all identifiers and lots: the same seed, clock and requests give the
    same bytes. Port 0 takes a free one. Binds to loopback unless told otherwise, for the control API has no password.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        *,
        clock: Clock,
        randomness: random.Random,
        momo: MomoSandboxSettings = MOMO_DEFAULTS,
        host: str = LOOPBACK,
        port: int = 0,
    ) -> None:
        self._simulation = Simulation(settings, clock=clock, randomness=randomness)
        self._momo = MomoSimulation(
            momo,
            clock=clock,
            randomness=random.Random(randomness.getrandbits(64)),
            callback_delay_seconds=settings.callback_delay_seconds,
            callback_timeout_seconds=settings.callback_timeout_seconds,
        )
        self._sms = SmsSimulation(
            clock=clock,
            randomness=random.Random(randomness.getrandbits(64)),
            callback_delay_seconds=settings.callback_delay_seconds,
            callback_timeout_seconds=settings.callback_timeout_seconds,
        )
        self._listener = RoughListener(host=host, port=port, grace_seconds=GRACE_SECONDS)

    @property
    def world(self) -> World:
        """The books and the diary: what really happened, whatever anyone was told."""
        return self._simulation.world

    @property
    def momo(self) -> MomoSimulation:
        """The wallet of the other provider, with its own truth."""
        return self._momo

    @property
    def sms(self) -> SmsSimulation:
        """The providers of text messages, with what was sent to whom."""
        return self._sms

    @property
    def prompts(self) -> Prompts:
        """The prompts it sent, with the addresses it was to call back."""
        return self._simulation.prompts

    @property
    def c2b(self) -> C2bSetup:
        """The addresses it was given for what customers pay."""
        return self._simulation.c2b

    @property
    def certificate_pem(self) -> str:
        """The X.509 certificate that SecurityCredential must be made with."""
        return self._simulation.certificate.pem

    async def start(self) -> str:
        """Listens, and returns the base URL. Raises OSError when the address is taken."""
        return await self._listener.start(_application(self._simulation, self._momo, self._sms, self._listener))

    async def idle(self) -> None:
        """Returns once no callback is waiting or under way."""
        await self._simulation.courier.idle()
        await self._momo.courier.idle()
        await self._sms.courier.idle()

    async def stop(self) -> None:
        """Drops callbacks not yet delivered, cuts all connections and frees the port."""
        await self._listener.stop()
        await self._simulation.courier.close()
        await self._momo.courier.close()
        await self._sms.courier.close()


async def serve(host: str, port: int, *, settings: SandboxSettings, announce: Callable[[str], None]) -> None:
    """Runs a sandbox on the real clock until SIGINT or SIGTERM, announcing line by line where it is and what it takes.

    Raises OSError when the address is taken.
    """
    server = SandboxServer(
        settings, clock=lambda: datetime.now(UTC), randomness=random.SystemRandom(), host=host, port=port
    )
    base_url = await server.start()
    for line in startup_lines(base_url, settings):
        announce(line)
    try:
        await _stop_signal()
    finally:
        await server.stop()


async def _stop_signal() -> None:
    loop = asyncio.get_running_loop()
    stop_asked = asyncio.Event()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop_asked.set)
    try:
        await stop_asked.wait()
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


def startup_lines(base_url: str, settings: SandboxSettings, momo: MomoSandboxSettings = MOMO_DEFAULTS) -> list[str]:
    """What to print at start: addresses, the test credentials that are accepted, the magic MSISDNs."""
    return [
        f"Daftari sandbox listens on {base_url}",
        "",
        f"  oauth            GET  {base_url}{ENDPOINTS[Api.OAUTH].path}?grant_type=client_credentials",
        *(f"  {api.value:<15}  POST {base_url}{ENDPOINTS[api].path}" for api in Api if api is not Api.OAUTH),
        f"  truth            GET  {base_url}{CONTROL_PREFIX}/truth",
        f"  certificate      GET  {base_url}{CONTROL_PREFIX}/certificate",
        "",
        "Test credentials (of this sandbox alone; never use real ones here)",
        f"  consumer key        {settings.consumer_key}",
        f"  consumer secret     {settings.consumer_secret}",
        f"  initiator name      {settings.initiator_name}",
        f"  initiator password  {settings.initiator_password}",
        f"  shortcode           {settings.shortcode}",
        f"  till                {settings.till}",
        f"  passkey             {settings.passkey}",
        "",
        f"Magic MSISDNs; shortcodes and tills have {magic.MAGIC_SHORTCODE_PREFIX} before the same three digits",
        "(any other valid number is paid and called back)",
        *_magic_lines(),
        "",
        *_momo_lines(base_url, momo),
    ]


def _momo_lines(base_url: str, momo: MomoSandboxSettings) -> list[str]:
    keys = [f"  {product} subscription key  {key}" for product, key in sorted(momo.subscription_keys.items())]
    return [
        f"MTN MoMo at the same address: wallet {momo.wallet}, {momo.target_environment}, {momo.currency}",
        f"  token            POST {base_url}/disbursement/token/  (and /collection/token/)",
        f"  transfer         POST {base_url}/disbursement/v1_0/transfer",
        f"  request to pay   POST {base_url}/collection/v1_0/requesttopay",
        f"  truth, numbers   GET  {base_url}{MOMO_CONTROL}/truth  and  {MOMO_CONTROL}/magic",
        f"  user:key         {momo.credential}",
        *keys,
        "",
        "Africa's Talking and Pindo at the same address: every message that was sent, and how numbers behave",
        f"  messages         GET  {base_url}{SMS_CONTROL}/truth  and  {SMS_CONTROL}/magic",
        f"  apiKey, token    {sms_credentials()}",
    ]


def _magic_lines() -> list[str]:
    return [f"  {magic.magic_msisdn(suffix)}  {behaviour.summary}" for suffix, behaviour in magic.ROWS.items()]


def _application(simulation: Simulation, momo: MomoSimulation, sms: SmsSimulation, listener: RoughListener) -> FastAPI:
    app = FastAPI(title="Daftari sandbox", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    daraja = DarajaRail(simulation, listener)
    app.include_router(daraja.router())
    app.include_router(MomoControl(momo).router())
    app.include_router(SmsControl(sms).router())
    app.include_router(SmsRails(sms, listener).router())
    app.include_router(Control(simulation).router())
    app.include_router(MomoRail(momo, listener).router())

    async def answer_refused_by_momo(_request: Request, error: Exception) -> Response:
        assert isinstance(error, MomoRefused)
        return error.response

    async def answer_refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return daraja.refusal_response(error.refusal)

    async def answer_unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.url.path
        if path.startswith(CONTROL_PREFIX):
            return await http_exception_handler(request, error)
        unknown_to_momo = unrouted(path)
        if unknown_to_momo is not None:
            return unknown_to_momo
        wrong_method = error.status_code == 405
        refusal = method_refusal(request.method, path) if wrong_method else refusals.RESOURCE_NOT_FOUND
        return daraja.refusal_response(refusal)

    app.add_exception_handler(Refused, answer_refused)
    app.add_exception_handler(MomoRefused, answer_refused_by_momo)
    app.add_exception_handler(HTTPException, answer_unrouted)
    return app
