"""Attacks with entries that are not whole, or do not balance."""

from __future__ import annotations

from tests.guards.attacks import FOURTH, HEADERS, LINES, THIRD, UNIQUE, WHOLE, refused_by
from tests.guards.stage import BANK, CODES, DOLLARS, FIRST, FRESH, SECOND, WALLET, Connection, Rows, Stage


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
def a_line_missing_in_the_middle(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.lines[1]["line"], rows.headers[0]["posting_count"] = 3, 3
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
