"""What workers do: claim an instruction, call the rail, record the answer, forget all by a crash. Each step is one
commit or one call, as in adapters.dispatch with its errands (submission, inquiry, resubmission)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from adapters.inquiry import QUERIES_BEFORE_REPEAT
from ledger.payouts.payout import State
from tests.lifecycle import books
from tests.lifecycle.books import Ground, Saying, complete, enqueue, record, with_case
from tests.lifecycle.world import (
    TRUE_RECEIPT,
    Answer,
    Case,
    Instruction,
    Kind,
    Known,
    Phase,
    Provider,
    Surroundings,
    Told,
    Worker,
    World,
)

Steps: TypeAlias = Iterator[tuple[str, World]]

# Smaller than the product's own, which differ only in length: questions asked, and tries before a person is told.
QUESTIONS = QUERIES_BEFORE_REPEAT + 1
TRIES_BEFORE_REVIEW = 2
_TRIES_COUNTED = {Kind.SUBMIT: TRIES_BEFORE_REVIEW, Kind.QUERY: QUESTIONS + 1, Kind.RESUBMIT: 1}
_DELAYED_MAX = 2
_NAMES = {Kind.SUBMIT: "submission", Kind.QUERY: "question", Kind.RESUBMIT: "second submission"}


def claims(world: World, around: Surroundings) -> Steps:
    """An idle worker claims what is due, or what was leased to a worker that died, or that pauses for too long."""
    if len(world.workers) == around.workers:
        return
    for kind in Kind:
        phase = world.instruction(kind).phase
        held = any(one.kind is kind and one.leased for one in world.workers)
        if phase is Phase.DUE or (phase is Phase.LEASED and not held):
            yield f"a worker claims the {_NAMES[kind]}", claim(world, kind, around)
        elif phase is Phase.LEASED and world.pauses < around.pauses_max:
            taken = world.with_workers(*(_without_lease(one, kind) for one in world.workers))
            after = claim(taken._replace(pauses=world.pauses + 1), kind, around)
            yield f"the {_NAMES[kind]}'s lease ends while its worker pauses, and another claims it", after


def claim(world: World, kind: Kind, around: Surroundings) -> World:
    """queue.claim and the errand's start, in one commit."""
    before = world.instruction(kind)
    tries = min(before.tries + 1, _TRIES_COUNTED[kind])
    world = world.with_instruction(kind, Instruction(Phase.LEASED, tries, before.unanswered))
    return START[kind](world, around)


def _without_lease(worker: Worker, kind: Kind) -> Worker:
    return worker._replace(leased=False) if worker.kind is kind else worker


def start_submission(world: World, around: Surroundings) -> World:
    """Once; a submission whose answer was lost is never made again."""
    if world.submit.unanswered:
        return give_up_lost(world)
    if not books.is_applied(world, books.STARTED):
        return complete(world)
    world = record(world, books.STARTED, ground=Ground.GUESS)
    return _busy(world._replace(submit=world.submit._replace(unanswered=True)), Kind.SUBMIT)


def give_up_lost(world: World) -> World:
    """Its try is finished as lost; the payout is of unknown outcome."""
    world = complete(world._replace(submit=world.submit._replace(unanswered=False)))
    return record(world, books.UNCLEAR, ground=Ground.GUESS)


def start_question(world: World, around: Surroundings) -> World:
    """On a schedule, then a person's queue; on the way, once, sent again while silent where repeats are refused."""
    if world.state is not State.UNKNOWN:
        return complete(world)
    if world.query.tries > QUESTIONS and not world.learned:
        return with_case(complete(world), Case.SUBMIT_UNKNOWN)
    if world.query.tries > QUERIES_BEFORE_REPEAT and may_repeat(around):
        world = enqueue(world, Kind.RESUBMIT)
    return _busy(world._replace(learned=False), Kind.QUERY)


def start_resubmission(world: World, around: Surroundings) -> World:
    """While the payout is unknown."""
    return _busy(world, Kind.RESUBMIT) if world.state is State.UNKNOWN else complete(world)


def may_repeat(around: Surroundings) -> bool:
    """Whether the rail declares that the provider refuses a reference it has seen."""
    return around.refuses_repeats


def _busy(world: World, kind: Kind) -> World:
    return world.with_workers(*world.workers, Worker(kind))


START: dict[Kind, Callable[[World, Surroundings], World]] = {
    Kind.SUBMIT: start_submission,
    Kind.QUERY: start_question,
    Kind.RESUBMIT: start_resubmission,
}


def calls(world: World, around: Surroundings) -> Steps:
    """A worker that has committed its claim calls the rail, outside of any transaction."""
    for index, worker in enumerate(world.workers):
        if worker.answer is not Answer.CALL_TO_COME:
            continue
        made = ask(world, around) if worker.kind is Kind.QUERY else send(world, worker.kind, around)
        for words, answer, after in made:
            others = after.without_worker(index)
            yield words, others.with_workers(*others.workers, worker._replace(answer=answer))


def send(world: World, kind: Kind, around: Surroundings) -> Iterator[tuple[str, Answer, World]]:
    """A payment request: every way it may go, and what the worker then knows."""
    name, provider = _NAMES[kind], world.provider
    yield f"the {name} provably does not leave", Answer.NOT_SENT, world
    if kind is Kind.RESUBMIT and not may_repeat(around):
        return
    yield f"the {name} is lost on its way, without an answer", Answer.UNCLEAR, world
    if provider.delayed < _DELAYED_MAX:
        late = provider._replace(delayed=provider.delayed + 1)
        yield f"the {name} is late, and its answer given up on", Answer.UNCLEAR, world._replace(provider=late)
    if around.refuses_repeats and provider.seen:
        yield f"the {name} is refused as a repeat", refusal_of_a_repeat(kind), world
        return
    taken = world._replace(provider=take_in(provider))
    if around.misjudges and around.refuses_repeats and kind is Kind.SUBMIT:
        held_back = world._replace(provider=taken.provider._replace(misjudged=True))
        yield f"the {name} is taken in, and held for not sent", Answer.NOT_SENT, held_back
    yield f"the {name} is taken in", Answer.ACKNOWLEDGED, taken
    yield f"the {name} is taken in, and the answer lost", Answer.UNCLEAR, taken
    yield f"the {name} is refused", Answer.REJECTED, world


