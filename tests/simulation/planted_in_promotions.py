"""Bugs in promotions and in the wallet that pays them: two winners, guesses without end, hints believed, paid twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adapters.momo.answers import Meaning
from ledger.outbox.instruction import Failed, Rejected, Settled
from ledger.promotions.attempts import Tally
from ledger.promotions.batch import State
from tests.simulation.actors import current
from tests.simulation.mutants import Change, part, planted_in_promotions

judging, reading, redeeming, expiring, retrying, following = (
    part(f"ledger.promotions.{name}")
    for name in ("judging", "reading", "redeeming", "expiring", "retrying", "following")
)
client, outcomes, request, session = (
    part(f"adapters.momo.{name}") for name in ("client", "outcomes", "request", "session")
)
inquiry = part("adapters.inquiry")


# Phones and codes.


@planted_in_promotions
def two_winners_of_a_code(change: Change) -> None:
    """A code that was redeemed still looks live."""

    def fresh(row: Any) -> Any:
        _, batch_id, number, *_ = row
        return judging.CodeFacts(batch_id, number, judging.LIVE)

    change(reading, "_code", fresh)


@planted_in_promotions
def thanked_before_the_commit(change: Change) -> None:
    """What was redeemed is undone, and the phone was told."""
    redeem = redeeming.Redeemer.redeem

    async def hasty(self: Any, driver: Any, **given: Any) -> Any:
        results = await redeem(self, driver, **given)
        await driver.execute("ROLLBACK")
        return results

    change(redeeming.Redeemer, "redeem", hasty)


@planted_in_promotions
def payout_bound_to_two_codes(change: Change) -> None:
    requested = redeeming.request_payouts

    async def shared(driver: Any, **given: Any) -> Any:
        verdicts = await requested(driver, **given)
        found = await (await driver.execute("SELECT min(id) FROM payouts")).fetchone()
        return [
            redeeming.Requested(found[0], one.replayed) if isinstance(one, redeeming.Requested) else one
            for one in verdicts
        ]

    change(redeeming, "request_payouts", shared)


@planted_in_promotions
def throttle_of_one_process_only(change: Change) -> None:
    """Each process counts the wrong codes that it has seen itself."""
    read, write = redeeming.read_facts, redeeming.write_wrong
    seen: dict[tuple[str, bytes], Tally] = {}

    def here() -> str:
        actor = current.get()
        return actor.process if actor is not None else ""

    async def forgetful(driver: Any, **given: Any) -> Any:
        facts = await read(driver, **given)
        now = given["now"]
        return replace(
            facts, phones={one: seen.get((here(), one), Tally(now)).at(now, given["rules"]) for one in facts.phones}
        )

    async def noting(driver: Any, *, judged: Any, **given: Any) -> None:
        seen.update({(here(), phone): tally for phone, tally in judged.phones.items()})
        await write(driver, judged=judged, **given)

    change(redeeming, "read_facts", forgetful)
    change(redeeming, "write_wrong", noting)


@planted_in_promotions
def nobody_counts_wrong_codes(change: Change) -> None:
    async def careless(*_given: Any, **_named: Any) -> None:
        return None

    change(redeeming, "write_wrong", careless)


@planted_in_promotions
def repeated_hop_judged_anew(change: Change) -> None:
    """A wrong code that the telco sends again counts again, until the phone is told to wait."""

    def forgetful(self: Any, attempt: bytes, *, now: Any) -> Any:
        return replace(self, wrong=self.wrong + 1)

    change(judging.Tally, "with_wrong", forgetful)


@planted_in_promotions
def used_codes_sound_otherwise(change: Change) -> None:
    """Whoever types a code that another has used is told that it was genuine."""
    verdict = judging._Bench.verdict

    def telling(self: Any, index: int, order: Any) -> Any:
        found, code = verdict(self, index, order), self._facts.codes.get(order.code_hash)
        if isinstance(found, judging.Refused) and code is not None and code.state == "REDEEMED":
            return judging.Refused(part("ledger.promotions.refusals").CodeNotLive("it was used", field="code"))
        return found

    change(judging._Bench, "verdict", telling)


@planted_in_promotions
def expired_code_paid(change: Change) -> None:
    def timeless(self: Any, code: Any) -> Any:
        if code is None or code.state != judging.LIVE:
            return None
        offer = self._facts.offers[code.batch_id]
        return offer if offer.batch.owes else None

    change(judging._Bench, "_offer", timeless)


@planted_in_promotions
def code_of_a_draft_paid(change: Change) -> None:
    def hasty(self: Any, code: Any) -> Any:
        if code is None or code.state != judging.LIVE:
            return None
        return self._facts.offers[code.batch_id]

    change(judging._Bench, "_offer", hasty)


@planted_in_promotions
def paused_batch_redeems(change: Change) -> None:
    offer = judging._Bench._offer

    def restless(self: Any, code: Any) -> Any:
        found = offer(self, code)
        if found is None or found.batch.state is not State.PAUSED:
            return found
        return replace(found, batch=replace(found.batch, state=State.ACTIVE))

    change(judging._Bench, "_offer", restless)


@planted_in_promotions
def limit_of_a_phone_forgotten(change: Change) -> None:
    read = redeeming.read_facts

    async def forgetful(driver: Any, **given: Any) -> Any:
        return replace(await read(driver, **given), uses={})

    change(redeeming, "read_facts", forgetful)


@planted_in_promotions
def stolen_code_stays_live(change: Change) -> None:
    """The desk is told that it is done."""
    desk = part("ledger.promotions.desk")

    async def idle(*_given: Any, **_named: Any) -> bool:
        return False

    change(desk.BatchDesk, "take_code", idle)


# Batches and their money.


@planted_in_promotions
def liability_not_lowered(change: Change) -> None:
    """What winners are owed comes out of the partner's money once more, and the codes stay owed."""
    redeemed = redeeming.redeemed_entry

    def twice(batch: Any, **given: Any) -> Any:
        entry = redeemed(batch, **given)
        first, *rest = entry.postings
        return replace(entry, postings=(replace(first, account=batch.source), *rest))

    change(redeeming, "redeemed_entry", twice)


