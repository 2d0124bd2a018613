"""Attacks on the journal, each a valid entry with one thing changed, with what PostgreSQL must say and which trigger says it.

An attack is done by anybody who may write at all, the owner of the tables included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from tests.guards.stage import (
    BANK,
    CAPPED,
    CLOSED,
    CODES,
    CONTRA,
    DOLLARS,
    FIRST,
    FRESH,
    NO_ACCOUNT,
    NOW,
    SECOND,
    WALLET,
    Connection,
    Rows,
    Stage,
)

CHECK, UNIQUE, FOREIGN_KEY = "23514", "23505", "23503"
WHOLE, CHAIN, BALANCE = (
    "journal_entry_is_whole_and_balanced",
    "account_chain_is_unbroken",
    "account_balance_follows_postings",
)
# Trigger: its table.
LINES, HEADERS, BALANCES, NEW_BALANCES, LINKS, LINKED = (
    ("postings_form_entries", "postings"),
    ("journal_entries_have_postings", "journal_entries"),
    ("account_balances_follow_postings", "account_balances"),
    ("account_balances_begin_empty", "account_balances"),
    ("reversal_links_fit", "reversal_links"),
    ("journal_entries_reversals_are_linked", "journal_entries"),
)
THIRD, FOURTH = 3000, 4000


@dataclass(frozen=True, slots=True)
class Attack:
    """`guards` are the triggers without which it succeeds; none where a constraint stands against it."""

    do: Callable[[Connection, Stage], None]
    sqlstate: str
    constraint: str
    guards: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """For the test's id."""
        return self.do.__name__


ATTACKS: list[Attack] = []


def refused_by(
    constraint: str, *guards: tuple[str, str], sqlstate: str = CHECK
) -> Callable[[Callable[[Connection, Stage], None]], Callable[[Connection, Stage], None]]:
    """Enters the attack into the list."""

    def enter(do: Callable[[Connection, Stage], None]) -> Callable[[Connection, Stage], None]:
        ATTACKS.append(Attack(do, sqlstate, constraint, guards))
        return do

    return enter


# Entries that are not whole, or do not balance.


@refused_by(WHOLE, LINES)
def debits_more_than_credits(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (BANK, "D", 100), (WALLET, "C", 99)).post(connection)


@refused_by(WHOLE, LINES)
def balances_only_across_currencies(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (DOLLARS, "D", 100), (WALLET, "C", 100)).post(connection)


@refused_by(WHOLE, LINES)
def balances_only_across_memorandum_and_money(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (CODES, "D", 100), (WALLET, "C", 100)).post(connection)


@refused_by(WHOLE, LINES)
def balances_only_with_the_next_entry(connection: Connection, stage: Stage) -> None:
    one = stage.entry(THIRD, (BANK, "D", 100), (WALLET, "C", 90))
    (one + stage.entry(FOURTH, (BANK, "D", 90), (WALLET, "C", 100))).post(connection)


