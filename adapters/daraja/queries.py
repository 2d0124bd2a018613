"""The request documents of questions: what became of a payment, and what our accounts hold. Pure: sends nothing.

Source: Daraja's Transaction Status and Account Balance pages; the wire forms are in tests/examples/daraja.
"""

from __future__ import annotations

from adapters.daraja import references
from adapters.daraja.credentials import DarajaAccess
from adapters.daraja.request import Request
from adapters.provider import CallbackUrls
from adapters.transport import Secret
from ledger.outbox.collecting import ReceiptInquiry, ReversalInquiry
from ledger.outbox.instruction import PayoutInquiry

# Identifier type 4 is an organisation's shortcode.
_ORGANISATION = "4"


def status_query(
    inquiry: PayoutInquiry, *, access: DarajaAccess, security_credential: Secret, callback_urls: CallbackUrls
) -> Request:
    """Asks by the receipt where one is known, else by the id the gateway gave the payment (B2B and v1 of B2C), else by
    our reference, which v3 of B2C knows as a payment's id. Messages may have named several such ids, and not all of
    them need be this payment's: each question asks by the next."""
    ids = [value for kind, value in inquiry.references if kind == references.ORIGINATOR_CONVERSATION_ID]
    ids = ids or [inquiry.provider_reference]
    asked = (
        {"OriginalConversationID": ids[inquiry.asked_before % len(ids)]}
        if inquiry.receipt is None
        else {"TransactionID": inquiry.receipt}
    )
    return _status_query(
        asked,
        shortcode=inquiry.shortcode,
        occasion=inquiry.provider_reference,
        access=access,
        security_credential=security_credential,
        callback_urls=callback_urls,
    )


def reversal_query(
    inquiry: ReversalInquiry, *, access: DarajaAccess, security_credential: Secret, callback_urls: CallbackUrls
) -> Request:
    """Asks about a reversal by the id that the gateway gave it: its own receipt is what nobody knows yet."""
    return _status_query(
        {"OriginalConversationID": inquiry.originator},
        shortcode=inquiry.shortcode,
        occasion=inquiry.receipt,
        access=access,
        security_credential=security_credential,
        callback_urls=callback_urls,
    )


def receipt_query(
    inquiry: ReceiptInquiry, *, access: DarajaAccess, security_credential: Secret, callback_urls: CallbackUrls
) -> Request:
    """Asks about money that came in, by its receipt."""
    return _status_query(
        {"TransactionID": inquiry.receipt},
        shortcode=inquiry.shortcode,
        occasion=inquiry.receipt,
        access=access,
        security_credential=security_credential,
        callback_urls=callback_urls,
    )


def _status_query(
    asked: dict[str, str],
    *,
    shortcode: str,
    occasion: str,
    access: DarajaAccess,
    security_credential: Secret,
    callback_urls: CallbackUrls,
) -> Request:
    document = {
        "Initiator": access.initiator_name,
        "SecurityCredential": security_credential.reveal(),
        "CommandID": "TransactionStatusQuery",
        "PartyA": shortcode,
        "IdentifierType": _ORGANISATION,
        "ResultURL": callback_urls.result_url,
        "QueueTimeOutURL": callback_urls.timeout_url,
        "Remarks": "Status query",
        # One s here.
        "Occasion": occasion,
        **asked,
    }
    return Request("/mpesa/transactionstatus/v1/query", document, sent_under=None)


def is_status_query(document: dict[str, object]) -> bool:
    """Whether a document is a status query of ours, come back."""
    return document.get("CommandID") == "TransactionStatusQuery" and isinstance(document.get("PartyA"), str)


def balance_query(
    shortcode: str, *, access: DarajaAccess, security_credential: Secret, callback_urls: CallbackUrls
) -> Request:
    """Asks for the balances of all sub-accounts of a shortcode."""
    document = {
        "Initiator": access.initiator_name,
        "SecurityCredential": security_credential.reveal(),
        "CommandID": "AccountBalance",
        "PartyA": shortcode,
        "IdentifierType": _ORGANISATION,
        "Remarks": "Balance query",
        "QueueTimeOutURL": callback_urls.timeout_url,
        "ResultURL": callback_urls.result_url,
    }
    return Request("/mpesa/accountbalance/v1/query", document, sent_under=None)
