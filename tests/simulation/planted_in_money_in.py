"""Bugs in what comes in: booked twice or not at all, given to the wrong one, asked for twice, believed unread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ledger.collections.prompt import Standing, State
from ledger.outbox.collecting import Channel, PromptFailed, PromptPaid, PromptPending
from tests.simulation.mutants import Change, part, planted_in_money_in

allocating, booking, order = (part(f"ledger.collections.{name}") for name in ("allocating", "booking", "order"))
directory, prompting = part("ledger.collections.directory"), part("ledger.collections.prompting")
shortcodes = part("ledger.collections.shortcodes")
prompts, receiving = part("ledger.prompts"), part("ledger.receiving")
recovery, asking, judging = part("adapters.recovery"), part("adapters.prompting"), part("adapters.prompt_judging")
arriving, stk_answers, dispatch = (
    part("adapters.receiving"),
    part("adapters.daraja.stk_answers"),
    part("adapters.dispatch"),
)


@planted_in_money_in
def receipt_booked_once_per_channel(change: Change) -> None:
    record = receiving.ReceiptRecorder.record

    async def generous(self: Any, driver: Any, *, told: Sequence[Any], **named: Any) -> Any:
        apart = [
            replace(one, received=replace(one.received, receipt=f"{one.received.receipt}P"))
            if one.channel is Channel.PULL
            else one
            for one in told
        ]
        return await record(self, driver, told=apart, **named)

    change(receiving.ReceiptRecorder, "record", generous)


@planted_in_money_in
def receipts_told_apart_by_their_bytes(change: Change) -> None:
    """Another form of the payer, and it is taken for another payment."""
    record = receiving.ReceiptRecorder.record

    async def literal(self: Any, driver: Any, *, told: Sequence[Any], **named: Any) -> Any:
        apart = [
            replace(
                one, received=replace(one.received, receipt=f"{one.received.receipt}-{one.received.payer.form.name}")
            )
            if one.received.payer
            else one
            for one in told
        ]
        return await record(self, driver, told=apart, **named)

    change(receiving.ReceiptRecorder, "record", literal)


@planted_in_money_in
def confirmation_believed_on_any_path(change: Change) -> None:
    find = arriving.find_paths

    async def generous(driver: Any, *, ledger_id: int, token_hashes: Sequence[bytes]) -> Any:
        any_path = shortcodes.Path("daraja", "600584", "confirmation")
        found = await find(driver, ledger_id=ledger_id, token_hashes=token_hashes)
        asked = await prompting.find_asked(driver, ledger_id=ledger_id, token_hashes=token_hashes)
        return {one: found.get(one, any_path) for one in token_hashes if one not in asked}

    change(arriving, "find_paths", generous)


@planted_in_money_in
def confirmation_acknowledged_and_dropped(change: Change) -> None:
    """What the list would bring anyway, it does not bring: dropped by its number."""
    record = receiving.ReceiptRecorder.record

    async def careless(self: Any, driver: Any, *, told: Sequence[Any], **named: Any) -> Any:
        kept = [one for one in told if not one.received.receipt.endswith("7")]
        if len(kept) < len(told):
            return [booking.NotOurs("dropped") for _ in told]
        return await record(self, driver, told=told, **named)

    change(receiving.ReceiptRecorder, "record", careless)


@planted_in_money_in
def list_moves_on_though_it_failed(change: Change) -> None:
    listing = recovery.Recovery._list

    async def hasty(self: Any, *given: Any) -> Any:
        received, _ = await listing(self, *given)
        return received, True

    change(recovery.Recovery, "_list", hasty)


@planted_in_money_in
def list_never_looks_back(change: Change) -> None:
    change(recovery, "OVERLAP", timedelta(0))


@planted_in_money_in
def nobody_lists(change: Change) -> None:
    async def idle(self: Any) -> int:
        return 0

    change(recovery.Recovery, "step", idle)


@planted_in_money_in
def prompt_sent_again_on_a_timeout(change: Change) -> None:
    submit = asking.PromptSubmission.carry_out

    async def eager(self: Any, call: Any) -> Any:
        found = await submit(self, call)
        return await submit(self, call) if isinstance(found, asking.OutcomeUnknown) else found

    change(asking.PromptSubmission, "carry_out", eager)


@planted_in_money_in
def prompt_sent_before_it_is_recorded(change: Change) -> None:
    """The phone is asked before the attempt is committed."""
    claim = dispatch.Dispatcher._claim

    async def calling(self: Any, connection: Any, *, token: int, limit: int) -> Any:
        count, calls = await claim(self, connection, token=token, limit=limit)
        self.early = {id(call): await self._carry_out(call) for call in calls if call.claimed.kind == "prompt.submit"}
        return count, calls

    carry_out = dispatch.Dispatcher._carry_out

    async def called(self: Any, call: Any) -> Any:
        early = getattr(self, "early", {})
        return early.pop(id(call)) if id(call) in early else await carry_out(self, call)

    change(dispatch.Dispatcher, "_claim", calling)
    change(dispatch.Dispatcher, "_carry_out", called)


@planted_in_money_in
def failed_query_believed_over_the_receipt(change: Change) -> None:
    """A prompt that failed takes no money any more."""

    def deaf(event: Any, state: State, *, told_paid: bool) -> Any:
        if event is prompts.Event.PAID and state is State.FAILED:
            return Standing.OUTDATED
        return transition(event, state, told_paid=told_paid)

    transition = prompts.transition
    change(prompts, "transition", deaf)
    change(prompting, "transition", deaf)


@planted_in_money_in
def pending_prompt_taken_for_failed(change: Change) -> None:
    read = stk_answers.read_query_answer

    def sure(*given: Any, **named: Any) -> Any:
        found = read(*given, **named)
        return PromptFailed("4999", "still under way") if isinstance(found, PromptPending) else found

    change(stk_answers, "read_query_answer", sure)


@planted_in_money_in
def prompt_callback_believed_unread(change: Change) -> None:
    """Whatever it says the amount is."""
    change(judging.PromptJudge, "_find_mismatch", lambda *_: None)


@planted_in_money_in
def prompt_never_asked_about(change: Change) -> None:
    async def idle(self: Any, *_: Any, **__: Any) -> None:
        return None

    change(prompts.PromptRecorder, "_follow_up", idle)
    change(prompting, "match_receipts", idle_match)
    change(receiving, "match_receipts", idle_match)


async def idle_match(driver: Any, **_: Any) -> None:
    """Matches nothing."""


@planted_in_money_in
def order_paid_after_it_expired(change: Change) -> None:
    refuses = order.refusal

    def lenient(money: Any, amount: Any, *, paid_at: Any) -> Any:
        late = replace(money, state=order.State.OPEN) if money.state is order.State.EXPIRED else money
        return refuses(replace(late, expires_at=paid_at + timedelta(days=1)), amount, paid_at=paid_at)

    change(order, "refusal", lenient)
    change(part("ledger.collections.ordering"), "refusal", lenient)


@planted_in_money_in
def orders_never_expire(change: Change) -> None:
    async def idle(driver: Any, **_: Any) -> int:
        return 0

    change(part("ledger.collections.ordering"), "expire_orders", idle)


@planted_in_money_in
def money_without_a_meaning_goes_to_the_newest(change: Change) -> None:
    find = allocating.find_targets

    async def generous(driver: Any, *, ledger_id: int, indices: Any) -> Any:
        found = await find(driver, ledger_id=ledger_id, indices=indices)
        wallet = directory.Target(directory.TargetKind.ACCOUNT, "liab.wallet.zuri")
        return {one: found.get(one, wallet) for one in indices}

    change(allocating, "find_targets", generous)


@planted_in_money_in
def suspense_asks_nobody(change: Change) -> None:
    async def silent(self: Any, *_: Any) -> None:
        return None

    change(receiving.ReceiptRecorder, "_review", silent)


@planted_in_money_in
def allocation_not_taken_off_the_receipt(change: Change) -> None:
    """Its money is given out, and waits all the same: the accounts say so, the receipt does not."""
    entry = allocating.allocated_entry

    def wrong(money: Any, amount: Any, **named: Any) -> Any:
        named["source_place"] = allocating.Place.UNALLOCATED
        return entry(money, amount, **named)

    change(allocating, "allocated_entry", wrong)


@planted_in_money_in
def decision_forgotten(change: Change) -> None:
    """The same decision under its request id is carried out again."""

    async def forgetful(*_: Any, **__: Any) -> None:
        return None

    change(receiving, "_answer", forgetful)
    keep = receiving._keep

    async def careless(driver: Any, ledger: Any, key: Any, result_id: int, now: Any) -> Any:
        fresh = replace_key(key, now)
        return await keep(driver, ledger, fresh, result_id, now)

    change(receiving, "_keep", careless)


def replace_key(key: Any, now: Any) -> Any:
    """Another request id each time."""
    return key._replace(key=f"{key.key[:30]}-{now.timestamp()}")


@planted_in_money_in
def two_payments_alike_taken_for_one(change: Change) -> None:
    """The same amount for the same account a moment later is believed to be told before."""
    find = booking.find_receipts

    async def alike(driver: Any, *, ledger_id: int, names: Any) -> Any:
        found = await find(driver, ledger_id=ledger_id, names=names)
        cursor = await driver.execute("SELECT receipt FROM receipts WHERE ledger_id = %s", (ledger_id,))
        known = sorted(row[0] for row in await cursor.fetchall())
        near = {name: ("daraja", known[-1]) for name in names if name not in found and known[-1:] > [""]}
        others = await find(driver, ledger_id=ledger_id, names=set(near.values())) if near else {}
        same = {name: others[other] for name, other in near.items() if other in others}
        return found | {name: one for name, one in same.items() if one.amount.minor_units == 50_000}

    change(booking, "find_receipts", alike)


@planted_in_money_in
def prompt_paid_without_a_receipt_ends(change: Change) -> None:
    """The word of a question that it is paid is taken for the money."""
    read = stk_answers.read_query_answer

    def sure(*given: Any, **named: Any) -> Any:
        found = read(*given, **named)
        return PromptFailed("0", "paid, they say") if isinstance(found, PromptPaid) else found

    change(stk_answers, "read_query_answer", sure)