@refused_by(WHOLE, LINES)
def hides_behind_a_valid_entry(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    (rows + stage.entry(FOURTH, (BANK, "D", 100), (FRESH, "C", 1))).post(connection)


@refused_by(WHOLE, HEADERS)
def header_alone(connection: Connection, stage: Stage) -> None:
    Rows(headers=stage.transfer(THIRD, BANK, WALLET, 5).headers).post(connection)


@refused_by(WHOLE, LINES)
def lines_without_a_header(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    Rows(lines=rows.lines, balances=rows.balances).post(connection)


@refused_by(WHOLE, LINES, HEADERS)
def lines_under_the_header_of_another_ledger(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.headers[0]["ledger_id"] = stage.foreign_id
    rows.post(connection)


@refused_by("journal_entries_have_two_postings")
def one_line_that_its_header_counts(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (BANK, "D", 5)).post(connection)


@refused_by(WHOLE, LINES, HEADERS)
def one_line_where_its_header_counts_two(connection: Connection, stage: Stage) -> None:
    rows = stage.entry(THIRD, (BANK, "D", 5))
    rows.headers[0]["posting_count"] = 2
    rows.post(connection)


@refused_by(WHOLE, LINES)
def late_lines(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(FIRST, BANK, WALLET, 5)
    for line, number in zip(rows.lines, (3, 4), strict=True):
        line["line"] = number
    Rows(lines=rows.lines, balances=rows.balances).post(connection)


@refused_by(WHOLE, LINES)
def late_lines_in_the_same_transaction(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, BANK, WALLET, 5).post(connection)
    rows = stage.transfer(THIRD, BANK, FRESH, 7)
    for line, number in zip(rows.lines, (3, 4), strict=True):
        line["line"] = number
    Rows(lines=rows.lines, balances=rows.balances).post(connection)


@refused_by("postings_pkey", sqlstate=UNIQUE)
def lines_in_the_place_of_earlier_ones(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(FIRST, BANK, WALLET, 5)
    Rows(lines=rows.lines, balances=rows.balances).post(connection)


@refused_by(WHOLE, HEADERS)
def an_entry_in_two_statements_header_first(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    Rows(headers=rows.headers).post(connection)
    Rows(lines=rows.lines, balances=rows.balances).post(connection)


@refused_by(WHOLE, LINES)
def an_entry_in_two_statements_last_line_first(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    Rows(rows.headers, rows.lines[1:], rows.balances[1:]).post(connection)
    Rows(lines=rows.lines[:1], balances=rows.balances[:1]).post(connection)


@refused_by(WHOLE, LINES, HEADERS)
def lines_numbered_one_and_three(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.lines[1]["line"] = 3
    rows.post(connection)


@refused_by(WHOLE, LINES)
def lines_numbered_two_and_three(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.lines[0]["line"], rows.lines[1]["line"] = 2, 3
    rows.post(connection)


@refused_by("postings_line_is_positive")
def lines_numbered_from_zero(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.lines[0]["line"], rows.lines[1]["line"] = 0, 1
    rows.post(connection)


@refused_by("postings_pkey", sqlstate=UNIQUE)
def two_lines_of_one_number(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.lines[1]["line"] = 1
    rows.post(connection)


@refused_by(WHOLE, LINES, HEADERS)
def a_header_that_counts_a_line_too_many(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.headers[0]["posting_count"] = 3
    rows.post(connection)


@refused_by(WHOLE, LINES)
def a_header_that_counts_two_lines_too_few(connection: Connection, stage: Stage) -> None:
    rows = stage.entry(THIRD, (BANK, "D", 5), (WALLET, "C", 5), (BANK, "D", 7), (FRESH, "C", 7))
    rows.headers[0]["posting_count"] = 2
    rows.post(connection)


@refused_by("postings_amount_is_positive")
def an_amount_of_zero(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, BANK, WALLET, 0).post(connection)


@refused_by("postings_amount_is_positive")
def negative_amounts(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, BANK, WALLET, -5).post(connection)


@refused_by("postings_side_is_known")
def a_side_that_is_neither(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.lines[0]["side"] = "X"
    rows.post(connection)


@refused_by(WHOLE, HEADERS)
def the_name_of_another_transaction(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, BANK, WALLET, 5, xid="3").post(connection)


@refused_by("journal_entries_transition_is_unique", sqlstate=UNIQUE)
def a_transition_that_has_happened(connection: Connection, stage: Stage) -> None:
    paid = {"subject_kind": "order", "subject_id": "1", "occurrence": 0}
    stage.transfer(THIRD, BANK, WALLET, 5, **paid).post(connection)
    stage.transfer(FOURTH, BANK, WALLET, 5, **paid).post(connection)


@refused_by("journal_entries_pkey", sqlstate=UNIQUE)
def the_id_of_another_entry(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(SECOND, BANK, WALLET, 5)
    rows.lines[0]["line"], rows.lines[1]["line"] = 3, 4
    rows.post(connection)


# Accounts that are not the ledger's, not in the currency, or not open.


@refused_by(WHOLE, LINES)
def the_account_of_another_ledger(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, NO_ACCOUNT, WALLET, 5)
    Rows(rows.headers, rows.lines, rows.balances[1:]).post(connection)


@refused_by(WHOLE, LINES)
def an_account_in_another_currency(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    for line in rows.lines:
        line["currency"] = "USD"
    rows.post(connection)


@refused_by(BALANCE, LINES, BALANCES)
def a_closed_account(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, BANK, CLOSED, 5).post(connection)


@refused_by(CHAIN, LINES)
def an_account_that_is_closed_in_the_same_statement(connection: Connection, stage: Stage) -> None:
    rows = stage.entry(THIRD, (FRESH, "D", 5), (FRESH, "C", 5))
    connection.execute(
        "UPDATE public.account_balances SET closed_at = %s WHERE ledger_id = %s AND account_id = %s",
        (NOW, stage.ledger_id, FRESH),
    )
    rows.post(connection)


@refused_by(CHAIN, LINES)
def an_account_without_a_balance_row(connection: Connection, stage: Stage) -> None:
    connection.execute(
        "INSERT INTO public.accounts (ledger_id, id, path, number, name, class, normal_side, currency, opened_at) "
        "VALUES (%s, 50, 'asset.ghost', '', 'Ghost', 'asset', 'D', 'KES', %s)",
        (stage.ledger_id, NOW),
    )
    stage.transfer(THIRD, 50, WALLET, 5).post(connection)


# Balances and versions that do not follow from what was there.


@refused_by(CHAIN, LINES)
def a_balance_after_that_is_wrong(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.lines[0]["balance_after"] += 1
    rows.post(connection)


@refused_by(BALANCE, LINES, BALANCES)
def a_gap_in_the_versions(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.lines[0]["account_version"] += 1
    rows.balances[0]["version"] += 1
    rows.post(connection)


@refused_by(CHAIN, LINES)
def a_version_of_zero(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, FRESH, 5)
    rows.lines[1]["account_version"] = 0
    rows.balances[1:] = []
    rows.post(connection)


@refused_by("postings_account_version_is_unique", sqlstate=UNIQUE)
def a_version_that_is_taken(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.lines[0]["account_version"] -= 1
    rows.post(connection)


@refused_by(CHAIN, LINES)
def versions_in_another_order_than_entries(connection: Connection, stage: Stage) -> None:
    """The earlier entry claims the later version, with balances that fit the versions."""
    later, earlier = stage.transfer(FOURTH, BANK, WALLET, 5), stage.transfer(THIRD, BANK, WALLET, 7)
    for balance in earlier.balances:
        balance["last_entry_id"] = FOURTH
    Rows(later.headers + earlier.headers, later.lines + earlier.lines, earlier.balances).post(connection)


@refused_by(CHAIN, LINES)
def an_entry_slipped_in_before_the_newest(connection: Connection, stage: Stage) -> None:
    """Its id says that it was recorded earlier: what the account held at a past time would change."""
    stage.transfer(SECOND - 1, BANK, WALLET, 5).post(connection)


@refused_by(CHAIN, LINES)
def postings_that_leave_the_balance_row_behind(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    Rows(rows.headers, rows.lines, rows.balances[1:]).post(connection)


def set_balance(connection: Connection, stage: Stage, account: int, assignments: str) -> None:
    """Changes a balance row alone."""
    connection.execute(
        f"UPDATE public.account_balances SET {assignments} WHERE ledger_id = %s AND account_id = %s".encode(),
        (stage.ledger_id, account),
    )


@refused_by(BALANCE, BALANCES)
def money_from_nowhere(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, "credits = credits + 1")


@refused_by(BALANCE, BALANCES)
def turnover_on_both_sides_from_nowhere(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, "debits = debits + 1, credits = credits + 1")


@refused_by(BALANCE, BALANCES)
def turnover_on_both_sides_beside_a_posting(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.balances[0] |= {"debits": rows.balances[0]["debits"] + 9, "credits": rows.balances[0]["credits"] + 9}
    rows.post(connection)


@refused_by(BALANCE, BALANCES)
def a_balance_row_set_back_to_an_earlier_posting(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, f"credits = 500, version = 1, last_entry_id = {FIRST}")


@refused_by(BALANCE, BALANCES)
def a_balance_row_emptied(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, "credits = 0, version = 0, last_entry_id = 0")


@refused_by(BALANCE, BALANCES)
def a_balance_row_emptied_and_closed(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, f"credits = 0, version = 0, last_entry_id = 0, closed_at = '{NOW}'")


@refused_by(BALANCE, BALANCES)
def a_balance_row_ahead_of_its_postings(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, "version = version + 1")


@refused_by(BALANCE, BALANCES)
def a_balance_row_that_names_another_entry(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, f"last_entry_id = {FIRST}")


@refused_by(BALANCE, BALANCES)
def a_balance_row_that_names_another_entry_beside_a_posting(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.balances[0]["last_entry_id"] = FOURTH
    rows.post(connection)


@refused_by(BALANCE, BALANCES)
def an_account_closed_with_money_inside(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, f"closed_at = '{NOW}'")


@refused_by(BALANCE, NEW_BALANCES)
def an_account_that_begins_with_money(connection: Connection, stage: Stage) -> None:
    connection.execute(
        "INSERT INTO public.accounts (ledger_id, id, path, number, name, class, normal_side, currency, opened_at) "
        "VALUES (%s, 50, 'liab.rich', '', 'Rich', 'liability', 'C', 'KES', %s)",
        (stage.ledger_id, NOW),
    )
    connection.execute(
        "INSERT INTO public.account_balances (ledger_id, account_id, credits) VALUES (%s, 50, 1000000)",
        (stage.ledger_id,),
    )


# Floors and ceilings.


@refused_by(CHAIN, LINES)
def a_balance_below_the_floor(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, WALLET, BANK, 801).post(connection)


@refused_by(CHAIN, LINES)
def a_balance_above_the_ceiling(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, BANK, CAPPED, 101).post(connection)


@refused_by(CHAIN, LINES)
def a_floor_broken_and_mended_in_one_statement(connection: Connection, stage: Stage) -> None:
    (stage.transfer(THIRD, WALLET, BANK, 801) + stage.transfer(FOURTH, BANK, WALLET, 900)).post(connection)


@refused_by(CHAIN, LINES)
def a_ceiling_broken_and_mended_in_one_statement(connection: Connection, stage: Stage) -> None:
    (stage.transfer(THIRD, BANK, CAPPED, 101) + stage.transfer(FOURTH, CAPPED, BANK, 50)).post(connection)


@refused_by(CHAIN, LINES)
def a_floor_broken_in_the_middle_of_a_set_on_several_accounts(connection: Connection, stage: Stage) -> None:
    rows = stage.entry(THIRD, (CODES, "D", 5), (CONTRA, "C", 5))
    (rows + stage.transfer(FOURTH, WALLET, BANK, 900) + stage.transfer(FOURTH + 1, BANK, FRESH, 5)).post(connection)


# Reversals.


def link(
    stage: Stage,
    original: tuple[int, int],
    reversing: tuple[int, int],
    amount: int,
    *,
    ordinal: int = 1,
    after: int = 0,
) -> dict[str, int]:
    """The row that says that a line of the reversing entry takes `amount` off a line of the original."""
    return {
        "ledger_id": stage.ledger_id, "original_entry_id": original[0], "original_line": original[1], "ordinal": ordinal,
        "reversing_entry_id": reversing[0], "reversing_line": reversing[1], "amount": amount,
        "reversed_after": after or amount,
    }  # fmt: skip


def store_links(connection: Connection, *links: dict[str, int]) -> None:
    """Writes them in one statement."""
    connection.execute(
        "INSERT INTO public.reversal_links SELECT * FROM jsonb_populate_recordset(NULL::public.reversal_links, %s)",
        (Jsonb(list(links)),),
    )


def reverse(
    connection: Connection, stage: Stage, entry_id: int, amount: int, *, ordinal: int = 1, after: int = 0
) -> None:
    """Reverses so much of both lines of the first entry, linked as it should be."""
    stage.entry(entry_id, (BANK, "C", amount), (WALLET, "D", amount), reverses_id=FIRST).post(connection)
    store_links(
        connection,
        *(link(stage, (FIRST, line), (entry_id, line), amount, ordinal=ordinal, after=after) for line in (1, 2)),
    )


FITS = "reversal_fits_original"


@refused_by(FITS, LINKS)
def more_reversed_than_the_original(connection: Connection, stage: Stage) -> None:
    reverse(connection, stage, THIRD, 501)


@refused_by(FITS, LINKS)
def more_reversed_than_the_original_in_two_parts(connection: Connection, stage: Stage) -> None:
    reverse(connection, stage, THIRD, 300)
    reverse(connection, stage, FOURTH, 300, ordinal=2, after=600)


@refused_by(FITS, LINKS)
def two_parts_that_do_not_add_up(connection: Connection, stage: Stage) -> None:
    reverse(connection, stage, THIRD, 300)
    reverse(connection, stage, FOURTH, 300, ordinal=2, after=300)


@refused_by(FITS, LINKS)
def a_second_part_that_skips_a_number(connection: Connection, stage: Stage) -> None:
    reverse(connection, stage, THIRD, 300)
    reverse(connection, stage, FOURTH, 300, ordinal=3)


@refused_by("reversal_links_pkey", sqlstate=UNIQUE)
def a_second_part_in_the_place_of_the_first(connection: Connection, stage: Stage) -> None:
    reverse(connection, stage, THIRD, 300)
    reverse(connection, stage, FOURTH, 300)


@refused_by("reversal_is_linked", LINKED)
def a_reversal_without_links(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, WALLET, BANK, 700, reverses_id=FIRST).post(connection)


@refused_by("reversal_is_linked", LINKED)
def a_reversal_with_one_of_its_lines_linked(connection: Connection, stage: Stage) -> None:
    legs = (BANK, "C", 700), (WALLET, "D", 700), (BANK, "C", 5), (WALLET, "D", 5)
    stage.entry(THIRD, *legs, reverses_id=FIRST).post(connection)
    store_links(connection, *(link(stage, (FIRST, line), (THIRD, line + 2), 5) for line in (1, 2)))


@refused_by("reversal_is_linked", LINKED)
def a_reversal_of_nothing_that_exists(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, WALLET, BANK, 5, reverses_id=12345).post(connection)


@refused_by(FITS, LINKS)
def links_of_an_entry_that_reverses_nothing(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (BANK, "C", 5), (WALLET, "D", 5)).post(connection)
    store_links(connection, *(link(stage, (FIRST, line), (THIRD, line), 5) for line in (1, 2)))


@refused_by(FITS, LINKS)
def links_of_an_entry_that_reverses_another(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (BANK, "C", 5), (WALLET, "D", 5), reverses_id=FIRST).post(connection)
    store_links(connection, *(link(stage, (SECOND, line), (THIRD, line), 5) for line in (1, 2)))


@refused_by(FITS, LINKS)
def a_link_of_less_than_its_line(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (BANK, "C", 5), (WALLET, "D", 5), reverses_id=FIRST).post(connection)
    store_links(connection, *(link(stage, (FIRST, line), (THIRD, line), 4) for line in (1, 2)))


@refused_by(FITS, LINKS)
def links_across_accounts(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (FRESH, "C", 5), (BANK, "D", 5), reverses_id=FIRST).post(connection)
    store_links(connection, *(link(stage, (FIRST, line), (THIRD, line), 5) for line in (1, 2)))


@refused_by(FITS, LINKS)
def links_on_the_same_side(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (BANK, "D", 5), (WALLET, "C", 5), reverses_id=FIRST).post(connection)
    store_links(connection, *(link(stage, (FIRST, line), (THIRD, line), 5) for line in (1, 2)))


@refused_by("reversal_links_reversing_line_is_used_once", sqlstate=UNIQUE)
def one_line_that_reverses_twice(connection: Connection, stage: Stage) -> None:
    reverse(connection, stage, THIRD, 5)
    store_links(connection, link(stage, (FIRST, 1), (THIRD, 1), 5, ordinal=2, after=10))


# Keys.


@refused_by("idempotency_keys_pkey", sqlstate=UNIQUE)
def a_second_answer_under_one_key(connection: Connection, stage: Stage) -> None:
    for entry_id in (FIRST, SECOND):
        connection.execute(
            "INSERT INTO idempotency_keys (ledger_id, client_id, key, method, request_hash, result_id, created_at) "
            "VALUES (%s, 1, 'k', 'PostEntry', %s, %s, %s)",
            (stage.ledger_id, bytes(16), entry_id, NOW),
        )
