"""B2C from request to callback: documented bodies, the clients it tolerates, the rules of the core, the books."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from adapters.sandbox.settings import ParameterOrder, SandboxSettings
from tests.adapters.sandbox.rig import Callback, Rig, example, running, shape_of, tokens_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILURE_KEYS = [
    "ResultType", "ResultCode", "ResultDesc", "OriginatorConversationID", "ConversationID", "TransactionID",
    "ReferenceData",
]  # fmt: skip


async def test_a_v3_request_is_acknowledged_as_documented(rig: Rig) -> None:
    request = rig.request()

    response = await rig.post(request)

    body = response.json()
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert shape_of(response.content) == shape_of(example("b2c-response.json"))
    assert body | {"ConversationID": ""} == json.loads(example("b2c-response.json")) | {
        "ConversationID": "",
        "OriginatorConversationID": request["OriginatorConversationID"],
    }
    assert re.fullmatch(r"AG_20260901_[0-9a-f]{20}", body["ConversationID"])


async def test_a_v1_request_gets_an_originator_id_of_the_gateway(rig: Rig) -> None:
    response = await rig.post(rig.v1_request(), version="v1")
    callback = await rig.receiver.next()

    assert shape_of(response.content) == shape_of(example("b2c-v1-response.json"))
    assert re.fullmatch(r"\d{5}-\d{8}-\d", response.json()["OriginatorConversationID"])
    assert callback.result["OriginatorConversationID"] == response.json()["OriginatorConversationID"]
    assert callback.result["ConversationID"] == response.json()["ConversationID"]


async def test_the_success_result_is_the_documented_one_token_for_token(settings: SandboxSettings) -> None:
    books = replace(
        settings,
        opening_utility_cents=120_681_050,
        opening_working_cents=0,
        opening_charges_paid_cents=-47_700,
    )
    async with running(books) as rig:
        response = await rig.pay(OriginatorConversationID="dft-po-01J8Z1M4Q7R2")
        callback = await rig.receiver.next()

    receipt = callback.result["TransactionID"]
    documented = example("b2c-result-success.json").decode()
    documented = documented.replace("UI1YOXP20E", receipt)
    documented = documented.replace("AG_20260901_2010708758bd6c3765f9", response.json()["ConversationID"])
    assert re.fullmatch(r"UI1[0-9A-Z]{7}", receipt)
    assert (callback.path, callback.content_type) == ("/result/k7Qd2", "application/json")
    assert tokens_of(callback.body) == tokens_of(documented.encode())


async def test_the_parameters_can_come_in_the_order_of_2017(settings: SandboxSettings) -> None:
    async with running(replace(settings, parameter_order=ParameterOrder.YEAR_2017)) as rig:
        await rig.pay()
        callback = await rig.receiver.next()

    assert shape_of(callback.body) == shape_of(example("b2c-result-success-legacy-order.json"))
    assert list(callback.parameters) == [
        item["Key"]
        for item in json.loads(example("b2c-result-success-legacy-order.json"))["Result"]["ResultParameters"][
            "ResultParameter"
        ]
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"Amount": 2500, "PartyA": 600584, "PartyB": 254700000017},
        {"Amount": 2500.0},
        {"Occassion": "", "Occasion": "LN000417"},
        {"Occassion": None},
        {"Occassion": 417},
        {"IDType": "01", "IDNumber": "12345678", "Unheard": {"of": [1]}},
        {"CommandID": "SalaryPayment"},
        {"CommandID": "PromotionPayment"},
        {"PartyB": "254112345678"},
    ],
)
async def test_clients_with_other_habits_are_understood(rig: Rig, changes: dict[str, object]) -> None:
    response = await rig.pay(**changes)
    callback = await rig.receiver.next()

    assert response.status_code == 200
    assert callback.parameters["TransactionAmount"] == 2500


async def test_a_content_type_with_a_charset_is_json(rig: Rig) -> None:
    headers = {"Authorization": f"bearer {rig.access_token}", "Content-Type": "Application/JSON; charset=utf-8"}

    response = await rig.http.post(
        "/mpesa/b2c/v3/paymentrequest", content=json.dumps(rig.request()).encode(), headers=headers
    )

    assert response.status_code == 200


@pytest.mark.parametrize(("amount", "code"), [(9, 2), (250_001, 3), (10, 0), (250_000, 0)])
async def test_the_limits_are_told_by_callback(rig: Rig, amount: int, code: int) -> None:
    response = await rig.pay(Amount=amount)
    callback = await rig.receiver.next()

    assert response.status_code == 200
    assert callback.result["ResultCode"] == code


async def test_more_than_the_utility_account_holds_is_declined(settings: SandboxSettings) -> None:
    async with running(replace(settings, opening_utility_cents=250_000)) as rig:
        await rig.pay(Amount=2501)
        too_much = await rig.receiver.next()
        await rig.pay(Amount=2500)
        just_enough = await rig.receiver.next()

    assert_is_example(too_much, "b2c-result-failed-1.json")
    assert just_enough.parameters["B2CUtilityAccountAvailableFunds"] == 0
    assert rig.server.world.balances.charges_paid_cents == -900


async def test_the_same_amount_to_the_same_person_waits_when_the_rule_is_on(settings: SandboxSettings) -> None:
    async with running(replace(settings, same_amount_window_seconds=120)) as rig:
        codes = []
        for seconds, amount in ((0, 500), (119, 500), (0, 501), (1, 500)):
            rig.clock.advance(seconds=seconds)
            await rig.pay(Amount=amount)
            codes.append((await rig.receiver.next()).result["ResultCode"])

    assert codes == [0, 17, 0, 0]


async def test_the_rule_is_off_by_default(rig: Rig) -> None:
    await rig.pay()
    await rig.pay()

    assert [(await rig.receiver.next()).result["ResultCode"] for _ in range(2)] == [0, 0]


async def test_a_wrong_initiator_password_is_told_by_callback(rig: Rig) -> None:
    response = await rig.pay(SecurityCredential=rig.encrypted("wrong"))
    callback = await rig.receiver.next()

    assert response.status_code == 200
    assert_is_example(callback, "b2c-result-failed-2001.json", same_transaction_id=False)
    assert re.fullmatch(r"UI1[0-9A-Z]{7}", callback.result["TransactionID"])
    assert not callback.result["TransactionID"].endswith("0000000")


async def test_a_credential_made_any_other_way_is_wrong(rig: Rig) -> None:
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    credentials = [rig.encrypted(rig.settings.initiator_password, oaep), "not base64!", rig.settings.initiator_password]

    codes = []
    for credential in credentials:
        await rig.pay(SecurityCredential=credential)
        codes.append((await rig.receiver.next()).result["ResultCode"])

    assert codes == [2001, 2001, 2001]


async def test_wrong_passwords_in_a_row_lock_the_initiator_until_reset(rig: Rig) -> None:
    wrong = rig.encrypted("wrong")
    tries = [wrong, wrong, rig.security_credential, wrong, wrong, wrong, wrong, rig.security_credential]

    codes = []
    for credential in tries:
        await rig.pay(SecurityCredential=credential)
        codes.append((await rig.receiver.next()).result["ResultCode"])
    await rig.start_over()
    await rig.pay()

    assert codes == [2001, 2001, 0, 2001, 2001, 2001, 8006, 8006]
    assert (await rig.receiver.next()).result["ResultCode"] == 0


async def test_a_failure_moves_nothing_and_has_no_parameters(rig: Rig) -> None:
    await rig.pay(PartyB="254700000111")
    callback = await rig.receiver.next()

    truth = await rig.truth()
    assert list(callback.result) == FAILURE_KEYS
    assert (truth["movements"], truth["balances"]) == ([], truth["opening"])


async def test_failures_of_one_day_share_a_placeholder(rig: Rig) -> None:
    await rig.pay(PartyB="254700000111")
    await rig.pay(PartyB="254700000121")

    ids = {(await rig.receiver.next()).result["TransactionID"] for _ in range(2)}

    assert ids == {"UI10000000"}


async def test_the_books_add_up_after_many_payments(settings: SandboxSettings) -> None:
    opening = replace(settings, opening_utility_cents=50_000_037, opening_charges_paid_cents=-1)
    amounts = [random.Random(7).randint(10, 30_000) for _ in range(40)]
    async with running(opening) as rig:
        for amount in amounts:
            await rig.pay(Amount=amount)
        callbacks = [await rig.receiver.next() for _ in amounts]
        truth = await rig.truth()

    movements = truth["movements"]
    assert [movement["amount_cents"] for movement in movements] == [amount * 100 for amount in amounts]
    assert truth["balances"] == {
        "utility_cents": 50_000_037 - sum(movement["amount_cents"] for movement in movements),
        "working_cents": 50_000_000,
        "charges_paid_cents": -1 - sum(movement["charge_cents"] for movement in movements),
    }
    assert len({movement["receipt"] for movement in movements}) == len(amounts)
    assert {callback.result["TransactionID"] for callback in callbacks} == {
        movement["receipt"] for movement in movements
    }
    for movement in movements:
        callback = next(found for found in callbacks if found.result["TransactionID"] == movement["receipt"])
        assert balance_token(callback, "Utility") == exactly(movement["balances_after"]["utility_cents"])
        assert balance_token(callback, "ChargesPaid") == exactly(movement["balances_after"]["charges_paid_cents"])


async def test_a_movement_tells_whose_and_when(rig: Rig) -> None:
    response = await rig.pay(OriginatorConversationID="dft-1", Amount=1500)

    (movement,) = (await rig.truth())["movements"]
    assert re.fullmatch(r"UI1[0-9A-Z]{7}", movement.pop("receipt"))
    assert movement == {
        "kind": "b2c payment",
        "reference": "LN000417",
        "account": "",
        "originator_conversation_id": "dft-1",
        "conversation_id": response.json()["ConversationID"],
        "msisdn": "254700000017",
        "shortcode": "",
        "checkout_request_id": "",
        "linked_receipt": "",
        "by": "",
        "sub_account": "Utility Account",
        "is_credit": False,
        "details": "Business Payment to Customer via API to 25470****017 - WANJIRU ACHIENG TESTER. Original "
        "conversation ID is dft-1.",
        "reason_type": "Business Payment to Customer via API",
        "initiated_at": "2026-09-01T07:15:36+00:00",
        "amount_cents": 150_000,
        "charge_cents": 500,
        "completed_at": "2026-09-01T07:15:36+00:00",
        "balances_after": {"utility_cents": 99_850_000, "working_cents": 50_000_000, "charges_paid_cents": -500},
    }


async def test_the_same_seed_and_requests_give_the_same_bytes(settings: SandboxSettings) -> None:
    async def history() -> list[bytes]:
        async with running(settings, seed=5) as rig:
            bodies = []
            for number in (17, 140, 411):
                response = await rig.pay(PartyB=f"254700000{number:03d}")
                bodies += [response.content, (await rig.receiver.next()).body]
            return bodies

    first, second = await history(), await history()

    assert first == second


def balance_token(callback: Callback, account: str) -> str:
    """The digits of a balance as they were sent."""
    found = re.search(rf'"B2C{account}AccountAvailableFunds","Value":([^}}]+)', callback.body.decode())
    assert found is not None
    return found[1]


def exactly(cents: int) -> str:
    """Cents as Daraja writes them: two decimals, a last zero left out."""
    sign, digits = "-" if cents < 0 else "", f"{abs(cents):03d}"
    text = f"{sign}{digits[:-2]}.{digits[-2:]}"
    return text[:-1] if text.endswith("0") else text


def assert_is_example(callback: Callback, name: str, *, same_transaction_id: bool = True) -> None:
    """The documented failure, but for the ids of the conversation."""
    documented = json.loads(example(name))["Result"]
    own = {"OriginatorConversationID", "ConversationID"} | (set() if same_transaction_id else {"TransactionID"})
    assert list(callback.result) == list(documented)
    assert callback.result == documented | {key: callback.result[key] for key in own}
