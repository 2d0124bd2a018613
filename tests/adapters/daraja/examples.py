"""The wire examples by name, and builders whose defaults are the payment that the examples follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapters.provider import CallbackUrls
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import PayoutInstruction

EXAMPLES = Path(__file__).parents[2] / "examples" / "daraja"

REFERENCE = "dft-po-01J8Z1M4Q7R2"
CONVERSATION_ID = "AG_20260901_2010708758bd6c3765f9"
MSISDN = "254700000017"
AMOUNT = Money("KES", 250_000)
URLS = CallbackUrls(
    result_url="https://pay.daftari.example/hooks/dj/b2c/result/k7Qd2",
    timeout_url="https://pay.daftari.example/hooks/dj/b2c/timeout/k7Qd2",
)


def example(name: str) -> bytes:
    """The body of one example file."""
    return (EXAMPLES / name).read_bytes()


def index() -> dict[str, dict[str, Any]]:
    """What index.json says of each example, by file name."""
    return {entry["file"]: entry for entry in json.loads(example("index.json"))["fixtures"]}


def status_of(name: str) -> int:
    """The HTTP status an example came with."""
    return int(index()[name]["http_status"])


def success(**changes: Any) -> dict[str, Any]:
    """The example of a success as a document, with members of its Result replaced."""
    document: dict[str, Any] = json.loads(example("b2c-result-success.json"))
    document["Result"].update(changes)
    return document


def with_parameter(key: str, value: Any) -> dict[str, Any]:
    """The example of a success with one result parameter replaced."""
    document = success()
    for item in document["Result"]["ResultParameters"]["ResultParameter"]:
        if item["Key"] == key:
            item["Value"] = value
    return document


def instruction(
    *,
    amount: Money = AMOUNT,
    purpose: str = "loan",
    remarks: str = "Loan 417 disbursement",
    shortcode: str = "600584",
    msisdn: str = MSISDN,
    provider_reference: str = REFERENCE,
) -> PayoutInstruction:
    """An instruction to make the examples' payment."""
    return PayoutInstruction(
        provider_reference=provider_reference,
        rail="daraja",
        shortcode=shortcode,
        msisdn=Msisdn(msisdn),
        amount=amount,
        purpose=purpose,
        remarks=remarks,
    )
