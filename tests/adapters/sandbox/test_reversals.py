"""Money back: reversals by API, what the provider takes of its own accord, and what status queries say of either."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sandbox.customer_rows import REVERSAL_ROWS
from adapters.sandbox.magic import SUCCESS
from adapters.sandbox.money_in import Collection, Command, Reversal, ReversedBy
from adapters.sandbox.products import Account
from adapters.sandbox.settings import SandboxSettings
from adapters.sandbox.world import Fate, World
from tests.adapters.sandbox import payers, questions
from tests.adapters.sandbox.rig import MOMENT, Rig, example, running, shape_of
from tests.adapters.sandbox.test_books import B2C, payment

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What becomes of the reversal of what the number paid, and what is called back of it.
EXPECTED: dict[str, tuple[Fate, list[str]]] = {
    "801": (Fate.FAILED, ["result 1"]),
    "811": (Fate.FAILED, ["result 11"]),
    "821": (Fate.FAILED, ["result 21"]),
    "828": (Fate.FAILED, ["result 2001"]),
    "831": (Fate.FAILED, ["result R000001"]),
    "832": (Fate.FAILED, ["result R000002"]),
    "840": (Fate.PAID, []),
    "841": (Fate.FORGOTTEN, []),
    "842": (Fate.PAID, ["result 0"]),
    "843": (Fate.PAID, ["result 0", "result 0"]),
    "844": (Fate.PAID, ["reversal echo", "result 0"]),
    "845": (Fate.PAID, ["reversal echo"]),
    "846": (Fate.PAID, ["result 8", "result 0"]),
    "847": (Fate.PAID, ["result 0"]),
    "848": (Fate.PAID, ["result 0"]),
}


async def test_every_row_of_reversals_has_its_expectation() -> None:
    assert list(EXPECTED) == list(REVERSAL_ROWS)


@pytest.mark.parametrize("suffix", EXPECTED)
async def test_a_reversal_does_what_the_row_of_its_payer_says(rig: Rig, suffix: str) -> None:
    paid = await payers.pays(rig, msisdn=f"254700000{suffix}")

    response = await payers.reverses(rig, paid["receipt"])
    await rig.callbacks_done()

    fate, told = EXPECTED[suffix]
    assert response.status_code == (500 if suffix == "842" else 200)
    assert (rig.server.world.requests[-1].fate, payers.told(rig)) == (fate, told)
    assert rig.server.world.reversible_cents(paid["receipt"]) == (0 if fate is Fate.PAID else 45_000)


async def test_the_documented_request_has_the_documented_answers(rig: Rig) -> None:
    paid = await payers.pays(rig)

    response = await payers.reverses(rig, paid["receipt"])
    callback = await rig.receiver.next()

    movement = rig.server.world.movements[-1]
    documented = json.loads(example("reversal-response.json"))
    own = {key: response.json()[key] for key in ("OriginatorConversationID", "ConversationID")}
    assert response.json() == documented | own
    assert shape_of(callback.body) == shape_of(example("reversal-result-success.json"))
    assert callback.result["TransactionID"] == movement.receipt != paid["receipt"]
    assert callback.parameters == {
        "DebitAccountBalance": "Utility Account|KES|1000000.00|1000000.00|0.00|0.00",
        "Amount": 450.0,
        "TransCompletedTime": 20260901101536,
        "OriginalTransactionID": paid["receipt"],
        "Charge": 0.0,
        "CreditPartyPublicName": "254700000017 - WANJIRU ACHIENG TESTER",
        "DebitPartyPublicName": "600584 - Daftari Test Org",
    }
    assert rig.server.world.balances == rig.server.world.opening


@pytest.mark.parametrize("code", ["R000001", "R000002", "1", "21"])
async def test_a_failure_is_the_documented_document(rig: Rig, code: str) -> None:
    paid = await payers.pays(rig)
    await rig.put_in(scripted=[{"behaviour": f"result-{code}", "api": "reversal"}])

    await payers.reverses(rig, paid["receipt"])

    result = (await rig.receiver.next()).result
    documented = json.loads(example(f"reversal-result-failed-{code}.json"))["Result"]
    assert result == documented | {key: result[key] for key in ("OriginatorConversationID", "ConversationID")}


async def test_parts_are_reversed_until_nothing_is_left_and_never_more(rig: Rig) -> None:
    paid = await payers.pays(rig)

    for shillings in (200, 300, 250, 1):
        await payers.reverses(rig, paid["receipt"], Amount=shillings)
    await rig.callbacks_done()

    assert payers.told(rig) == ["result 0", "result R000002", "result 0", "result R000001"]
    assert rig.server.world.balances == rig.server.world.opening


async def test_a_payout_or_an_unknown_receipt_is_no_original(rig: Rig) -> None:
    await rig.pay()
    payout = rig.server.world.movements[0].receipt
    await rig.callbacks_done()
    rig.receiver.forget()

    for receipt in (payout, "UI1NOTHERE"):
        await payers.reverses(rig, receipt, Amount=2500)
    await rig.callbacks_done()

    assert payers.told(rig) == ["result R000002"] * 2


async def test_funds_that_went_out_again_cannot_be_reversed(settings: SandboxSettings) -> None:
    async with running(replace(settings, opening_utility_cents=0)) as rig:
        paid = await payers.pays(rig)
        await rig.pay(Amount=100)
        await payers.reverses(rig, paid["receipt"])
        await rig.callbacks_done()

        told = payers.told(rig)

    assert told == ["result 0", "result 1"]


async def test_a_wrong_credential_is_told_by_result_2001(rig: Rig) -> None:
    paid = await payers.pays(rig)

    await payers.reverses(rig, paid["receipt"], SecurityCredential=rig.encrypted("wrong"))

    assert (await rig.receiver.next()).result["ResultCode"] == 2001


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Initiator", "someone_else"), ("SecurityCredential", ""), ("CommandID", "Reversal"), ("TransactionID", None),
        ("Amount", "4.5"), ("ReceiverParty", "600000"), ("RecieverIdentifierType", "4"), ("ResultURL", "ftp://x"),
        ("QueueTimeOutURL", None), ("Remarks", "x"), ("Occasion", "x" * 101),
    ],
)  # fmt: skip
async def test_a_bad_field_is_named(rig: Rig, field: str, value: object) -> None:
    response = await payers.reverses(rig, "UI1M4N557P", **{field: value})

    assert (response.status_code, response.json()["errorCode"]) == (400, "400.002.02")
    assert response.json()["errorMessage"] == f"Bad Request - Invalid {field}"


async def status(rig: Rig, receipt: str) -> dict[str, Any]:
    """The parameters of a status query's answer."""
    await rig.callbacks_done()
    rig.receiver.forget()
    await questions.query(rig, TransactionID=receipt)
    return (await rig.receiver.next()).parameters


