"""C2B: registering, what is asked and confirmed about what customers pay, and Pull, which lists it all."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.sandbox.customer_rows import PAYBILL_ROWS
from adapters.sandbox.products import Account
from adapters.sandbox.settings import SandboxSettings
from tests.adapters.sandbox import payers
from tests.adapters.sandbox.rig import Rig, example, running, shape_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

HASHED = "279a1824f7a0ad028d27cfc8fdbf7542bd41110bfcacbce1ea54fb5dd4a97a85"  # of 254700000017

# What the confirmation of KES 450 for LN000417 says otherwise than usual.
SAID: dict[str, dict[str, Any]] = {
    "reference-with-spaces": {"BillRefNumber": " LN 000417 "},
    "reference-in-lower-case": {"BillRefNumber": "ln000417"},
    "reference-mistyped": {"BillRefNumber": "LN000471"},
    "reference-missing": {"BillRefNumber": ""},
    "names-empty": {"FirstName": "", "MiddleName": "", "LastName": ""},
    "names-null": {"FirstName": None, "MiddleName": None, "LastName": None},
    "names-full": {"FirstName": "WANJIRU", "MiddleName": "ACHIENG", "LastName": "TESTER"},
    "payer-plain": {"MSISDN": payers.PAYER, "MiddleName": "ACHIENG", "LastName": "TESTER"},
    "payer-masked": {"MSISDN": "2547 ***** 017"},
    "payer-masked-compact": {"MSISDN": "25470****017"},
    "payer-hashed": {"MSISDN": HASHED},
    "with-cents": {"TransAmount": "450.50"},
    "without-type": {"TransactionType": ""},
    "taken-back": {},
    "wrong-amount": {"TransAmount": "550.00"},
}


async def confirmation(rig: Rig, **changes: object) -> dict[str, Any]:
    """The confirmation of one payment by the control API."""
    await payers.registered(rig)
    await payers.pays(rig, **changes)
    return payers.document(await rig.receiver.next())


async def test_every_row_of_payers_has_its_expectation() -> None:
    assert {row.name for row in PAYBILL_ROWS.values()} <= set(SAID)


@pytest.mark.parametrize("behaviour", SAID)
async def test_a_confirmation_says_what_its_row_says(rig: Rig, behaviour: str) -> None:
    usual = {
        "TransactionType": "Pay Bill", "TransAmount": "450.00", "BillRefNumber": "LN000417", "MSISDN": "2547 ***** 017",
        "FirstName": "WANJIRU", "MiddleName": "", "LastName": "",
    }  # fmt: skip

    told = await confirmation(rig, behaviour=behaviour)

    assert {key: told[key] for key in usual} == usual | SAID[behaviour]


async def test_a_magic_number_and_a_script_choose_the_behaviour_too(rig: Rig) -> None:
    await payers.registered(rig)
    await rig.put_in(scripted=[{"behaviour": "payer-plain", "api": "c2b-simulate-v2"}])

    scripted = await payers.pays(rig)
    magic = await payers.pays(rig, msisdn="254700000702")
    plain = await payers.pays(rig)

    assert [attempt["behaviour"] for attempt in (scripted, magic, plain)] == [
        "payer-plain", "reference-in-lower-case", "success"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [("no-callback-paid", []), ("callback-twice", ["confirm 450.00"] * 2), ("unreadable", ["unreadable"])],
)
async def test_a_confirmation_may_be_lost_or_doubled(rig: Rig, behaviour: str, told: list[str]) -> None:
    await payers.registered(rig)

    attempt = await payers.pays(rig, behaviour=behaviour)
    await rig.callbacks_done()

    assert (attempt["fate"], payers.told(rig)) == ("paid", told)


@pytest.mark.parametrize(
    ("form", "name"),
    [("masked", "c2b-confirmation-masked.json"), ("hashed", "c2b-confirmation-hashed.json"),
     ("masked-compact", "c2b-confirmation-masked-compact.json"), ("plain", "c2b-confirmation-v1-plain.json")],
)  # fmt: skip
async def test_a_confirmation_has_the_documented_form_in_each_way_of_writing_payers(
    rig: Rig, form: str, name: str
) -> None:
    await rig.http.post("/sandbox/c2b", json={"payer_form": form})

    told = await confirmation(rig)

    documented = json.loads(example(name))
    assert list(told) == list(documented)
    assert told["MSISDN"] == documented["MSISDN"]
    assert told["OrgAccountBalance"] == "1000450.00"
    assert shape_of(json.dumps(told).encode()) == shape_of(example(name))


async def test_a_till_is_confirmed_under_its_own_number_without_a_reference(rig: Rig) -> None:
    await payers.registered(rig, ShortCode=rig.settings.till)
    await payers.pays(rig, to_till=True, amount_cents=35_000)

    told = payers.document(await rig.receiver.next())

    documented = json.loads(example("c2b-confirmation-buygoods.json"))
    kept = ("TransactionType", "TransAmount", "BusinessShortCode", "BillRefNumber")
    assert {key: told[key] for key in kept} == {key: documented[key] for key in kept}


async def test_registering_and_simulating_are_answered_as_documented(rig: Rig) -> None:
    register = await rig.send(payers.REGISTER_PATH, payers.registration(rig))
    simulate = await rig.send(payers.SIMULATE_PATH, payers.simulation(rig))
    told = payers.document(await rig.receiver.next())

    for response, name in ((register, "c2b-register-url-response.json"), (simulate, "c2b-simulate-response.json")):
        own = {"OriginatorCoversationID": response.json()["OriginatorCoversationID"]}
        assert response.json() == json.loads(example(name)) | own
    assert (told["TransAmount"], told["BillRefNumber"]) == ("450.00", "LN000417")


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_both_versions_register_and_simulate(rig: Rig, version: str) -> None:
    await rig.send(f"/mpesa/c2b/{version}/registerurl", payers.registration(rig))
    await rig.send(f"/mpesa/c2b/{version}/simulate", payers.simulation(rig))

    assert payers.described(await rig.receiver.next()) == "confirm 450.00"
    setup = (await rig.http.get("/sandbox/c2b")).json()
    assert setup["registrations"] == [
        {"shortcode": rig.settings.shortcode, "version": version, "response_type": "Completed"}
    ]


async def test_in_production_addresses_are_registered_once(rig: Rig) -> None:
    await rig.http.post("/sandbox/c2b", json={"registering": "once"})

    first = await rig.send(payers.REGISTER_PATH, payers.registration(rig))
    second = await rig.send(payers.REGISTER_PATH, payers.registration(rig))

    documented = json.loads(example("c2b-register-url-error-already-registered.json"))
    assert (first.status_code, second.status_code) == (200, 500)
    assert second.json() == documented | {"requestId": second.json()["requestId"]}


async def test_money_lands_though_nobody_registered(rig: Rig) -> None:
    attempt = await payers.pays(rig)
    await rig.callbacks_done()

    (movement,) = rig.server.world.movements
    assert (attempt["receipt"], rig.receiver.received) == (movement.receipt, [])
    assert (movement.balances_after.utility_cents, movement.balances_after.charges_paid_cents) == (100_045_000, -500)


async def test_money_may_land_on_working(settings: SandboxSettings) -> None:
    async with running(replace(settings, collections_land_on=Account.WORKING)) as rig:
        await payers.pays(rig)

        balances = rig.server.world.balances

    assert (balances.utility_cents, balances.working_cents) == (100_000_000, 50_045_000)


async def validated(rig: Rig, answer: bytes, *, response_type: str = "Completed") -> dict[str, Any]:
    """A payment that is asked about first and so answered."""
    await rig.http.post("/sandbox/c2b", json={"external_validation": True})
    await payers.registered(rig, ResponseType=response_type)
    rig.receiver.answers["/validate/k7Qd2"] = answer
    attempt = await payers.pays(rig)
    await rig.callbacks_done()
    return attempt


async def test_a_payment_is_asked_about_and_then_confirmed_under_the_same_id(rig: Rig) -> None:
    attempt = await validated(rig, example("c2b-validation-response-accept-with-id.json"))

    question, news = (payers.document(callback) for callback in rig.receiver.received)
    assert shape_of(json.dumps(question).encode()) == shape_of(example("c2b-validation-request.json"))
    assert (question["OrgAccountBalance"], question["ThirdPartyTransID"]) == ("", "")
    assert news["ThirdPartyTransID"] == "dft-01J8Z0C2"
    assert question["TransID"] == news["TransID"] == attempt["receipt"]


@pytest.mark.parametrize(
    ("answer", "response_type", "fate", "code"),
    [
        ("c2b-validation-response-accept.json", "Cancelled", "paid", ""),
        ("c2b-validation-response-reject.json", "Completed", "failed", "C2B00012"),
        (b"not json", "Completed", "paid", ""),
        (b"not json", "Cancelled", "failed", "unanswered"),
        (b"{}", "Cancelled", "failed", "unanswered"),
        (b'{"ResultCode": 0}', "Cancelled", "paid", ""),
    ],
)
async def test_an_answer_decides_and_without_one_the_response_type_does(
    rig: Rig, answer: str | bytes, response_type: str, fate: str, code: str
) -> None:
    body = example(answer) if isinstance(answer, str) else answer

    attempt = await validated(rig, body, response_type=response_type)

    assert (attempt["fate"], attempt["code"]) == (fate, code)
    assert len(rig.server.world.movements) == (fate == "paid")
    assert payers.told(rig)[1:] == (["confirm 450.00"] if fate == "paid" else [])
    assert rig.server.world.requests[-1].fate.value == fate


@pytest.mark.parametrize(("response_type", "fate"), [("Completed", "paid"), ("Cancelled", "failed")])
async def test_patience_ends(rig: Rig, response_type: str, fate: str) -> None:
    await rig.http.post("/sandbox/c2b", json={"external_validation": True, "validation_patience_seconds": 0.05})
    await payers.registered(rig, ResponseType=response_type)
    rig.receiver.open_for_answers.clear()

    attempt = await payers.pays(rig)
    rig.receiver.open_for_answers.set()
    await rig.callbacks_done()

    assert attempt["fate"] == fate
    assert rig.server.world.deliveries[0].outcome in {"patience ended", "ReadTimeout"}


async def test_reset_drops_a_payment_that_waits_for_its_validation(rig: Rig) -> None:
    await rig.http.post("/sandbox/c2b", json={"external_validation": True})
    await payers.registered(rig)
    rig.receiver.open_for_answers.clear()

    paying = asyncio.create_task(payers.pays(rig))
    await rig.receiver.next()
    await rig.start_over()
    rig.receiver.open_for_answers.set()

    assert (await paying)["fate"] == "pending"
    assert rig.server.world.movements == []


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        (payers.REGISTER_PATH, "ShortCode", "600000"), (payers.REGISTER_PATH, "ResponseType", "completed"),
        (payers.REGISTER_PATH, "ConfirmationURL", "http://127.0.0.1/mpesa/confirm"),
        (payers.REGISTER_PATH, "ValidationURL", None), (payers.SIMULATE_PATH, "ShortCode", "600000"),
        (payers.SIMULATE_PATH, "CommandID", "PayBill"), (payers.SIMULATE_PATH, "CommandID", "CustomerBuyGoodsOnline"),
        (payers.SIMULATE_PATH, "Amount", "4.50"), (payers.SIMULATE_PATH, "Msisdn", "0700000017"),
        (payers.SIMULATE_PATH, "BillRefNumber", None), (payers.SIMULATE_PATH, "BillRefNumber", "x" * 21),
        (payers.PULL_REGISTER_PATH, "ShortCode", "1"), (payers.PULL_REGISTER_PATH, "RequestType", "Push"),
        (payers.PULL_REGISTER_PATH, "NominatedNumber", "600584"), (payers.PULL_REGISTER_PATH, "CallBackURL", "x"),
        (payers.PULL_QUERY_PATH, "ShortCode", "600000"), (payers.PULL_QUERY_PATH, "StartDate", "2026-09-01"),
        (payers.PULL_QUERY_PATH, "EndDate", "2026-08-31 00:00:00"), (payers.PULL_QUERY_PATH, "OffSetValue", "-1"),
    ],
)  # fmt: skip
async def test_a_bad_field_is_named(rig: Rig, path: str, field: str, value: object) -> None:
    await rig.send(payers.PULL_REGISTER_PATH, payers.pull_registration(rig))
    good = {
        payers.REGISTER_PATH: payers.registration, payers.SIMULATE_PATH: payers.simulation,
        payers.PULL_REGISTER_PATH: payers.pull_registration, payers.PULL_QUERY_PATH: payers.pull_query,
    }[path]  # fmt: skip

    response = await rig.send(path, good(rig, **{field: value}))

    assert (response.status_code, response.json()["errorCode"]) == (400, "400.002.02")
    assert response.json()["errorMessage"] == f"Bad Request - Invalid {field}"


async def test_pull_is_registered_once_and_says_so_under_other_keys(rig: Rig) -> None:
    unregistered = await rig.send(payers.PULL_QUERY_PATH, payers.pull_query(rig))
    first = (await rig.send(payers.PULL_REGISTER_PATH, payers.pull_registration(rig))).json()
    second = (await rig.send(payers.PULL_REGISTER_PATH, payers.pull_registration(rig))).json()

    assert unregistered.status_code == 400
    for answer, name in ((first, "pull-register-response.json"), (second, "pull-register-response-already.json")):
        assert answer == json.loads(example(name)) | {"ResponseRefID": answer["ResponseRefID"]}


async def pulled(rig: Rig, **changes: object) -> list[dict[str, Any]]:
    """The rows of a Pull query."""
    await rig.send(payers.PULL_REGISTER_PATH, payers.pull_registration(rig))
    answer = (await rig.send(payers.PULL_QUERY_PATH, payers.pull_query(rig, **changes))).json()
    rows: list[dict[str, Any]]
    (rows,) = answer["Response"]
    assert answer["ResponseCode"] == ("1000" if rows else "1001")
    return rows


async def test_pull_has_what_was_never_told_newest_first_in_the_documented_form(rig: Rig) -> None:
    await payers.prompted(rig, "017")
    rig.clock.advance(seconds=60)
    await payers.pays(rig, behaviour="no-callback-paid")
    await rig.pay()

    rows = await pulled(rig)

    documented = json.loads(example("pull-query-response.json"))["Response"][0]
    own = ("transactionId", "trxDate")
    assert [list(row) for row in rows] == [list(row) for row in documented]
    assert [{**row, **dict.fromkeys(own)} for row in rows] == [{**row, **dict.fromkeys(own)} for row in documented]
    assert [row["trxDate"] for row in rows] == ["2026-09-01T10:16:36+03:00", "2026-09-01T10:15:36+03:00"]
    rig.clock.advance(seconds=-60)


async def test_pull_without_rows_is_the_documented_answer(rig: Rig) -> None:
    await rig.send(payers.PULL_REGISTER_PATH, payers.pull_registration(rig))

    answer = (await rig.send(payers.PULL_QUERY_PATH, payers.pull_query(rig))).json()

    assert answer == json.loads(example("pull-query-response-empty.json")) | {"ResponseRefID": answer["ResponseRefID"]}


async def test_pull_keeps_to_its_window_its_pages_and_48_hours(rig: Rig) -> None:
    for _ in range(103):
        await payers.pays(rig, behaviour="no-callback-paid")

    whole = await pulled(rig)
    rest = await pulled(rig, OffSetValue=100)
    before = await pulled(rig, EndDate="2026-09-01 10:15:35")
    at_the_end = await pulled(rig, EndDate="2026-09-01 10:15:36")
    rig.clock.advance(seconds=48 * 3600 + 1)
    await rig.authenticate()
    late = await pulled(rig)
    rig.clock.advance(seconds=-48 * 3600 - 1)
    await rig.authenticate()

    assert [len(rows) for rows in (whole, rest, before, at_the_end, late)] == [100, 3, 0, 100, 0]
