"""The questions as built."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapters.daraja import queries
from adapters.provider import CallbackUrls
from adapters.transport import Secret
from tests.adapters.daraja.examples import ACCESS, REFERENCE, example, inquiry

CREDENTIAL = Secret("Y3JlZA==")


def urls_of(kind: str) -> CallbackUrls:
    base = f"https://pay.daftari.example/hooks/dj/{kind}"
    return CallbackUrls(result_url=f"{base}/result/k7Qd2", timeout_url=f"{base}/timeout/k7Qd2")


def expected(name: str, ours: dict[str, str]) -> list[tuple[str, str]]:
    return [(key, ours.get(key, value)) for key, value in json.loads(example(name)).items()]


@pytest.mark.parametrize(
    ("receipt", "name"),
    [
        (None, "transaction-status-request-by-originator.json"),
        ("UI1YOXP20E", "transaction-status-request-by-receipt.json"),
    ],
)
def test_a_payment_is_asked_about_by_receipt_where_one_is_known_and_else_by_our_reference(
    receipt: str | None, name: str
) -> None:
    request = queries.status_query(
        inquiry(receipt=receipt), access=ACCESS, security_credential=CREDENTIAL, callback_urls=urls_of("ts")
    )

    ours = {"SecurityCredential": "Y3JlZA==", "Remarks": "Status query", "Occasion": REFERENCE}
    assert list(request.document.items()) == expected(name, ours)
    assert request.path == "/mpesa/transactionstatus/v1/query"


def test_several_ids_that_messages_named_are_asked_by_in_turn() -> None:
    ids = (("daraja.originator_conversation_id", "29115-2-1"), ("daraja.originator_conversation_id", "29115-5-1"))
    questions = [replace(inquiry(receipt=None), references=ids, asked_before=count) for count in range(3)]

    requests = [
        queries.status_query(one, access=ACCESS, security_credential=CREDENTIAL, callback_urls=urls_of("ts"))
        for one in questions
    ]

    asked = [request.document["OriginalConversationID"] for request in requests]
    assert asked == ["29115-2-1", "29115-5-1", "29115-2-1"]


def test_balances_are_asked_for_as_documented() -> None:
    request = queries.balance_query(
        "600584", access=ACCESS, security_credential=CREDENTIAL, callback_urls=urls_of("bal")
    )

    ours = {"SecurityCredential": "Y3JlZA==", "Remarks": "Balance query"}
    assert list(request.document.items()) == expected("account-balance-request.json", ours)
    assert request.path == "/mpesa/accountbalance/v1/query"
