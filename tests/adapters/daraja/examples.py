"""The wire examples by name, and builders whose defaults are the payment that the examples follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapters.daraja.credentials import DarajaAccess
from adapters.provider import CallbackUrls
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import PayoutInquiry, PayoutInstruction
from ledger.payee import BusinessKind, BusinessPayee, Payee

ACCESS = DarajaAccess(base_url="https://api.example", initiator_name="daftari_api", certificate=b"", shortcode="600584")

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


def changed(name: str, changes: dict[str, Any]) -> bytes:
    """An example of a Result with parameters replaced or added by key, or removed where the value is None."""
    document: dict[str, Any] = json.loads(example(name))
    parameters = document["Result"]["ResultParameters"]
    told = [item for item in parameters["ResultParameter"] if item["Key"] not in changes]
    told += [{"Key": key, "Value": value} for key, value in changes.items() if value is not None]
    parameters["ResultParameter"] = told
    return json.dumps(document).encode()


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
    payee: Payee | None = None,
    provider_reference: str = REFERENCE,
) -> PayoutInstruction:
    """An instruction to make the examples' payment, to a person unless a `payee` is given."""
    return PayoutInstruction(
        provider_reference=provider_reference,
        rail="daraja",
        shortcode=shortcode,
        payee=Msisdn(msisdn) if payee is None else payee,
        amount=amount,
        purpose=purpose,
        remarks=remarks,
    )


def business(kind: BusinessKind = BusinessKind.PAYBILL) -> BusinessPayee:
    """The business that the examples of its kind pay."""
    shortcode, account_reference = {
        BusinessKind.PAYBILL: ("600977", "INV20417"),
        BusinessKind.TILL: ("6009771", "INV20417"),
        BusinessKind.TAX: ("572572", "2026PRN0417"),
    }[kind]
    return BusinessPayee(kind, shortcode, account_reference)


def inquiry(*, receipt: str | None = None, shortcode: str = "600584") -> PayoutInquiry:
    """A question about the examples' payment."""
    return PayoutInquiry(
        provider_reference=REFERENCE, rail="daraja", shortcode=shortcode, amount=AMOUNT, receipt=receipt
    )
