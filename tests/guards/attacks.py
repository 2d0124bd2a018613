"""What an attack on the journal is, and the list of all of them.

Each is a valid entry with one thing changed, with what PostgreSQL must say and which trigger says it. It is done by
anybody who may write at all, the owner of the tables included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.guards.stage import Connection, Stage

Act: TypeAlias = Callable[[Connection, Stage], None]

CHECK, UNIQUE = "23514", "23505"
WHOLE, CHAIN, BALANCE = (
    "journal_entry_is_whole_and_balanced",
    "account_chain_is_unbroken",
    "account_balance_follows_postings",
)
# Each trigger with its table.
LINES, HEADERS, BALANCES, NEW_BALANCES, LINKS, LINKED = (
    ("postings_form_entries", "postings"),
    ("journal_entries_have_postings", "journal_entries"),
    ("account_balances_follow_postings", "account_balances"),
    ("account_balances_begin_empty", "account_balances"),
    ("reversal_links_fit", "reversal_links"),
    ("journal_entries_reversals_are_linked", "journal_entries"),
)
THIRD, FOURTH = 3000, 4000  # ids for new entries


@dataclass(frozen=True, slots=True)
class Attack:
    """`guards` are the triggers without which it succeeds; none where a constraint stands against it."""

    name: str
    do: Act
    sqlstate: str
    constraint: str
    guards: tuple[tuple[str, str], ...]


ATTACKS: list[Attack] = []


def refused_by(constraint: str, *guards: tuple[str, str], sqlstate: str = CHECK) -> Callable[[Act], Act]:
    """Enters the attack into the list."""

    def enter(do: Act) -> Act:
        ATTACKS.append(Attack(do.__name__, do, sqlstate, constraint, guards))
        return do

    return enter
