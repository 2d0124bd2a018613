"""Asking providers what they hold: stored before the call, granted for it, answered by callback, compared with the
books."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import pytest

from adapters.balances import BalanceWatch
from adapters.dispatch import fresh_token, hash_token
from adapters.grants import current_grant
from adapters.provider import BalanceAnswer, CallbackUrls, PayoutRail
from ledger import floats
from ledger.database import transaction
from ledger.errors import VaultSealed
from ledger.floats import FloatPosition
from ledger.ids import IdSource
from ledger.outbox.instruction import Acknowledged, NotSent, OutcomeUnknown
from ledger.vault import Grant
from tests.adapters.daraja.examples import example
from tests.journeys.messages import GARBAGE, result
from tests.journeys.rig import Rig
from tests.ledger.payouts.shop import FLOAT

INTERVAL = timedelta(minutes=15)
ANSWER = "account-balance-result.json"
# What the documented answer says, in cents.
SAID = {"utility": 120_431_050, "working": 34_021_550, "charges_paid": -48_600}


@dataclass
class AskedRail:
    """A provider that acknowledges, or does what a test wants; keeps what it was asked and by which right."""

    rig: Rig
    answer: BalanceAnswer = field(default_factory=Acknowledged)
    asked: list[tuple[str, CallbackUrls]] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    stored: list[int] = field(default_factory=list)

    async def query_balance(self, shortcode: str, callback_urls: CallbackUrls) -> BalanceAnswer:
        """Keeps the question."""
        self.asked.append((shortcode, callback_urls))
        self.grants.append(current_grant())
        found = await self.rig.rows(
            "SELECT FROM balance_queries WHERE ledger_id = :ledger AND token_hash = :token",
            token=self.grants[-1].token_hash,
        )
        self.stored.append(len(found))
        return self.answer

    def token(self) -> str:
        """The secret of the newest question's path."""
        return self.asked[-1][1].result_url.rpartition("/")[2]


def watch_of(rig: Rig, rail: AskedRail, *, name: str = "daraja") -> BalanceWatch:
    """A worker's watch over this rail."""
    return BalanceWatch(
        engine=rig.engine,
        rails={name: cast(PayoutRail, rail)},
        ids=IdSource(random.Random(3)),
        tokens=fresh_token,
        now=rig.now,
        public_url="http://127.0.0.1:9",
        interval=INTERVAL,
    )


async def positions(rig: Rig) -> dict[str, FloatPosition]:
    """By sub-account."""
    async with transaction(rig.engine) as connection:
        return {one.sub_account: one for one in await floats.float_positions(connection, ledger_id=rig.ledger.id)}


async def test_a_question_is_stored_before_it_is_asked_and_carries_the_right_to_the_vault(rig: Rig) -> None:
    rail = AskedRail(rig)

    count = await watch_of(rig, rail).step()

    ((shortcode, urls),) = rail.asked
    assert (count, shortcode, rail.stored) == (1, "600584", [1])
    assert rail.grants == [Grant(rig.ledger.id, hash_token(rail.token()), "balance 600584")]
    assert urls.result_url == f"http://127.0.0.1:9/callbacks/{rig.ledger.id}/daraja/result/{rail.token()}"
    assert urls.timeout_url == f"http://127.0.0.1:9/callbacks/{rig.ledger.id}/daraja/timeout/{rail.token()}"
    with pytest.raises(VaultSealed):
        current_grant()


async def test_each_shortcode_is_asked_once_per_interval_whatever_the_answer(rig: Rig) -> None:
    for answer in (Acknowledged(), NotSent("429"), OutcomeUnknown("no answer")):
        rail = AskedRail(rig, answer)
        watch = watch_of(rig, rail)

        counts = []
        for _ in range(31):
            counts.append(await watch.step())
            rig.clock.advance(seconds=60)

        assert [minute for minute, count in enumerate(counts) if count] == [0, 15, 30]
        assert len({urls.result_url for _, urls in rail.asked}) == 3
        rig.clock.advance(seconds=900)


async def test_a_rail_that_is_not_run_here_is_not_asked(rig: Rig) -> None:
    rail = AskedRail(rig)

    assert await watch_of(rig, rail, name="momo").step() == 0
    assert rail.asked == []


async def test_the_answer_is_kept_as_the_providers_word_and_posts_nothing(rig: Rig) -> None:
    rail = AskedRail(rig)
    await watch_of(rig, rail).step()
    entries = await rig.rows("SELECT count(*) FROM journal_entries WHERE ledger_id = :ledger")

    await rig.receive(rail.token(), example(ANSWER))
    await rig.inbound.step(limit=10)

    found = await positions(rig)
    assert {name: found[name].asserted for name in SAID} == SAID
    assert {found[name].source for name in SAID} == {"query"}
    assert found["utility"].drift == rig.float_opening - SAID["utility"]
    assert await rig.verdicts() == [("applied", None)]
    assert await rig.rows("SELECT count(*) FROM journal_entries WHERE ledger_id = :ledger") == entries
    assert await rig.reviews() == []


