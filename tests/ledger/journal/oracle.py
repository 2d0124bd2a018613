"""A naive model of the books: everything posted as one Python list, and every answer a fold over it.

It shares no code with the queries it is compared with; ids and recorded times are those the posting engine gave out.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from ledger.journal.decide import Posted
from ledger.journal.entry import JournalEntry, Posting, Side, Subject, credit, debit
from ledger.money import Money
from tests.builders import BANK, FEES, NOW, OTHER_WALLET, PRINTED, PRINTED_CONTRA, WALLET, Books, entry

PATHS = (BANK, WALLET, OTHER_WALLET, FEES)
KINDS = ("order.paid", "order.refunded", "fee")
SUBJECTS = (None, Subject("order", "1"), Subject("order", "2"), Subject("customer", "1"))
REFERENCES = (None, "RCPT1", "RCPT2")
CREDIT_NORMAL = ("liab.", "income.", "equity.")


@dataclass(frozen=True, slots=True)
class Fact:
    """One entry as it was posted."""

    entry_id: int
    recorded_at: datetime
    business_date: date
    draft: JournalEntry


@dataclass(frozen=True, slots=True)
class Line:
    """One posting of the model with the entry it is in."""

    fact: Fact
    number: int
    posting: Posting


class Model:
    """Everything posted, in order."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.facts = list(facts)

    def lines(self, path: str, currency: str) -> list[Line]:
        """The account's postings, oldest first."""
        return [
            Line(fact, number, posting)
            for fact in self.facts
            for number, posting in enumerate(fact.draft.postings, start=1)
            if (posting.account, posting.money.currency) == (path, currency)
        ]

    def accounts(self) -> list[tuple[str, str]]:
        """Every (path, currency) that moved."""
        moved = {(one.account, one.money.currency) for fact in self.facts for one in fact.draft.postings}
        return sorted(moved)


def signed(posting: Posting) -> int:
    """What the posting adds to its account's balance on the normal side."""
    normal = Side.CREDIT if posting.account.startswith(CREDIT_NORMAL) else Side.DEBIT
    return posting.money.minor_units if posting.side is normal else -posting.money.minor_units


def balance(lines: Iterable[Line]) -> int:
    """The balance these lines leave."""
    return sum(signed(line.posting) for line in lines)


async def random_books(books: Books, *, seed: int, sets: int) -> Model:
    """Posts `sets` random sets of 1 to 12 entries, some in one millisecond, some backdated, some reversed, and returns
    the model of them."""
    chance = random.Random(seed)
    facts: list[Fact] = []
    now = NOW
    for _ in range(sets):
        now += timedelta(milliseconds=chance.choice((0, 1, 700, 90_000)), microseconds=chance.randrange(1000))
        drafts = [_random_entry(chance, now) for _ in range(chance.randint(1, 12))]
        for draft, posted in zip(drafts, await books.post_all(drafts, now=now), strict=True):
            facts.append(_fact(draft, posted))
        if chance.random() < 0.4:
            facts.append(await _reverse_one(books, chance.choice(facts), facts, now))
    return Model(facts)


def _fact(draft: JournalEntry, posted: Posted) -> Fact:
    in_nairobi = draft.effective_at + timedelta(hours=3)  # the zone of test books has no summer time
    return Fact(posted.entry_id, posted.recorded_at, in_nairobi.date(), draft)


async def _reverse_one(books: Books, chosen: Fact, facts: list[Fact], now: datetime) -> Fact:
    """Reverses the whole of an entry nobody reversed yet; of one that was, a transfer takes its place."""
    if any(fact.draft.reverses_id == chosen.entry_id for fact in facts):
        draft = _transfer(random.Random(chosen.entry_id), now)
        return _fact(draft, await books.post(draft, now=now))
    posted = await books.reverse(chosen.entry_id, effective_at=now, now=now)
    assert isinstance(posted, Posted)
    opposite = tuple(replace(one, side=one.side.opposite) for one in chosen.draft.postings)
    draft = replace(
        chosen.draft,
        kind="reversal",
        postings=opposite,
        effective_at=now,
        narrative="posted in error",
        facts=None,
        reverses_id=chosen.entry_id,
    )
    return _fact(draft, posted)


def _random_entry(chance: random.Random, now: datetime) -> JournalEntry:
    draft = chance.choice((_transfer, _transfer, _split, _two_currencies, _codes, _back_and_forth))(chance, now)
    return replace(
        draft,
        kind=chance.choice(KINDS),
        subject=chance.choice(SUBJECTS),
        reference=chance.choice(REFERENCES),
        effective_at=now - timedelta(hours=chance.choice((0, 0, 5, 30, 100)), minutes=chance.randrange(60)),
    )


def _transfer(chance: random.Random, now: datetime) -> JournalEntry:
    amount = Money("KES", chance.randint(1, 10**6))
    source, target = chance.sample((BANK, FEES), 2)
    return entry(debit(source, amount), credit(target, amount), effective_at=now)


def _split(chance: random.Random, now: datetime) -> JournalEntry:
    amounts = [chance.randint(1, 10**6) for _ in range(chance.randint(1, 4))]
    credits = [credit(chance.choice((WALLET, OTHER_WALLET, FEES)), Money("KES", amount)) for amount in amounts]
    return entry(debit(BANK, Money("KES", sum(amounts))), *credits, effective_at=now)


def _two_currencies(chance: random.Random, now: datetime) -> JournalEntry:
    shillings, dollars = Money("KES", chance.randint(1, 10**6)), Money("USD", chance.randint(1, 10**4))
    return entry(
        debit(BANK, shillings), credit(FEES, shillings), debit(WALLET, dollars), credit(BANK, dollars), effective_at=now
    )


def _codes(chance: random.Random, now: datetime) -> JournalEntry:
    amount = Money("KES", chance.randint(1, 10**6))
    return entry(debit(PRINTED, amount), credit(PRINTED_CONTRA, amount), effective_at=now)


def _back_and_forth(chance: random.Random, now: datetime) -> JournalEntry:
    """One account on both sides, several times."""
    amount, rest = Money("KES", chance.randint(1, 1000)), Money("KES", chance.randint(1, 1000))
    lines = (debit(BANK, amount), credit(BANK, amount), debit(BANK, rest), credit(FEES, rest))
    return entry(*lines, effective_at=now)
