"""The payout: its states, the one table of its transitions, and the entry each transition posts. Pure.

Evidence about a payout believed not sent is still evidence: RESERVED settles, releases or parks like SUBMITTING does.

    RESERVED ──start──▶ SUBMITTING ──acknowledged──▶ SUBMITTED
       │ ▲                │  │                          │
       │ └───not sent─────┘  └──────lost, unclear───────┤
       ▼                                                ▼
    CANCELLED      SETTLED / RELEASED ◀──evidence── UNKNOWN

    RELEASED, CANCELLED ──late success──▶ CONFLICTED ──a person──▶ SETTLED, or RELEASED where it proves untrue

Money rests with the partner, in transit, in *unknown*, or is gone; each move between these is one entry, and each kind
of entry happens at most once per payout. What left under a receipt that does not settle the payout rests in suspense,
is booked under that receipt, once, and ends by a person's word.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ledger.journal.entry import JournalEntry, Posting, Source, Subject, credit, debit
from ledger.money import Money

SUBJECT_KIND = "payout"
# A receipt of a provider: the subject of what left although nothing waited to be settled.
RECEIPT_SUBJECT_KIND = "payout_receipt"
_SUBJECT_LENGTH_MAX = 64


class State(enum.Enum):
    """Where a payout stands; SETTLED, RELEASED and CANCELLED are final unless the provider contradicts itself."""

    RESERVED = "RESERVED"
    SUBMITTING = "SUBMITTING"
    SUBMITTED = "SUBMITTED"
    UNKNOWN = "UNKNOWN"
    SETTLED = "SETTLED"
    RELEASED = "RELEASED"
    CANCELLED = "CANCELLED"
    CONFLICTED = "CONFLICTED"


class Event(enum.Enum):
    """What may happen to a payout; the value is the word partners see."""

    STARTED = "submission_started"
    ACKNOWLEDGED = "acknowledged"
    NOT_SENT = "not_sent"
    UNCLEAR = "outcome_unknown"
    REJECTED = "rejected"
    SETTLED = "settled"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CHARGED = "late_success_charged"
    CLAWED_BACK = "late_success_clawed_back"
    REFUTED = "late_success_refuted"


class Effect(enum.Enum):
    """What a transition does to the money; the value is the kind of its entry."""

    NONE = ""
    SETTLE = "payout.settled"
    RELEASE = "payout.released"
    PARK = "payout.unknown"
    LATE_SUCCESS = "payout.late_success"
    CHARGE = "payout.late_charged"
    CLAW_BACK = "payout.clawed_back"
    REFUTE = "payout.late_refuted"


# What is booked under a receipt, not under the payout.
OF_A_RECEIPT = frozenset({Effect.LATE_SUCCESS, Effect.CHARGE, Effect.CLAW_BACK, Effect.REFUTE})


@dataclass(frozen=True, slots=True)
class Move:
    """A transition: the state it leads to and what it does to the money."""

    target: State
    effect: Effect = Effect.NONE


@dataclass(frozen=True, slots=True)
class Stay:
    """Money moves and the payout does not: a receipt beside the one it rests on is booked or decided about."""

    effect: Effect


class Standing(enum.Enum):
    """What an event means where no transition is drawn."""

    REPEATED = "the payout shows this already"
    OUTDATED = "stronger evidence is in the books already"
    CONFLICT = "contradicts what the books show; a person decides"


_SETTLE, _RELEASE = Move(State.SETTLED, Effect.SETTLE), Move(State.RELEASED, Effect.RELEASE)
_PARK = Move(State.UNKNOWN, Effect.PARK)
_LATE = Move(State.CONFLICTED, Effect.LATE_SUCCESS)
_REPEATED, _OUTDATED, _CONFLICT = Standing.REPEATED, Standing.OUTDATED, Standing.CONFLICT

_R, _ING, _ED, _U = State.RESERVED, State.SUBMITTING, State.SUBMITTED, State.UNKNOWN
_S, _REL, _CAN, _CON = State.SETTLED, State.RELEASED, State.CANCELLED, State.CONFLICTED

# The one table: every state against every event. A test walks all of it.
TRANSITIONS: dict[Event, dict[State, Move | Standing]] = {
    Event.STARTED: {_R: Move(_ING), _ING: _OUTDATED, _ED: _OUTDATED, _U: _OUTDATED, _S: _OUTDATED, _REL: _OUTDATED,
                    _CAN: _OUTDATED, _CON: _OUTDATED},
    Event.ACKNOWLEDGED: {_R: Move(_ED), _ING: Move(_ED), _ED: _REPEATED, _U: _OUTDATED, _S: _OUTDATED, _REL: _OUTDATED,
                         _CAN: _CONFLICT, _CON: _OUTDATED},
    Event.NOT_SENT: {_R: _REPEATED, _ING: Move(_R), _ED: _OUTDATED, _U: _OUTDATED, _S: _OUTDATED, _REL: _OUTDATED,
                     _CAN: _OUTDATED, _CON: _OUTDATED},
    Event.UNCLEAR: {_R: _PARK, _ING: _PARK, _ED: _PARK, _U: _REPEATED, _S: _OUTDATED, _REL: _OUTDATED,
                    _CAN: _CONFLICT, _CON: _OUTDATED},
    Event.REJECTED: {_R: _RELEASE, _ING: _RELEASE, _ED: _CONFLICT, _U: _RELEASE, _S: _CONFLICT, _REL: _REPEATED,
                     _CAN: _REPEATED, _CON: _OUTDATED},
    Event.SETTLED: {_R: _SETTLE, _ING: _SETTLE, _ED: _SETTLE, _U: _SETTLE, _S: _REPEATED, _REL: _LATE, _CAN: _LATE,
                    _CON: _REPEATED},
    Event.FAILED: {_R: _RELEASE, _ING: _RELEASE, _ED: _RELEASE, _U: _RELEASE, _S: _CONFLICT, _REL: _REPEATED,
                   _CAN: _REPEATED, _CON: _OUTDATED},
    Event.CHARGED: {_R: _OUTDATED, _ING: _OUTDATED, _ED: _OUTDATED, _U: _OUTDATED, _S: _OUTDATED, _REL: _OUTDATED,
                    _CAN: _OUTDATED, _CON: Move(_S, Effect.CHARGE)},
    Event.CLAWED_BACK: {_R: _OUTDATED, _ING: _OUTDATED, _ED: _OUTDATED, _U: _OUTDATED, _S: _OUTDATED, _REL: _OUTDATED,
                        _CAN: _OUTDATED, _CON: Move(_S, Effect.CLAW_BACK)},
    Event.REFUTED: {_R: _OUTDATED, _ING: _OUTDATED, _ED: _OUTDATED, _U: _OUTDATED, _S: _OUTDATED, _REL: _OUTDATED,
                    _CAN: _OUTDATED, _CON: Move(_REL, Effect.REFUTE)},
    Event.CANCELLED: {_R: Move(_CAN, Effect.RELEASE), _ING: _OUTDATED, _ED: _OUTDATED, _U: _OUTDATED, _S: _OUTDATED,
                      _REL: _OUTDATED, _CAN: _REPEATED, _CON: _OUTDATED},
}  # fmt: skip

# Another receipt than the one the payout is settled by, or than the one that put it in conflict: money that left again.
_OF_ANOTHER_RECEIPT: dict[tuple[Event, State], Stay] = {
    (Event.SETTLED, _S): Stay(Effect.LATE_SUCCESS),
    (Event.SETTLED, _CON): Stay(Effect.LATE_SUCCESS),
    (Event.CHARGED, _S): Stay(Effect.CHARGE),
    (Event.CLAWED_BACK, _S): Stay(Effect.CLAW_BACK),
    (Event.REFUTED, _S): Stay(Effect.REFUTE),
    (Event.REFUTED, _CON): Stay(Effect.REFUTE),
}


def transition(event: Event, state: State, *, of_another_receipt: bool) -> Move | Stay | Standing:
    """What an event means in a state. `of_another_receipt`: it is about money that left under a receipt beside the one
    the payout rests on."""
    another = _OF_ANOTHER_RECEIPT.get((event, state)) if of_another_receipt else None
    return another or TRANSITIONS[event][state]


# Where the reserved money rests in each state that still holds it.
IN_TRANSIT_STATES = frozenset({State.RESERVED, State.SUBMITTING, State.SUBMITTED})
OPEN_STATES = IN_TRANSIT_STATES | {State.UNKNOWN}


@dataclass(frozen=True, slots=True)
class RailAccounts:
    """The paths of the accounts a payout touches, for one shortcode and currency. People are paid from `float_account`,
    businesses from `business_float`."""

    float_account: str
    business_float: str
    in_transit: str
    unknown: str
    charges_owed: str
    charge_expense: str
    deferred_fee: str
    fee_income: str
    shortage: str
    clawback: str


@dataclass(frozen=True, slots=True)
class PayoutMoney:
    """The figures and accounts of one payout's entries. `public_id` is its subject in the journal; amounts share one
    currency; `fee` is what the partner pays on top, zero for none."""

    public_id: str
    funding: str
    accounts: RailAccounts
    amount: Money
    fee: Money
    reserve_entry_id: int

    @property
    def subject(self) -> Subject:
        """The payout as the subject of its entries."""
        return Subject(SUBJECT_KIND, self.public_id)


@dataclass(frozen=True, slots=True)
class Suspended:
    """An entry that put money into suspense: its id, the provider's receipt, when that says the money left, and its
    lines, as suspending_entry() makes them."""

    entry_id: int
    receipt: str
    completed_at: datetime
    lines: tuple[Posting, ...]

    @property
    def charge(self) -> Money | None:
        """The provider's charge that was booked with it."""
        return self.lines[2].money if len(self.lines) > 2 else None


