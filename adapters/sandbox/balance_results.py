"""The answer to a balance query, from the sandbox's own books: accounts joined by `&`, their fields by `|`. Pure."""

from __future__ import annotations

from adapters.sandbox import envelope, identifiers, wire
from adapters.sandbox.b2b_results import SUCCESS_TEXT
from adapters.sandbox.behaviours import Notice
from adapters.sandbox.envelope import RESULT_TEXTS, WRONG_AMOUNT_ADDED_CENTS, Conversation
from adapters.sandbox.status_results import Unanswered
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Balances

_REFERENCE_DATA: Document = {
    "ReferenceItem": {
        "Key": "QueueTimeoutURL",
        "Value": "https://internalapi.safaricom.co.ke/mpesa/abresults/v1/submit",
    }
}


def document(notice: Notice, conversation: Conversation, answer: Balances | Unanswered) -> Document:
    """The body of a callback to the query's own result address."""
    if isinstance(answer, Unanswered):
        return _failure(conversation, answer.result_code)
    # 100 shillings more on utility than there are: what an accountant would be alarmed by.
    added_cents = WRONG_AMOUNT_ADDED_CENTS if notice is Notice.RESULT_WRONG_AMOUNT else 0
    told = envelope.item("AccountBalance", balance_text(answer, utility_added_cents=added_cents))
    return _FORMS.get(notice, _listed)(conversation, told)


def balance_text(balances: Balances, *, utility_added_cents: int = 0) -> str:
    """`AccountBalance`: name, currency, current, available, reserved, uncleared, for all five accounts."""
    return "&".join(
        wire.account_text(name, cents)
        for name, cents in (
            ("Working Account", balances.working_cents),
            ("Float Account", 0),
            ("Utility Account", balances.utility_cents + utility_added_cents),
            ("Charges Paid Account", balances.charges_paid_cents),
            ("Organization Settlement Account", 0),
        )
    )


def _listed(conversation: Conversation, told: Document) -> dict[str, dict[str, Document]]:
    completed = envelope.item("BOCompletedTime", str(identifiers.compact_time(conversation.opened_at)))
    return _success(conversation, {"ResultParameter": [told, completed]})


def _with_single_parameter(conversation: Conversation, told: Document) -> dict[str, dict[str, Document]]:
    return _success(conversation, {"ResultParameter": told})


def _without_parameters(conversation: Conversation, told: Document) -> Document:
    return envelope.without_parameters(_listed(conversation, told))


def _as_numbers(conversation: Conversation, told: Document) -> Document:
    return {"Result": _listed(conversation, told)["Result"] | {"ResultType": 0, "ResultCode": 0}}


_FORMS = {
    Notice.RESULT_AS_NUMBERS: _as_numbers,
    Notice.RESULT_SINGLE_PARAMETER: _with_single_parameter,
    Notice.RESULT_WITHOUT_PARAMETERS: _without_parameters,
}


def _success(conversation: Conversation, parameters: Document) -> dict[str, dict[str, Document]]:
    return {
        "Result": {
            "ResultType": "0",
            "ResultCode": "0",
            "ResultDesc": SUCCESS_TEXT,
            **_ids(conversation),
            "ResultParameters": parameters,
            "ReferenceData": _REFERENCE_DATA,
        }
    }


def _failure(conversation: Conversation, code: str) -> Document:
    return {
        "Result": {
            "ResultType": 0,
            "ResultCode": envelope.code_number(code),
            "ResultDesc": RESULT_TEXTS[code],
            **_ids(conversation),
            "ReferenceData": _REFERENCE_DATA,
        }
    }


def _ids(conversation: Conversation) -> dict[str, Document]:
    return {
        "OriginatorConversationID": conversation.originator_conversation_id,
        "ConversationID": conversation.conversation_id,
        "TransactionID": identifiers.placeholder_transaction_id(conversation.opened_at),
    }
