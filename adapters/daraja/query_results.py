"""What the answer to a question says: of a payment's fate, and of our balances. Pure; never raises on any bytes.

ResultCode 0 says that the question was answered and nothing more: a payment's fate is its TransactionStatus. The ids of
the envelope are the question's; those of the payment are among the parameters.
"""

from __future__ import annotations

from datetime import datetime

from adapters import documents, transport
from adapters.daraja import account_strings, envelope, queries, references, wire
from adapters.daraja.envelope import Envelope, Parameters
from adapters.provider import BalanceReport, CallbackUnreadable, PayoutCallback
from ledger.outbox.collecting import ReceiptFate, ReceiptStatus
from ledger.outbox.instruction import Failed, OutcomeUnknown, Settled

# The words of Daraja's Transaction Status page that are final, and "failed", which integrators met in production. Left
# out, so that they count as unknown: initiated, authorized, pending..., and "reversed", after which the payment was
# made and undone, and only its reversal says which money came back.
_COMPLETED = "completed"
_FAILED = frozenset({"cancelled", "declined", "expired", "failed"})

# Of money that came in it is final: the payer has it back. Met in production; no page of Daraja's lists it.
_REVERSED = "reversed"

_TIMED_OUT = "queue timeout: the question was not answered in time"


def read_query_callback(kind: str, body: bytes) -> PayoutCallback | CallbackUnreadable:
    """Reads the answer to a status query; `kind` is "result" or "timeout", from the path it came by."""
    try:
        document = documents.parse_document(body)
        if kind == "result":
            return _read_status(envelope.read_judged(document))
        if kind == "timeout":
            return _read_status_timeout(document)
    except documents.Unreadable as error:
        return CallbackUnreadable(error.reason)
    return CallbackUnreadable("the callback is neither a result nor a timeout")


def read_receipt_query_callback(kind: str, body: bytes) -> ReceiptStatus | CallbackUnreadable:
    """Reads the answer to a status query about money that came in."""
    if kind != "result":
        return CallbackUnreadable(_TIMED_OUT)
    try:
        result = envelope.read_judged(documents.parse_document(body))
    except documents.Unreadable as error:
        return CallbackUnreadable(error.reason)
    if not result.is_final or result.code != envelope.SUCCESS:
        return CallbackUnreadable(f"the question was not answered, {result.told}")
    status = (result.parameters.get("TransactionStatus") or "").strip().casefold()
    fates = {_COMPLETED: ReceiptFate.STANDS, _REVERSED: ReceiptFate.REVERSED}
    return ReceiptStatus(
        fates.get(status, ReceiptFate.UNKNOWN),
        references.receipt(result.parameters.get("ReceiptNo")),
        account_strings.money(result.parameters.get("Amount")),
    )


def read_balance_callback(kind: str, body: bytes) -> BalanceReport | CallbackUnreadable:
    """Reads the answer to a balance query; a refusal and a timeout assert no balance, and are unreadable as one."""
    if kind != "result":
        return CallbackUnreadable("queue timeout: no balance was told")
    try:
        return _read_balances(envelope.read_judged(documents.parse_document(body)))
    except documents.Unreadable as error:
        return CallbackUnreadable(error.reason)


def _read_status(result: Envelope) -> PayoutCallback:
    # A question not answered tells nothing, whatever stands in its parameters.
    answered = result.is_final and result.code == envelope.SUCCESS
    parameters = result.parameters if answered else Parameters({})
    reference = references.our_reference(parameters.get("OriginatorConversationID"))
    ids = references.references_of(parameters.ids(), provider_reference=reference)
    payer, payee = _parties(parameters)
    return PayoutCallback(
        outcome=_judge(parameters, ids)
        if answered
        else OutcomeUnknown(f"the question was not answered, {result.told}"),
        reference=reference,
        conversation_id=documents.identifier(parameters.get("ConversationID")),
        msisdn=wire.party_msisdn(payee),
        amount=account_strings.money(parameters.get("Amount")),
        shortcode=wire.party_shortcode(payer),
        receiver_shortcode=wire.party_shortcode(payee),
    )


def _judge(parameters: Parameters, ids: tuple[tuple[str, str], ...]) -> Settled | Failed | OutcomeUnknown:
    told = parameters.get("TransactionStatus")
    if told is None:
        return OutcomeUnknown("the answer names no TransactionStatus", ids)
    status = told.strip().casefold()
    if status == _COMPLETED:
        return _judge_completed(parameters, ids)
    if status in _FAILED:
        return Failed(status.capitalize(), "TransactionStatus of a status query", ids)
    return OutcomeUnknown(f"TransactionStatus {transport.redact(told)}", ids)


def _judge_completed(parameters: Parameters, ids: tuple[tuple[str, str], ...]) -> Settled | OutcomeUnknown:
    receipt = references.receipt(parameters.get("ReceiptNo"))
    amount = account_strings.money(parameters.get("Amount"))
    completed_at = _completed_at(parameters.get("FinalisedTime"))
    if receipt is None:
        return OutcomeUnknown("Completed without a receipt", ids)
    if amount is None or amount.minor_units <= 0:
        return OutcomeUnknown("Completed without an amount", ids)
    if completed_at is None:
        return OutcomeUnknown("Completed without a time", ids)
    paid_from = account_strings.sub_account(parameters.get("DebitAccountType"))
    facts = {} if paid_from is None else {"debit_sub_account": paid_from}
    charge = account_strings.charge(parameters.get("DebitPartyCharges"))
    return Settled(receipt, amount, completed_at, ids, facts, charge)


def _completed_at(value: str | None) -> datetime | None:
    return wire.timestamp(value) or wire.completed_at(value)


def _parties(parameters: Parameters) -> tuple[str | None, str | None]:
    """Who paid and who was paid, as written. Daraja's own sample tells both under DebitPartyName: since it is we who
    pay, and from a shortcode, a telephone number among them is the payee's; two shortcodes cannot be told apart."""
    debit, credit = parameters.every("DebitPartyName"), parameters.get("CreditPartyName")
    if len(debit) != 2 or "CreditPartyName" in parameters:
        return parameters.get("DebitPartyName"), credit
    people = [party for party in debit if wire.party_msisdn(party) is not None]
    businesses = [party for party in debit if wire.party_shortcode(party) is not None]
    return (businesses[0], people[0]) if len(people) == len(businesses) == 1 else (None, None)


def _read_status_timeout(document: dict[str, object]) -> PayoutCallback:
    """A thin Result, or our own question come back: either way nothing was learned."""
    echoed = "Result" not in document
    if echoed and not queries.is_status_query(document):
        raise documents.Unreadable("the body is neither a Result nor a status query")
    if not echoed:
        envelope.read(document)
    return PayoutCallback(
        outcome=OutcomeUnknown(_TIMED_OUT),
        reference=documents.identifier(document.get("OriginalConversationID")) if echoed else None,
        conversation_id=None,
        msisdn=None,
        amount=None,
        shortcode=documents.identifier(document.get("PartyA")) if echoed else None,
    )


def _read_balances(result: Envelope) -> BalanceReport:
    if not result.is_final or result.code != envelope.SUCCESS:
        raise documents.Unreadable(f"no balance was told, {result.told}")
    balances = account_strings.balances(result.parameters.get("AccountBalance"))
    if not balances:
        raise documents.Unreadable("the Result tells no balance that can be read")
    asserted_at = wire.timestamp(result.parameters.get("BOCompletedTime"))
    return BalanceReport(shortcode=None, balances=balances, asserted_at=asserted_at)