def refusal_of_a_repeat(kind: Kind) -> Answer:
    """A rail must not call the first try refused because the second was; of the second it may say what it likes."""
    return Answer.UNCLEAR if kind is Kind.SUBMIT else Answer.REJECTED


def take_in(provider: Provider) -> Provider:
    """A request the provider will decide about."""
    return provider._replace(pending=provider.pending + 1)


def ask(world: World, around: Surroundings) -> Iterator[tuple[str, Answer, World]]:
    """A status query, which tells what is final: at once, or by a callback. All else brings no news."""
    provider = world.provider
    yield "the question brings no news", Answer.ACKNOWLEDGED, world
    if provider.moved:
        said = world.said | (Told.CONFIRMED_PAID if around.confirms else Told.PAID)
        yield "the question is answered at once: paid", Answer.PAID, world
        yield "the question is answered by callback: paid", Answer.ACKNOWLEDGED, world._replace(said=said)
    elif provider.failed and not provider.pending:
        said = world.said | (Told.CONFIRMED_FAILED if around.confirms else Told.FAILED)
        yield "the question is answered at once: failed", Answer.FAILED, world
        yield "the question is answered by callback: failed", Answer.ACKNOWLEDGED, world._replace(said=said)


def records(world: World, around: Surroundings) -> Steps:
    """A worker with an answer commits it."""
    for index, worker in enumerate(world.workers):
        if worker.answer is not Answer.CALL_TO_COME:
            words = f"a worker records of the {_NAMES[worker.kind]}: {worker.answer.name.lower().replace('_', ' ')}"
            yield words, FINISH[worker.kind](world.without_worker(index), worker)


_SAYINGS: dict[Answer, tuple[Saying, Ground]] = {
    Answer.ACKNOWLEDGED: (books.ACKNOWLEDGED, Ground.GUESS),
    Answer.REJECTED: (books.REJECTED, Ground.WORD),
    Answer.NOT_SENT: (books.NOT_SENT, Ground.GUESS),
    Answer.UNCLEAR: (books.UNCLEAR, Ground.GUESS),
    Answer.PAID: (books.SETTLED[TRUE_RECEIPT], Ground.WORD),
    Answer.FAILED: (books.FAILED, Ground.WORD),
}


def told(world: World, answer: Answer) -> World:
    """The world once the answer is recorded as an outcome."""
    saying, ground = _SAYINGS[answer]
    after = record(world, saying, ground=ground)
    return books.learn(after, Known.CONVERSATION) if answer is Answer.ACKNOWLEDGED else after


def finish_submission(world: World, worker: Worker) -> World:
    """What provably was not sent is tried again; a person is told when that happens often. Once the payout was sent
    again, a refusal of this try says nothing of the other."""
    if worker.answer is Answer.REJECTED and was_sent_again(world):
        worker = worker._replace(answer=Answer.UNCLEAR)
    waits_again = worker.answer is Answer.NOT_SENT and books.is_applied(world, books.NOT_SENT)
    world = told(world, worker.answer)
    if worker.leased:
        world = world._replace(submit=world.submit._replace(unanswered=False))
    if waits_again and world.submit.tries >= TRIES_BEFORE_REVIEW:
        world = with_case(world, Case.NOT_SENT)
    return put_back(world, worker) if worker.answer is Answer.NOT_SENT else world


def was_sent_again(world: World) -> bool:
    """Whether a second submission was ever begun."""
    return world.resubmit.tries > 0


def finish_question(world: World, worker: Worker) -> World:
    """A final answer is recorded; without one the question is asked again later."""
    if worker.answer is Answer.ACKNOWLEDGED:
        return put_back(world, worker)
    return told(world, worker.answer)


def finish_resubmission(world: World, worker: Worker) -> World:
    """Only what it was taken in under is kept: a refusal of this try says nothing of the first. That it was made is
    worth another question."""
    world = world._replace(learned=True)
    if worker.answer is Answer.NOT_SENT:
        return put_back(world, worker)
    if worker.answer is Answer.ACKNOWLEDGED:
        world = told(world, worker.answer)
    return world._replace(resubmit=world.resubmit._replace(phase=Phase.DONE))


def put_back(world: World, worker: Worker) -> World:
    """As queue.put_back: only whoever holds the lease puts an instruction back, and none that is done."""
    instruction = world.instruction(worker.kind)
    if not worker.leased or instruction.phase is not Phase.LEASED:
        return world
    return world.with_instruction(worker.kind, instruction._replace(phase=Phase.DUE))


FINISH: dict[Kind, Callable[[World, Worker], World]] = {
    Kind.SUBMIT: finish_submission,
    Kind.QUERY: finish_question,
    Kind.RESUBMIT: finish_resubmission,
}


def crashes(world: World, around: Surroundings) -> Steps:
    """A worker dies between two commits: with it goes what it remembers, and not its lease."""
    if world.crashes == around.crashes_max:
        return
    for index, worker in enumerate(world.workers):
        when = "before its call" if worker.answer is Answer.CALL_TO_COME else "before it records its answer"
        after = world.without_worker(index)._replace(crashes=world.crashes + 1)
        yield f"a worker with the {_NAMES[worker.kind]} dies {when}", after
