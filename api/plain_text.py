"""The books as plain-text accounting: what hledger and beancount read. Pure; the text of people cannot leave its place.

Names of accounts are the paths with the class as their root. The file ends with the balance of every account as the
books have it, which the tool itself compares with what it made of the entries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol, TypeAlias

from ledger.ids import encode
from ledger.journal.accounts import AccountClass
from ledger.journal.books import Ledger
from ledger.journal.entries import ENTRY_PREFIX, EntryView
from ledger.journal.entry import Side
from ledger.journal.trial_balance import TrialBalanceLine
from ledger.money import EXPONENTS, decimal_text

Names: TypeAlias = Mapping[tuple[str, str], str]

# The first word of a path that says no more than its class.
_USUAL = {
    AccountClass.ASSET: "asset", AccountClass.LIABILITY: "liab", AccountClass.EQUITY: "equity",
    AccountClass.INCOME: "income", AccountClass.EXPENSE: "expense", AccountClass.MEMO: "memo",
}  # fmt: skip
_BEANCOUNT_ROOTS = {
    AccountClass.ASSET: "Assets", AccountClass.LIABILITY: "Liabilities", AccountClass.EQUITY: "Equity",
    AccountClass.INCOME: "Income", AccountClass.EXPENSE: "Expenses", AccountClass.MEMO: "Equity:Memo",
}  # fmt: skip
_HLEDGER_ROOTS = {
    AccountClass.ASSET: "assets", AccountClass.LIABILITY: "liabilities", AccountClass.EQUITY: "equity",
    AccountClass.INCOME: "income", AccountClass.EXPENSE: "expenses", AccountClass.MEMO: "memo",
}  # fmt: skip
_HLEDGER_TYPES = {
    AccountClass.ASSET: "A", AccountClass.LIABILITY: "L", AccountClass.EQUITY: "E", AccountClass.INCOME: "R",
    AccountClass.EXPENSE: "X",
}  # fmt: skip
# Everything that is no printable text, line ends of Unicode among it.
_UNPRINTABLE = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# What may mean something to hledger within a description or a comment.
_MEANINGFUL = re.compile(r"[;,:|\[\]=()]|  +")


class PlainText(Protocol):
    """A format. All of it is text that ends with a line end."""

    def head(self, ledger: Ledger, accounts: Sequence[TrialBalanceLine], *, first: date) -> str:
        """What stands before the entries: all accounts, open from the first day on."""

    def entry(self, entry: EntryView) -> str:
        """One entry."""

    def tail(self, accounts: Sequence[TrialBalanceLine], *, after: date) -> str:
        """The balances that the tool must come to, on the day after the last."""


@dataclass(frozen=True, slots=True)
class Beancount:
    """beancount 2 and 3. Memorandum accounts are below Equity:Memo, where they balance among themselves."""

    names: Names

    def head(self, ledger: Ledger, accounts: Sequence[TrialBalanceLine], *, first: date) -> str:
        """See PlainText."""
        title = _quoted(f"{ledger.name} ({ledger.code})")
        lines = [f'option "title" {title}', f'option "operating_currency" "{ledger.base_currency}"', ""]
        for name, currencies in _by_name(self.names, accounts).items():
            lines.append(f"{first.isoformat()} open {name} {','.join(sorted(currencies))}")
        return _text([*lines, ""])

    def entry(self, entry: EntryView) -> str:
        """See PlainText."""
        about = [("entry", encode(ENTRY_PREFIX, entry.id)), *_about(entry)]
        lines = [f"{entry.business_date.isoformat()} * {_quoted(entry.kind)} {_quoted(entry.narrative or '')}"]
        lines += [f"  {key}: {_quoted(value)}" for key, value in about]
        for line in entry.lines:
            posting = line.posting
            name = self.names[posting.account, posting.money.currency]
            lines.append(f"  {name}  {_signed(entry, line.line)} {posting.money.currency}")
        return _text([*lines, ""])

    def tail(self, accounts: Sequence[TrialBalanceLine], *, after: date) -> str:
        """See PlainText. A balance of beancount is that of the account with all below it."""
        totals: dict[tuple[str, str], int] = {}
        named = {(self.names[one.path, one.currency], one.currency) for one in accounts}
        for one in accounts:
            name = self.names[one.path, one.currency]
            for place in _with_parents(name, one.currency, named):
                totals[place] = totals.get(place, 0) + one.debits - one.credits
        return _text(
            f"{after.isoformat()} balance {name}  {decimal_text(total, currency)} {currency}"
            for (name, currency), total in totals.items()
        )


@dataclass(frozen=True, slots=True)
class Hledger:
    """hledger. Postings of memorandum accounts are virtual and balance among themselves: --real leaves them out."""

    names: Names
    memos: frozenset[str]

    def head(self, ledger: Ledger, accounts: Sequence[TrialBalanceLine], *, first: date) -> str:
        """See PlainText; hledger's accounts are open for ever."""
        lines = [f"; {_plain(f'{ledger.name} - {ledger.code} - {ledger.zone.key}')}", "decimal-mark ."]
        currencies = sorted({one.currency for one in accounts})
        lines += [f"commodity 1000.{'0' * EXPONENTS[currency]} {currency}" for currency in currencies]
        types = {self.names[one.path, one.currency]: _HLEDGER_TYPES.get(one.account_class) for one in accounts}
        lines += [f"account {name}" + (f"  ; type: {kind}" if kind else "") for name, kind in types.items()]
        return _text([*lines, ""])

    def entry(self, entry: EntryView) -> str:
        """See PlainText."""
        identifier = encode(ENTRY_PREFIX, entry.id)
        told = f" | {_plain(entry.narrative)}" if entry.narrative else ""
        lines = [f"{entry.business_date.isoformat()} * ({identifier}) {_plain(entry.kind)}{told}"]
        lines += [f"    ; {key}: {_plain(value)}" for key, value in _about(entry)]
        for line in entry.lines:
            money = line.posting.money
            lines.append(
                f"    {self._name(line.posting.account, money.currency)}  {_signed(entry, line.line)} {money.currency}"
            )
        return _text([*lines, ""])

    def tail(self, accounts: Sequence[TrialBalanceLine], *, after: date) -> str:
        """See PlainText: an entry that moves nothing and asserts each balance."""
        lines = [f"{after.isoformat()} * balances"]
        for one in accounts:
            total = decimal_text(one.debits - one.credits, one.currency)
            lines.append(f"    {self._name(one.path, one.currency)}  0 {one.currency} = {total} {one.currency}")
        return _text([*lines, ""]) if accounts else ""

    def _name(self, path: str, currency: str) -> str:
        name = self.names[path, currency]
        return f"[{name}]" if name in self.memos else name


