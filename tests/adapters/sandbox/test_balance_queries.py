"""Balance queries: the documented answer, made from the sandbox's own books, and a query's own trouble."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapters.sandbox.settings import SandboxSettings
from tests.adapters.sandbox.rig import B2B_PATH, BALANCE_PATH, Rig, example, running, shape_of, tokens_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_acknowledgement_is_the_documented_one(rig: Rig) -> None:
    response = await rig.send(BALANCE_PATH, rig.balance_query())

    assert response.status_code == 200
    assert shape_of(response.content) == shape_of(example("account-balance-response.json"))


async def test_the_result_is_the_documented_one_token_for_token(settings: SandboxSettings) -> None:
    books = replace(
        settings,
        opening_working_cents=34_021_550,
        opening_utility_cents=120_431_050,
        opening_charges_paid_cents=-48_600,
    )
    async with running(books) as rig:
        own = {key: rig.balance_query()[key] for key in ("SecurityCredential", "QueueTimeOutURL", "ResultURL")}
        response = await rig.send(BALANCE_PATH, json.loads(example("account-balance-request.json")) | own)
        callback = await rig.receiver.next()

    documented = example("account-balance-result.json").decode().replace("20260901101542", "20260901101536")
    for key, value in [
        ("OriginatorConversationID", "56564-68674886-3"),
        ("ConversationID", "AG_20260901_2010acaf8fb171e8fade"),
    ]:
        documented = documented.replace(value, response.json()[key])
    assert callback.path == "/balance/result/k7Qd2"
    assert tokens_of(callback.body) == tokens_of(documented.encode())


async def test_balances_follow_the_payments(rig: Rig) -> None:
    await rig.pay()
    await rig.send(B2B_PATH, rig.b2b_request())
    await rig.callbacks_done()
    rig.receiver.forget()

    accounts = await told(rig)

    balances = rig.server.world.balances
    assert accounts["Utility Account"] == f"{balances.utility_cents // 100}.00"
    assert accounts["Working Account"] == f"{balances.working_cents // 100}.00"
    assert accounts["Charges Paid Account"] == "-119.00"


@pytest.mark.parametrize(
    ("behaviour", "code", "parameters"),
    [
        ("result-2001", 2001, "none"),
        ("text-as-numbers", 0, "list"),
        ("single-parameter-success", "0", "dict"),
        ("success-without-parameters", "0", "none"),
    ],
)
async def test_strange_answers_can_be_scripted(rig: Rig, behaviour: str, code: object, parameters: str) -> None:
    await rig.put_in(scripted=[{"behaviour": behaviour, "api": "balance"}])

    await rig.send(BALANCE_PATH, rig.balance_query())
    result = (await rig.receiver.next()).result

    found = result.get("ResultParameters", {}).get("ResultParameter")
    assert (result["ResultCode"], "none" if found is None else type(found).__name__) == (code, parameters)


async def test_a_wrong_balance_can_be_scripted(rig: Rig) -> None:
    true = await told(rig)
    await rig.put_in(scripted=[{"behaviour": "wrong-amount", "api": "balance"}])

    wrong = await told(rig)

    assert float(wrong["Utility Account"]) == float(true["Utility Account"]) + 100
    assert wrong | {"Utility Account": ""} == true | {"Utility Account": ""}


@pytest.mark.parametrize(
    ("behaviour", "paths"),
    [
        ("no-callback-not-paid", []),
        ("callback-twice", ["/balance/result/k7Qd2", "/balance/result/k7Qd2"]),
        ("timeout-envelope-not-paid", ["/balance/timeout/k7Qd2"]),
        ("timeout-then-success", ["/balance/timeout/k7Qd2", "/balance/result/k7Qd2"]),
    ],
)
async def test_answers_get_lost_come_twice_and_time_out(rig: Rig, behaviour: str, paths: list[str]) -> None:
    await rig.put_in(scripted=[{"behaviour": behaviour, "api": "balance"}])

    response = await rig.send(BALANCE_PATH, rig.balance_query())
    await rig.callbacks_done()

    assert response.status_code == 200
    assert [callback.path for callback in rig.receiver.received] == paths


@pytest.mark.parametrize(
    ("field", "value"), [("CommandID", "TransactionStatusQuery"), ("IdentifierType", "2"), ("PartyA", "600000")]
)
async def test_a_bad_field_is_named(rig: Rig, field: str, value: object) -> None:
    response = await rig.send(BALANCE_PATH, rig.balance_query(**{field: value}))

    assert response.json()["errorMessage"] == f"Bad Request - Invalid {field}"


async def told(rig: Rig) -> dict[str, str]:
    """Asks; the available balance by account."""
    await rig.send(BALANCE_PATH, rig.balance_query())
    text = (await rig.receiver.next()).parameters["AccountBalance"]
    fields = [account.split("|") for account in text.split("&")]
    return {name: available for name, _currency, _current, available, _reserved, _uncleared in fields}
