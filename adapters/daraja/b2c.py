"""The B2C request document: a payment to a person. Pure: builds, sends nothing.

Source: Daraja's B2C page; the wire forms are in tests/examples/daraja.
"""

from __future__ import annotations

from adapters.daraja import request
from adapters.daraja.credentials import DarajaAccess
from adapters.daraja.request import Request
from adapters.provider import CallbackUrls
from adapters.transport import Secret
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import PayoutInstruction

# Daraja's CommandID by purpose; any other purpose is an ordinary BusinessPayment.
_COMMAND_IDS = {"salary": "SalaryPayment", "promotion": "PromotionPayment"}


def payment(
    instruction: PayoutInstruction,
    payee: Msisdn,
    *,
    access: DarajaAccess,
    security_credential: Secret,
    callback_urls: CallbackUrls,
) -> Request:
    """The request, in the order documented. Raises AmountNotPayable unless the amount is whole shillings within
    Daraja's limits: nothing is rounded."""
    document = {
        "OriginatorConversationID": instruction.provider_reference,
        "InitiatorName": access.initiator_name,
        "SecurityCredential": security_credential.reveal(),
        "CommandID": _COMMAND_IDS.get(instruction.purpose.lower(), "BusinessPayment"),
        "Amount": request.whole_shillings(instruction.amount),
        "PartyA": instruction.shortcode,
        "PartyB": payee.digits,
        "Remarks": request.fit_remarks(instruction.remarks),
        "QueueTimeOutURL": callback_urls.timeout_url,
        "ResultURL": callback_urls.result_url,
        # Daraja spells it this way. Our reference, so that a person can find the payment in the portal.
        "Occassion": instruction.provider_reference,
    }
    path = f"/mpesa/b2c/{access.api_version}/paymentrequest"
    if access.api_version == "v3":
        return Request(path, document, sent_under=instruction.provider_reference)
    return Request(path, _as_version_1(document), sent_under=None)


def _as_version_1(document: dict[str, str]) -> dict[str, str]:
    # v1 has no id of ours, and spells the occasion as the dictionary does.
    older = {key: value for key, value in document.items() if key not in {"OriginatorConversationID", "Occassion"}}
    return {**older, "Occasion": document["Occassion"]}
