"""What a B2B callback says about a payment to a business: its success, and the echo of its request. Pure.

The id in the envelope is the gateway's, since B2B takes none of ours: a result is ours by the address it came to.
"""

from __future__ import annotations

from adapters import documents
from adapters.daraja import account_strings, envelope, references, wire
from adapters.daraja.envelope import Envelope, Parameters
from adapters.provider import PayoutCallback
from ledger.outbox.instruction import OutcomeUnknown, Settled

_COMPLETED_AT = "TransCompletedTime"

# Told by results of reversals, status queries and balance queries, some of which also name a time of completion.
_OTHER_APIS = ("OriginalTransactionID", "TransactionStatus", "ReceiptNo", "AccountBalance")


def is_business(parameters: Parameters) -> bool:
    """Whether these are the parameters of a B2B payment that was made."""
    return _COMPLETED_AT in parameters and not any(key in parameters for key in _OTHER_APIS)


def read_result(result: Envelope) -> PayoutCallback:
    """Reads a result whose parameters are those of a B2B payment."""
    parameters = result.parameters
    return PayoutCallback(
        outcome=_judge(result),
        reference=None,
        conversation_id=documents.identifier(result.ids["ConversationID"]),
        msisdn=None,
        amount=account_strings.money(parameters.get("Amount")),
        shortcode=None,
        receiver_shortcode=wire.party_shortcode(parameters.get("ReceiverPartyPublicName")),
    )


def _judge(result: Envelope) -> Settled | OutcomeUnknown:
    ids = references.references_of(result.ids, provider_reference=None)
    if not result.is_final:
        return OutcomeUnknown(f"not final, {result.told}", ids)
    # A failure that names a time of completion contradicts itself.
    if result.code != envelope.SUCCESS:
        return OutcomeUnknown(result.told, ids)
    # B2B tells the receipt beside the parameters only; it counts because they are those of a payment made.
    receipt = references.receipt(result.transaction_id)
    amount = account_strings.money(result.parameters.get("Amount"))
    completed_at = wire.timestamp(result.parameters.get(_COMPLETED_AT))
    currency = result.parameters.get("Currency")
    if receipt is None:
        return OutcomeUnknown("ResultCode 0 without a receipt", ids)
    if amount is None or amount.minor_units <= 0 or currency not in (None, wire.CURRENCY):
        return OutcomeUnknown("ResultCode 0 without an amount", ids)
    if completed_at is None:
        return OutcomeUnknown("ResultCode 0 without a time of completion", ids)
    charge = account_strings.charge(result.parameters.get("DebitPartyCharges"))
    return Settled(receipt, amount, completed_at, ids, _facts(result.parameters), charge)


def _facts(parameters: Parameters) -> dict[str, str]:
    """The balance of the sub-account that paid, named as in B2C facts: "working_available_minor_units"."""
    affected = account_strings.balances(parameters.get("DebitPartyAffectedAccountBalance"))
    return {f"{one.sub_account}_available_minor_units": str(one.available) for one in affected}


def read_echo(document: dict[str, object]) -> PayoutCallback:
    """A timeout that returns our own request: only its identifying fields are read."""
    return PayoutCallback(
        outcome=OutcomeUnknown("queue timeout: the request was not processed in time"),
        # Where we put it; see adapters.daraja.b2b.
        reference=documents.identifier(document.get("Occassion")),
        conversation_id=None,
        msisdn=None,
        amount=wire.amount(document.get("Amount")),
        shortcode=documents.identifier(document.get("PartyA")),
        receiver_shortcode=wire.party_shortcode(document.get("PartyB")),
    )
