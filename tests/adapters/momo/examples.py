"""The wire examples by name, and instructions that follow them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.provider import CallbackUrls
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.collecting import PromptInquiry, PromptInstruction
from ledger.outbox.instruction import PayoutInquiry, PayoutInstruction

EXAMPLES = Path(__file__).parents[2] / "examples" / "momo"
ENVIRONMENT = "mtnrwanda"
WALLET = "kigali"
REFERENCE = "DAF-2026-000417"
NOW = datetime(2026, 9, 1, 7, 15, 36, tzinfo=UTC)
URLS = CallbackUrls(
    result_url="https://hooks.daftari.example/momo/transfer/k9f3",
    timeout_url="https://hooks.daftari.example/momo/timeout/k9f3",
)


@dataclass(frozen=True, slots=True)
class Message:
    """One raw HTTP message, taken apart; header names are lower case."""

    start: str
    headers: dict[str, str]
    body: bytes

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.start.split(" ")[1])

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        document: dict[str, Any] = json.loads(self.body)
        return document


def example(name: str) -> Message:
    """One example by its file's name without .http."""
    head, _, body = (EXAMPLES / f"{name}.http").read_bytes().partition(b"\n\n")
    start, *lines = head.decode().split("\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Message(start, headers, body.rstrip(b"\n"))


def index() -> list[dict[str, str]]:
    """What INDEX.json says of each example."""
    entries: list[dict[str, str]] = json.loads((EXAMPLES / "INDEX.json").read_text())
    return entries


def payout(**changes: Any) -> PayoutInstruction:
    """The transfer of the examples."""
    fields: dict[str, Any] = {
        "provider_reference": REFERENCE,
        "rail": "momo",
        "shortcode": WALLET,
        "payee": Msisdn("250781234567"),
        "amount": Money("RWF", 1500),
        "purpose": "promotion",
        "remarks": "Promo reward",
    }
    return PayoutInstruction(**fields | changes)


def inquiry(**changes: Any) -> PayoutInquiry:
    """The question about it."""
    fields: dict[str, Any] = {
        "provider_reference": REFERENCE,
        "rail": "momo",
        "shortcode": WALLET,
        "amount": Money("RWF", 1500),
        "receipt": None,
    }
    return PayoutInquiry(**fields | changes)


def prompt(**changes: Any) -> PromptInstruction:
    """The request to pay of the examples."""
    fields: dict[str, Any] = {
        "rail": "momo",
        "shortcode": WALLET,
        "till": "",
        "payer": Msisdn("250788000111"),
        "amount": Money("RWF", 2500),
        "account_reference": "LOAN-77-REP-03",
        "description": "Loan 77 instalment 3",
        "provider_reference": "prm-77",
    }
    return PromptInstruction(**fields | changes)


def prompt_inquiry(**changes: Any) -> PromptInquiry:
    """The question about it."""
    fields: dict[str, Any] = {
        "rail": "momo",
        "shortcode": WALLET,
        "till": "",
        "checkout": "e0b6f1d4-77aa-4b0e-8a3c-2f7f5d9c1e66",
        "amount": Money("RWF", 2500),
    }
    return PromptInquiry(**fields | changes)
