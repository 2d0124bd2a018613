"""STK push: what is answered, called back and found by queries; each trap of the prompts' magic numbers."""

from __future__ import annotations

import json
import re

import pytest

from adapters.sandbox.customer_rows import PROMPT_ROWS
from adapters.sandbox.magic import ROWS
from adapters.sandbox.world import Fate
from tests.adapters.sandbox import payers
from tests.adapters.sandbox.rig import Rig, example, shape_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Suffix: what becomes of the prompt, all that is called back, what the first four queries find.
PAID, FAILED = Fate.PAID, Fate.FAILED
EXPECTED: dict[str, tuple[Fate, list[str], list[str]]] = {
    **{
        suffix: (FAILED, [f"prompt {row.result_code}"], [row.result_code] * 4)
        for suffix, row in PROMPT_ROWS.items()
        if row.name.startswith("result-")
    },
    "640": (PAID, ["prompt 0"], ["1037", "0", "0", "0"]),
    "641": (PAID, ["prompt 0"], ["1032", "0", "0", "0"]),
    "642": (PAID, ["prompt 0"], ["4999", "4999", "0", "0"]),
    "643": (FAILED, ["prompt 1032"], ["4999", "1032", "1032", "1032"]),
    "644": (PAID, [], ["4999", "4999", "0", "0"]),
    "645": (PAID, [], ["HTTP 500", "HTTP 500", "0", "0"]),
    "646": (Fate.FORGOTTEN, [], ["4999"] * 4),
    "647": (PAID, ["prompt 0"], ["1037"] * 4),
    "648": (PAID, ["prompt 0"], ["4999", "4999", "0", "0"]),
    "649": (FAILED, [], ["1032"] * 4),
    "650": (PAID, ["prompt 0"], ["0"] * 4),
    "651": (PAID, ["prompt 0"], ["0"] * 4),
    "652": (PAID, ["prompt 0"], ["0"] * 4),
    "660": (PAID, [], ["0"] * 4),
    "661": (PAID, ["prompt 0"], ["0"] * 4),
    "662": (PAID, ["prompt 0"], ["0"] * 4),
    "101": (FAILED, ["prompt 1"], ["1"] * 4),
    "141": (FAILED, ["prompt 2001"], ["2001"] * 4),
    "201": (PAID, [], ["0"] * 4),
    "202": (Fate.FORGOTTEN, [], ["1019"] * 4),
    "402": (PAID, ["prompt 0", "prompt 0"], ["0"] * 4),
    "409": (PAID, ["prompt 1037", "prompt 0"], ["0"] * 4),
    "414": (PAID, ["unreadable"], ["0"] * 4),
}


async def test_every_row_of_prompts_has_its_expectation() -> None:
    assert set(PROMPT_ROWS) - set(EXPECTED) == {"670"}


@pytest.mark.parametrize("suffix", EXPECTED)
async def test_a_prompt_does_what_its_row_says(rig: Rig, suffix: str) -> None:
    checkout = await payers.prompted(rig, suffix)
    found = [await payers.found(rig, checkout) for _ in range(4)]
    await rig.callbacks_done()

    seen = rig.server.world.requests[0]
    paid_cents = sum(movement.amount_cents for movement in rig.server.world.movements)
    assert (seen.fate, payers.told(rig), found) == EXPECTED[suffix]
    assert paid_cents == (150_000 if seen.fate is Fate.PAID else 0)


async def test_the_documented_request_has_the_documented_answers(rig: Rig) -> None:
    response = await rig.send(payers.STK_PATH, payers.push(rig))
    callback = await rig.receiver.next()
    query = await rig.send(payers.STK_QUERY_PATH, payers.stk_query(rig, response.json()["CheckoutRequestID"]))

    ids = {key: response.json()[key] for key in ("MerchantRequestID", "CheckoutRequestID")}
    documented = json.loads(example("stk-callback-success.json"))["Body"]["stkCallback"]
    told = payers.document(callback)["Body"]["stkCallback"]
    items = {item["Name"]: item["Value"] for item in told["CallbackMetadata"]["Item"]}
    assert response.json() == json.loads(example("stk-push-response.json")) | ids
    assert re.fullmatch(r"ws_CO_01092026101536\d{1,3}700000017", ids["CheckoutRequestID"])
    assert re.fullmatch(r"([0-9a-f]{4}-){3}[0-9a-f]{12}\d{7}", ids["MerchantRequestID"])
    assert shape_of(callback.body) == shape_of(example("stk-callback-success.json"))
    assert told == documented | ids | {"CallbackMetadata": told["CallbackMetadata"]}
    assert items | {"MpesaReceiptNumber": ""} == {
        "Amount": 1500.0,
        "MpesaReceiptNumber": "",
        "TransactionDate": 20260901101536,
        "PhoneNumber": 254700000017,
    }
    assert query.json() == json.loads(example("stk-query-response-success.json")) | ids


