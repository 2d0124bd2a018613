"""Status queries: what each magic number's payment is found to be, the documented bodies, and a query's own trouble."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapters.sandbox.magic import MAGIC, magic_shortcode
from adapters.sandbox.settings import SandboxSettings, StatusParties
from adapters.sandbox.world import Fate
from tests.adapters.sandbox.questions import asked, keys, pay, query
from tests.adapters.sandbox.rig import B2B_PATH, STATUS_PATH, Rig, example, running, shape_of, tokens_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What the first status queries say about a payment to each number, one word per query, and then no more.
COMPLETED, FAILED, NOT_FOUND = ("Completed",), ("Failed",), ("result 2033",)
EXPECTED: dict[str, tuple[str, ...]] = dict.fromkeys(MAGIC, COMPLETED)
EXPECTED |= {suffix: FAILED for suffix in MAGIC if suffix[0] == "1"}
EXPECTED |= {"413": FAILED, "415": FAILED}
EXPECTED |= dict.fromkeys(
    ("303", "305", "307", "308", "309", "310", "311", "312", "313", "315", "316", "317"), NOT_FOUND
)
EXPECTED |= {
    "202": NOT_FOUND,
    "405": ("Expired",),
    "406": ("Initiated", "Initiated", "Initiated"),
    "501": ("nothing",),
    "502": ("Completed, Completed",),
    "503": ("Pending Authorized", "Pending Authorized", "Pending Authorized"),
    "504": ("Pending Authorized", "Authorized", "Completed", "Completed"),
    "505": ("result 25",),
    "506": ("result 2001",),
    "507": FAILED,
    "509": ("Completed as text",),
    "510": ("Completed alone",),
    "511": ("Cancelled",),
    "512": ("Declined",),
    "513": ("Expired",),
    "514": ("Pending Authorized", "Expired"),
    "515": ("Completed with keys of 2017",),
    "516": ("Completed for 2600",),
    "517": ("timeout notice",),
    "519": ("HTTP 500",),
    "520": ("unreadable",),
    "521": ("result 2033", "Completed"),
}


async def test_every_magic_number_has_its_expectation() -> None:
    assert set(EXPECTED) == set(MAGIC)


@pytest.mark.parametrize("suffix", MAGIC)
async def test_a_status_query_about_a_magic_number_says_what_its_row_says(rig: Rig, suffix: str) -> None:
    await pay(rig, suffix)
    words = [await asked(rig, OriginalConversationID="dft-1") for _ in EXPECTED[suffix]]

    assert tuple(words) == EXPECTED[suffix]


@pytest.mark.parametrize("suffix", ["000", "140", "202", "302", "503", "507"])
async def test_a_query_moves_nothing(rig: Rig, suffix: str) -> None:
    await pay(rig, suffix)
    before = await rig.truth()

    await asked(rig, OriginalConversationID="dft-1")

    after = await rig.truth()
    assert (after["balances"], after["movements"]) == (before["balances"], before["movements"])


async def test_the_table_given_out_agrees_with_what_queries_say(rig: Rig) -> None:
    rows = (await rig.http.get("/sandbox/magic")).json()
    told = {(row["msisdn"] or row["shortcode"])[-3:]: row["status"] for row in rows}

    plain = {suffix: words for suffix, words in EXPECTED.items() if MAGIC[suffix].queried_as == "success"}
    in_words = {
        suffix: ", then ".join(dict.fromkeys("not found" if word == "result 2033" else word for word in words))
        for suffix, words in plain.items()
    }
    assert {suffix: told[suffix] for suffix in plain} == in_words


async def test_the_acknowledgement_is_the_documented_one(rig: Rig) -> None:
    response = await query(rig, TransactionID="UI1YOXP20E")

    assert response.status_code == 200
    assert shape_of(response.content) == shape_of(example("transaction-status-response.json"))


@pytest.mark.parametrize(
    "name", ["transaction-status-request-by-originator.json", "transaction-status-request-by-receipt.json"]
)
async def test_a_documented_query_is_taken(rig: Rig, name: str) -> None:
    own = {key: rig.status_query()[key] for key in ("SecurityCredential", "QueueTimeOutURL", "ResultURL")}

    response = await rig.send(STATUS_PATH, json.loads(example(name)) | own)
    callback = await rig.receiver.next()

    assert response.status_code == 200
    assert callback.result["ResultCode"] == 2033


@pytest.mark.parametrize("name", ["completed", "failed"])
async def test_the_result_is_the_documented_one_but_for_its_values(settings: SandboxSettings, name: str) -> None:
    async with running(replace(settings, status_parties=StatusParties.DEBIT_AND_CREDIT)) as rig:
        await pay(rig, {"completed": "000", "failed": "140"}[name])
        response = await query(rig, OriginalConversationID="dft-1")
        callback = await rig.receiver.next()

    assert callback.path == "/status/result/k7Qd2"
    assert shape_of(callback.body) == shape_of(example(f"transaction-status-result-{name}.json"))
    assert keys(callback.body) == keys(example(f"transaction-status-result-{name}.json"))
    assert callback.result["OriginatorConversationID"] == response.json()["OriginatorConversationID"] != "dft-1"
    assert callback.result["ConversationID"] == response.json()["ConversationID"]
    assert callback.parameters["OriginatorConversationID"] == "dft-1"


async def test_a_completed_payment_is_told_with_its_receipt_amount_and_fee(rig: Rig) -> None:
    await pay(rig, "000")
    await query(rig, OriginalConversationID="dft-1")
    callback = await rig.receiver.next()

    (movement,) = rig.server.world.movements
    assert callback.result["TransactionID"] == "UI10000000"
    assert callback.parameters == {
        "DebitPartyName": "254700000000 - OTIENO NJERI TESTER",
        "OriginatorConversationID": "dft-1",
        "InitiatedTime": 20260901101536,
        "DebitAccountType": "Utility Account",
        "DebitPartyCharges": "Fee For B2C Payment|KES|9.00",
        "TransactionReason": None,
        "ReasonType": "Business Payment to Customer via API",
        "TransactionStatus": "Completed",
        "FinalisedTime": 20260901101536,
        "Amount": 2500,
        "ConversationID": movement.payment and movement.payment.conversation_id,
        "ReceiptNo": movement.receipt,
    }


async def test_debit_party_name_comes_twice_and_the_reason_without_a_value(rig: Rig) -> None:
    await pay(rig, "000")
    await query(rig, OriginalConversationID="dft-1")
    callback = await rig.receiver.next()

    assert keys(callback.body) == keys(example("transaction-status-result-completed-strings.json"))
    items = callback.result["ResultParameters"]["ResultParameter"]
    assert [item["Value"] for item in items[:2]] == [
        "600584 - Daftari Test Org",
        "254700000000 - OTIENO NJERI TESTER",
    ]
    assert {"Key": "TransactionReason"} in items


async def test_numbers_can_come_as_strings(rig: Rig) -> None:
    await pay(rig, "509")
    await query(rig, OriginalConversationID="dft-1")
    callback = await rig.receiver.next()

    assert callback.parameters["Amount"] == "2500"
    assert callback.parameters["FinalisedTime"] == "20260901101536"


async def test_an_unfinished_payment_has_no_receipt_and_no_time(rig: Rig) -> None:
    await pay(rig, "503")
    await query(rig, OriginalConversationID="dft-1")
    callback = await rig.receiver.next()

    items = callback.result["ResultParameters"]["ResultParameter"]
    assert {"Key": "ReceiptNo"} in items
    assert {"Key": "FinalisedTime"} in items


async def test_a_query_that_finds_nothing_says_nothing(rig: Rig) -> None:
    await rig.put_in(not_found_code="25")
    response = await query(rig, OriginalConversationID="dft-unheard-of")
    callback = await rig.receiver.next()

    documented = example("transaction-status-result-query-rejected.json").decode()
    for key, value in [
        ("OriginatorConversationID", "44315-48596300-2"),
        ("ConversationID", "AG_20260901_2010bdc7c922d7405ff3"),
    ]:
        documented = documented.replace(value, response.json()[key])
    assert tokens_of(callback.body) == tokens_of(documented.encode())


async def test_a_payment_is_found_by_its_receipt(rig: Rig) -> None:
    await pay(rig, "302")
    (movement,) = rig.server.world.movements

    assert await asked(rig, TransactionID=movement.receipt) == "Completed"
    assert await asked(rig, TransactionID="UI10000000") == "result 2033"


async def test_a_b2b_payment_is_found_by_the_id_of_its_acknowledgement_or_its_receipt(rig: Rig) -> None:
    paid = await rig.send(B2B_PATH, rig.b2b_request())
    receipt = (await rig.receiver.next()).result["TransactionID"]

    by_id = await rig.send(
        STATUS_PATH, rig.status_query(OriginalConversationID=paid.json()["OriginatorConversationID"])
    )
    found = await rig.receiver.next()
    by_receipt = await asked(rig, TransactionID=receipt)

    assert (by_id.status_code, by_receipt) == (200, "Completed for 19000")
    assert found.parameters["DebitAccountType"] == "Working Account"
    assert found.parameters["DebitPartyCharges"] == "Business Pay Bill Charge|KES|110.00"
    assert found.parameters["DebitPartyName"] == "600977 - Mfano Supplies Ltd"
    assert found.parameters["ReceiptNo"] == receipt


async def test_a_b2b_payment_that_was_never_called_back_is_found(rig: Rig) -> None:
    paid = await rig.send(B2B_PATH, rig.b2b_request(PartyB=magic_shortcode("504"), Amount="2500"))
    originator = paid.json()["OriginatorConversationID"]

    words = [await asked(rig, OriginalConversationID=originator) for _ in range(3)]

    assert words == ["Pending Authorized", "Authorized", "Completed"]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("no-callback-paid", "nothing"),
        ("no-callback-not-paid", "nothing"),
        ("callback-twice", "Completed, Completed"),
        ("result-2001", "result 2001"),
        ("result-8006", "result 8006"),
        ("result-2033", "result 2033"),
        ("timeout-echo-paid", "timeout notice"),
        ("timeout-then-success", "timeout notice, Completed"),
        ("failure-then-success", "result 8, Completed"),
        ("unreadable", "unreadable"),
        ("numbers-as-text", "Completed as text"),
        ("single-parameter-success", "Completed alone"),
        ("success-without-parameters", "result 0"),
        ("order-of-2017", "Completed with keys of 2017"),
        ("wrong-amount", "Completed for 2600"),
        ("ack-lost", "HTTP 500, Completed"),
        ("service-unavailable", "HTTP 503"),
        ("rate-limited", "HTTP 429"),
        ("maintenance", "HTTP 500"),
        ("v3-not-authorised", "Completed"),
    ],
)
async def test_trouble_of_the_query_itself_can_be_scripted(rig: Rig, behaviour: str, words: str) -> None:
    await pay(rig, "000")
    await rig.put_in(scripted=[{"behaviour": behaviour, "api": "status"}])

    assert await asked(rig, OriginalConversationID="dft-1") == words
    assert await asked(rig, OriginalConversationID="dft-1") == "Completed"


async def test_trouble_without_an_api_is_for_payments(rig: Rig) -> None:
    await pay(rig, "000")
    await rig.put_in(scripted=[{"behaviour": "service-unavailable"}], rates={"rate-limited": 1.0})

    assert await asked(rig, OriginalConversationID="dft-1") == "Completed"
    assert (await rig.pay()).status_code == 503


async def test_queries_have_rates_of_their_own(rig: Rig) -> None:
    await rig.put_in(query_rates={"service-unavailable": 1.0})

    paid = await rig.pay(OriginatorConversationID="dft-1")
    await rig.receiver.next()

    assert (paid.status_code, await asked(rig, OriginalConversationID="dft-1")) == (200, "HTTP 503")


async def test_the_wrong_receiver_can_be_named(rig: Rig) -> None:
    await pay(rig, "000")
    await rig.put_in(scripted=[{"behaviour": "wrong-receiver", "api": "status"}])

    await query(rig, OriginalConversationID="dft-1")

    assert (await rig.receiver.next()).parameters["DebitPartyName"].startswith("600999 - ")


async def test_an_answer_before_the_acknowledgement_is_delivered_first(rig: Rig) -> None:
    await pay(rig, "518")

    response = await query(rig, OriginalConversationID="dft-1")

    (callback,) = rig.receiver.received
    assert callback.result["ConversationID"] == response.json()["ConversationID"]


async def test_a_timeout_notice_is_the_query_to_the_byte(rig: Rig) -> None:
    await pay(rig, "517")
    request = rig.status_query(OriginalConversationID="dft-1")

    await rig.send(STATUS_PATH, request)

    callback = await rig.receiver.next()
    assert (callback.path, json.loads(callback.body)) == ("/status/timeout/k7Qd2", request)


async def test_a_wrong_password_in_a_query_counts_towards_the_lock(rig: Rig) -> None:
    await pay(rig, "000")
    wrong = rig.encrypted("wrong")

    words = [await asked(rig, OriginalConversationID="dft-1", SecurityCredential=wrong) for _ in range(4)]

    assert words == ["result 2001", "result 2001", "result 2001", "result 8006"]


async def test_the_diary_tells_questions_from_payments(rig: Rig) -> None:
    await pay(rig, "000")
    await asked(rig, OriginalConversationID="dft-1")
    await asked(rig, OriginalConversationID="dft-2")

    paid, found, missed = rig.server.world.requests
    assert (paid.fate, found.fate, missed.fate) == (Fate.PAID, Fate.ANSWERED, Fate.FAILED)
    assert (found.path, missed.result_code) == (STATUS_PATH, "2033")
    assert "dft-1" not in {found.originator_conversation_id, missed.originator_conversation_id}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Initiator", "someone_else"),
        ("SecurityCredential", None),
        ("CommandID", "AccountBalance"),
        ("PartyA", "600000"),
        ("IdentifierType", "1"),
        ("Remarks", "x"),
        ("QueueTimeOutURL", None),
        ("ResultURL", "http://127.0.0.1/query/result"),
        ("Occasion", "x" * 101),
        ("TransactionID", ""),
    ],
)
async def test_a_bad_field_is_named(rig: Rig, field: str, value: object) -> None:
    response = await query(rig, **({"TransactionID": "UI1YOXP20E"} | {field: value}))

    assert (response.status_code, response.json()["errorCode"]) == (400, "400.002.02")
    assert response.json()["errorMessage"] == f"Bad Request - Invalid {field}"
