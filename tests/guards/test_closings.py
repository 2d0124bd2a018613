"""Closed days in the database, whoever writes: step after step, signed by another, and nothing is dated there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.guards.attacks import CHECK
from tests.guards.payout_scene import insert
from tests.guards.stage import BANK, CODES, CONTRA, NOW, WALLET, Connection, Stage, Values, refusal

FOLLOW, ANOTHER, DATED = (
    "closings_follow_each_other",
    "closing_is_signed_by_another",
    "entry_is_dated_in_an_open_period",
)
SERIALIZATION = "40001"
LAST = "2026-11-19"  # the stage's entries are of the day after, which is the day of NOW in Nairobi


def step(stage: Stage, number: int, name: str, **changes: Any) -> Values:
    """A step of a close of everything up to the day before."""
    told = {"first_date": None, "last_date": LAST, "open_items": 0, "reason": "", "actor": f"person {number}"}
    return {"ledger_id": stage.ledger_id, "id": number, "step": name, "recorded_at": NOW} | told | changes


@pytest.fixture
def signed(app: Connection, stage: Stage) -> Stage:
    """The days before are closed and signed."""
    insert(app, "closings", step(stage, 1, "begun"))
    insert(app, "closings", step(stage, 2, "signed"))
    return stage


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "signed"},
        {"name": "reopened", "reason": "so"},
        {"name": "begun", "last_date": "2026-11-20"},
        {"name": "begun", "first_date": "2026-11-01"},
        {"name": "begun", "last_date": "2999-01-01", "recorded_at": "2999-02-01 09:00+00"},
    ],
    ids=["signed unbegun", "reopened unbegun", "today", "a gap before", "the future"],
)
def test_a_close_begins_with_days_that_are_over(
    app: Connection, owner: Connection, stage: Stage, changes: Values
) -> None:
    for connection in (app, owner):
        with refusal(connection, CHECK, FOLLOW):
            insert(connection, "closings", step(stage, 1, **changes))


def test_one_step_follows_another(app: Connection, stage: Stage) -> None:
    insert(app, "closings", step(stage, 2, "begun"))

    for number, name, changes in (
        (3, "begun", {}),
        (1, "signed", {}),
        (3, "signed", {"last_date": "2026-11-18"}),
        (3, "reopened", {"last_date": "2026-11-18", "reason": "so"}),
    ):
        with refusal(app, CHECK, FOLLOW):
            insert(app, "closings", step(stage, number, name, **changes))
    with refusal(app, CHECK, ANOTHER):
        insert(app, "closings", step(stage, 3, "signed", actor="person 2"))
    with refusal(app, CHECK, "closings_reopen_for_a_reason"):
        insert(app, "closings", step(stage, 3, "reopened"))
    with refusal(app, CHECK, "closings_leave_open_what_the_signer_accepts"):
        insert(app, "closings", step(stage, 3, "signed", open_items=1))


def test_what_is_signed_is_never_reopened_and_the_next_begins_behind_it(app: Connection, signed: Stage) -> None:
    with refusal(app, CHECK, FOLLOW):
        insert(app, "closings", step(signed, 3, "reopened", reason="so"))
    for first in (None, LAST, "2026-11-21"):
        with refusal(app, CHECK, FOLLOW):
            insert(
                app,
                "closings",
                step(signed, 3, "begun", first_date=first, last_date="2026-11-21", recorded_at="2026-11-25 09:00+00"),
            )


def test_no_entry_is_dated_in_what_is_signed_by_anybody(app: Connection, owner: Connection, signed: Stage) -> None:
    app.commit()

    for connection in (app, owner):
        for day in (LAST, "2026-01-01"):
            with refusal(connection, SERIALIZATION, DATED):
                signed.twin().transfer(3000, BANK, WALLET, 5, business_date=day).post(connection)
    signed.transfer(3000, BANK, WALLET, 5, business_date="2026-11-20").post(app)


def test_one_entry_of_a_set_is_enough(app: Connection, signed: Stage) -> None:
    rows = signed.transfer(3000, BANK, WALLET, 5) + signed.transfer(3001, CODES, CONTRA, 5, business_date=LAST)

    with refusal(app, SERIALIZATION, DATED):
        rows.post(app)


def test_a_begun_close_lets_in_what_is_learned(app: Connection, stage: Stage) -> None:
    insert(app, "closings", step(stage, 1, "begun"))

    stage.transfer(3000, BANK, WALLET, 5, business_date=LAST).post(app)


def test_what_is_signed_of_an_account_is_what_the_books_hold(app: Connection, signed: Stage) -> None:
    of: Values = {"ledger_id": signed.ledger_id, "closing_id": 2, "account_id": BANK, "items": 0}

    for figures, constraint in (
        ({"books_closing": 1, "explained": 0, "open": 0}, "closing_accounts_are_the_books"),
        ({"books_closing": 0, "explained": 0, "open": 0, "closing_id": 1}, "closing_accounts_are_the_books"),
        ({"books_closing": 0, "explained": 0, "open": 7}, "closing_accounts_list_what_is_open"),
        ({"books_closing": 0, "explained": 1, "open": 0, "statement_closing": 7}, "closing_accounts_add_up"),
    ):
        with refusal(app, CHECK, constraint):
            insert(app, "closing_accounts", of | figures)
    insert(app, "closing_accounts", of | {"books_closing": 0, "explained": 7, "open": 0, "statement_closing": 7})
