"""Which entries of a set may be posted, and the rows that post them. Pure: the caller has locked the accounts' rows.

Items are judged in order, each against the balances the accepted items before it leave: exactly the offending ones are
refused and later ones are judged without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple, Protocol

from ledger.errors import (
    AccountClosed,
    AccountNotFound,
    BalanceWouldOverflow,
    CeilingWouldBreak,
    FloorWouldBreak,
    LedgerError,
    TransitionRepeated,
)
from ledger.idempotency import KeyClaim, StoredKey, key_reused
from ledger.journal.entry import JournalEntry, Posting, Side
from ledger.money import format_minor_units

TOTAL_MAX = 2**63 - 1
_DEBIT = Side.DEBIT  # looked up once: an enum's members are slow to get at


class Admission(Protocol):
    """A product's own rule about one item of a set, asked in the items' order, so that what the books refuse takes
    nothing from the items after it."""

    def refusal(self) -> LedgerError | None:
        """Why the item may not be posted, given the items admitted before it."""

    def admitted(self) -> None:
        """Told when the books took the item."""


class PostRequest(NamedTuple):
    """One entry to post, who asks, the idempotency key it is asked under (None for entries of our own products, which
    are unique by their subject and kind), and the rule it must pass beside the books'."""

    entry: JournalEntry
    actor: str
    key: KeyClaim | None = None
    admission: Admission | None = None


