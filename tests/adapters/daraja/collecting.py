"""Builders whose defaults are the collections that the examples follow, and documents with parts of them changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from adapters.collecting import Registration
from adapters.provider import CallbackUrls
from adapters.transport import Secret
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outbox.collecting import PromptInquiry, PromptInstruction, ReversalInstruction
from tests.adapters.daraja.examples import example, index

PASSKEY = Secret("0123456789abcdef" * 4)
NOW = datetime(2026, 9, 1, 7, 15, 30, tzinfo=UTC)

CHECKOUT = "ws_CO_01092026101530960700000017"
PAYER = "254700000017"
PROMPTED, RETURNED = Money("KES", 150_000), Money("KES", 45_000)
CONVERSATION_ID = "AG_20260901_20101342a1e7060f2a33"
ORIGINATOR_CONVERSATION_ID = "44f9-3a4a-d47d-d9a601ad1a505947426"

PROMPT_URLS = CallbackUrls(result_url="https://pay.daftari.example/hooks/dj/stk/k7Qd2", timeout_url="unused")
REVERSAL_URLS = CallbackUrls(
    result_url="https://pay.daftari.example/hooks/dj/rv/result/k7Qd2",
    timeout_url="https://pay.daftari.example/hooks/dj/rv/timeout/k7Qd2",
)
REGISTRATION = Registration(
    shortcode="600584",
    confirmation_url="https://pay.daftari.example/hooks/dj/c2b/confirm/k7Qd2",
    validation_url="https://pay.daftari.example/hooks/dj/c2b/validate/k7Qd2",
)
NOMINATED = Msisdn("254700000099")
PULL_URL = "https://pay.daftari.example/hooks/dj/pull/k7Qd2"

# One day in Nairobi, which the examples of Pull ask about.
SINCE = datetime(2026, 8, 31, 21, tzinfo=UTC)
UNTIL = datetime(2026, 9, 1, 21, tzinfo=UTC)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)


def prompt_instruction(
    *,
    shortcode: str = "600584",
    till: str = "",
    payer: str = PAYER,
    amount: Money = PROMPTED,
    account_reference: str = "LN000417",
    description: str = "Repayment",
) -> PromptInstruction:
    """The examples' prompt, for the paybill unless a `till` is given."""
    return PromptInstruction(
        rail="daraja",
        shortcode=shortcode,
        till=till,
        payer=Msisdn(payer),
        amount=amount,
        account_reference=account_reference,
        description=description,
    )


def till_prompt() -> PromptInstruction:
    """The examples' prompt for a till."""
    return prompt_instruction(
        till="6005841",
        payer="254700000028",
        amount=Money("KES", 35_000),
        account_reference="ORDER88",
        description="Order",
    )


def prompt_inquiry(*, shortcode: str = "600584", checkout: str = CHECKOUT) -> PromptInquiry:
    """A question about the examples' prompt."""
    return PromptInquiry(rail="daraja", shortcode=shortcode, till="", checkout=checkout)


def reversal_instruction(
    *, shortcode: str = "600584", amount: Money = RETURNED, remarks: str = "Paid twice"
) -> ReversalInstruction:
    """The examples' reversal."""
    return ReversalInstruction(rail="daraja", shortcode=shortcode, receipt="UI1M4N557P", amount=amount, remarks=remarks)


def names(prefix: str) -> list[str]:
    """The examples whose names begin so."""
    found = sorted(name for name in index() if name.startswith(prefix))
    assert found, prefix
    return found


def others(*prefixes: str) -> list[str]:
    """The examples whose names begin otherwise."""
    return sorted(name for name in index() if not name.startswith(prefixes))


def without(document: dict[str, Any], key: str) -> dict[str, Any]:
    """A document that lacks a member."""
    return {name: value for name, value in document.items() if name != key}


def confirmation(name: str = "c2b-confirmation-masked.json", **changes: Any) -> dict[str, Any]:
    """An example of a confirmation as a document, with members replaced."""
    document: dict[str, Any] = json.loads(example(name))
    return document | changes


def stk_callback(name: str = "stk-callback-success.json", **changes: Any) -> dict[str, Any]:
    """An example of an STK callback as a document, with members of its stkCallback replaced."""
    document: dict[str, Any] = json.loads(example(name))
    document["Body"]["stkCallback"].update(changes)
    return document


def stk_callback_with(**items: Any) -> dict[str, Any]:
    """The example of a success with items of its metadata replaced or added by name, or removed where None."""
    document = stk_callback()
    metadata = document["Body"]["stkCallback"]["CallbackMetadata"]
    kept = [item for item in metadata["Item"] if item["Name"] not in items]
    metadata["Item"] = kept + [{"Name": name, "Value": value} for name, value in items.items() if value is not None]
    return document


def encode(document: Any) -> bytes:
    """A document as it goes over the wire."""
    return json.dumps(document).encode()
