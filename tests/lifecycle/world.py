"""One payout and everything around it as a small value: books, queue, workers' memories, provider, messages. Pure.

A world is what a step starts from and what it leads to; equal worlds are searched once. Who moves it stands in the
modules of the steps; what must hold of every world in `rules`.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from ledger.payouts.payout import State

# Receipts: the provider's for the money it moved, and one that an operator may write down wrongly.
TRUE_RECEIPT, MISTYPED = "A", "X"


class Small(enum.IntEnum):
    """Numbers with names, hashed as numbers: a search hashes hundreds of millions of them."""

    __hash__ = int.__hash__


class Phase(Small):
    """Where an instruction stands in the queue. Time is free: what is due may be claimed now or much later."""

    ABSENT = 0
    DUE = 1
    LEASED = 2
    DONE = 3


class Kind(Small):
    """What an instruction asks for."""

    SUBMIT = 0
    QUERY = 1
    RESUBMIT = 2


class Answer(Small):
    """What a worker's call brought back, in its memory until it is recorded."""

    CALL_TO_COME = 0
    ACKNOWLEDGED = 1
    REJECTED = 2
    NOT_SENT = 3
    UNCLEAR = 4
    PAID = 5
    FAILED = 6


class Place(Small):
    """Where the entries so far have put the reserved money."""

    IN_TRANSIT = 0
    UNKNOWN = 1
    GONE = 2
    WITH_PARTNER = 3


class Told(enum.IntFlag):
    """Messages of the provider: results, and answers to questions where those count for more. Once said, a message may
    come any number of times, at any time, or never."""

    NOTHING = 0
    PAID = 1
    FAILED = 2
    CONFIRMED_PAID = 4
    CONFIRMED_FAILED = 8


class Known(enum.IntFlag):
    """Ids of the provider for the payout, by which it may be asked: from its answer to us, from a message."""

    NOTHING = 0
    CONVERSATION = 1
    RECEIPT = 2


class Case(enum.IntFlag):
    """Open cases of the payout in the review queues."""

    NONE = 0
    SUBMIT_UNKNOWN = 1
    NOT_SENT = 2
    CONFLICT = 4
    HELD_TRUE = 8
    HELD_MISTYPED = 16


class Suspense(Small):
    """What became of money that left under a receipt which settles nothing."""

    NEVER_BOOKED = 0
    UNDECIDED = 1
    CHARGED = 2
    CLAWED_BACK = 3
    REFUTED = 4


class Instruction(NamedTuple):
    """`unanswered`: the last try has no answer stored, so the next claim finds it lost."""

    phase: Phase
    tries: int = 0
    unanswered: bool = False


class Worker(NamedTuple):
    """What a busy worker remembers between two commits; a crash forgets it. `leased`: nobody took its lease over."""

    kind: Kind
    answer: Answer = Answer.CALL_TO_COME
    leased: bool = True


class Provider(NamedTuple):
    """The truth: requests on their way to it, taken in and undecided, failed; how often it moved the money; and whether
    we hold a request that it took in for one that never left."""

    delayed: int = 0
    pending: int = 0
    failed: bool = False
    moved: int = 0
    misjudged: bool = False

    @property
    def seen(self) -> bool:
        """Whether our reference ever reached it."""
        return bool(self.pending or self.failed or self.moved)


class World(NamedTuple):
    """See above. Idle workers are not listed, so that it makes no difference which of them works. `learned`: something
    is known that was not when the provider was last asked. `wrong` is what the step that led here did although it must
    never be done."""

    state: State = State.RESERVED
    place: Place = Place.IN_TRANSIT
    receipt: str = ""
    held_true: Suspense = Suspense.NEVER_BOOKED
    held_mistyped: Suspense = Suspense.NEVER_BOOKED
    submit: Instruction = Instruction(Phase.DUE)
    query: Instruction = Instruction(Phase.ABSENT)
    resubmit: Instruction = Instruction(Phase.ABSENT)
    workers: tuple[Worker, ...] = ()
    cases: Case = Case.NONE
    provider: Provider = Provider()
    said: Told = Told.NOTHING
    stored: Told = Told.NOTHING
    known: Known = Known.NOTHING
    learned: bool = False
    crashes: int = 0
    pauses: int = 0
    wrong: str = ""

    def instruction(self, kind: Kind) -> Instruction:
        """The payout's one instruction of a kind."""
        return (self.submit, self.query, self.resubmit)[kind]

    def with_instruction(self, kind: Kind, instruction: Instruction) -> World:
        """With that instruction instead."""
        match kind:
            case Kind.SUBMIT:
                return self._replace(submit=instruction)
            case Kind.QUERY:
                return self._replace(query=instruction)
            case Kind.RESUBMIT:
                return self._replace(resubmit=instruction)

    def with_workers(self, *workers: Worker) -> World:
        """With these workers busy."""
        return self._replace(workers=tuple(sorted(workers)))

    def without_worker(self, index: int) -> World:
        """With that worker idle, and the others as they are."""
        return self._replace(workers=self.workers[:index] + self.workers[index + 1 :])

    def held(self, receipt: str) -> Suspense:
        """What is in suspense under a receipt."""
        return self.held_true if receipt == TRUE_RECEIPT else self.held_mistyped


class Surroundings(NamedTuple):
    """What a search lets happen. `lies`: the provider may call failed what it pays. `confirms`: the payout is so large
    that a callback's result is asked about first. `mistypes`: an operator may write a wrong receipt down. `misjudges`:
    the adapter may hold a request for not sent that left, which only a rail that refuses repeats can make good."""

    refuses_repeats: bool
    lies: bool = False
    confirms: bool = False
    mistypes: bool = False
    misjudges: bool = False
    workers: int = 2
    crashes_max: int = 2
    pauses_max: int = 1
