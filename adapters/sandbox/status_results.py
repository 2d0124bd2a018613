"""The answer to a status query: what became of a transaction, in all forms. Pure.

The ids of the envelope are the query's; the transaction's are among the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adapters.sandbox import b2b_results, envelope, identifiers, names, wire
from adapters.sandbox.behaviours import Finding, Notice
from adapters.sandbox.envelope import RESULT_TEXTS, WRONG_AMOUNT_ADDED_CENTS, Conversation
from adapters.sandbox.settings import StatusParties
from adapters.sandbox.transactions import Transaction
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Movement

COMPLETED = "Completed"
NOT_FINAL = frozenset({Finding.INITIATED, Finding.AUTHORISED, Finding.PENDING})
_SPACED_KEYS_OF_2017 = {"ConversationID": "Conversation ID", "OriginatorConversationID": "Originator Conversation ID"}


@dataclass(frozen=True, slots=True)
class Report:
    """What a query found. `reversed_status` is the word for what was taken back."""

    transaction: Transaction
    finding: Finding
    parties: StatusParties
    reversed_status: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The query was declined: nothing is said about any payment. `result_code` is why."""

    result_code: str


def document(notice: Notice, conversation: Conversation, answer: Report | Unanswered) -> Document:
    """The body of a callback to the query's own result address."""
    if isinstance(answer, Unanswered):
        return _result(conversation, answer.result_code, None)
    return _FORMS.get(notice, _plain)(conversation, answer)


def _plain(conversation: Conversation, report: Report) -> Document:
    return _listed(conversation, _parameters(report))


def _as_text(conversation: Conversation, report: Report) -> Document:
    return envelope.stringified(_plain(conversation, report))


def _with_single_parameter(conversation: Conversation, report: Report) -> Document:
    parameter = envelope.item("TransactionStatus", _status(report))
    return _result(conversation, "0", {"ResultParameter": parameter})


def _without_parameters(conversation: Conversation, _report: Report) -> Document:
    return _result(conversation, "0", None)


def _of_2017(conversation: Conversation, report: Report) -> Document:
    keys = _SPACED_KEYS_OF_2017
    spaced = [one | {"Key": keys.get(str(one["Key"]), one["Key"])} for one in _parameters(report)]
    return _listed(conversation, spaced)


def _with_wrong_amount(conversation: Conversation, report: Report) -> Document:
    wrong = wire.shillings_number(report.transaction.amount_cents + WRONG_AMOUNT_ADDED_CENTS)
    told = [one | {"Value": wrong} if one["Key"] == "Amount" else one for one in _parameters(report)]
    return _listed(conversation, told)


def _with_wrong_receiver(conversation: Conversation, report: Report) -> Document:
    payer, receiver, *others = _parameters(report)
    return _listed(conversation, [payer, receiver | {"Value": names.business(b2b_results.WRONG_RECEIVER)}, *others])


_FORMS: dict[Notice, Callable[[Conversation, Report], Document]] = {
    Notice.RESULT_2017_ORDER: _of_2017,
    Notice.RESULT_AS_TEXT: _as_text,
    Notice.RESULT_SINGLE_PARAMETER: _with_single_parameter,
    Notice.RESULT_WITHOUT_PARAMETERS: _without_parameters,
    Notice.RESULT_WRONG_AMOUNT: _with_wrong_amount,
    Notice.RESULT_WRONG_RECEIVER: _with_wrong_receiver,
}


def _status(report: Report) -> str:
    if report.finding is not Finding.TRUTH:
        return str(report.finding.value)
    if report.transaction.is_reversed:
        return report.reversed_status
    return COMPLETED if isinstance(report.transaction.outcome, Movement) else str(Finding.FAILED.value)


def _parameters(report: Report) -> list[dict[str, Document]]:
    """In the documents' order. Daraja's sample has DebitPartyName twice, and TransactionReason without a value."""
    shown, item = report.transaction, envelope.item
    twice = report.parties is StatusParties.DEBIT_TWICE
    return [
        item("DebitPartyName", shown.debit_party),
        item("DebitPartyName" if twice else "CreditPartyName", shown.credit_party),
        item("OriginatorConversationID", shown.originator_conversation_id),
        item("InitiatedTime", identifiers.compact_time(shown.opened_at)),
        item("DebitAccountType", shown.account.value),
        item("DebitPartyCharges", shown.charge_text if _status(report) == COMPLETED else ""),
        item("TransactionReason"),
        item("ReasonType", shown.reason_type),
        item("TransactionStatus", _status(report)),
        item("FinalisedTime", *_finalised_time(report)),
        item("Amount", wire.shillings_number(shown.amount_cents)),
        item("ConversationID", shown.conversation_id),
        item("ReceiptNo", *_receipt(report)),
    ]


def _finalised_time(report: Report) -> tuple[Document, ...]:
    outcome = report.transaction.outcome
    if report.finding in NOT_FINAL:
        return ()
    completed_at = outcome.completed_at if isinstance(outcome, Movement) else report.transaction.opened_at
    return (identifiers.compact_time(completed_at),)


def _receipt(report: Report) -> tuple[Document, ...]:
    """The receipt of a payment that was made, and no value before that is settled; a failed one has the placeholder."""
    outcome = report.transaction.outcome
    if report.finding in NOT_FINAL:
        return ()
    if isinstance(outcome, Movement):
        return (outcome.receipt,)
    return (identifiers.placeholder_transaction_id(report.transaction.opened_at),)


def _listed(conversation: Conversation, parameters: list[dict[str, Document]]) -> Document:
    return _result(conversation, "0", {"ResultParameter": parameters})


def _result(conversation: Conversation, code: str, parameters: Document) -> Document:
    told: dict[str, Document] = {} if parameters is None else {"ResultParameters": parameters}
    return {
        "Result": {
            "ConversationID": conversation.conversation_id,
            "OriginatorConversationID": conversation.originator_conversation_id,
            "ReferenceData": {"ReferenceItem": envelope.item("Occasion")},
            "ResultCode": envelope.code_number(code),
            "ResultDesc": RESULT_TEXTS[code],
            **told,
            "ResultType": 0,
            "TransactionID": identifiers.placeholder_transaction_id(conversation.opened_at),
        }
    }
