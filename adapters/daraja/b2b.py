"""The B2B request documents: a pay bill, a till, or tax. Pure: builds, sends nothing.

B2B takes no id of ours and is not idempotent: the same document sent twice pays twice. Our reference goes into
Occassion and Remarks, where a person finds it in the portal and a timeout echoes it; a result is matched by its own
address and by the ConversationID. Source: Daraja's B2B pages; tests/examples/daraja has the forms, spelt as it does.
"""

from __future__ import annotations

from adapters.daraja import request
from adapters.daraja.credentials import DarajaAccess
from adapters.daraja.request import Request
from adapters.provider import CallbackUrls
from adapters.transport import Secret
from ledger.errors import TextInvalid
from ledger.outbox.instruction import PayoutInstruction
from ledger.payee import BusinessKind, BusinessPayee

_PAYMENT_PATH = "/mpesa/b2b/v1/paymentrequest"
_PATHS = {
    BusinessKind.PAYBILL: _PAYMENT_PATH,
    BusinessKind.TILL: _PAYMENT_PATH,
    BusinessKind.TAX: "/mpesa/b2b/v1/remittax",
}
_COMMAND_IDS = {
    BusinessKind.PAYBILL: "BusinessPayBill",
    BusinessKind.TILL: "BusinessBuyGoods",
    BusinessKind.TAX: "PayTaxToKRA",
}

# The Kenya Revenue Authority, the only one that takes tax.
TAX_SHORTCODE = "572572"

# Identifier type 4 is an organisation's shortcode.
_ORGANISATION = "4"

_ACCOUNT_REFERENCE_LENGTH_MAX = 13


def payment(
    instruction: PayoutInstruction,
    payee: BusinessPayee,
    *,
    access: DarajaAccess,
    security_credential: Secret,
    callback_urls: CallbackUrls,
) -> Request:
    """The request, in the order documented. Raises AmountNotPayable or TextInvalid for what the API cannot carry: an
    amount is not rounded, and an account reference is not shortened, since it would pay another account."""
    document = {
        "Initiator": access.initiator_name,
        "SecurityCredential": security_credential.reveal(),
        "CommandID": _COMMAND_IDS[payee.kind],
        "SenderIdentifierType": _ORGANISATION,
        "RecieverIdentifierType": _receiver_type(payee.kind, access),
        "Amount": request.whole_shillings(instruction.amount),
        "PartyA": instruction.shortcode,
        "PartyB": _receiver(payee),
        "AccountReference": _account_reference(payee, instruction.provider_reference),
        "Remarks": request.fit_remarks(f"{instruction.provider_reference} {instruction.remarks}"),
        "QueueTimeOutURL": callback_urls.timeout_url,
        "ResultURL": callback_urls.result_url,
        "Occassion": instruction.provider_reference,
    }
    return Request(_PATHS[payee.kind], document, sent_under=None)


def is_request(document: dict[str, object]) -> bool:
    """Whether a document is one of ours, come back."""
    parties = all(isinstance(document.get(key), str) for key in ("Initiator", "PartyA", "PartyB"))
    return parties and document.get("CommandID") in _COMMAND_IDS.values()


def _receiver_type(kind: BusinessKind, access: DarajaAccess) -> str:
    return access.till_identifier_type if kind is BusinessKind.TILL else _ORGANISATION


def _receiver(payee: BusinessPayee) -> str:
    if payee.kind is BusinessKind.TAX and payee.shortcode != TAX_SHORTCODE:
        raise TextInvalid(f"tax is paid to {TAX_SHORTCODE} only", field="business.shortcode")
    return payee.shortcode


def _account_reference(payee: BusinessPayee, provider_reference: str) -> str:
    if not payee.account_reference:
        # A till keeps no accounts, but the field is mandatory: the end of our reference, which tells payments apart.
        return provider_reference[-_ACCOUNT_REFERENCE_LENGTH_MAX:]
    if len(payee.account_reference) > _ACCOUNT_REFERENCE_LENGTH_MAX or not payee.account_reference.isprintable():
        raise TextInvalid(
            f"an account reference has at most {_ACCOUNT_REFERENCE_LENGTH_MAX} printable characters on this rail",
            field="business.account_reference",
        )
    return payee.account_reference
