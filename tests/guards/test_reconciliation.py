"""Statements and runs as the database holds them, whoever writes: lines once, files taken in once, sums that add up."""

from __future__ import annotations

from typing import LiteralString

import pytest

from tests.guards.stage import Connection, Stage, refusal

FOREIGN_KEY, UNIQUE, CHECK = "23503", "23505", "23514"
_FILE: LiteralString = """
INSERT INTO statement_files (ledger_id, id, account_id, name, sha256, bytes, actor, received_at)
SELECT ledger_id, %(id)s, id, 'a.csv', %(sha)s, 1, 'x', now() FROM accounts ORDER BY ledger_id, id LIMIT 1
"""
_IMPORT: LiteralString = """
INSERT INTO statement_imports (ledger_id, id, file_id, verdict, lines, added, actor, imported_at)
SELECT ledger_id, %(id)s, id, 'accepted', 1, %(added)s, 'x', now() FROM statement_files WHERE id = 1
"""
_LINE: LiteralString = """
INSERT INTO statement_lines (ledger_id, account_id, id, file_id, digest, ordinal, position, receipt, completed_at, kind,
    status, amount, details)
SELECT ledger_id, account_id, %(id)s, id, 'd', 0, 1, 'R1', now(), 'payout', 'completed', %(amount)s, 'x'
FROM statement_files WHERE id = 1
"""
_RUN: LiteralString = """
INSERT INTO reconciliation_runs (ledger_id, id, account_id, from_date, until_date, told_until, statement_opening,
    statement_closing, books_opening, books_closing, lines, decisions, breaks, difference, unexplained, resolved, actor,
    recorded_at)
SELECT ledger_id, 1, id, '2026-09-01', '2026-09-01', now(), 0, 100, 0, 40, 1, 1, 1, %(difference)s, 60, 0, 'x', now()
FROM accounts ORDER BY ledger_id, id LIMIT 1
"""
_DECISION: LiteralString = """
INSERT INTO reconciliation_decisions (ledger_id, run_id, number, state, rule, reason, happened_at, receipt, difference,
    line_ids, entry_ids)
SELECT ledger_id, 7, 1, 'matched', 'receipt', 'x', now(), 'R1', 0, '{}', '{}' FROM accounts LIMIT 1
"""


@pytest.fixture(autouse=True)
def file(app: Connection, stage: Stage) -> None:
    """A file with one line, taken in."""
    app.execute(_FILE, {"id": 1, "sha": b"1"})
    app.execute(_IMPORT, {"id": 1, "added": 1})
    app.execute(_LINE, {"id": 1, "amount": -5})


def test_a_line_is_there_once(app: Connection) -> None:
    with refusal(app, UNIQUE, "statement_lines_are_taken_in_once"):
        app.execute(_LINE, {"id": 2, "amount": -5})


def test_a_line_moves_something(app: Connection) -> None:
    with refusal(app, CHECK, "statement_lines_have_an_amount"):
        app.execute(_LINE, {"id": 2, "amount": 0})


def test_a_file_is_kept_once_and_taken_in_once(app: Connection) -> None:
    with refusal(app, UNIQUE, "statement_files_are_kept_once"):
        app.execute(_FILE, {"id": 2, "sha": b"1"})
    with refusal(app, UNIQUE, "statement_imports_accept_once"):
        app.execute(_IMPORT, {"id": 2, "added": 0})


def test_a_file_adds_no_more_than_it_has(app: Connection) -> None:
    with refusal(app, CHECK, "statement_imports_add_what_they_have"):
        app.execute(_IMPORT, {"id": 2, "added": 2})


def test_a_decision_belongs_to_a_run(app: Connection) -> None:
    with refusal(app, FOREIGN_KEY, "reconciliation_decisions_ledger_id_run_id_fkey"):
        app.execute(_DECISION)


def test_a_run_leaves_nothing_of_the_difference_out(app: Connection) -> None:
    app.execute("SAVEPOINT before")
    app.execute(_RUN, {"difference": 60})
    app.execute("ROLLBACK TO before")

    with refusal(app, CHECK, "reconciliation_runs_add_up"):
        app.execute(_RUN, {"difference": 0})