@planted_in_promotions
def batches_never_expire(change: Change) -> None:
    async def nobody(*_given: Any, **_named: Any) -> set[int]:
        return set()

    change(expiring.Expirer, "find_ledgers", nobody)


@planted_in_promotions
def expiry_gives_nothing_back(change: Change) -> None:
    change(expiring, "ending", lambda *_given, **_named: None)


# Winners whose payout failed.


@planted_in_promotions
def failed_payout_never_tried_again(change: Change) -> None:
    async def nobody(*_given: Any, **_named: Any) -> set[int]:
        return set()

    change(retrying.Retrier, "find_ledgers", nobody)


@planted_in_promotions
def failure_not_told_to_the_redemption(change: Change) -> None:
    async def deaf(*_given: Any, **_named: Any) -> None:
        return None

    change(following, "follow_payouts", deaf)


@planted_in_promotions
def retry_goes_to_another_phone(change: Change) -> None:
    read = retrying.read_payees

    async def mixed(driver: Any, **given: Any) -> Any:
        found = await read(driver, **given)
        stranger = part("ledger.msisdn").Msisdn("250789999999")
        return dict.fromkeys(found, stranger)

    change(retrying, "read_payees", mixed)


# The wallet.


@planted_in_promotions
def hint_believed_without_a_status_read(change: Change) -> None:
    """A callback ends a payout, though nobody signs it."""
    judge, hint = part("adapters.judging"), part("adapters.judging")._hint

    def credulous(message: Any, read: Any, intent: Any) -> Any:
        told = outcomes.read_told(part("json").loads(message.raw))
        found: Any = Failed(told.reason or "FAILED", "") if told.status == outcomes.FAILED else None
        if told.status == outcomes.SUCCESSFUL and told.receipt and told.amount:
            found = Settled(told.receipt, told.amount, part("tests.simulation.clock").START)
        if found is None:
            return hint(message, read, intent)
        payout_id = intent.payout.id
        report = judge.Report(payout_id=payout_id, outcome=found, source=judge.Source.CALLBACK, actor="x")
        return judge.Judged(message, report, judge.verdict_on(message, "matched", None, payout_id))

    change(judge, "_hint", credulous)


@planted_in_promotions
def missing_taken_for_failed(change: Change) -> None:
    """The status read lags: what is not found yet is given up, and the winner is paid again."""
    query = client.MomoRail.query_payout

    async def hasty(self: Any, inquired: Any, urls: Any) -> Any:
        found = await query(self, inquired, urls)
        return Failed("404", "no such transfer") if "HTTP 404" in str(getattr(found, "reason", "")) else found

    change(client.MomoRail, "query_payout", hasty)


@planted_in_promotions
def pending_taken_for_failed(change: Change) -> None:
    def hasty(told: Any) -> Any:
        return told.status if told.status != outcomes.SUCCESSFUL else None

    change(outcomes, "_failure", hasty)


@planted_in_promotions
def duplicate_taken_for_a_refusal(change: Change) -> None:
    """A reference that exists was taken in before: giving up on it pays the winner again."""
    create = client.create

    async def sure(momo: Any, asked: Any, platform: Any, *, external_id: str) -> Any:
        answer = await momo.call(asked, platform=platform)
        if getattr(answer, "meaning", None) is Meaning.DUPLICATE:
            return Rejected(answer.code, answer.description)
        return await create(momo, asked, platform, external_id=external_id)

    change(client, "create", sure)


@planted_in_promotions
def error_taken_for_a_refusal(change: Change) -> None:
    answers = part("adapters.momo.answers")
    meaning = answers._meaning

    def sure(status: int, *given: Any, **named: Any) -> Any:
        found = meaning(status, *given, **named)
        return Meaning.REFUSED if found is Meaning.UNPROVEN and status >= 500 else found

    change(answers, "_meaning", sure)


@planted_in_promotions
def sent_again_under_a_new_reference(change: Change) -> None:
    drawn = request.reference_id
    calls: list[str] = []

    def fresh(name: str) -> str:
        calls.append(name)
        return str(drawn(f"{name}/{calls.count(name)}"))

    creation = request._creation

    def renamed(product: Any, path: str, name: str, document: Any, callback_url: str) -> Any:
        made = creation(product, path, name, document, callback_url)
        return replace(made, reference=fresh(name))

    change(request, "_creation", renamed)


@planted_in_promotions
def repeat_goes_to_the_new_platform(change: Change) -> None:
    """After the move what is unknown on the old platform is sent, and asked about, on the new one."""

    def newest(self: Any, name: str) -> Any:
        return self.platform

    change(session.MomoSession, "platform_named", newest)


@planted_in_promotions
def nobody_asks_what_became_of_it(change: Change) -> None:
    change(inquiry, "ASKED_ABOUT", frozenset())


@planted_in_promotions
def winner_paid_ten_times_as_much(change: Change) -> None:
    """RWF has no decimals, and somebody thinks it has one."""
    amounts = part("adapters.momo.amounts")
    text = amounts.amount_text

    def larger(amount: Any, **given: Any) -> Any:
        return text(amount, **given) + "0"

    change(amounts, "amount_text", larger)
