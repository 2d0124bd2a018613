"""Asks the sandbox what became of a payment, and puts what came of the question into words."""

from __future__ import annotations

import json
from collections.abc import Mapping

import httpx

from adapters.sandbox.magic import magic_msisdn
from tests.adapters.sandbox.rig import STATUS_PATH, Callback, Rig

HUNG_OR_DROPPED = {"304", "305", "306", "307"}


async def pay(rig: Rig, suffix: str) -> None:
    """Pays the magic number as dft-1, whatever its sender hears, and forgets the callbacks."""
    request = rig.request(OriginatorConversationID="dft-1", PartyB=magic_msisdn(suffix))
    headers = {"Authorization": f"Bearer {rig.access_token}"}
    timeout = httpx.Timeout(10, read=0.1 if suffix in HUNG_OR_DROPPED else 10)
    try:
        await rig.http.post("/mpesa/b2c/v3/paymentrequest", json=request, headers=headers, timeout=timeout)
    except httpx.TransportError:
        assert suffix in HUNG_OR_DROPPED
    await rig.callbacks_done()
    rig.receiver.forget()


async def query(rig: Rig, **changes: object) -> httpx.Response:
    """Sends a status query."""
    return await rig.send(STATUS_PATH, rig.status_query(**changes))


async def asked(rig: Rig, **changes: object) -> str:
    """Asks and tells in words all that came of it, in order."""
    rig.receiver.forget()
    response = await query(rig, **changes)
    await rig.callbacks_done()
    heard = [] if response.status_code == 200 else [f"HTTP {response.status_code}"]
    return ", ".join([*heard, *(described(callback) for callback in rig.receiver.received)]) or "nothing"


def described(callback: Callback) -> str:
    """One callback in a few words."""
    if callback.path.startswith("/status/timeout/"):
        return "timeout notice"
    try:
        result = callback.result
    except ValueError:
        return "unreadable"
    if "ResultParameters" not in result:
        return f"result {result['ResultCode']}"
    parameter = result["ResultParameters"]["ResultParameter"]
    if isinstance(parameter, dict):
        return f"{parameter['Value']} alone"
    return f"{callback.parameters['TransactionStatus']}{described_form(callback.parameters, result['ResultCode'])}"


def described_form(parameters: Mapping[str, object], code: object) -> str:
    amount = parameters["Amount"]
    checks = {
        " as text": code == "0" and isinstance(amount, str),
        f" for {amount}": str(amount) != "2500",
        " with keys of 2017": "Conversation ID" in parameters,
    }
    return "".join(words for words, holds in checks.items() if holds)


def keys(body: bytes) -> list[str]:
    """The keys of a result's parameters, in order."""
    return [item["Key"] for item in json.loads(body)["Result"]["ResultParameters"]["ResultParameter"]]
