"""The control API: faults go in as written, the truth comes out without secrets, reset starts over."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
import pytest

from adapters.sandbox import magic
from adapters.sandbox.settings import SandboxSettings
from tests.adapters.sandbox.rig import Rig, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_scripted_fault_meets_the_next_requests_and_no_more(rig: Rig) -> None:
    await put_in(rig, scripted=[{"behaviour": "rate-limited", "count": 2}])

    statuses = [(await rig.pay()).status_code for _ in range(4)]

    assert statuses == [429, 429, 200, 200]


async def test_a_scripted_fault_may_wait_for_one_msisdn(rig: Rig) -> None:
    await put_in(rig, scripted=[{"behaviour": "service-unavailable", "msisdn": "254711111111"}])

    other = await rig.pay()
    meant = await rig.pay(PartyB="254711111111")
    again = await rig.pay(PartyB="254711111111")

    assert [response.status_code for response in (other, meant, again)] == [200, 503, 200]


async def test_scripted_faults_come_in_the_order_they_were_put_in(rig: Rig) -> None:
    await put_in(rig, scripted=[{"behaviour": "rate-limited"}, {"behaviour": "service-unavailable"}])
    await put_in(rig, scripted=[{"behaviour": "v3-not-authorised"}])

    statuses = [(await rig.pay()).status_code for _ in range(4)]

    assert statuses == [429, 503, 403, 200]


async def test_a_scripted_fault_overrules_a_magic_number(rig: Rig) -> None:
    await put_in(rig, scripted=[{"behaviour": "success"}])

    response = await rig.pay(PartyB="254700000308")

    assert response.status_code == 200


async def test_any_behaviour_can_be_scripted(rig: Rig) -> None:
    answer = await put_in(rig, scripted=[{"behaviour": name} for name in magic.BEHAVIOURS])

    assert [fault["behaviour"] for fault in answer.json()["scripted"]] == list(magic.BEHAVIOURS)


async def test_rates_with_a_seed_give_the_same_faults_again(rig: Rig) -> None:
    async def statuses() -> list[int]:
        await put_in(rig, rates={"rate-limited": 0.3, "service-unavailable": 0.2}, seed=11)
        return [(await rig.pay()).status_code for _ in range(60)]

    first, second = await statuses(), await statuses()

    assert first == second
    assert set(Counter(first)) == {200, 429, 503}


async def test_a_rate_of_one_leaves_magic_numbers_alone(rig: Rig) -> None:
    await put_in(rig, rates={"rate-limited": 1.0})

    plain = await rig.pay()
    magical = await rig.pay(PartyB="254700000308")

    assert (plain.status_code, magical.status_code) == (429, 503)


async def test_callbacks_can_be_withheld(rig: Rig) -> None:
    await put_in(rig, callbacks={"delay_seconds": 0, "drop_rate": 1})

    await rig.pay()
    await rig.callbacks_done()

    truth = await rig.truth()
    assert rig.receiver.received == []
    assert truth["deliveries"] == [{"request_number": 1, "kind": "result", "outcome": "withheld"}]
    assert truth["requests"][0]["fate"] == "paid"


async def test_callbacks_can_be_doubled(rig: Rig) -> None:
    await put_in(rig, callbacks={"delay_seconds": 0, "duplicate_rate": 1})

    await rig.pay()
    await rig.callbacks_done()

    first, second = rig.receiver.received
    assert first == second


async def test_a_delayed_callback_is_pending_and_reset_drops_it(rig: Rig) -> None:
    await put_in(rig, callbacks={"delay_seconds": 3600})

    await rig.pay()
    waiting = await rig.truth()
    await rig.start_over()
    after = await rig.truth()

    assert (waiting["callbacks_pending"], after["callbacks_pending"]) == (1, 0)
    assert rig.receiver.received == []


async def test_jitter_reorders_callbacks(rig: Rig) -> None:
    # This seed draws nearly all of the jitter for the first callback and nearly none for the second.
    await put_in(rig, callbacks={"delay_seconds": 0, "jitter_seconds": 0.5}, seed=5811)

    sent = [(await rig.pay()).json()["ConversationID"] for _ in range(2)]
    await rig.callbacks_done()

    arrived = [callback.result["ConversationID"] for callback in rig.receiver.received]
    assert arrived == sent[::-1]


async def test_a_receiver_that_is_gone_is_noted_and_not_tried_again(settings: SandboxSettings) -> None:
    async with running(settings) as rig:
        await rig.receiver.stop()
        await rig.pay()
        await rig.callbacks_done()

        truth = await rig.truth()

    assert truth["deliveries"] == [{"request_number": 1, "kind": "result", "outcome": "ConnectError"}]


async def test_a_credit_raises_the_utility_account(rig: Rig) -> None:
    response = await rig.http.post("/sandbox/utility/credit", json={"amount_cents": 12_345})

    truth = await rig.truth()
    assert response.json()["kind"] == "utility credit"
    assert truth["balances"]["utility_cents"] == truth["opening"]["utility_cents"] + 12_345
    assert [movement["amount_cents"] for movement in truth["movements"]] == [12_345]


async def test_reset_forgets_all_but_the_token(rig: Rig) -> None:
    request = rig.request()
    await rig.post(request)
    await put_in(rig, scripted=[{"behaviour": "rate-limited"}], rates={"rate-limited": 1.0}, callbacks={"drop_rate": 1})

    await rig.start_over()
    truth = await rig.truth()
    again = await rig.post(request)
    callback = await rig.receiver.next()

    assert truth["balances"] == truth["opening"]
    assert (truth["movements_total"], truth["requests_total"], truth["deliveries_total"]) == (0, 0, 0)
    assert again.status_code == 200
    assert callback.result["ResultCode"] == 0


async def test_the_truth_is_read_in_pages(rig: Rig) -> None:
    for number in range(5):
        await rig.pay(OriginatorConversationID=f"dft-{number}")

    page = (await rig.http.get("/sandbox/truth", params={"offset": 1, "limit": 2})).json()

    assert (page["movements_total"], page["requests_total"]) == (5, 5)
    assert [row["originator_conversation_id"] for row in page["movements"]] == ["dft-1", "dft-2"]
    assert [row["number"] for row in page["requests"]] == [2, 3]


async def test_the_truth_holds_no_secret(rig: Rig) -> None:
    await rig.pay(PartyB="254700000403")
    await rig.pay(PartyB="254700000402", SecurityCredential=rig.encrypted("wrong"))
    await rig.callbacks_done()

    text = (await rig.http.get("/sandbox/truth")).text

    secrets = {
        rig.access_token, rig.security_credential, rig.settings.consumer_secret, rig.settings.initiator_password,
        "k7Qd2", rig.receiver.base_url,
    }  # fmt: skip
    assert [secret for secret in secrets if secret in text] == []


async def test_magic_lists_every_number(rig: Rig) -> None:
    rows = (await rig.http.get("/sandbox/magic")).json()

    assert [(row["msisdn"] or row["shortcode"])[-3:] for row in rows] == list(magic.ROWS)
    assert {row["msisdn"][:-3] for row in rows} == {"254700000", ""}
    assert {row["shortcode"][:-3] for row in rows} == {"700", ""}
    assert all(row["behaviour"] and row["summary"] and row["status"] for row in rows)


async def test_the_certificate_is_the_one_credentials_are_read_with(rig: Rig) -> None:
    response = await rig.http.get("/sandbox/certificate")

    assert response.text == rig.server.certificate_pem
    assert response.text.startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize(
    "body",
    [
        {"scripted": [{"behaviour": "rate-limited"}, {"behaviour": "unheard-of"}]},
        {"scripted": [{"behaviour": "rate-limited", "count": 0}]},
        {"scripted": [{"behaviour": "rate-limited", "often": 2}]},
        {"rates": {"unheard-of": 0.1}},
        {"rates": {"rate-limited": 1.1}},
        {"rates": {"rate-limited": -0.1}},
        {"rates": {"rate-limited": 0.6, "service-unavailable": 0.6}},
        {"callbacks": {"delay_seconds": -1}},
        {"callbacks": {"drop_rate": 2}},
        {"unheard_of": 1},
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused_and_changes_nothing(rig: Rig, body: dict[str, Any]) -> None:
    before = (await rig.http.get("/sandbox/faults")).json()

    response = await rig.http.post("/sandbox/faults", json=body)

    assert response.status_code == 422
    assert (await rig.http.get("/sandbox/faults")).json() == before


@pytest.mark.parametrize("amount", [0, -1, 10**15 + 1, "many"])
async def test_a_credit_that_makes_no_sense_is_refused(rig: Rig, amount: object) -> None:
    response = await rig.http.post("/sandbox/utility/credit", json={"amount_cents": amount})

    assert response.status_code == 422


async def test_unknown_control_paths_do_not_answer_as_the_provider(rig: Rig) -> None:
    response = await rig.http.get("/sandbox/unheard-of")

    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})


async def put_in(rig: Rig, **faults: object) -> httpx.Response:
    """Puts faults in and expects them to be taken."""
    response = await rig.http.post("/sandbox/faults", json=faults)
    assert response.status_code == 200
    return response