class PostedLine(NamedTuple):
    """What one posting did to its account: its place in the account's history and the balance it left."""

    account_version: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class Posted:
    """The entry is in the books (once the transaction commits)."""

    entry_id: int
    recorded_at: datetime
    business_date: date
    lines: tuple[PostedLine, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The same request was posted before, as this entry."""

    entry_id: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of this item was posted."""

    error: LedgerError


@dataclass(slots=True)
class LockedAccount:
    """An account's totals under its lock, moved forward item by item. `sign` is +1 where debit is the normal side."""

    id: int
    path: str
    currency: str
    sign: int
    debits: int
    credits: int
    version: int
    last_entry_id: int
    floor: int | None
    ceiling: int | None
    closed: bool
    touched: bool = False

    @property
    def balance(self) -> int:
        """The balance on the normal side, in minor units."""
        return (self.debits - self.credits) * self.sign

    @property
    def totals(self) -> tuple[int, int, int, bool]:
        """What applying a posting changes, to be put back if its entry is refused."""
        return (self.debits, self.credits, self.version, self.touched)

    @totals.setter
    def totals(self, totals: tuple[int, int, int, bool]) -> None:
        self.debits, self.credits, self.version, self.touched = totals


@dataclass(slots=True)
class Decision:
    """A verdict per item, and the accepted entries in order, for the writer. `lines` runs over all accepted
    postings."""

    verdicts: list[Posted | Replayed | Refused | None] = field(default_factory=list)
    accepted: list[tuple[int, PostRequest]] = field(default_factory=list)
    lines: list[tuple[PostedLine, ...]] = field(default_factory=list)


Accounts = Mapping[tuple[str, str], LockedAccount]
Transition = tuple[str, str, str]


def transition_of(entry: JournalEntry) -> Transition | None:
    """The (subject kind, subject id, kind) that may happen once; None where the entry claims none."""
    if entry.once and entry.subject is not None:
        return (entry.subject.kind, entry.subject.id, entry.kind)
    return None


def decide(
    requests: Sequence[PostRequest],
    *,
    accounts: Accounts,
    keys: Mapping[tuple[int, str], StoredKey],
    transitions: frozenset[Transition],
) -> Decision:
    """Judges a set. `keys` and `transitions` are what the database already holds for it; `accounts` are moved forward.

    A duplicate inside the set counts as a replay of the item before it; the verdict of accepted items and of such
    replays is None here, and is filled in once entry ids are chosen.
    """
    decision = Decision()
    claimed: dict[tuple[int, str], tuple[KeyClaim, int]] = {}
    happened = set(transitions)
    for index, request in enumerate(requests):
        verdict = _judge_key(request.key, keys, claimed)
        if verdict is None and not _is_repeat(request.key, claimed):
            verdict = _judge_entry(request, decision, accounts, happened, index)
            if verdict is None and request.key is not None:
                claimed[request.key.identity] = (request.key, index)
        decision.verdicts.append(verdict)
    return decision


def _is_repeat(key: KeyClaim | None, claimed: Mapping[tuple[int, str], tuple[KeyClaim, int]]) -> bool:
    return key is not None and key.identity in claimed


def _judge_key(
    key: KeyClaim | None,
    keys: Mapping[tuple[int, str], StoredKey],
    claimed: Mapping[tuple[int, str], tuple[KeyClaim, int]],
) -> Replayed | Refused | None:
    if key is None:
        return None
    stored = keys.get(key.identity)
    if stored is not None:
        return Replayed(stored.result_id) if stored.matches(key) else Refused(key_reused(key))
    earlier = claimed.get(key.identity)
    if earlier is not None and not earlier[0].same_request(key):
        return Refused(key_reused(key))
    return None


def _judge_entry(
    request: PostRequest, decision: Decision, accounts: Accounts, happened: set[Transition], index: int
) -> Refused | None:
    entry = request.entry
    transition = transition_of(entry)
    if transition is not None and transition in happened:
        subject = entry.subject
        assert subject is not None
        return Refused(
            TransitionRepeated(f"{subject.kind} {subject.id} has its {entry.kind} entry already", field="kind")
        )
    if request.admission is not None and (refusal := request.admission.refusal()) is not None:
        return Refused(refusal)
    try:
        lines = _walk(entry.postings, accounts)
    except LedgerError as refusal:
        return Refused(refusal)
    if request.admission is not None:
        request.admission.admitted()
    if transition is not None:
        happened.add(transition)
    decision.accepted.append((index, request))
    decision.lines.append(lines)
    return None


def _walk(postings: Sequence[Posting], accounts: Accounts) -> tuple[PostedLine, ...]:
    """Applies one entry to the accounts, or raises and leaves them as they were."""
    touched: dict[int, tuple[LockedAccount, tuple[int, int, int, bool]]] = {}
    lines: list[PostedLine] = []
    try:
        for number, posting in enumerate(postings):
            account = accounts.get((posting.account, posting.money.currency))
            if account is None:
                raise _not_found(posting, number)
            if account.id not in touched:
                touched[account.id] = (account, account.totals)
            lines.append(_apply(posting, account, number))
        for account, (debits, credits, *_) in touched.values():
            if account.floor is not None or account.ceiling is not None:
                _check_bounds(account, (debits - credits) * account.sign)
    except LedgerError:
        for account, totals in touched.values():
            account.totals = totals
        raise
    return tuple(lines)


def _not_found(posting: Posting, number: int) -> AccountNotFound:
    currency = posting.money.currency
    return AccountNotFound(
        f"no account {posting.account} in {currency}; open it first",
        field=f"postings[{number}].account",
        account=posting.account,
        currency=currency,
    )


def _apply(posting: Posting, account: LockedAccount, number: int) -> PostedLine:
    if account.closed:
        raise AccountClosed(
            f"account {account.path} is closed", field=f"postings[{number}].account", account=account.path
        )
    debits, credits = account.debits, account.credits
    if posting.side is _DEBIT:
        account.debits = debits = debits + posting.money.minor_units
    else:
        account.credits = credits = credits + posting.money.minor_units
    if debits > TOTAL_MAX or credits > TOTAL_MAX:
        raise BalanceWouldOverflow(
            f"the totals of {account.path} would leave the 64-bit range",
            field=f"postings[{number}].amount",
            account=account.path,
        )
    account.version = version = account.version + 1
    account.touched = True
    return PostedLine(version, (debits - credits) * account.sign)


def _check_bounds(account: LockedAccount, before: int) -> None:
    after = account.balance
    if account.floor is not None and after < account.floor and after < before:
        raise FloorWouldBreak(
            f"{account.path} holds {account.currency} {format_minor_units(before, account.currency)}; "
            f"this entry would take it below its floor of {format_minor_units(account.floor, account.currency)}",
            field="postings",
            account=account.path,
            balance_minor_units=before,
            floor_minor_units=account.floor,
        )
    if account.ceiling is not None and after > account.ceiling and after > before:
        raise CeilingWouldBreak(
            f"{account.path} holds {account.currency} {format_minor_units(before, account.currency)}; "
            f"this entry would take it above its ceiling of {format_minor_units(account.ceiling, account.currency)}",
            field="postings",
            account=account.path,
            balance_minor_units=before,
            ceiling_minor_units=account.ceiling,
        )
