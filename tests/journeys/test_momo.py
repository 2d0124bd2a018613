"""Payouts and money in over MTN MoMo, over real HTTP: a callback is a hint, the status read is the proof, a reference
is never used for two payments, and the float agrees with the wallet."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.momo.references import reference_id
from adapters.sandbox.momo.behaviours import PREFIX, number_of
from ledger.collections.prompt import State
from ledger.outbox.queue import HINTS_APART
from tests.journeys.wallet import (
    COLLECTED,
    IN_TRANSIT,
    NUMBER,
    PREFUNDED,
    UNALLOCATED,
    UNKNOWN,
    WalletRig,
    open_wallet,
)
from tests.ledger.payouts.shop import PAYEE, PREFUND

# From the moment a payout was taken in until the rail is asked about it, unasked by any callback.
SOON = 21.0
# More than the whole schedule: silence is called unknown, the rail is asked four times, and a person at the end.
FOR_GOOD = (SOON, 240.0, 700.0, 61.0, 300.0, 1_600.0, 5_500.0, 7_300.0, 700.0)


@pytest.fixture
async def wallet(engine: AsyncEngine) -> AsyncIterator[WalletRig]:
    """A wallet in a ledger of its own."""
    async with open_wallet(engine) as opened:
        yield opened


async def test_a_payout_is_sent_hinted_at_asked_about_and_settled(wallet: WalletRig) -> None:
    payout_id = await wallet.request(msisdn=NUMBER, shillings=1500)

    await wallet.work()

    payout = await wallet.payout(payout_id)
    (paid,) = wallet.momo.world.paid("disbursement")
    assert (payout.state.value, payout.receipt) == ("SETTLED", paid.receipt)
    assert paid.reference == reference_id(payout.provider_reference)
    assert (paid.amount, paid.msisdn, paid.external_id) == (1500, NUMBER, payout.provider_reference)
    assert await wallet.verdicts() == ["hint"]
    assert await wallet.entries(payout_id) == ["payout.reserved", "payout.settled"]
    assert await wallet.balance(PREFUND) == PREFUNDED - 1500
    assert await wallet.balance(IN_TRANSIT) == 0
    assert await wallet.agrees_with_the_rail()


@pytest.mark.parametrize("behaviour", ["failed", "rejected", "not-enough-funds", "payee-not-found"])
async def test_a_payout_that_fails_gives_the_money_back(wallet: WalletRig, behaviour: str) -> None:
    payout_id = await wallet.request(msisdn=number_of(behaviour))

    await wallet.work()

    payout = await wallet.payout(payout_id)
    assert payout.state.value == "RELEASED"
    assert payout.failure_code
    assert await wallet.balance(PREFUND) == PREFUNDED
    assert await wallet.agrees_with_the_rail()


async def test_who_has_no_active_wallet_is_found_out_before_any_transfer(engine: AsyncEngine) -> None:
    numbers = {suffix: f"{PREFIX}{suffix}" for suffix in ("450", "451", "453")}
    async with open_wallet(engine, checks_payees=True) as wallet:
        unknown, inactive, unclear = [await wallet.request(msisdn=one) for one in numbers.values()]
        active = await wallet.request(msisdn=NUMBER)

        await wallet.work()

        for payout_id in (unknown, inactive):
            payout = await wallet.payout(payout_id)
            assert (payout.state.value, payout.failure_code) == ("RELEASED", "PAYEE_NOT_REGISTERED")
            assert await wallet.entries(payout_id) == ["payout.reserved", "payout.released"]
        assert await wallet.state(active) == "SETTLED"
        # The question about this one fails, and holds nothing up.
        assert await wallet.state(unclear) == "SUBMITTED"
        asked_for = {one.msisdn for one in wallet.momo.world.transactions.values()}
        assert asked_for == {numbers["453"], NUMBER}
        assert not await wallet.rows("SELECT FROM rail_stops WHERE ledger_id = :ledger AND rail = 'momo'")


async def test_a_refusal_of_our_access_stops_the_rail(wallet: WalletRig) -> None:
    payout_id = await wallet.request(msisdn=number_of("not-allowed-target-environment"))

    await wallet.work()

    assert await wallet.state(payout_id) == "RELEASED"
    assert await wallet.rows("SELECT FROM rail_stops WHERE ledger_id = :ledger AND rail = 'momo'")


@pytest.mark.parametrize("behaviour", ["callback-lost", "ongoing"])
async def test_a_payout_of_which_no_callback_tells_is_asked_about_all_the_same(
    wallet: WalletRig, behaviour: str
) -> None:
    payout_id = await wallet.request(msisdn=number_of(behaviour))
    await wallet.work()
    before = await wallet.state(payout_id)

    await wallet.pass_time(SOON, 240.0)

    assert (before, await wallet.state(payout_id)) == ("SUBMITTED", "SETTLED")
    assert UNKNOWN not in await accounts_of(wallet, payout_id)
    assert await wallet.agrees_with_the_rail()


async def accounts_of(wallet: WalletRig, payout_id: int) -> set[str]:
    found = await wallet.rows(
        "SELECT a.path FROM postings AS p JOIN accounts AS a ON a.ledger_id = p.ledger_id AND a.id = p.account_id "
        "JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id "
        "WHERE e.ledger_id = :ledger AND e.subject_kind = 'payout'"
    )
    return {path for (path,) in found}


@pytest.mark.parametrize("behaviour", ["answer-lost", "error-yet-paid", "appears-late"])
async def test_an_unknown_outcome_is_settled_by_the_status_read(wallet: WalletRig, behaviour: str) -> None:
    payout_id = await wallet.request(msisdn=number_of(behaviour))
    await wallet.work()
    before = await wallet.state(payout_id)

    await wallet.pass_time(61.0, 300.0, 700.0)

    assert before in {"UNKNOWN", "SUBMITTED"}
    assert await wallet.state(payout_id) == "SETTLED"
    assert len(wallet.momo.world.paid("disbursement")) == 1
    assert await wallet.balance(UNKNOWN) == 0
    assert await wallet.agrees_with_the_rail()


async def test_a_refusal_that_paid_is_read_back_and_gives_nothing_back(wallet: WalletRig) -> None:
    payout_id = await wallet.request(msisdn=number_of("refused-yet-paid"))

    await wallet.work()

    assert await wallet.state(payout_id) == "SETTLED"
    assert await wallet.agrees_with_the_rail()


async def test_what_never_arrived_is_sent_again_under_the_same_reference(wallet: WalletRig) -> None:
    await wallet.script("never-arrived")
    payout_id = await wallet.request()
    await wallet.work()
    assert await wallet.state(payout_id) == "UNKNOWN"

    await wallet.pass_time(61.0, 300.0, 1_600.0, 61.0)

    payout = await wallet.payout(payout_id)
    assert payout.state.value == "SETTLED"
    assert [one.reference for one in wallet.momo.world.paid("disbursement")] == [
        reference_id(payout.provider_reference)
    ]
    assert await wallet.agrees_with_the_rail()


async def test_what_did_arrive_is_refused_when_it_is_sent_again(wallet: WalletRig) -> None:
    await wallet.script("silent")
    payout_id = await wallet.request()

    await wallet.work()
    await wallet.pass_time(*FOR_GOOD)

    assert wallet.momo.world.duplicates == 1
    assert await wallet.state(payout_id) == "UNKNOWN"
    assert await wallet.balance(UNKNOWN) == 1500
    assert ("submit-unknown", payout_id) in await wallet.reviews()


async def test_silence_at_last_lies_with_a_person_and_a_late_hint_is_looked_into(wallet: WalletRig) -> None:
    await wallet.script("silent")
    payout_id = await wallet.request()
    await wallet.work()
    await wallet.pass_time(*FOR_GOOD)
    (pending,) = wallet.momo.world.transactions.values()
    wallet.momo.world.pay(pending)

    token = wallet.tokens[-1]
    assert await wallet.call_back(token, b'{"status":"SUCCESSFUL"}') == 200
    await wallet.work()
    await wallet.pass_time(HINTS_APART.total_seconds())

    assert await wallet.state(payout_id) == "SETTLED"
    assert await wallet.agrees_with_the_rail()


async def test_a_hint_after_the_money_went_back_is_looked_into(wallet: WalletRig) -> None:
    await wallet.script("rejected")
    payout_id = await wallet.request()
    await wallet.work()
    released = await wallet.state(payout_id)
    (failed,) = wallet.momo.world.transactions.values()
    wallet.momo.world.pay(failed)
    wallet.clock.advance(seconds=HINTS_APART.total_seconds())

    assert await wallet.call_back(wallet.tokens[-1], b'{"status":"SUCCESSFUL"}') == 200
    await wallet.work()

    assert (released, await wallet.state(payout_id)) == ("RELEASED", "CONFLICTED")
    assert ("provider-conflict", payout_id) in await wallet.reviews()
    assert await wallet.agrees_with_the_rail()


@pytest.mark.parametrize(
    ("behaviour", "state"),
    [
        ("callback-first", "SETTLED"),
        ("callback-often", "SETTLED"),
        ("callback-contradicts", "SETTLED"),
        ("callback-other-amount", "SETTLED"),
        ("failed-callback-paid", "RELEASED"),
    ],
)
async def test_whatever_a_callback_says_the_status_read_decides(wallet: WalletRig, behaviour: str, state: str) -> None:
    payout_id = await wallet.request(msisdn=number_of(behaviour))

    await wallet.work()
    await wallet.pass_time(SOON, 31.0)

    assert await wallet.state(payout_id) == state
    assert await wallet.agrees_with_the_rail()


async def test_a_callback_told_often_asks_once(wallet: WalletRig) -> None:
    await wallet.request(msisdn=number_of("callback-often"))

    await wallet.work()

    asked = wallet.momo.world.calls["GET /disbursement/v1_0/transfer/*"]
    assert await wallet.verdicts() == ["hint"] * 20
    assert asked == 1


async def test_a_reason_that_nobody_documents_gives_nothing_back(wallet: WalletRig) -> None:
    payout_id = await wallet.request(msisdn=number_of("new-reason"))

    await wallet.work()
    await wallet.pass_time(*FOR_GOOD)

    assert await wallet.state(payout_id) == "UNKNOWN"
    assert ("submit-unknown", payout_id) in await wallet.reviews()


async def test_a_forged_callback_moves_nothing(wallet: WalletRig) -> None:
    await wallet.script("silent")
    payout_id = await wallet.request()
    await wallet.work()
    reference = (await wallet.payout(payout_id)).provider_reference
    success = {
        "amount": "1500",
        "currency": "RWF",
        "financialTransactionId": "666",
        "externalId": reference,
        "payee": {"partyIdType": "MSISDN", "partyId": PAYEE},
        "status": "SUCCESSFUL",
    }

    status = await wallet.call_back("f" * 64, json.dumps(success).encode())
    await wallet.work()

    assert status == 200
    assert await wallet.state(payout_id) == "SUBMITTED"
    assert await wallet.entries(payout_id) == ["payout.reserved"]
    assert await wallet.agrees_with_the_rail()


async def test_callbacks_come_by_post_too(wallet: WalletRig) -> None:
    await wallet.script("silent")
    await wallet.request()
    await wallet.work()

    assert await wallet.call_back("e" * 64, b"{}", method="POST") == 200
    assert await wallet.call_back("e" * 64, b"{}", method="DELETE") == 405


async def test_the_wallet_tells_its_balances_at_once(wallet: WalletRig) -> None:
    await wallet.request()
    await wallet.work()

    asked = await wallet.application.balance_watch(public_url=wallet.public_url).step()

    told = await wallet.rows("SELECT sub_account, available FROM float_assertions WHERE ledger_id = :ledger")
    assert asked >= 1  # the watch spans ledgers, and the tests before this one left theirs
    assert dict([tuple(one) for one in told]) == wallet.momo.world.balances
    assert await wallet.reviews() == []


async def test_money_that_left_past_the_books_is_a_case(wallet: WalletRig) -> None:
    wallet.clock.advance(seconds=3_600)
    wallet.momo.world.credit("disbursement", -7)

    await wallet.application.balance_watch(public_url=wallet.public_url).step()

    assert await wallet.reviews() == [("unledgered-movement", None)]


async def test_a_question_goes_where_the_payout_went(wallet: WalletRig) -> None:
    await wallet.script("answer-lost")
    payout_id = await wallet.request()
    await wallet.work()
    await wallet.pin(payout_id, "mtnrwanda@elsewhere")

    await wallet.pass_time(61.0, 300.0)

    assert await wallet.state(payout_id) == "UNKNOWN"
    assert wallet.momo.world.calls["GET /disbursement/v1_0/transfer/*"] == 0


async def test_a_request_to_pay_is_a_receipt_booked_once(wallet: WalletRig) -> None:
    prompt_id = await wallet.ask(amount=2_500)

    await wallet.work()
    await wallet.pass_time(16.0, 60.0)

    prompt = await wallet.prompt(prompt_id)
    (paid,) = wallet.momo.world.paid("collection")
    receipts = await wallet.rows("SELECT receipt, amount FROM receipts WHERE ledger_id = :ledger")
    assert prompt.state is State.PAID
    assert [tuple(one) for one in receipts] == [(paid.receipt, 2_500)]
    assert await wallet.balance(COLLECTED) == 2_500
    assert await wallet.agrees_with_the_rail()


async def test_a_request_whose_answer_was_lost_is_asked_about_by_its_own_reference(wallet: WalletRig) -> None:
    await wallet.script("answer-lost")
    prompt_id = await wallet.ask()

    await wallet.work()

    assert (await wallet.prompt(prompt_id)).state is State.PAID
    assert len(wallet.momo.world.paid("collection")) == 1
    assert await wallet.agrees_with_the_rail()


@pytest.mark.parametrize("behaviour", ["rejected", "expired", "payer-not-found"])
async def test_a_request_that_comes_to_nothing_takes_nothing_in(wallet: WalletRig, behaviour: str) -> None:
    prompt_id = await wallet.ask(number=number_of(behaviour, collects=True))

    await wallet.work()
    await wallet.pass_time(16.0, 60.0)

    assert (await wallet.prompt(prompt_id)).state is State.FAILED
    assert await wallet.balance(UNALLOCATED) == 0
    assert await wallet.agrees_with_the_rail()


async def test_a_callback_that_says_paid_books_nothing_until_it_is_so(wallet: WalletRig) -> None:
    await wallet.script("failed-callback-paid")
    prompt_id = await wallet.ask()

    await wallet.work()

    assert (await wallet.prompt(prompt_id)).state is State.FAILED
    assert await wallet.balance(COLLECTED) == 0
    assert await wallet.agrees_with_the_rail()