def receipt_subject(*, rail: str, receipt: str) -> Subject:
    """A receipt as the subject of entries; one too long for a subject goes by its hash."""
    name = f"{rail}/{receipt}"
    if len(name) > _SUBJECT_LENGTH_MAX:
        name = f"{rail}/{hashlib.sha256(receipt.encode()).hexdigest()[:40]}"
    return Subject(RECEIPT_SUBJECT_KIND, name)


def reserve_entry(payout: PayoutMoney, *, at: datetime, reference: str) -> JournalEntry:
    """Request accepted: the partner's money goes in transit, our fee is deferred until the service is complete."""
    lines = [
        debit(payout.funding, payout.amount + payout.fee),
        credit(payout.accounts.in_transit, payout.amount),
        *_fee_lines(credit, payout.accounts.deferred_fee, payout.fee),
    ]
    return _entry("payout.reserved", payout, lines, at=at, source=Source.API, reference=reference)


def effect_entry(
    effect: Effect,
    payout: PayoutMoney,
    *,
    state: State,
    at: datetime,
    source: Source,
    reference: str | None,
    charge: Money | None,
) -> JournalEntry:
    """The entry of an effect on the reserved money. `state` is the one left behind: it says where the money rests.
    `charge` is the provider's, accrued on success by tariff; `at` is when it happened outside."""
    resting = payout.accounts.unknown if state is State.UNKNOWN else payout.accounts.in_transit
    if effect is Effect.SETTLE:
        lines = _settlement(payout, resting, charge)
    elif effect is Effect.RELEASE:
        lines = _release(payout, resting)
    else:
        assert effect is Effect.PARK, effect
        lines = [debit(resting, payout.amount), credit(payout.accounts.unknown, payout.amount)]
    undoes_reserve = effect is Effect.RELEASE and state in IN_TRANSIT_STATES
    return _entry(
        effect.value,
        payout,
        lines,
        at=at,
        source=source,
        reference=reference,
        reverses_id=payout.reserve_entry_id if undoes_reserve else None,
    )