async def test_a_status_query_knows_collections_and_reversals_by_their_receipts(rig: Rig) -> None:
    paid = await payers.pays(rig, amount_cents=45_050)
    await payers.reverses(rig, paid["receipt"], Amount=50)
    reversal = rig.server.world.movements[-1].receipt

    collection, taken = await status(rig, paid["receipt"]), await status(rig, reversal)

    assert (collection["TransactionStatus"], collection["Amount"], collection["ReceiptNo"]) == (
        "Completed", 450.5, paid["receipt"],
    )  # fmt: skip
    assert (collection["ReasonType"], collection["DebitPartyCharges"]) == ("Pay Utility", "Pay Bill Charge|KES|5.00")
    assert (taken["TransactionStatus"], taken["Amount"], taken["ReasonType"]) == (
        "Completed", 50, "Pay Utility Reversal",
    )  # fmt: skip


async def test_a_reversal_never_called_back_is_found_by_its_originator_id(rig: Rig) -> None:
    paid = await payers.pays(rig, msisdn="254700000840")
    response = await payers.reverses(rig, paid["receipt"])

    found = await questions.asked(rig, OriginalConversationID=response.json()["OriginatorConversationID"])

    assert found == "Completed for 450"


async def test_a_behaviour_of_status_queries_holds_for_collections(rig: Rig) -> None:
    pending = await payers.pays(rig, msisdn="254700000503")

    assert (await status(rig, pending["receipt"]))["TransactionStatus"] == "Pending Authorized"


async def test_what_the_provider_takes_back_shows_in_status_and_balance_and_is_told_nobody(rig: Rig) -> None:
    await payers.registered(rig)
    paid = await payers.pays(rig)
    await rig.callbacks_done()

    taken = (await rig.http.post("/sandbox/reversals", json={"receipt": paid["receipt"]})).json()
    again = await rig.http.post("/sandbox/reversals", json={"receipt": paid["receipt"]})
    await rig.callbacks_done()

    assert (taken["linked_receipt"], taken["by"], taken["is_credit"]) == (paid["receipt"], "provider", False)
    assert taken["details"] == "Pay Utility Reversal by Daftari Test Org\\provider"
    assert (again.status_code, payers.told(rig)) == (409, ["confirm 450.00"])
    assert (await status(rig, paid["receipt"]))["TransactionStatus"] == "Reversed"
    assert rig.server.world.balances == rig.server.world.opening