async def test_a_second_answer_is_history_too(rig: Rig) -> None:
    rail = AskedRail(rig)
    await watch_of(rig, rail).step()

    for _ in range(2):
        await rig.receive(rail.token(), example(ANSWER))
        await rig.inbound.step(limit=10)

    kept = await rig.rows("SELECT count(*) FROM float_assertions WHERE ledger_id = :ledger AND sub_account = 'utility'")
    assert kept == [(2,)]
    assert (await positions(rig))["utility"].asserted == SAID["utility"]


async def test_an_answer_on_a_path_nobody_was_given_is_an_orphan_and_is_not_believed(rig: Rig) -> None:
    await watch_of(rig, AskedRail(rig)).step()

    await rig.receive("0" * 64, example(ANSWER))
    await rig.judge_for_good()

    assert [verdict for verdict, _ in await rig.verdicts()] == ["orphan"]
    assert (await positions(rig))["utility"].asserted is None


async def test_what_nobody_can_read_on_a_balances_path_parks_only_itself(rig: Rig) -> None:
    rail = AskedRail(rig)
    await watch_of(rig, rail).step()

    for body in GARBAGE.values():
        await rig.receive(rail.token(), body)
    await rig.receive(rail.token(), example(ANSWER))
    for _ in range(4):
        await rig.inbound.step(limit=100)
        rig.clock.advance(seconds=60)

    verdicts = [verdict for verdict, _ in await rig.verdicts()]
    assert verdicts == ["unanswered"] * len(GARBAGE) + ["applied"]
    assert (await positions(rig))["utility"].asserted == SAID["utility"]


async def test_a_payments_result_on_a_balances_path_settles_nothing(rig: Rig) -> None:
    rail, payout_id = AskedRail(rig), await rig.request()
    await watch_of(rig, rail).step()

    await rig.receive(rail.token(), result((await rig.payout(payout_id)).provider_reference))
    await rig.inbound.step(limit=10)

    assert await rig.state(payout_id) == "RESERVED"
    assert (await positions(rig))["utility"].asserted is None


async def test_balances_on_a_payments_path_are_not_believed(rig: Rig) -> None:
    payout_id = await rig.request(msisdn="254700000201")
    await rig.dispatcher.step()

    await rig.call_back(payout_id, example(ANSWER))
    await rig.inbound.step(limit=10)

    assert await rig.state(payout_id) in ("SUBMITTED", "UNKNOWN")
    assert (await positions(rig))["utility"].asserted is None


async def test_the_real_rail_asks_the_gateway_and_its_answer_comes_in_by_the_edge(rig: Rig) -> None:
    watch = rig.application.balance_watch(public_url=rig.public_url)

    await watch.step()
    await rig.sandbox.idle()
    await rig.inbound.step(limit=10)

    found = await positions(rig)
    assert found["utility"].asserted is not None
    assert found["utility"].drift == rig.float_opening - found["utility"].asserted
    assert await rig.verdicts() == [("applied", None)]


async def test_a_payouts_result_says_what_is_left_and_the_newest_word_wins(rig: Rig) -> None:
    payout_id = await rig.request(shillings=1_500)

    await rig.work_until_quiet()

    utility = (await positions(rig))["utility"]
    assert await rig.state(payout_id) == "SETTLED"
    assert utility.source == "payout"
    assert utility.balance == rig.float_opening - 150_000


async def test_money_that_left_past_the_books_is_one_case_however_often_it_is_seen(rig: Rig) -> None:
    """The documented thief sends payments straight to the provider, with our credentials."""
    rig.clock.advance(seconds=3600)
    stolen = example(ANSWER).replace(b"1204310.50|1204310.50", b"999000.00|999000.00")
    stolen = stolen.replace(b"20260901101542", b"20260901111542")  # an hour later
    for _ in range(3):
        rail = AskedRail(rig)
        await watch_of(rig, rail).step()
        await rig.receive(rail.token(), stolen)
        await rig.inbound.step(limit=10)
        rig.clock.advance(seconds=900)

    reasons = await rig.rows("SELECT queue, reason FROM reviews WHERE ledger_id = :ledger")
    why = f"{FLOAT} holds less than the books and everything in flight explain; see `daftari status`"
    assert [tuple(row) for row in reasons] == [("unledgered-movement", why)]
