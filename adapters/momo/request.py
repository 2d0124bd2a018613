"""MoMo's requests as documents and paths: transfer, request to pay, their status, balance, account holder. Pure.

Source: MTN's API pages and SDKs; the wire forms are in tests/examples/momo.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from adapters import documents
from adapters.momo import amounts
from adapters.momo.credentials import Product
from adapters.momo.references import reference_id
from ledger.errors import ChoiceInvalid, TextInvalid
from ledger.msisdn import Msisdn
from ledger.outbox.collecting import PromptInquiry, PromptInstruction
from ledger.outbox.instruction import PayoutInquiry, PayoutInstruction

EXTERNAL_ID_LENGTH_MAX = 64
NOTE_LENGTH_MAX = 160

_TRANSFER, _REQUEST_TO_PAY = "/disbursement/v1_0/transfer", "/collection/v1_0/requesttopay"
# An apostrophe and some other characters are answered with an empty HTTP 400; which ones, no page says.
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 .,:_-]")


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """One call of a product. `reference` names what a POST creates, None for a question; `body` is JSON, None for none;
    `callback_url` is where its end may be told, "" for nowhere."""

    product: Product
    method: str
    path: str
    reference: str | None = None
    body: bytes | None = None
    callback_url: str = ""


def transfer(instruction: PayoutInstruction, *, target_environment: str, callback_url: str) -> Request:
    """A payment to a person. Raises AmountNotPayable, ChoiceInvalid or TextInvalid for what the API cannot carry."""
    if not isinstance(instruction.payee, Msisdn):
        raise ChoiceInvalid(f"{amounts.RAIL} pays persons, not businesses", field="payee")
    document = {
        "amount": amounts.amount_text(instruction.amount, target_environment=target_environment),
        "currency": instruction.amount.currency,
        "externalId": _external_id(instruction.provider_reference),
        "payee": _party(instruction.payee),
        "payerMessage": note(instruction.remarks),
        "payeeNote": note(instruction.remarks),
    }
    return _creation(Product.DISBURSEMENT, _TRANSFER, instruction.provider_reference, document, callback_url)


def transfer_status(inquiry: PayoutInquiry) -> Request:
    """What became of it."""
    return Request(Product.DISBURSEMENT, "GET", f"{_TRANSFER}/{reference_id(inquiry.provider_reference)}")


def request_to_pay(instruction: PromptInstruction, *, target_environment: str, callback_url: str) -> Request:
    """A prompt on a payer's phone. Raises AmountNotPayable or TextInvalid for what the API cannot carry."""
    document = {
        "amount": amounts.amount_text(instruction.amount, target_environment=target_environment),
        "currency": instruction.amount.currency,
        "externalId": _external_id(instruction.account_reference),
        "payer": _party(instruction.payer),
        "payerMessage": note(instruction.description),
        "payeeNote": note(instruction.account_reference),
    }
    return _creation(Product.COLLECTION, _REQUEST_TO_PAY, instruction.provider_reference, document, callback_url)


def request_to_pay_status(inquiry: PromptInquiry) -> Request:
    """What became of it: a prompt's id is its X-Reference-Id. Raises TextInvalid for an id that is none."""
    if not re.fullmatch(r"[0-9a-f-]{36}", inquiry.checkout):
        raise TextInvalid("a prompt on this rail is known by a UUID", field="checkout")
    return Request(Product.COLLECTION, "GET", f"{_REQUEST_TO_PAY}/{inquiry.checkout}")


def read_back(created: Request) -> Request:
    """Whether what a request was to create is there."""
    assert created.reference is not None, "only what is created can be read back"
    return Request(created.product, "GET", f"{created.path}/{created.reference}")


def balance(product: Product) -> Request:
    """What a product's account holds."""
    return Request(product, "GET", f"/{product.value}/v1_0/account/balance")


def holder_is_active(product: Product, msisdn: Msisdn) -> Request:
    """Whether a number has an active wallet. The path says msisdn in lower case, where bodies say MSISDN."""
    return Request(product, "GET", f"/{product.value}/v1_0/accountholder/msisdn/{msisdn.digits}/active")


def note(words: str) -> str:
    """Words for a person, so they are fitted rather than refused."""
    plain = _NOT_PLAIN.sub(" ", documents.printable(words))
    return " ".join(plain.split())[:NOTE_LENGTH_MAX].strip()


def _creation(product: Product, path: str, name: str, document: Mapping[str, object], callback_url: str) -> Request:
    if not name:
        raise TextInvalid("what is created needs a reference of ours", field="provider_reference")
    return Request(product, "POST", path, reference_id(name), json.dumps(document).encode(), callback_url)


def _party(msisdn: Msisdn) -> dict[str, str]:
    return {"partyIdType": "MSISDN", "partyId": msisdn.digits}


def _external_id(text: str) -> str:
    if not 1 <= len(text) <= EXTERNAL_ID_LENGTH_MAX or _NOT_PLAIN.search(text):
        raise TextInvalid(
            f"a reference has 1 to {EXTERNAL_ID_LENGTH_MAX} letters, digits, spaces and .,:_- on this rail",
            field="account_reference",
        )
    return text