@pytest.mark.parametrize(
    "code", ["1", "2", "3", "4", "8", "17", "26", "1001", "1019", "1025", "1031", "1032", "1036", "1037", "2001",
             "2028", "8006", "9999", "SFC_IC0003"],
)  # fmt: skip
async def test_a_failure_is_the_documented_document(rig: Rig, code: str) -> None:
    suffix = next(suffix for suffix, row in ROWS.items() if row.name == f"result-{code}")
    checkout = await payers.prompted(rig, suffix)

    told = payers.document(await rig.receiver.next())["Body"]["stkCallback"]
    documented = json.loads(example(f"stk-callback-failed-{code}.json"))["Body"]["stkCallback"]
    assert told == documented | {"CheckoutRequestID": checkout, "MerchantRequestID": told["MerchantRequestID"]}


async def test_a_balance_without_a_value_is_the_documented_document(rig: Rig) -> None:
    await payers.prompted(rig, "650")

    callback = await rig.receiver.next()
    assert shape_of(callback.body) == shape_of(example("stk-callback-success-balance-without-value.json"))


@pytest.mark.parametrize(
    ("suffix", "name"),
    [("645", "stk-query-error-being-processed.json"), ("644", "stk-query-response-still-processing.json"),
     ("649", "stk-query-response-cancelled.json")],
)  # fmt: skip
async def test_what_a_query_finds_is_worded_as_documented(rig: Rig, suffix: str, name: str) -> None:
    checkout = await payers.prompted(rig, suffix)

    answer = (await rig.send(payers.STK_QUERY_PATH, payers.stk_query(rig, checkout))).json()

    documented = json.loads(example(name))
    own = {key: answer[key] for key in ("requestId", "MerchantRequestID", "CheckoutRequestID") if key in documented}
    assert answer == documented | own


async def test_a_late_customer_pays_only_when_queries_said_no(rig: Rig) -> None:
    checkout = await payers.prompted(rig, "640")
    before = list(rig.server.world.movements), rig.server.world.requests[0].fate

    first = await payers.found(rig, checkout)
    callback = await rig.receiver.next()

    assert before == ([], Fate.PENDING)
    assert (first, payers.described(callback)) == ("1037", "prompt 0")
    assert len(rig.server.world.movements) == 1


async def test_a_late_customer_can_be_told_to_act(rig: Rig) -> None:
    checkout = await payers.prompted(rig, "640")

    (waiting,) = (await rig.http.get("/sandbox/prompts")).json()
    acted = await rig.http.post("/sandbox/prompts/act", json={"checkout_request_id": checkout})
    again = await rig.http.post("/sandbox/prompts/act", json={"checkout_request_id": checkout})
    callback = await rig.receiver.next()

    assert (waiting["is_waiting"], waiting["result_code"]) == (True, "")
    assert (acted.json()["result_code"], again.status_code) == ("0", 409)
    assert payers.described(callback) == "prompt 0"


async def test_a_callback_before_the_acknowledgement_and_a_lost_one_still_name_the_prompt(rig: Rig) -> None:
    checkout = await payers.prompted(rig, "401")
    early = payers.document(rig.receiver.received[0])["Body"]["stkCallback"]
    lost = await rig.send(payers.STK_PATH, payers.push(rig, PhoneNumber="254700000301"))
    await rig.callbacks_done()

    assert early["CheckoutRequestID"] == checkout
    assert (lost.status_code, payers.told(rig)) == (500, ["prompt 0", "prompt 0"])
    assert len(rig.server.world.movements) == 2


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [("017", ["prompt 0", "confirm 1500.00"]), ("201", []), ("402", ["prompt 0", "prompt 0", "confirm 1500.00"]),
     ("660", ["confirm 1500.00"]), ("661", ["confirm 1500.00", "prompt 0"]), ("662", ["prompt 0"]),
     ("632", ["prompt 1032"])],
)  # fmt: skip
async def test_where_addresses_are_registered_a_confirmation_tells_the_same_receipt(
    rig: Rig, suffix: str, expected: list[str]
) -> None:
    await payers.registered(rig)

    await payers.prompted(rig, suffix)
    await rig.callbacks_done()

    receipts = {movement.receipt for movement in rig.server.world.movements}
    confirmed = {
        payers.document(callback)["TransID"]
        for callback in rig.receiver.received
        if callback.path.startswith("/confirm/")
    }
    assert payers.told(rig) == expected
    assert confirmed <= receipts
    assert len(receipts) <= 1


