"""What others do: the provider, its callbacks and the inbound door, silence, the partner, an operator. Each step is one
commit, or one thing that happens outside, as in adapters.inbound, adapters.silence and ledger.resolutions."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

from adapters import judging
from ledger import resolutions
from ledger.errors import ReviewNotResolvable
from ledger.outbox.instruction import Failed, Settled
from ledger.payouts.outcome import Cancelled
from ledger.payouts.payout import State
from ledger.payouts.reviews import Review
from ledger.resolutions import Resolution, Verb
from tests.lifecycle import books, working
from tests.lifecycle.books import MOMENT, Ground, Saying, payout, record
from tests.lifecycle.working import Steps
from tests.lifecycle.world import (
    MISTYPED,
    TRUE_RECEIPT,
    Case,
    Known,
    Place,
    Surroundings,
    Suspense,
    Told,
    World,
)

_QUEUES = {
    Case.SUBMIT_UNKNOWN: "submit-unknown",
    Case.NOT_SENT: "not-sent",
    Case.CONFLICT: "provider-conflict",
    Case.HELD_TRUE: "provider-conflict",
    Case.HELD_MISTYPED: "provider-conflict",
}
_MESSAGES = {
    Told.PAID: books.SETTLED[TRUE_RECEIPT],
    Told.FAILED: books.FAILED,
    Told.CONFIRMED_PAID: books.SETTLED[TRUE_RECEIPT],
    Told.CONFIRMED_FAILED: books.FAILED,
}
_HELD = {Case.HELD_TRUE: TRUE_RECEIPT, Case.HELD_MISTYPED: MISTYPED}
_ABOUT_SUSPENSE = {Verb.CHARGE: books.CHARGED, Verb.CLAW_BACK: books.CLAWED_BACK, Verb.REFUTE: books.REFUTED}


def providers(world: World, around: Surroundings) -> Steps:
    """Late requests arrive, requests are paid or fail; a liar calls failed what it pays."""
    provider = world.provider
    if provider.delayed:
        arrived = provider._replace(delayed=provider.delayed - 1)
        if around.refuses_repeats and provider.seen:
            yield "a late request arrives and is refused as a repeat", world._replace(provider=arrived)
        else:
            yield "a late request arrives and is taken in", world._replace(provider=working.take_in(arrived))
    if provider.pending:
        decided = provider._replace(pending=provider.pending - 1)
        paid = world._replace(provider=decided._replace(moved=provider.moved + 1), said=world.said | Told.PAID)
        yield "the provider pays", paid
        failed = world._replace(provider=decided._replace(failed=True), said=world.said | Told.FAILED)
        yield "the provider fails", failed
    if around.lies and (provider.pending or provider.moved) and not world.said & Told.FAILED:
        yield "the provider says that it failed, which is not true", world._replace(said=world.said | Told.FAILED)


def deliveries(world: World, around: Surroundings) -> Steps:
    """A message reaches the callback edge, once more perhaps, and is stored."""
    for message in _MESSAGES:
        if world.said & message and not world.stored & message:
            yield f"the edge stores a message: {_word(message)}", world._replace(stored=world.stored | message)


def judgements(world: World, around: Surroundings) -> Steps:
    """A worker judges a stored message."""
    for message in _MESSAGES:
        if world.stored & message:
            judged = judge(world._replace(stored=world.stored & ~message), message, around)
            yield f"a worker judges the message: {_word(message)}", judged


def judge(world: World, message: Told, around: Surroundings) -> World:
    """What the inbound door makes of a matched message. A success must leave a trace in the books."""
    saying = _MESSAGES[message]
    is_result = message in {Told.PAID, Told.FAILED}
    if is_result and around.confirms and needs_confirmation(saying, world.state):
        return books.learn(record(world, books.UNCLEAR, ground=Ground.GUESS), Known.RECEIPT)
    after = record(world, saying, ground=Ground.WORD)
    given_back = after.place is Place.WITH_PARTNER and world.place is not after.place
    if around.confirms and given_back and (world.provider.moved or world.provider.pending):
        return after._replace(wrong="so large a payout is given back, and it was or will be paid")
    if saying is books.FAILED or after.receipt == TRUE_RECEIPT or after.held_true is not Suspense.NEVER_BOOKED:
        return after
    return after._replace(wrong="the provider's word of a success is booked nowhere")


@cache
def needs_confirmation(saying: Saying, state: State) -> bool:
    """Whether adapters.judging asks about a result of that size before it is booked."""
    assert isinstance(saying.outcome, Settled | Failed)
    return judging._needs_confirmation(saying.outcome, payout(state, ""), 0)


def silences(world: World, around: Surroundings) -> Steps:
    """No result came in time."""
    if world.state is State.SUBMITTED:
        yield "silence is called unknown", call_silence_unknown(world)


def call_silence_unknown(world: World) -> World:
    """As adapters.silence: no result proves nothing."""
    return record(world, books.UNCLEAR, ground=Ground.GUESS)


def partners(world: World, around: Surroundings) -> Steps:
    """The partner takes the payout back, if it may."""
    if books.is_applied(world, books.CANCELLED):
        yield "the partner cancels", record(world, books.CANCELLED, ground=Ground.CANCELLATION)


def operators(world: World, around: Surroundings) -> Steps:
    """A person closes an open case with any verb the product lets it take: rightly or, but for settling, wrongly."""
    for case in _QUEUES:
        if not world.cases & case:
            continue
        for verb in Verb:
            for saying in _sayings(verb, case, world, around):
                closed = books.without_case(world, case)
                if saying is None:
                    yield f"an operator dismisses the case {case.name}", closed
                elif books.is_applied(closed, saying):
                    words = f"an operator closes the case {case.name} with {verb.value} {saying.receipt}".strip()
                    yield words, record(closed, saying, ground=Ground.DECISION)


def _sayings(verb: Verb, case: Case, world: World, around: Surroundings) -> list[Saying | None]:
    receipts = [""]
    if verb is Verb.SETTLE:
        # On evidence: what the provider's portal shows as paid, though the receipt may be copied wrongly.
        receipts = [TRUE_RECEIPT, *([MISTYPED] if around.mistypes else [])] if world.provider.moved else []
    return [saying for receipt in receipts for saying in decided(verb, case, receipt, world.state, world.receipt)]


def forget() -> None:
    """What a person may do, and what is asked about, may have changed: everything is decided anew."""
    decided.cache_clear()
    needs_confirmation.cache_clear()


@cache
def decided(verb: Verb, case: Case, receipt: str, state: State, settled_by: str) -> tuple[Saying | None, ...]:
    """What ledger.resolutions makes of a decision: the outcome to record, None for a case that is only closed; nothing
    where it refuses."""
    review, stands = _review(case), payout(state, settled_by)
    resolution = Resolution(verb=verb, evidence="seen", receipt=receipt)
    try:
        if verb is Verb.DISMISS:
            resolutions._check_dismissible(review, stands)
            return (None,)
        outcome = resolutions._outcome(review, stands, resolution, MOMENT)
    except ReviewNotResolvable:
        return ()
    if isinstance(outcome, Settled):
        return (books.SETTLED[outcome.receipt],)
    if verb in _ABOUT_SUSPENSE:
        return (_ABOUT_SUSPENSE[verb][_HELD[case]],)
    return (books.CANCELLED if isinstance(outcome, Cancelled) else books.FAILED,)


def _review(case: Case) -> Review:
    nothing: dict[str, Any] = dict.fromkeys(one.name for one in fields(Review))
    held = books.ENTRIES[_HELD[case]] if case in _HELD else None
    told = {"id": 1, "queue": _QUEUES[case], "payout_id": 1, "reason": "", "held_entry_id": held, "opened_at": MOMENT}
    return Review(**nothing | told)


def _word(message: Told) -> str:
    return str(message.name).lower().replace("_", " ")