def beancount(accounts: Sequence[TrialBalanceLine]) -> Beancount:
    """For books that have these accounts."""
    return Beancount(_names(accounts, _BEANCOUNT_ROOTS, _beancount_word))


def hledger(accounts: Sequence[TrialBalanceLine]) -> Hledger:
    """For books that have these accounts."""
    names = _names(accounts, _HLEDGER_ROOTS, lambda word: word)
    memos = (one for one in accounts if one.account_class is AccountClass.MEMO)
    return Hledger(names, frozenset(names[one.path, one.currency] for one in memos))


FORMATS: Mapping[str, Callable[[Sequence[TrialBalanceLine]], PlainText]] = {"beancount": beancount, "hledger": hledger}


def _names(
    accounts: Sequence[TrialBalanceLine], roots: Mapping[AccountClass, str], word_of: Callable[[str], str]
) -> Names:
    """A name per path and class; where two paths would have the same, the later one in the alphabet is numbered."""
    names: dict[tuple[str, str], str] = {}
    owners: dict[str, tuple[str, AccountClass]] = {}
    for one in sorted(accounts, key=lambda one: (one.path, one.account_class.value, one.currency)):
        words = one.path.split(".")
        if words[0] == _USUAL[one.account_class]:
            words = words[1:]
        plain = name = ":".join([roots[one.account_class], *(word_of(word) for word in words)])
        number, owner = 2, (one.path, one.account_class)
        while owners.setdefault(name, owner) != owner:
            name, number = f"{plain}-{number}", number + 1
        names[one.path, one.currency] = name
    return names


def _beancount_word(word: str) -> str:
    """Beancount's words begin with a capital or a digit, and have no underscore."""
    dashed = word.replace("_", "-")
    return dashed[0].upper() + dashed[1:]


def _by_name(names: Names, accounts: Iterable[TrialBalanceLine]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in accounts:
        found.setdefault(names[one.path, one.currency], set()).add(one.currency)
    return found


def _with_parents(name: str, currency: str, named: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The account, and those above it that hold this currency."""
    yield name, currency
    while ":" in name:
        name = name.rpartition(":")[0]
        if (name, currency) in named:
            yield name, currency


def _about(entry: EntryView) -> list[tuple[str, str]]:
    """What is kept beside an entry, by keys that both tools take."""
    subject = entry.subject
    found = [
        ("reference", entry.reference),
        ("subject-kind", subject.kind if subject else None),
        ("subject-id", subject.id if subject else None),
        ("reverses", encode(ENTRY_PREFIX, entry.reverses_id) if entry.reverses_id else None),
        ("source", entry.source.value),
        ("actor", entry.actor),
    ]
    return [(key, value) for key, value in found if value]


def _signed(entry: EntryView, line: int) -> str:
    posting = entry.lines[line - 1].posting
    sign = 1 if posting.side is Side.DEBIT else -1
    return decimal_text(sign * posting.money.minor_units, posting.money.currency)


def _quoted(text: str) -> str:
    """A string of beancount, on one line."""
    return '"' + _UNPRINTABLE.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    """A text within a line of hledger: what could end it there, or begin something else, is an underscore."""
    return _MEANINGFUL.sub("_", _UNPRINTABLE.sub(" ", text)).strip()


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
