"""What the sandbox tests drive it with: a client of their own, a receiver of callbacks, a clock that stands still."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from adapters.sandbox.server import SandboxServer
from adapters.sandbox.settings import SandboxSettings

B2B_PATH = "/mpesa/b2b/v1/paymentrequest"
TAX_PATH = "/mpesa/b2b/v1/remittax"
STATUS_PATH = "/mpesa/transactionstatus/v1/query"
BALANCE_PATH = "/mpesa/accountbalance/v1/query"

EXAMPLES = Path(__file__).parents[2] / "examples" / "daraja"
DEADLINE_SECONDS = 10
MOMENT = datetime(2026, 9, 1, 7, 15, 36, tzinfo=UTC)  # 10:15:36 in Nairobi
SEED = 20260901


def example(name: str) -> bytes:
    """The exact body of a documented message."""
    return (EXAMPLES / name).read_bytes()


def tokens_of(body: bytes) -> Any:
    """A JSON text as its tokens: key order and the digits of numbers count, white space does not."""
    return json.loads(body, object_pairs_hook=list, parse_int=lambda text: ("int", text), parse_float=_float_token)


def _float_token(text: str) -> tuple[str, str]:
    return ("float", text)


def shape_of(body: bytes) -> Any:
    """A JSON text with its values replaced by their types; key order counts."""

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return [(key, shape(inner)) for key, inner in value.items()]
        if isinstance(value, list):
            return [shape(inner) for inner in value]
        return type(value).__name__

    return shape(json.loads(body))


class StandingClock:
    """Shows the same moment until it is moved."""

    def __init__(self) -> None:
        self.now = MOMENT

    def __call__(self) -> datetime:
        return self.now

    def advance(self, *, seconds: int) -> None:
        """Moves the moment on."""
        self.now += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Callback:
    """One POST or PUT that arrived at the receiver."""

    path: str
    content_type: str
    body: bytes
    method: str = "POST"

    @property
    def result(self) -> dict[str, Any]:
        """The `Result` of the body."""
        result: dict[str, Any] = json.loads(self.body)["Result"]
        return result

    @property
    def parameters(self) -> dict[str, Any]:
        """The result parameters by key."""
        return {item["Key"]: item.get("Value") for item in self.result["ResultParameters"]["ResultParameter"]}


class Receiver:
    """A small HTTP server that keeps what is posted to it. While `open_for_answers` is clear it answers nobody; it
    answers `{}`, or what `answers` has for the path."""

    def __init__(self) -> None:
        self.open_for_answers = asyncio.Event()
        self.open_for_answers.set()
        self.base_url = ""
        self.received: list[Callback] = []
        self.answers: dict[str, bytes] = {}
        self._arrived: asyncio.Queue[Callback] = asyncio.Queue()

    async def start(self) -> None:
        """Listens on a free port, at `base_url`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def next(self) -> Callback:
        """The next callback, waiting for it."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._arrived.get()

    def forget(self) -> None:
        """Starts over with nothing received."""
        self.received.clear()
        self.answers.clear()
        while not self._arrived.empty():
            self._arrived.get_nowait()

    async def stop(self) -> None:
        """Frees the port."""
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        callback = Callback(head[0].split(" ")[1], headers["content-type"], body, head[0].split(" ")[0])
        self.received.append(callback)
        self._arrived.put_nowait(callback)
        await self.open_for_answers.wait()
        answer = self.answers.get(callback.path, b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(answer) + answer)
        await writer.drain()
        writer.close()


class Rig:
    """A running sandbox, a client with a token for it, and the receiver its callbacks go to."""

    def __init__(
        self, server: SandboxServer, settings: SandboxSettings, clock: StandingClock, http: httpx.AsyncClient
    ) -> None:
        self.server = server
        self.settings = settings
        self.clock = clock
        self.http = http
        self.receiver = Receiver()
        self.access_token = ""
        self.security_credential = ""
        self._numbers = itertools.count(1)

    async def authenticate(self, *, secret: str | None = None) -> httpx.Response:
        """Asks for a token as a client would, and keeps it."""
        secret = self.settings.consumer_secret if secret is None else secret
        response = await self.http.get(
            "/oauth/v1/generate",
            params={"grant_type": "client_credentials"},
            auth=(self.settings.consumer_key, secret),
        )
        if response.status_code == 200:
            self.access_token = response.json()["access_token"]
        return response

    def encrypted(self, password: str, scheme: padding.AsymmetricPadding | None = None) -> str:
        """A SecurityCredential for the sandbox's certificate."""
        certificate = x509.load_pem_x509_certificate(self.server.certificate_pem.encode())
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        return base64.b64encode(key.encrypt(password.encode(), scheme or padding.PKCS1v15())).decode()

    def request(self, **changes: object) -> dict[str, object]:
        """A v3 request that succeeds, with the given fields changed."""
        return {
            "OriginatorConversationID": f"test-{next(self._numbers):06d}",
            "InitiatorName": self.settings.initiator_name,
            "SecurityCredential": self.security_credential,
            "CommandID": "BusinessPayment",
            "Amount": "2500",
            "PartyA": self.settings.shortcode,
            "PartyB": "254700000017",
            "Remarks": "Loan 417 disbursement",
            "QueueTimeOutURL": f"{self.receiver.base_url}/timeout/k7Qd2",
            "ResultURL": f"{self.receiver.base_url}/result/k7Qd2",
            "Occassion": "LN000417",
        } | changes

    def v1_request(self, **changes: object) -> dict[str, object]:
        """A v1 request that succeeds."""
        request = self.request(Occasion="LN000417") | changes
        return {name: value for name, value in request.items() if name not in {"OriginatorConversationID", "Occassion"}}

    def b2b_request(self, **changes: object) -> dict[str, object]:
        """A payment to a pay bill that succeeds, with the given fields changed."""
        return {
            "Initiator": self.settings.initiator_name,
            "SecurityCredential": self.security_credential,
            "CommandID": "BusinessPayBill",
            "SenderIdentifierType": "4",
            "RecieverIdentifierType": "4",
            "Amount": "19000",
            "PartyA": self.settings.shortcode,
            "PartyB": "600977",
            "AccountReference": "INV20417",
            "Remarks": "Supplier settlement",
            "QueueTimeOutURL": f"{self.receiver.base_url}/b2b/timeout/k7Qd2",
            "ResultURL": f"{self.receiver.base_url}/b2b/result/k7Qd2",
            "Requester": "254700000028",
        } | changes

    def status_query(self, **changes: object) -> dict[str, object]:
        """A status query that wants OriginalConversationID or TransactionID added."""
        return self._question("TransactionStatusQuery", "status") | changes

    def balance_query(self, **changes: object) -> dict[str, object]:
        """A balance query that is answered, with the given fields changed."""
        return self._question("AccountBalance", "balance") | changes

    def _question(self, command: str, folder: str) -> dict[str, object]:
        return {
            "Initiator": self.settings.initiator_name,
            "SecurityCredential": self.security_credential,
            "CommandID": command,
            "PartyA": self.settings.shortcode,
            "IdentifierType": "4",
            "Remarks": "sweep",
            "QueueTimeOutURL": f"{self.receiver.base_url}/{folder}/timeout/k7Qd2",
            "ResultURL": f"{self.receiver.base_url}/{folder}/result/k7Qd2",
        }

    async def send(self, path: str, request: Mapping[str, object]) -> httpx.Response:
        """Posts a document to a path of the provider's with the token in hand."""
        return await self.http.post(path, json=request, headers={"Authorization": f"Bearer {self.access_token}"})

    async def put_in(self, **faults: object) -> httpx.Response:
        """Puts faults in and expects them to be taken."""
        response = await self.http.post("/sandbox/faults", json=faults)
        assert response.status_code == 200
        return response

    async def post(
        self, request: Mapping[str, object], *, version: str = "v3", timeout_seconds: float = DEADLINE_SECONDS
    ) -> httpx.Response:
        """Sends a payment request with the token in hand."""
        return await self.http.post(
            f"/mpesa/b2c/{version}/paymentrequest",
            json=request,
            headers={"Authorization": f"Bearer {self.access_token}"},
            timeout=timeout_seconds,
        )

    async def pay(self, **changes: object) -> httpx.Response:
        """Sends a v3 request, the successful one but for the changes."""
        return await self.post(self.request(**changes))

    async def truth(self) -> dict[str, Any]:
        """What the control API says happened."""
        truth: dict[str, Any] = (await self.http.get("/sandbox/truth")).json()
        return truth

    async def callbacks_done(self) -> None:
        """Returns once every callback was tried."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self.server.idle()

    async def start_over(self) -> None:
        """A clean sandbox and an empty receiver."""
        await self.http.post("/sandbox/reset")
        self.receiver.forget()


@asynccontextmanager
async def running(settings: SandboxSettings, *, seed: int = SEED) -> AsyncIterator[Rig]:
    """A rig on free ports, authenticated; callbacks leave without delay."""
    clock = StandingClock()
    settings = replace(settings, callback_delay_seconds=0.0)
    server = SandboxServer(settings, clock=clock, randomness=random.Random(seed))
    base_url = await server.start()
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=DEADLINE_SECONDS) as http:
        rig = Rig(server, settings, clock, http)
        await rig.receiver.start()
        rig.security_credential = rig.encrypted(settings.initiator_password)
        await rig.authenticate()
        try:
            yield rig
        finally:
            rig.receiver.open_for_answers.set()
            await server.stop()
            await rig.receiver.stop()
