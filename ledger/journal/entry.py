"""The journal entry and its postings: values that cannot be built unbalanced. Pure.

A posting debits or credits one account, named by its path, with a positive amount. Memorandum accounts (`memo.` paths)
balance among themselves, all other accounts among themselves, each currency on its own.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from ledger.errors import AmountInvalid, EntryDoesNotBalance, EntryTooLong, EntryTooShort, PathInvalid, TextInvalid
from ledger.money import Money, format_minor_units
from ledger.text import check_facts, check_text

POSTINGS_MAX = 200
_PATH_LENGTH_MAX = 200
_PATH = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_-]*)+", re.ASCII)
_KIND = re.compile(r"[a-z][a-z0-9_.-]{1,63}", re.ASCII)
# The same few texts come again and again; those that were right are remembered.
_TEXTS_REMEMBERED = 16_384


class Side(enum.Enum):
    """Which side of the account a posting stands on."""

    DEBIT = "D"
    CREDIT = "C"

    @property
    def opposite(self) -> Side:
        """The side that undoes this one."""
        return Side.CREDIT if self is Side.DEBIT else Side.DEBIT


class Source(enum.Enum):
    """What an entry rests on."""

    API = "api"
    CALLBACK = "callback"
    QUERY = "query"
    STATEMENT = "statement"
    RECONCILIATION = "reconciliation"
    MANUAL = "manual"
    CLOSE = "close"
    OPENING = "opening"


@dataclass(frozen=True, slots=True)
class Subject:
    """What an entry is about: one payout, loan, batch; never more than one."""

    kind: str
    id: str

    def __post_init__(self) -> None:
        check_text(self.kind, field="subject.kind", length_max=40)
        check_text(self.id, field="subject.id", length_max=64)


@dataclass(frozen=True, slots=True)
class Posting:
    """One line: account path, side, positive money."""

    account: str
    side: Side
    money: Money

    def __post_init__(self) -> None:
        check_path(self.account, field="account")
        if self.money.minor_units <= 0:
            raise AmountInvalid("a posting's amount must be positive; the side says the direction", field="amount")


def debit(account: str, money: Money) -> Posting:
    """A debit line."""
    return Posting(account, Side.DEBIT, money)


def credit(account: str, money: Money) -> Posting:
    """A credit line."""
    return Posting(account, Side.CREDIT, money)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """A balanced entry that is not posted yet. `effective_at` is when it happened (aware); `reference` is an outside
    document such as a receipt. With `once`, a subject has at most one entry of this kind, enforced by the database."""

    kind: str
    postings: tuple[Posting, ...]
    effective_at: datetime
    source: Source
    subject: Subject | None = None
    once: bool = False
    reference: str | None = None
    narrative: str | None = None
    facts: Mapping[str, str] | None = None
    reverses_id: int | None = None

    def __post_init__(self) -> None:
        assert self.effective_at.tzinfo is not None, "effective_at must be aware"
        if not _is_kind(self.kind):
            raise TextInvalid(
                "a kind is 2 to 64 of a-z, 0-9, dot, dash and underscore, such as wallet.topup", field="kind"
            )
        if len(self.postings) < 2:
            raise EntryTooShort("a journal entry has at least two postings", field="postings")
        if len(self.postings) > POSTINGS_MAX:
            raise EntryTooLong(f"a journal entry has at most {POSTINGS_MAX} postings", field="postings")
        if self.reference is not None:
            check_text(self.reference, field="reference", length_max=100)
        if self.narrative is not None:
            check_text(self.narrative, field="narrative", length_max=500)
        check_facts(self.facts)
        _check_balance(self.postings)


def check_path(path: str, *, field: str) -> None:
    """Raises PathInvalid unless the text has the form of an account path."""
    if len(path) > _PATH_LENGTH_MAX or not _is_path(path):
        raise PathInvalid("an account path is lower-case words joined by dots, such as asset.bank.kcb", field=field)


@lru_cache(maxsize=_TEXTS_REMEMBERED)
def _is_path(text: str) -> bool:
    return _PATH.fullmatch(text) is not None


@lru_cache(maxsize=_TEXTS_REMEMBERED)
def _is_kind(text: str) -> bool:
    return _KIND.fullmatch(text) is not None


def _check_balance(postings: tuple[Posting, ...]) -> None:
    if len(postings) == 2 and _mirror(*postings):
        return
    net: dict[tuple[str, bool], int] = {}
    for posting in postings:
        money = posting.money
        group = (money.currency, posting.account.startswith("memo."))
        net[group] = net.get(group, 0) + (money.minor_units if posting.side is Side.DEBIT else -money.minor_units)
    for (currency, is_memo), difference in net.items():
        if difference:
            accounts = "memorandum accounts" if is_memo else "accounts"
            side = "debits" if difference > 0 else "credits"
            amount = format_minor_units(abs(difference), currency)
            raise EntryDoesNotBalance(
                f"the {currency} postings on {accounts} do not balance: {side} are {amount} more",
                field="postings",
                currency=currency,
                difference_minor_units=difference,
            )


def _mirror(one: Posting, other: Posting) -> bool:
    """Whether two postings undo each other, as they do in most entries: decided without counting."""
    return (
        one.side is not other.side
        and one.money == other.money
        and one.account.startswith("memo.") == other.account.startswith("memo.")
    )
