"""Each magic MSISDN: what its sender hears, what happens in truth, and which callbacks come."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import httpx
import phonenumbers
import pytest

from adapters.sandbox import magic
from adapters.sandbox.behaviours import Answer, Behaviour, Core, Finding, Notice
from adapters.sandbox.magic import BEHAVIOURS, MAGIC, ROWS, magic_msisdn, magic_shortcode
from adapters.sandbox.world import Fate
from tests.adapters.sandbox.rig import Callback, Rig, example, shape_of, tokens_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMPATIENCE_SECONDS = 0.1


@dataclass(frozen=True)
class Expected:
    """`heard` is an HTTP status or what became of the connection; `told` describes the callbacks in order."""

    heard: int | str = 200
    fate: Fate = Fate.PAID
    told: tuple[str, ...] = ("success",)


def declined(code: str) -> Expected:
    return Expected(fate=Fate.FAILED, told=(f"failure {code}",))


def refused(heard: int | str) -> Expected:
    return Expected(heard, Fate.NOT_REACHED, ())


EXPECTED = {
    "000": Expected(),
    "101": declined("1"),
    "102": declined("2"),
    "103": declined("3"),
    "104": declined("4"),
    "108": declined("8"),
    "111": declined("11"),
    "115": declined("15"),
    "117": declined("17"),
    "121": declined("21"),
    "126": declined("26"),
    "133": declined("SFC_IC0003"),
    "140": declined("2040"),
    "141": declined("2001"),
    "146": declined("2006"),
    "148": declined("2028"),
    "153": declined("TP40153"),
    "186": declined("8006"),
    "201": Expected(told=()),
    "202": Expected(fate=Fate.FORGOTTEN, told=()),
    "301": Expected(500),
    "302": Expected(500, told=()),
    "303": refused(500),
    "304": Expected("dropped"),
    "305": refused("dropped"),
    "306": Expected("hung"),
    "307": refused("hung"),
    "308": refused(503),
    "309": refused(429),
    "310": refused(500),
    "311": refused(500),
    "312": refused(403),
    "313": refused(500),
    "314": Expected(503),
    "315": refused(500),
    "316": refused(500),
    "317": refused(401),
    "401": Expected(),
    "402": Expected(told=("success", "success")),
    "403": Expected(told=("timeout echo", "success")),
    "404": Expected(told=("timeout envelope", "success")),
    "405": Expected(fate=Fate.FORGOTTEN, told=("timeout echo",)),
    "406": Expected(fate=Fate.FORGOTTEN, told=("timeout envelope",)),
    "407": Expected(told=("timeout echo",)),
    "408": Expected(told=("timeout envelope",)),
    "409": Expected(told=("failure 8", "success")),
    "410": Expected(told=("success", "failure 8")),
    "411": Expected(told=("success for 2600",)),
    "412": Expected(told=("success naming 254700000999",)),
    "413": declined("9405"),
    "414": Expected(told=("unreadable",)),
    "415": Expected(fate=Fate.FAILED, told=("failure 2040 with a single parameter",)),
    "416": Expected(told=("success with a single parameter",)),
    "417": Expected(told=("success as text",)),
    "418": Expected(told=("success in the order of 2017",)),
    "419": Expected(told=("success under another id",)),
    "420": Expected(),
    "421": Expected(told=("success without parameters",)),
    "422": Expected(told=("interim", "success")),
    "501": Expected(told=()),
    "502": Expected(told=()),
    "503": Expected(told=()),
    "504": Expected(told=()),
    "505": Expected(told=()),
    "506": Expected(told=()),
    "507": Expected(),
    "508": Expected(told=("failure 8",)),
    "509": Expected(told=()),
    "510": Expected(told=()),
    "511": Expected(fate=Fate.FORGOTTEN, told=()),
    "512": Expected(fate=Fate.FORGOTTEN, told=()),
    "513": Expected(fate=Fate.FORGOTTEN, told=()),
    "514": Expected(fate=Fate.FORGOTTEN, told=()),
    "515": Expected(told=()),
    "516": Expected(told=()),
    "517": Expected(told=()),
    "518": Expected(told=()),
    "519": Expected(told=()),
    "520": Expected(told=()),
    "521": Expected(told=()),
}


async def test_every_magic_number_has_its_expectation() -> None:
    assert list(EXPECTED) == list(MAGIC)


async def test_every_answer_notice_and_result_code_is_reachable() -> None:
    behaviours = ROWS.values()

    assert {behaviour.answer for behaviour in behaviours} == set(Answer)
    assert {notice for behaviour in behaviours for notice in behaviour.notices} == set(Notice)
    assert {behaviour.core for behaviour in behaviours} == set(Core)
    assert {finding for behaviour in behaviours for finding in behaviour.findings} == set(Finding)


async def test_names_are_unique_and_every_query_behaves_by_name() -> None:
    by_name_only = set(BEHAVIOURS) - {behaviour.name for behaviour in ROWS.values()}

    assert len(BEHAVIOURS) == len(ROWS) + len(by_name_only)
    assert by_name_only == {"result-25", "result-2033", "result-R000001", "result-R000002"}
    assert {behaviour.queried_as for behaviour in ROWS.values()} <= set(BEHAVIOURS)
    assert {behaviour.reversed_as for behaviour in ROWS.values()} <= set(BEHAVIOURS)


@pytest.mark.parametrize("suffix", ROWS)
async def test_every_magic_number_is_a_kenyan_mobile_number(suffix: str) -> None:
    number = phonenumbers.parse("+" + magic_msisdn(suffix))

    assert phonenumbers.is_valid_number(number)
    assert phonenumbers.region_code_for_number(number) == "KE"
    assert phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE


@pytest.mark.parametrize("msisdn", ["254700000017", "254708374149", "254700000999", "254112345678", "254700001101"])
async def test_any_other_number_plainly_succeeds(msisdn: str) -> None:
    assert magic.behaviour_of(msisdn=msisdn) is magic.SUCCESS


@pytest.mark.parametrize("suffix", MAGIC)
async def test_a_magic_shortcode_ends_like_the_magic_msisdn(suffix: str) -> None:
    by_shortcode = magic.behaviour_of(shortcode=magic_shortcode(suffix))

    assert by_shortcode is magic.behaviour_of(msisdn=magic_msisdn(suffix))


@pytest.mark.parametrize("shortcode", ["600977", "700999", "7001011", "572572", "800101"])
async def test_any_other_shortcode_plainly_succeeds(shortcode: str) -> None:
    assert magic.behaviour_of(shortcode=shortcode) is magic.SUCCESS


@pytest.mark.parametrize("suffix", EXPECTED)
async def test_a_magic_number_does_what_its_row_says(rig: Rig, suffix: str) -> None:
    request = rig.request(PartyB=magic_msisdn(suffix))

    heard = await hear(rig, request)
    await rig.callbacks_done()

    (seen,) = rig.server.world.requests
    told = tuple(described(callback, request) for callback in rig.receiver.received)
    paid_cents = sum(movement.amount_cents for movement in rig.server.world.movements)
    assert Expected(heard, seen.fate, told) == EXPECTED[suffix]
    assert paid_cents == (250_000 if seen.fate is Fate.PAID else 0)


@pytest.mark.parametrize("suffix", [suffix for suffix, row in EXPECTED.items() if row.fate is Fate.FAILED])
async def test_a_failure_is_the_documented_document(rig: Rig, suffix: str) -> None:
    behaviour = MAGIC[suffix]
    await rig.pay(PartyB=magic_msisdn(suffix))
    callback = await rig.receiver.next()

    documented = documented_failure(behaviour)
    own = {key: callback.result[key] for key in ("OriginatorConversationID", "ConversationID")}
    if behaviour.result_code == "2001":
        own["TransactionID"] = callback.result["TransactionID"]
    without_parameters = {key: value for key, value in callback.result.items() if key != "ResultParameters"}
    assert list(without_parameters) == list(documented)
    assert without_parameters == documented | own


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        ("301", "error-internal-500.json"),
        ("302", "error-internal-500.json"),
        ("303", "error-internal-500.json"),
        ("308", "error-gateway-503.html"),
        ("309", "error-spike-arrest-apigee-429.json"),
        ("310", "error-spike-arrest-500.json"),
        ("311", "b2c-error-system-internal.json"),
        ("312", "b2c-error-v3-not-authorised.json"),
        ("313", "error-quota-500.json"),
        ("314", "error-gateway-503.html"),
        ("317", "error-no-apiproduct-401.json"),
    ],
)
async def test_trouble_at_the_gateway_is_worded_as_documented(rig: Rig, suffix: str, name: str) -> None:
    response = await rig.pay(PartyB=magic_msisdn(suffix))

    if name.endswith(".html"):
        assert response.headers["content-type"].startswith("text/html")
        assert response.content == example(name).rstrip(b"\n")
        return
    documented = json.loads(example(name))
    own = {"requestId": response.json()["requestId"]} if "requestId" in documented else {}
    assert response.json() == documented | own


async def test_v1_pays_where_v3_is_not_authorised(rig: Rig) -> None:
    response = await rig.post(rig.v1_request(PartyB=magic_msisdn("312")), version="v1")

    assert response.status_code == 200
    assert (await rig.receiver.next()).result["ResultCode"] == 0


async def test_a_callback_before_the_acknowledgement_is_answered_first(rig: Rig) -> None:
    rig.receiver.open_for_answers.clear()

    paying = asyncio.create_task(rig.pay(PartyB=magic_msisdn("401")))
    callback = await rig.receiver.next()
    answered_while_the_receiver_was_busy = paying.done()
    rig.receiver.open_for_answers.set()
    response = await paying

    assert not answered_while_the_receiver_was_busy
    assert callback.result["ConversationID"] == response.json()["ConversationID"]


async def test_the_receiver_of_other_callbacks_keeps_nobody_waiting(rig: Rig) -> None:
    rig.receiver.open_for_answers.clear()

    response = await rig.pay()
    await rig.receiver.next()
    rig.receiver.open_for_answers.set()

    assert response.status_code == 200


async def test_a_repeated_callback_is_the_same_to_the_byte(rig: Rig) -> None:
    await rig.pay(PartyB=magic_msisdn("402"))

    first, second = await rig.receiver.next(), await rig.receiver.next()

    assert first == second


async def test_a_timeout_echo_is_the_request_to_the_byte(rig: Rig) -> None:
    request = json.dumps(rig.request(PartyB=magic_msisdn("405")), indent=3).encode()
    headers = {"Authorization": f"Bearer {rig.access_token}", "Content-Type": "application/json"}

    await rig.http.post("/mpesa/b2c/v3/paymentrequest", content=request, headers=headers)

    callback = await rig.receiver.next()
    assert (callback.path, callback.body) == ("/timeout/k7Qd2", request)


async def test_numbers_as_text_keep_their_cents(rig: Rig) -> None:
    await rig.pay(PartyB=magic_msisdn("417"))

    callback = await rig.receiver.next()
    assert (callback.result["ResultCode"], callback.result["ResultType"]) == ("0", "0")
    assert callback.parameters["TransactionAmount"] == "2500"
    assert callback.parameters["B2CUtilityAccountAvailableFunds"] == "997500.00"
    assert callback.parameters["B2CChargesPaidAccountAvailableFunds"] == "-9.00"


async def test_a_core_that_declines_tells_so_even_where_success_was_to_be_told_strangely(rig: Rig) -> None:
    wrong = rig.encrypted("wrong")
    for suffix in ("411", "412", "417", "418", "419"):
        await rig.http.post("/sandbox/reset")

        await rig.pay(PartyB=magic_msisdn(suffix), SecurityCredential=wrong)

        callback = await rig.receiver.next()
        assert int(callback.result["ResultCode"]) == 2001
        assert "ResultParameters" not in callback.result


async def test_a_behaviour_that_tells_a_result_nobody_decided_cannot_be_built() -> None:
    with pytest.raises(AssertionError):
        Behaviour("impossible", "a result without a decision", core=Core.FORGETS, notices=(Notice.RESULT,))


async def hear(rig: Rig, request: dict[str, object]) -> int | str:
    """Sends the request; what an impatient client hears of it."""
    timeout = httpx.Timeout(10, read=IMPATIENCE_SECONDS if hangs(request) else 10)
    headers = {"Authorization": f"Bearer {rig.access_token}"}
    try:
        response = await rig.http.post("/mpesa/b2c/v3/paymentrequest", json=request, headers=headers, timeout=timeout)
    except httpx.ReadTimeout:
        return "hung"
    except (httpx.RemoteProtocolError, httpx.ReadError):
        return "dropped"
    return response.status_code


def hangs(request: dict[str, object]) -> bool:
    return magic.behaviour_of(msisdn=str(request["PartyB"])).answer is Answer.HUNG


def documented_failure(behaviour: Behaviour) -> dict[str, object]:
    """The example of this result code; for the made-up code, one like it."""
    known = behaviour.result_code != "9405"
    document = json.loads(example(f"b2c-result-failed-{behaviour.result_code if known else '17'}.json"))
    result: dict[str, object] = document["Result"]
    return result if known else result | {"ResultCode": 9405, "ResultDesc": "The request could not be completed."}


def described(callback: Callback, request: dict[str, object]) -> str:
    """A callback in a few words, as a strict reader would see it."""
    if callback.path.startswith("/timeout/"):
        return described_timeout(callback, request)
    try:
        result = callback.result
    except ValueError:
        return "unreadable"
    if result["ResultType"] == 1:
        return "interim"
    if result["ResultCode"] == 0 and "ResultParameters" not in result:
        return "success without parameters"
    single = isinstance(result.get("ResultParameters", {}).get("ResultParameter"), dict)
    ending = " with a single parameter" if single else ""
    if str(result["ResultCode"]) != "0":
        return f"failure {result['ResultCode']}{ending}"
    return f"success{ending or described_success(callback, request)}"


def described_timeout(callback: Callback, request: dict[str, object]) -> str:
    if json.loads(callback.body) == request:
        return "timeout echo"
    assert shape_of(callback.body) == shape_of(example("b2c-timeout-result-envelope.json"))
    return "timeout envelope"


def described_success(callback: Callback, request: dict[str, object]) -> str:
    parameters = callback.parameters
    documented = [item[0][1] for item in parameter_tokens(example("b2c-result-success.json"))]
    checks = {
        " as text": callback.result["ResultCode"] == "0",
        " in the order of 2017": list(parameters) != documented,
        f" for {parameters['TransactionAmount']}": int(parameters["TransactionAmount"]) != 2500,
        f" naming {parameters['ReceiverPartyPublicName'].split(' ')[0]}": not str(
            parameters["ReceiverPartyPublicName"]
        ).startswith(f"{request['PartyB']} - "),
        " under another id": callback.result["OriginatorConversationID"] != request["OriginatorConversationID"],
    }
    return "".join(words for words, holds in checks.items() if holds)


def parameter_tokens(body: bytes) -> list[list[tuple[str, str]]]:
    """The parameters of a result as pairs, in order."""
    ((_, result),) = tokens_of(body)
    ((_, parameters),) = dict(result)["ResultParameters"]
    pairs: list[list[tuple[str, str]]] = parameters
    return pairs
