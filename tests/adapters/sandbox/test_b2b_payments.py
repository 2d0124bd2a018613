"""B2B and tax from request to callback: documented bodies, the provider's spellings, the working account, trouble."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from adapters.sandbox.magic import MAGIC, magic_shortcode
from adapters.sandbox.settings import SandboxSettings
from adapters.sandbox.world import Fate
from tests.adapters.sandbox.rig import (
    B2B_PATH,
    TAX_PATH,
    Callback,
    Rig,
    example,
    running,
    shape_of,
    tokens_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIELDS = [
    ("Initiator", "someone_else"),
    ("SecurityCredential", ""),
    ("CommandID", "PayTaxToKRA"),
    ("CommandID", "BusinessPayment"),
    ("CommandID", None),
    ("SenderIdentifierType", "1"),
    ("RecieverIdentifierType", None),
    ("RecieverIdentifierType", "11"),
    ("Amount", "19000.50"),
    ("Amount", 0),
    ("PartyA", "600000"),
    ("PartyB", "254700000017"),
    ("PartyB", "6009"),
    ("PartyB", None),
    ("AccountReference", None),
    ("AccountReference", "x" * 14),
    ("Remarks", "x"),
    ("QueueTimeOutURL", None),
    ("ResultURL", "http://pay.example/result"),
    ("Requester", "0700000028"),
    ("Occassion", "x" * 101),
]

# What the sender hears, what happens in truth, and the callbacks, where a B2B payment differs from a B2C one or where
# every kind of behaviour has to be seen once.
EXPECTED: dict[str, tuple[int, Fate, tuple[str, ...]]] = {
    "000": (200, Fate.PAID, ("success",)),
    "101": (200, Fate.FAILED, ("failure 1",)),
    "133": (200, Fate.FAILED, ("failure SFC_IC0003",)),
    "141": (200, Fate.FAILED, ("failure 2001",)),
    "186": (200, Fate.FAILED, ("failure 8006",)),
    "201": (200, Fate.PAID, ()),
    "202": (200, Fate.FORGOTTEN, ()),
    "301": (500, Fate.PAID, ("success",)),
    "302": (500, Fate.PAID, ()),
    "303": (500, Fate.NOT_REACHED, ()),
    "308": (503, Fate.NOT_REACHED, ()),
    "309": (429, Fate.NOT_REACHED, ()),
    "312": (200, Fate.PAID, ("success",)),
    "401": (200, Fate.PAID, ("success",)),
    "402": (200, Fate.PAID, ("success", "success")),
    "403": (200, Fate.PAID, ("timeout echo", "success")),
    "406": (200, Fate.FORGOTTEN, ("timeout envelope",)),
    "409": (200, Fate.PAID, ("failure 8", "success")),
    "411": (200, Fate.PAID, ("success for 2600.00",)),
    "412": (200, Fate.PAID, ("success naming 600999",)),
    "413": (200, Fate.FAILED, ("failure 9405",)),
    "414": (200, Fate.PAID, ("unreadable",)),
    "416": (200, Fate.PAID, ("success with a single parameter",)),
    "418": (200, Fate.PAID, ("success",)),
    "419": (200, Fate.PAID, ("success",)),
    "420": (200, Fate.PAID, ("success in numbers",)),
    "421": (200, Fate.PAID, ("success without parameters",)),
}


async def test_the_acknowledgement_is_the_documented_one(rig: Rig) -> None:
    response = await rig.send(B2B_PATH, rig.b2b_request())

    assert response.status_code == 200
    assert shape_of(response.content) == shape_of(example("b2b-response.json"))
    assert re.fullmatch(r"AG_20260901_[0-9a-f]{20}", response.json()["ConversationID"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (B2B_PATH, "b2b-paybill-request.json"),
        (B2B_PATH, "b2b-buygoods-request.json"),
        (B2B_PATH, "b2c-account-topup-request.json"),
        (TAX_PATH, "tax-remittance-request.json"),
    ],
)
async def test_a_documented_request_is_paid(rig: Rig, path: str, name: str) -> None:
    response = await rig.send(path, at_rig(rig, name))
    callback = await rig.receiver.next()

    assert response.status_code == 200
    assert callback.result["ResultCode"] == "0"


async def test_the_success_result_is_the_documented_one_token_for_token(settings: SandboxSettings) -> None:
    async with running(replace(settings, opening_working_cents=34_021_550 + 1_900_000)) as rig:
        response = await rig.send(B2B_PATH, rig.b2b_request())
        callback = await rig.receiver.next()

    documented = example("b2b-result-success.json").decode()
    documented = documented.replace("UI1W0VR847", callback.result["TransactionID"])
    documented = documented.replace("20260901101539", "20260901101536")
    for key, value in [
        ("OriginatorConversationID", "3fa6-3db6-953f-4371aeffee382906074"),
        ("ConversationID", "AG_20260901_201059f0951457a7f6a2"),
    ]:
        documented = documented.replace(value, response.json()[key])
    assert re.fullmatch(r"UI1[0-9A-Z]{7}", callback.result["TransactionID"])
    assert callback.path == "/b2b/result/k7Qd2"
    assert tokens_of(callback.body) == tokens_of(documented.encode())


async def test_a_failure_is_the_documented_one_token_for_token(rig: Rig) -> None:
    response = await rig.send(B2B_PATH, rig.b2b_request(SecurityCredential=rig.encrypted("wrong")))
    callback = await rig.receiver.next()

    documented = json.loads(example("b2b-result-failed-2001.json").replace(b"20260901101539", b"20260901101536"))
    own = {key: response.json()[key] for key in ("OriginatorConversationID", "ConversationID")}
    assert callback.result == documented["Result"] | own
    assert list(callback.result) == list(documented["Result"])


@pytest.mark.parametrize(("field", "value"), FIELDS)
async def test_a_bad_field_is_named(rig: Rig, field: str, value: object) -> None:
    response = await rig.send(B2B_PATH, rig.b2b_request(**{field: value}))

    assert (response.status_code, response.json()["errorCode"]) == (400, "400.002.02")
    assert response.json()["errorMessage"] == f"Bad Request - Invalid {field}"
    assert rig.server.world.movements == []


async def test_the_correct_spelling_of_receiver_is_refused(rig: Rig) -> None:
    request = rig.b2b_request(ReceiverIdentifierType="4")
    del request["RecieverIdentifierType"]

    response = await rig.send(B2B_PATH, request)

    assert response.json()["errorMessage"] == "Bad Request - Invalid RecieverIdentifierType"


@pytest.mark.parametrize("changes", [{"Requester": ""}, {"Occassion": "LN000417"}, {"Amount": 19000, "PartyB": 600977}])
async def test_clients_with_other_habits_are_understood(rig: Rig, changes: dict[str, object]) -> None:
    response = await rig.send(B2B_PATH, rig.b2b_request(**changes))

    assert response.status_code == 200
    assert (await rig.receiver.next()).parameters["Amount"] == "19000.00"


async def test_an_occasion_comes_back_in_the_reference_data(rig: Rig) -> None:
    await rig.send(B2B_PATH, rig.b2b_request(Occassion="LN000417"))

    items = (await rig.receiver.next()).result["ReferenceData"]["ReferenceItem"]
    assert items[0] == {"Key": "BillReferenceNumber", "Value": "INV20417"}
    assert items[-1] == {"Key": "Occassion", "Value": "LN000417"}


@pytest.mark.parametrize(
    ("command", "receiver_type", "code"),
    [
        ("BusinessPayBill", "4", "0"),
        ("BusinessPayBill", "2", "SFC_IC0003"),
        ("BusinessBuyGoods", "2", "0"),
        ("BusinessBuyGoods", "4", "SFC_IC0003"),
        ("BusinessTransferFromMMFToUtility", "4", "21"),
    ],
)
async def test_command_and_receiver_have_to_fit(rig: Rig, command: str, receiver_type: str, code: str) -> None:
    await rig.send(B2B_PATH, rig.b2b_request(CommandID=command, RecieverIdentifierType=receiver_type))

    assert str((await rig.receiver.next()).result["ResultCode"]) == code


async def test_the_identifier_type_of_a_till_can_be_that_of_the_documents(settings: SandboxSettings) -> None:
    async with running(replace(settings, till_identifier_types=frozenset({"4"}))) as rig:
        await rig.send(B2B_PATH, rig.b2b_request(CommandID="BusinessBuyGoods", RecieverIdentifierType="4"))

        assert (await rig.receiver.next()).result["ResultCode"] == "0"


@pytest.mark.parametrize(
    ("path", "changes", "kind", "utility", "working", "charges"),
    [
        (B2B_PATH, {}, "b2b payment", 0, -1_900_000, -11_000),
        (B2B_PATH, {"Amount": "10000"}, "b2b payment", 0, -1_000_000, -7_700),
        (
            B2B_PATH,
            {"CommandID": "BusinessBuyGoods", "RecieverIdentifierType": "2"},
            "b2b payment",
            0,
            -1_900_000,
            0,
        ),
        (B2B_PATH, {"CommandID": "BusinessPayToBulk", "PartyB": "600978"}, "top-up", 0, -1_900_000, 0),
        (B2B_PATH, {"CommandID": "BusinessPayToBulk", "PartyB": "600584"}, "top-up", 1_900_000, -1_900_000, 0),
        (TAX_PATH, {"CommandID": "PayTaxToKRA", "PartyB": "572572"}, "tax payment", 0, -1_900_000, 0),
    ],
)
async def test_money_leaves_the_working_account(
    rig: Rig, path: str, changes: dict[str, object], kind: str, utility: int, working: int, charges: int
) -> None:
    await rig.send(path, rig.b2b_request(**changes))
    callback = await rig.receiver.next()

    truth = await rig.truth()
    moved = {key: truth["balances"][key] - truth["opening"][key] for key in truth["opening"]}
    balance = f"{truth['balances']['working_cents'] // 100}.00"
    assert moved == {"utility_cents": utility, "working_cents": working, "charges_paid_cents": charges}
    assert truth["movements"][0]["kind"] == kind
    assert (
        callback.parameters["DebitPartyAffectedAccountBalance"] == f"Working Account|KES|{balance}|{balance}|0.00|0.00"
    )
    charge = f"Business Pay Bill Charge|KES|{-charges // 100}.00" if charges else ""
    assert callback.parameters["DebitPartyCharges"] == charge


async def test_a_movement_tells_to_whom_and_for_what(rig: Rig) -> None:
    await rig.send(B2B_PATH, rig.b2b_request(Occassion="LN000417"))

    (movement,) = (await rig.truth())["movements"]
    told = {key: movement[key] for key in ("msisdn", "shortcode", "account", "reference", "charge_cents")}
    assert told == {
        "msisdn": "",
        "shortcode": "600977",
        "account": "INV20417",
        "reference": "LN000417",
        "charge_cents": 11_000,
    }


async def test_more_than_the_working_account_holds_is_declined(settings: SandboxSettings) -> None:
    async with running(replace(settings, opening_working_cents=1_000_000)) as rig:
        await rig.send(B2B_PATH, rig.b2b_request(Amount="10001"))
        too_much = await rig.receiver.next()
        await rig.http.post("/sandbox/working/credit", json={"amount_cents": 100})
        await rig.send(B2B_PATH, rig.b2b_request(Amount="10001"))
        enough = await rig.receiver.next()

    assert (too_much.result["ResultCode"], enough.result["ResultCode"]) == (1, "0")


@pytest.mark.parametrize("field", ["PartyB", "CommandID"])
async def test_tax_is_paid_to_the_authority_and_by_its_command_only(rig: Rig, field: str) -> None:
    wrong = {"PartyB": "600977", "CommandID": "BusinessPayBill"}[field]

    response = await rig.send(TAX_PATH, at_rig(rig, "tax-remittance-request.json") | {field: wrong})

    assert response.json()["errorMessage"] == f"Bad Request - Invalid {field}"


async def test_nothing_stops_a_repeat(rig: Rig) -> None:
    request = rig.b2b_request()

    answers = [await rig.send(B2B_PATH, request) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert len({answer.json()["OriginatorConversationID"] for answer in answers}) == 2
    assert len(rig.server.world.movements) == 2


@pytest.mark.parametrize("suffix", EXPECTED)
async def test_a_magic_shortcode_does_what_its_row_says(rig: Rig, suffix: str) -> None:
    request = rig.b2b_request(PartyB=magic_shortcode(suffix), Amount="2500")

    response = await rig.send(B2B_PATH, request)
    await rig.callbacks_done()

    (seen,) = rig.server.world.requests
    told = tuple(described(callback, request) for callback in rig.receiver.received)
    paid_cents = sum(movement.amount_cents for movement in rig.server.world.movements)
    assert (response.status_code, seen.fate, told) == EXPECTED[suffix]
    assert (seen.shortcode, paid_cents) == (magic_shortcode(suffix), 250_000 if seen.fate is Fate.PAID else 0)


async def test_every_row_can_be_met_by_shortcode(rig: Rig) -> None:
    await rig.put_in(allowance={"requests": None, "seconds": 1})
    unanswered = {"304", "305", "306", "307"}

    for suffix in sorted(set(MAGIC) - unanswered):
        await rig.send(B2B_PATH, rig.b2b_request(PartyB=magic_shortcode(suffix), Amount=10))
    await rig.callbacks_done()

    fates = {seen.shortcode[-3:]: seen.fate for seen in rig.server.world.requests}
    assert {suffix for suffix, fate in fates.items() if fate is Fate.REFUSED} == set()
    assert set(fates) == set(MAGIC) - unanswered


async def test_tax_meets_trouble_that_is_scripted_for_it(rig: Rig) -> None:
    await rig.put_in(scripted=[{"behaviour": "result-26", "api": "tax"}])

    await rig.send(B2B_PATH, rig.b2b_request())
    paid = await rig.receiver.next()
    await rig.send(TAX_PATH, at_rig(rig, "tax-remittance-request.json"))
    declined = await rig.receiver.next()

    assert (paid.result["ResultCode"], declined.result["ResultCode"]) == ("0", 26)


async def test_trouble_can_be_scripted_for_one_shortcode(rig: Rig) -> None:
    await rig.put_in(scripted=[{"behaviour": "service-unavailable", "shortcode": "600111"}])

    other = await rig.send(B2B_PATH, rig.b2b_request())
    meant = await rig.send(B2B_PATH, rig.b2b_request(PartyB="600111"))

    assert (other.status_code, meant.status_code) == (200, 503)


def at_rig(rig: Rig, name: str) -> dict[str, Any]:
    """A documented request, with the rig's credential and addresses."""
    own = {key: rig.b2b_request()[key] for key in ("SecurityCredential", "QueueTimeOutURL", "ResultURL")}
    document: dict[str, Any] = json.loads(example(name))
    return document | own | {"Amount": "1500"}


def described(callback: Callback, request: dict[str, object]) -> str:
    """A callback in a few words, as a strict reader would see it."""
    if callback.path.startswith("/b2b/timeout/"):
        return "timeout echo" if json.loads(callback.body) == request else "timeout envelope"
    try:
        result = callback.result
    except ValueError:
        return "unreadable"
    if str(result["ResultCode"]) != "0":
        return f"failure {result['ResultCode']}"
    if "ResultParameters" not in result:
        return "success without parameters"
    if isinstance(result["ResultParameters"]["ResultParameter"], dict):
        return "success with a single parameter"
    return f"success{described_success(callback, request)}"


def described_success(callback: Callback, request: dict[str, object]) -> str:
    amount, receiver = callback.parameters["Amount"], callback.parameters["ReceiverPartyPublicName"].split(" ")[0]
    checks = {
        " in numbers": (callback.result["ResultCode"], amount) == (0, 2500.0),
        f" for {amount}": float(amount) != 2500,
        f" naming {receiver}": receiver != request["PartyB"],
    }
    return "".join(words for words, holds in checks.items() if holds)