async def test_a_till_is_paid_by_its_own_transaction_type(rig: Rig) -> None:
    till = {"TransactionType": "CustomerBuyGoodsOnline", "PartyB": rig.settings.till}
    await payers.prompted(rig, **till)
    await payers.prompted(rig, PartyB=rig.settings.till)
    await payers.prompted(rig, TransactionType="CustomerBuyGoodsOnline")
    await payers.prompted(rig, Amount="250001")
    await rig.callbacks_done()

    assert payers.told(rig) == ["prompt 0", "prompt 2028", "prompt SFC_IC0003", "prompt 3"]
    assert [movement.collection.shortcode for movement in rig.server.world.movements if movement.collection] == [
        rig.settings.till
    ]


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("BusinessShortCode", "x", "BusinessShortCode"), ("Password", None, "Password"),
        ("Timestamp", "2026-09-01", "Timestamp"), ("Timestamp", "20261301101530", "Timestamp"),
        ("TransactionType", "PayBill", "TransactionType"), ("Amount", "10.50", "Amount"), ("Amount", 0, "Amount"),
        ("PartyA", "0700000017", "PartyA"), ("PartyB", "", "PartyB"), ("PhoneNumber", "+254700000017", "PhoneNumber"),
        ("CallBackURL", "https://pay.daftari.example/x", "CallBackURL"), ("AccountReference", "", "AccountReference"),
        ("AccountReference", "x" * 13, "AccountReference"), ("TransactionDesc", None, "Remarks"),
        ("TransactionDesc", "x" * 14, "TransactionDesc"),
    ],
)  # fmt: skip
async def test_a_bad_field_is_named(rig: Rig, field: str, value: object, named: str) -> None:
    response = await rig.send(payers.STK_PATH, payers.push(rig, **{field: value}))

    assert (response.status_code, response.json()["errorCode"]) == (400, "400.002.02")
    assert response.json()["errorMessage"] == f"Bad Request - Invalid {named}"
    assert rig.server.world.movements == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"BusinessShortCode": "600000"}, "stk-push-error-merchant-unknown.json"),
        ({"Password": "bm90IG91cnM="}, "stk-push-error-wrong-credentials.json"),
        ({"Timestamp": "20260901101531"}, "stk-push-error-wrong-credentials.json"),
        ({"PhoneNumber": "254700000670"}, "stk-push-error-subscriber-locked.json"),
        ({"PhoneNumber": "254700000316"}, "stk-push-error-busy.json"),
        ({"PhoneNumber": "0700"}, "stk-push-error-invalid-phone.json"),
        ({"CallBackURL": ""}, "stk-push-error-invalid-callback-url.json"),
    ],
)
async def test_a_refusal_is_worded_as_documented(rig: Rig, changes: dict[str, object], name: str) -> None:
    response = await rig.send(payers.STK_PATH, payers.push(rig, **changes))

    documented = json.loads(example(name))
    assert response.json() == documented | {"requestId": response.json()["requestId"]}
    assert response.status_code == int(documented["errorCode"][:3])


async def test_a_query_about_a_prompt_that_was_never_sent_names_the_field(rig: Rig) -> None:
    response = await rig.send(payers.STK_QUERY_PATH, payers.stk_query(rig, "ws_CO_0"))

    assert response.json()["errorMessage"] == "Bad Request - Invalid CheckoutRequestID"


async def test_many_prompts_to_one_number_in_one_second_have_ids_of_their_own(rig: Rig) -> None:
    assert len({await payers.prompted(rig) for _ in range(40)}) == 40


async def test_rates_for_collections_are_drawn_by_seed_and_leave_payouts_alone(rig: Rig) -> None:
    async def told() -> list[str]:
        rig.receiver.forget()
        await rig.put_in(collection_rates={"result-1032": 0.4, "pays-late-after-unreachable": 0.1}, seed=7)
        for _ in range(30):
            await payers.prompted(rig)
            await rig.callbacks_done()
        return payers.told(rig)

    first, second = await told(), await told()
    rig.receiver.forget()
    await rig.pay()

    assert first == second
    assert set(first) == {"prompt 0", "prompt 1032"}
    assert len(first) < 30
    assert (await rig.receiver.next()).result["ResultCode"] == 0


async def test_a_number_that_a_prompt_does_not_know_plainly_pays(rig: Rig) -> None:
    await payers.prompted(rig, "701")
    await payers.prompted(rig, "403")
    payout = await rig.pay(PartyB="254700000632")
    await rig.callbacks_done()

    assert payout.status_code == 200
    assert payers.told(rig) == ["prompt 0", "prompt 0", "result 0"]
