"""What must hold of every world, and where a world may rest. Pure."""

from __future__ import annotations

from ledger.payouts.payout import OPEN_STATES, State
from tests.lifecycle.books import RUNNING, WAITING
from tests.lifecycle.world import Case, Place, Suspense, World

_HELD_CASES = Case.HELD_TRUE | Case.HELD_MISTYPED
_PLACES = {
    State.RESERVED: Place.IN_TRANSIT,
    State.SUBMITTING: Place.IN_TRANSIT,
    State.SUBMITTED: Place.IN_TRANSIT,
    State.UNKNOWN: Place.UNKNOWN,
    State.RELEASED: Place.WITH_PARTNER,
    State.CANCELLED: Place.WITH_PARTNER,
    State.CONFLICTED: Place.WITH_PARTNER,
}


def broken(world: World) -> str | None:
    """The rule that a world breaks, in a sentence; None where it breaks none."""
    if world.wrong:
        return world.wrong
    if world.provider.moved > 1:
        return "the provider moved the money twice"
    if world.place is Place.GONE and not world.provider.moved:
        return "the payout is settled although the provider moved no money"
    return _money_misplaced(world) or _nobody_looks(world) or _instructions_astray(world)


def at_rest(world: World) -> bool:
    """Whether the payout has ended, or is parked: a person is told of it."""
    undecided = _undecided(world)
    if world.state in OPEN_STATES:
        return bool(world.cases & (Case.SUBMIT_UNKNOWN | Case.NOT_SENT))
    return not undecided or bool(world.cases & _HELD_CASES)


def _money_misplaced(world: World) -> str | None:
    if world.state is State.SETTLED:
        decided = {world.held_true, world.held_mistyped} & {Suspense.CHARGED, Suspense.CLAWED_BACK}
        well = world.place is Place.GONE or (world.place is Place.WITH_PARTNER and decided)
    else:
        well = world.place is _PLACES[world.state]
    return None if well else f"the payout is {world.state.name} and its money is {world.place.name}"


def _nobody_looks(world: World) -> str | None:
    if world.held_true is Suspense.UNDECIDED and not world.cases & Case.HELD_TRUE:
        return "money in suspense waits for no case"
    if world.held_mistyped is Suspense.UNDECIDED and not world.cases & Case.HELD_MISTYPED:
        return "money in suspense waits for no case"
    if world.state is State.CONFLICTED and not _undecided(world):
        return "a payout in conflict has nothing left to decide"
    if world.state is State.UNKNOWN and world.query.phase not in RUNNING and not world.cases & Case.SUBMIT_UNKNOWN:
        return "nobody asks or is asked what became of an unknown payout"
    return None


def _instructions_astray(world: World) -> str | None:
    if (world.submit.phase in RUNNING) != (world.state in WAITING):
        return f"the payout is {world.state.name} and its submission is {world.submit.phase.name}"
    if world.cases & Case.NOT_SENT and world.state not in WAITING:
        return f"a person is told that the payout was not sent, and it is {world.state.name}"
    return None


def _undecided(world: World) -> bool:
    return Suspense.UNDECIDED in {world.held_true, world.held_mistyped}
