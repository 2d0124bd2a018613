"""What recording an outcome does to a world: the real judgement of ledger.outcomes, and the moves of money,
instructions and cases that come with it. One commit."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from functools import cache

from ledger import outcomes
from ledger.money import Money
from ledger.outbox.instruction import Acknowledged, Failed, NotSent, OutcomeUnknown, Rejected, Settled
from ledger.payouts.outcome import Cancelled, Charged, ClawedBack, Outcome, Refuted, Started, event_of
from ledger.payouts.payout import (
    OPEN_STATES,
    Effect,
    Event,
    Move,
    Standing,
    State,
    Stay,
    Suspended,
    receipt_subject,
)
from ledger.payouts.writing import LockedPayout
from tests.lifecycle.world import (
    MISTYPED,
    TRUE_RECEIPT,
    Case,
    Instruction,
    Kind,
    Known,
    Phase,
    Place,
    Suspense,
    Told,
    World,
)

_PAYOUT_ID, _RAIL = 1, "rail"
_AMOUNT, MOMENT = Money("KES", 150_000), datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ENTRIES = {TRUE_RECEIPT: 11, MISTYPED: 12}
_HELD_CASES = {TRUE_RECEIPT: Case.HELD_TRUE, MISTYPED: Case.HELD_MISTYPED}
_DECIDED = {
    Effect.CHARGE: Suspense.CHARGED,
    Effect.CLAW_BACK: Suspense.CLAWED_BACK,
    Effect.REFUTE: Suspense.REFUTED,
}
WAITING = (State.RESERVED, State.SUBMITTING)
RUNNING = (Phase.DUE, Phase.LEASED)


class Ground(enum.Enum):
    """What an outcome rests on."""

    WORD = "the provider's word"
    DECISION = "an operator's decision"
    CANCELLATION = "the partner's wish"
    GUESS = "nobody's word"


class Saying:
    """An outcome that may be recorded, and the receipt it names. There is one object of each."""

    def __init__(self, outcome: Outcome, receipt: str = "") -> None:
        self.outcome = outcome
        self.receipt = receipt

    @property
    def event(self) -> Event:
        """The event of the state table it stands for."""
        return event_of(self.outcome)


STARTED, ACKNOWLEDGED, NOT_SENT = Saying(Started()), Saying(Acknowledged()), Saying(NotSent(""))
UNCLEAR, REJECTED, FAILED = Saying(OutcomeUnknown("")), Saying(Rejected("", "")), Saying(Failed("", ""))
CANCELLED = Saying(Cancelled(""))
SETTLED = {receipt: Saying(Settled(receipt, _AMOUNT, MOMENT), receipt) for receipt in ENTRIES}
CHARGED = {receipt: Saying(Charged("", entry), receipt) for receipt, entry in ENTRIES.items()}
CLAWED_BACK = {receipt: Saying(ClawedBack("", entry), receipt) for receipt, entry in ENTRIES.items()}
REFUTED = {receipt: Saying(Refuted("", entry), receipt) for receipt, entry in ENTRIES.items()}


def record(world: World, saying: Saying, *, ground: Ground) -> World:
    """The world after an outcome was recorded. What must not be done is done, and told as `wrong`."""
    move = _verdict(saying, world)
    if isinstance(move, Standing):
        return with_case(world, Case.CONFLICT) if move is Standing.CONFLICT else world
    after = _post(world, move.effect, saying, ground)
    if isinstance(move, Move):
        after = _change(after, move.target, saying, ground)
    if after.state not in WAITING:
        after = complete(after)
    became_unknown = isinstance(move, Move) and move.target is State.UNKNOWN
    return enqueue(after, Kind.QUERY) if became_unknown else after


def is_applied(world: World, saying: Saying) -> bool:
    """Whether recording it would move the payout or money."""
    return not isinstance(_verdict(saying, world), Standing)


def complete(world: World) -> World:
    """As queue.complete: all instructions of the payout end."""
    for kind in Kind:
        instruction = world.instruction(kind)
        if instruction.phase in RUNNING:
            world = world.with_instruction(kind, instruction._replace(phase=Phase.DONE))
    return world


def enqueue(world: World, kind: Kind) -> World:
    """As queue.enqueue: at most one of each kind, ever."""
    known = world.instruction(kind).phase is not Phase.ABSENT
    return world if known else world.with_instruction(kind, Instruction(Phase.DUE))


def learn(world: World, known: Known) -> World:
    """The provider's id is kept; what was asked about often enough without it is asked about once more."""
    if world.known & known:
        return world
    world = world._replace(known=world.known | known, learned=True)
    if world.state is State.UNKNOWN and world.query.phase is Phase.DONE:
        world = world._replace(query=world.query._replace(phase=Phase.DUE))
    return world


def with_case(world: World, case: Case) -> World:
    """With the case open."""
    return world if world.cases & case else world._replace(cases=world.cases | case)


def without_case(world: World, case: Case) -> World:
    """With the case closed."""
    return world._replace(cases=world.cases & ~case) if world.cases & case else world


def _verdict(saying: Saying, world: World) -> Move | Stay | Standing:
    return judge(saying, world.state, world.receipt, world.held_true, world.held_mistyped)