def suspending_entry(
    payout: PayoutMoney, *, rail: str, receipt: str, at: datetime, source: Source, charge: Money | None
) -> JournalEntry:
    """Money left under a receipt though nothing waited to be settled: gone from the float, in suspense until a person
    says whose it is."""
    accounts = payout.accounts
    lines = [
        debit(accounts.shortage, payout.amount),
        credit(accounts.float_account, payout.amount),
        *_charge_lines(payout, charge),
    ]
    return _receipt_entry(Effect.LATE_SUCCESS, payout, lines, rail=rail, receipt=receipt, at=at, source=source)


def decided_entry(
    effect: Effect, payout: PayoutMoney, held: Suspended, *, rail: str, at: datetime, source: Source
) -> JournalEntry:
    """What a person makes of money in suspense: the partner pays, the payee owes it, or it never left."""
    accounts, undone = payout.accounts, None
    if effect is Effect.CHARGE:
        lines = [debit(payout.funding, payout.amount), credit(accounts.shortage, payout.amount)]
    elif effect is Effect.CLAW_BACK:
        lines = [debit(accounts.clawback, payout.amount), credit(accounts.shortage, payout.amount)]
    else:
        assert effect is Effect.REFUTE, effect
        lines = [Posting(line.account, line.side.opposite, line.money) for line in held.lines]
        undone = held.entry_id
    return _receipt_entry(
        effect, payout, lines, rail=rail, receipt=held.receipt, at=at, source=source, reverses_id=undone
    )


