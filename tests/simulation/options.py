"""What a seed expands into: which troubles its history has, and how often each comes. Printed with every failure.

Swarm testing: each seed turns whole classes of trouble off at random, so that rare combinations are met as well. A
crash is in every history.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace

# Every class of trouble. A seed has about half of them; a shrunk failure as few as it needs.
TROUBLES = (
    "request-lost",  # it left us and never arrived
    "answer-lost",  # it arrived, and we never heard
    "error-after",  # HTTP 500 or 503, though it was taken in
    "error-before",  # HTTP 500 or 503, and it was not
    "throttled",  # refused for the rate, before the core
    "callback-lost",
    "callback-twice",
    "callback-late",  # minutes to hours
    "callback-early",  # before the answer to the request
    "false-failure",  # a failure is told of what was paid; the success is told as well
    "wrong-figure",  # a success is told over another amount
    "timeout-notice",  # a queue timeout is told first, or alone
    "declined",  # the provider refuses for good, by callback
    "access-refused",  # the provider says that our credential is wrong
    "token",  # tokens end early and all at once
    "query-silent",  # a status query is never answered
    "query-pending",  # or says that the payment is still pending
    "query-blind",  # or does not find it
    "commit-lost",  # the connection breaks before COMMIT arrives
    "commit-unheard",  # or after it was carried out
    "crash",  # a process dies, anywhere
    "pause",  # a process stops for longer than its lease
    "clock",  # clocks disagree by seconds, and jump back
    "receiver-down",  # a partner's receiver is away for hours or days
    "receiver-forgets",  # it processes, and answers 500
    "forger",  # sends callbacks on paths it made up
    "replayer",  # sends true callbacks again, on their own and on others' paths
    "stranger",  # another partner asks for what is not its own
    "thief",  # pays past the books with our credentials
    "repeater",  # clients send requests twice, changed, after every doubt
    "canceller",  # clients take payouts back
    "operator",  # a person decides cases, by what the provider's portal shows
)
# Those that only money in knows.
OF_MONEY_IN = (
    "mistyped",  # a reference with a letter wrong, or one that means nothing here
    "paid-twice",  # the same payment once more
    "paid-late",  # for an order that has ended, or a loan that is closed
    "validation-silent",  # our answer to the question before a payment does not arrive
    "prompt-declined",  # cancelled, expired, out of reach
    "prompt-late",  # answered minutes or hours later
    "query-contradicts",  # a question is answered with a failure while the prompt may still be paid
    "list-late",  # the list shows a payment minutes later
    "list-repeated",  # or some of them twice
    "returner",  # people send money back, all of it or a part
    "reverser",  # the provider sends money back unasked, and tells nobody
    "insider",  # tells of large money that never came, on the true path
    "allocator",  # a person gives what lies in suspense to whom it was meant for
    "misallocator",  # or to somebody else, and gives it anew later
)
# Those that only promotions know.
OF_PROMOTIONS = (
    "racing",  # several phones type one code
    "redial",  # a phone types its code again in another session
    "hop-again",  # the telco sends a hop again, to whichever process
    "guesser",  # a phone types one wrong code after another, over both processes
    "too-late",  # codes are typed seconds after their batch's end
    "stolen",  # the desk takes codes out
    "voided",
    "paused",  # or lets a batch rest
    "cancelled",  # or ends it
    "activated",  # or lets a draft begin
    "platform-moved",  # our access goes over to another platform, where nothing of before is known
)
# Those that only statements know.
OF_STATEMENTS = (
    "row-late",  # a row is missing in statements until hours later
    "rows-shuffled",  # a statement's rows stand in any order
    "file-twice",  # a statement is taken in that was before
    "file-torn",  # a row is missing, and the balances beside it show that
    "fee-changed",  # a payment costs another fee than the tariff says
    "clerks-race",  # two people take one statement in at once
    "closer",  # people close days, sign and reopen them amid all this
    "careless",  # somebody approves what he proposed himself, or turns down what was right
)
# What befalls payouts over a wallet whose callbacks are hints and whose status is read at once.
_OF_WALLETS = (
    "request-lost", "answer-lost", "error-after", "error-before", "throttled", "callback-lost", "callback-twice",
    "callback-late", "false-failure", "wrong-figure", "declined", "access-refused", "token", "query-pending",
    "query-blind", "commit-lost", "commit-unheard", "crash", "pause", "clock", "forger", "replayer",
)  # fmt: skip
# Those of payouts that have no place there.
_OF_PAYOUTS_ALONE = ("thief", "canceller")
# The recovery paths that an ablation takes away; the list of what came in is the Pull.
PATHS = ("queries", "callbacks", "webhook-retries", "list")


class Kind(enum.Enum):
    """What a history is about."""

    PAYOUTS = "payouts"
    COLLECTIONS = "collections"
    PROMOTIONS = "promotions"
    STATEMENTS = "statements"

    @property
    def troubles(self) -> tuple[str, ...]:
        """All that may befall it."""
        if self is Kind.PAYOUTS:
            return TROUBLES
        if self is Kind.PROMOTIONS:
            return (*_OF_WALLETS, *OF_PROMOTIONS)
        if self is Kind.STATEMENTS:
            return (*TROUBLES, *OF_MONEY_IN, *OF_STATEMENTS)
        return (*(one for one in TROUBLES if one not in _OF_PAYOUTS_ALONE), *OF_MONEY_IN)


@dataclass(frozen=True, slots=True)
class Theme:
    """What a history of money in is mostly about: from how many to how many of everything there are."""

    orders: tuple[int, int]
    prompts: tuple[int, int]
    loans: tuple[int, int]
    payments: tuple[int, int]
    returns: tuple[int, int]
    always: frozenset[str] = frozenset()


# What is rare in a mixed history is dense in one of its own.
THEMES = (
    Theme((1, 3), (0, 3), (0, 2), (2, 6), (0, 3)),
    Theme((1, 2), (3, 6), (0, 0), (0, 2), (0, 1), frozenset({"prompt-late", "query-contradicts", "wrong-figure"})),
    Theme((0, 2), (0, 1), (0, 0), (3, 6), (3, 5), frozenset({"returner"})),
    Theme((0, 1), (0, 1), (1, 2), (3, 7), (0, 2), frozenset({"paid-late"})),
)


@dataclass(frozen=True, slots=True)
class Options:
    """One history. Shares are probabilities per occasion; a trouble that is off has share 0."""

    seed: int
    troubles: frozenset[str]
    storm: float
    payouts: int
    partners: int
    refuses_repeats: bool
    calls_max: int
    steps: int
    confirms: bool
    without: frozenset[str] = field(default=frozenset())
    kind: Kind = Kind.PAYOUTS
    orders: int = 0
    prompts: int = 0
    loans: int = 0
    payments: int = 0
    returns: int = 0
    validates: bool = False
    verifies: bool = False
    morning: bool = False
    fees: str = ""

    def share(self, trouble: str, of_occasions: float) -> float:
        """How often a trouble comes: its usual share, scaled by the storm; 0 where it is off."""
        return min(of_occasions * self.storm, 0.9) if trouble in self.troubles else 0.0

    def lacking(self, troubles: Iterable[str]) -> Options:
        """The same history with fewer troubles."""
        return replace(self, troubles=self.troubles - frozenset(troubles))

    def __str__(self) -> str:
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        told["troubles"] = ",".join(sorted(self.troubles))
        told["without"] = ",".join(sorted(self.without))
        told["kind"] = self.kind.value
        return " ".join(f"{name}={value}" for name, value in told.items())


def expand(seed: int, *, calm: bool = False, without: Iterable[str] = (), kind: Kind = Kind.PAYOUTS) -> Options:
    """The options of a seed. `calm` histories have every trouble, each in about one occasion of a hundred."""
    chance = random.Random(f"options {seed}" if kind is Kind.PAYOUTS else f"{kind.value} {seed}")
    drawn = {one for one in kind.troubles if chance.random() < 0.55}
    troubles = frozenset(kind.troubles) if calm else frozenset({*drawn, "crash"})
    options = Options(
        seed=seed,
        troubles=troubles,
        storm=0.08 if calm else chance.choice([0.5, 1.0, 1.0, 1.0, 2.0]),
        payouts=chance.randint(3, 7),
        partners=chance.randint(1, 2),
        refuses_repeats=chance.random() < 0.6,
        calls_max=chance.choice([1, 1, 3]),
        steps=chance.randint(50, 110),
        confirms=chance.random() < 0.3,
        without=frozenset(without),
        kind=kind,
    )
    if kind is Kind.PAYOUTS:
        return options
    if kind is Kind.PROMOTIONS:
        return replace(options, payouts=0, refuses_repeats=True, confirms=False)
    if kind is Kind.STATEMENTS:
        return _with_statements(options, chance)
    theme = chance.choice(THEMES)
    return replace(
        options,
        troubles=options.troubles | theme.always,
        payouts=0,
        orders=chance.randint(*theme.orders),
        prompts=chance.randint(*theme.prompts),
        loans=chance.randint(*theme.loans),
        payments=chance.randint(*theme.payments),
        returns=chance.randint(*theme.returns),
        validates=chance.random() < 0.4,
        verifies=chance.random() < 0.4,
        morning=chance.random() < 0.5,
    )


def _with_statements(options: Options, chance: random.Random) -> Options:
    """A little of everything that statements show, and time for those who look into them. Now and then the statement is
    the only one that tells: there is no list of what came in, or nothing is answered about payouts."""
    alone = frozenset(one for one, share in (("list", 0.4), ("queries", 0.2)) if chance.random() < share)
    return replace(
        options,
        without=options.without | alone,
        steps=options.steps + 40,
        payouts=chance.randint(2, 5),
        orders=chance.randint(0, 2),
        prompts=chance.randint(0, 2),
        payments=chance.randint(1, 4),
        returns=chance.randint(0, 2),
        validates=chance.random() < 0.4,
        verifies=chance.random() < 0.4,
        fees=chance.choice(["apart", "apart", "inline"]),
    )