# Which cells of the state table were asked about since somebody forgot what was judged.
ASKED: set[tuple[Event, State]] = set()


def forget() -> None:
    """The table may have changed: everything is judged anew."""
    judge.cache_clear()
    ASKED.clear()


@cache
def judge(
    saying: Saying, state: State, receipt: str, held_true: Suspense, held_mistyped: Suspense
) -> Move | Stay | Standing:
    """What the ledger itself makes of an outcome. Remembered, for a search asks the same again and again."""
    ASKED.add((saying.event, state))
    held = {TRUE_RECEIPT: held_true, MISTYPED: held_mistyped}
    booked = [one for one, stands in held.items() if stands is not Suspense.NEVER_BOOKED]
    others_wait = any(stands is Suspense.UNDECIDED for one, stands in held.items() if one != saying.receipt)
    known = outcomes.Known(
        owners={(_RAIL, one): _PAYOUT_ID for one in ENTRIES},
        # Receipts are only looked up there once the payout is not open any more.
        suspended=frozenset(receipt_subject(rail=_RAIL, receipt=one).id for one in booked if state not in OPEN_STATES),
        held={ENTRIES[one]: Suspended(ENTRIES[one], one, MOMENT, ()) for one in booked},
        doubly_held=frozenset({_PAYOUT_ID} if others_wait else ()),
    )
    return outcomes.judge(saying.outcome, payout(state, receipt), known)


def _post(world: World, effect: Effect, saying: Saying, ground: Ground) -> World:
    """The entry of an effect, and what is wrong with it, if anything is."""
    resting = Place.UNKNOWN if world.state is State.UNKNOWN else Place.IN_TRANSIT
    match effect:
        case Effect.NONE:
            return world
        case Effect.PARK:
            return _move(world, Place.IN_TRANSIT, Place.UNKNOWN, effect)
        case Effect.SETTLE:
            return _move(_checked(world, _fault_of_success(world)), resting, Place.GONE, effect)
        case Effect.RELEASE:
            fault = _fault_of_release(world, saying.event, ground)
            return _move(_checked(world, fault), resting, Place.WITH_PARTNER, effect)
        case Effect.LATE_SUCCESS:
            booked = _suspend(world, saying.receipt, Suspense.NEVER_BOOKED, Suspense.UNDECIDED)
            return with_case(_checked(booked, _fault_of_success(world)), _HELD_CASES[saying.receipt])
        case Effect.CHARGE | Effect.CLAW_BACK | Effect.REFUTE:
            return _suspend(world, saying.receipt, Suspense.UNDECIDED, _DECIDED[effect])


def _checked(world: World, fault: str) -> World:
    return world._replace(wrong=fault) if fault else world


def _move(world: World, source: Place, target: Place, effect: Effect) -> World:
    if world.place is not source:
        return world._replace(wrong=f"{effect.value} takes money from {source.name}, and it is {world.place.name}")
    return world._replace(place=target)


def _suspend(world: World, receipt: str, before: Suspense, after: Suspense) -> World:
    stands = world.held(receipt)
    if stands is not before:
        return world._replace(wrong=f"what left under a receipt is {stands.name} and becomes {after.name}")
    return world._replace(held_true=after) if receipt == TRUE_RECEIPT else world._replace(held_mistyped=after)


def _fault_of_success(world: World) -> str:
    return "" if world.provider.moved else "a success is booked although the provider moved no money"


def _fault_of_release(world: World, event: Event, ground: Ground) -> str:
    provider = world.provider
    may_arrive = provider.seen or provider.delayed > 0
    if ground is Ground.GUESS:
        return f"the partner is given the money back on {ground.value}: {event.value}"
    called = may_arrive and not provider.misjudged
    if event is Event.CANCELLED and (called or any(one.kind is Kind.SUBMIT for one in world.workers)):
        return "a payout is cancelled although it may have left"
    if event is Event.REJECTED and may_arrive:
        return "the partner is given the money back on the refusal of one try, and another may have left"
    if event is Event.FAILED and ground is Ground.DECISION and world.state is not State.UNKNOWN:
        return "an operator gives back what may be on its way"
    if event is Event.FAILED and ground is Ground.WORD and not (provider.failed or world.said & Told.FAILED):
        return "the partner is given the money back on a failure that the provider never told of"
    return ""


def _change(world: World, target: State, saying: Saying, ground: Ground) -> World:
    left = world.state
    world = world._replace(state=target, receipt=saying.receipt if target is State.SETTLED else world.receipt)
    # A person's decision closes its own case; evidence closes the cases that waited for it.
    if left is State.UNKNOWN and ground is not Ground.DECISION:
        world = without_case(world, Case.SUBMIT_UNKNOWN)
    if left in WAITING and target not in WAITING and ground is not Ground.DECISION:
        world = without_case(world, Case.NOT_SENT)
    return world


def payout(state: State, receipt: str) -> LockedPayout:
    return LockedPayout(
        id=_PAYOUT_ID,
        state=state,
        amount=_AMOUNT,
        fee=Money("KES", 0),
        rail=_RAIL,
        shortcode="",
        provider_reference="",
        reserve_entry_id=0,
        receipt=receipt or None,
        party_id=0,
        partner="",
        purpose="",
        remarks="",
        pays_business=False,
    )
