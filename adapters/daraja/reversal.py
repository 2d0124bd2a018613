"""The reversal request document: money of a C2B receipt back to whoever paid it. Pure: builds, sends nothing.

The API takes no id of ours and reverses what came in alone: nothing paid out can be taken back by it. Source: Daraja's
reversal page; the wire forms are in tests/examples/daraja, spelt as it does.
"""

from __future__ import annotations

from adapters.daraja import request, wire
from adapters.daraja.credentials import DarajaAccess
from adapters.daraja.request import Request
from adapters.provider import CallbackUrls
from adapters.transport import Secret
from ledger.money import MINOR_UNITS_MAX
from ledger.outbox.collecting import ReversalInstruction
from ledger.payouts.limits import RailLimits

# Whole shillings, and no more than was received: the page names no limits of its own.
_LIMITS = {wire.CURRENCY: RailLimits(step=100, minimum=100, maximum=MINOR_UNITS_MAX)}

# Identifier type 11 is an organisation, in this API alone.
_ORGANISATION = "11"

_COMMAND_ID = "TransactionReversal"
_REMARKS_WHEN_TOO_SHORT = "Reversal"


def reversal(
    instruction: ReversalInstruction, *, access: DarajaAccess, security_credential: Secret, callback_urls: CallbackUrls
) -> Request:
    """The request, in the order documented. Raises AmountNotPayable unless the amount is whole shillings: nothing is
    rounded."""
    document = {
        "Initiator": access.initiator_name,
        "SecurityCredential": security_credential.reveal(),
        "CommandID": _COMMAND_ID,
        "TransactionID": instruction.receipt,
        "Amount": request.whole_shillings(instruction.amount, limits=_LIMITS),
        "ReceiverParty": instruction.shortcode,
        "RecieverIdentifierType": _ORGANISATION,
        "ResultURL": callback_urls.result_url,
        "QueueTimeOutURL": callback_urls.timeout_url,
        "Remarks": request.fit_remarks(instruction.remarks, when_too_short=_REMARKS_WHEN_TOO_SHORT),
        # The receipt, so that a person can find both in the portal.
        "Occasion": instruction.receipt,
    }
    return Request("/mpesa/reversal/v1/request", document, sent_under=None)


def is_request(document: dict[str, object]) -> bool:
    """Whether a document is one of ours, come back."""
    return document.get("CommandID") == _COMMAND_ID and isinstance(document.get("ReceiverParty"), str)