@pytest.mark.parametrize("by_prompt", [True, False])
async def test_a_customer_of_row_740_has_it_back_once_it_was_told(rig: Rig, by_prompt: bool) -> None:
    await payers.registered(rig)

    if by_prompt:
        await payers.prompted(rig, "740")
    else:
        await payers.pays(rig, behaviour="taken-back")
    await rig.callbacks_done()

    collected, taken = rig.server.world.movements
    assert taken.linked_receipt == collected.receipt
    assert len(rig.receiver.received) == (2 if by_prompt else 1)


async def test_a_payout_can_be_given_back_by_the_provider(rig: Rig) -> None:
    await rig.pay()
    (payout,) = rig.server.world.movements

    back = (await rig.http.post("/sandbox/reversals", json={"receipt": payout.receipt, "amount_cents": 1_000})).json()

    assert (back["kind"], back["is_credit"], back["amount_cents"]) == ("return", True, 1_000)
    assert (await status(rig, payout.receipt))["TransactionStatus"] == "Completed"


async def test_movements_are_listed_by_kind_with_what_a_statement_needs(rig: Rig) -> None:
    paid = await payers.pays(rig)
    await payers.prompted(rig)
    await payers.reverses(rig, paid["receipt"])

    def listed(kind: str) -> Any:
        return rig.http.get("/sandbox/movements", params={"kind": kind})

    collections = (await listed("collection")).json()
    reversals = (await listed("reversal")).json()["movements"]

    assert collections["movements_total"] == 2
    assert [row["details"] for row in collections["movements"]] == [
        "Pay Bill from 25470****017 - WANJIRU ACHIENG TESTER Acc. LN000417",
        "Pay Bill Online from 25470****017 - WANJIRU ACHIENG TESTER Acc. LN000417",
    ]
    assert [(row["linked_receipt"], row["charge_cents"]) for row in reversals] == [(paid["receipt"], -500)]


STEPS = st.tuples(
    st.sampled_from(["collect", "pay", "reverse", "reverse", "credit"]), st.integers(10, 90_000), st.integers(0, 39)
)


@given(st.lists(STEPS, max_size=40), st.sampled_from(Account))
async def test_money_is_neither_made_nor_lost(steps: list[tuple[str, int, int]], landing: Account) -> None:
    """Opening and credits less debits are the balances, and no original is reversed beyond its amount."""
    world = World(SandboxSettings(opening_utility_cents=5_000_000, collections_land_on=landing))

    for number, (step, shillings, which) in enumerate(steps):
        carry_out(world, step, shillings, which, receipt=f"UI1{number:07d}")

    expected = world.opening
    for movement in world.movements:
        cents = movement.amount_cents if movement.is_credit else -movement.amount_cents
        expected = expected.moved(movement.account, cents).charged(movement.charge_cents)
        assert movement.balances_after == expected
    taken: dict[str, int] = {}
    for movement in world.movements:
        taken[movement.linked_receipt] = taken.get(movement.linked_receipt, 0) + movement.amount_cents
    assert world.balances == expected
    assert min(expected.utility_cents, expected.working_cents) >= 0
    assert all(taken.get(one.receipt, 0) <= one.amount_cents for one in world.movements)


def carry_out(world: World, step: str, shillings: int, which: int, *, receipt: str) -> None:
    """One step, where the books allow it: `which` of the movements is to be reversed."""
    amount = shillings * 100 + which
    if step == "credit":
        world.credit(Account.UTILITY, amount_cents=amount, receipt=receipt, now=MOMENT)
    elif step == "collect":
        paid = Collection(Command.PAY_BILL, payers.PAYER, "600584", "LN000417", amount, 500, MOMENT)
        world.collect(paid, behaviour=SUCCESS, receipt=receipt, now=MOMENT)
    elif step == "pay":
        wanted = payment(B2C, shillings=shillings)
        if world.can_pay(wanted):
            world.pay(wanted, receipt=receipt, now=MOMENT)
    elif world.movements:
        original = world.movements[which % len(world.movements)].receipt
        reversal = Reversal(original, amount, 0, ReversedBy.ORGANISATION, "daftari_api")
        if world.can_reverse(reversal):
            world.reverse(reversal, receipt=receipt, now=MOMENT)