def _settlement(payout: PayoutMoney, resting: str, charge: Money | None) -> list[Posting]:
    return [
        debit(resting, payout.amount),
        credit(payout.accounts.float_account, payout.amount),
        *_fee_lines(debit, payout.accounts.deferred_fee, payout.fee),
        *_fee_lines(credit, payout.accounts.fee_income, payout.fee),
        *_charge_lines(payout, charge),
    ]


def _release(payout: PayoutMoney, resting: str) -> list[Posting]:
    # Line for line the opposite of the reserve, so that the two can be linked as original and reversal.
    return [
        credit(payout.funding, payout.amount + payout.fee),
        debit(resting, payout.amount),
        *_fee_lines(debit, payout.accounts.deferred_fee, payout.fee),
    ]


def _charge_lines(payout: PayoutMoney, charge: Money | None) -> list[Posting]:
    if charge is None or charge.minor_units == 0:
        return []
    return [debit(payout.accounts.charge_expense, charge), credit(payout.accounts.charges_owed, charge)]


def _fee_lines(side: Callable[[str, Money], Posting], account: str, fee: Money) -> list[Posting]:
    return [side(account, fee)] if fee.minor_units else []


def _receipt_entry(
    effect: Effect,
    payout: PayoutMoney,
    lines: list[Posting],
    *,
    rail: str,
    receipt: str,
    at: datetime,
    source: Source,
    reverses_id: int | None = None,
) -> JournalEntry:
    return JournalEntry(
        kind=effect.value,
        postings=tuple(lines),
        effective_at=at,
        source=source,
        subject=receipt_subject(rail=rail, receipt=receipt),
        once=True,
        reference=receipt,
        facts={"payout": payout.public_id},
        reverses_id=reverses_id,
    )


def _entry(
    kind: str,
    payout: PayoutMoney,
    lines: list[Posting],
    *,
    at: datetime,
    source: Source,
    reference: str | None,
    reverses_id: int | None = None,
) -> JournalEntry:
    return JournalEntry(
        kind=kind,
        postings=tuple(lines),
        effective_at=at,
        source=source,
        subject=payout.subject,
        once=True,
        reference=reference,
        reverses_id=reverses_id,
    )
