"""Adjustments in the database, whoever writes: about their run, approved by another, posted as proposed, once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.guards.attacks import CHECK, UNIQUE
from tests.guards.payout_scene import insert
from tests.guards.stage import BANK, NOW, WALLET, Connection, Stage, Values, refusal

ABOUT, ANOTHER = "adjustment_is_about_its_run", "adjustment_is_approved_by_another"
RUN, ONE, LINE, ENTRY = 77, 1, 11, 9000


@pytest.fixture
def run(app: Connection, stage: Stage) -> Values:
    """A run with one line that left the bank's account and that no entry is about; what an adjustment says of it."""
    ledger = {"ledger_id": stage.ledger_id}
    told: Values = {
        "id": RUN, "account_id": BANK, "from_date": "2026-11-20", "until_date": "2026-11-20", "told_until": NOW,
        "books_opening": 0, "books_closing": 0, "lines": 1, "decisions": 1, "breaks": 1, "difference": -40,
        "unexplained": 40, "resolved": 0, "actor": "x", "recorded_at": NOW,
    }  # fmt: skip
    insert(app, "reconciliation_runs", ledger | told)
    decided: Values = {
        "run_id": RUN, "number": 1, "state": "missing_here", "rule": "none", "reason": "x", "happened_at": NOW,
        "receipt": "R1", "difference": -40, "line_ids": [LINE], "entry_ids": [],
    }  # fmt: skip
    insert(app, "reconciliation_decisions", ledger | decided)
    return ledger | {
        "id": ONE, "account_id": BANK, "run_id": RUN, "way": "entry", "numbers": [1], "line_ids": [LINE],
        "entry_ids": [], "difference": -40, "receipt": "R1", "happened_at": NOW, "reason": "so",
        "proposed_by": "amina", "proposed_at": NOW,
    }  # fmt: skip


def propose(app: Connection, run: Values, **changes: Any) -> None:
    """An adjustment that debits the wallet and credits the bank."""
    insert(app, "adjustments", run | changes)
    for number, account, side in ((1, WALLET, "D"), (2, BANK, "C")):
        line = {"line": number, "account_id": account, "side": side, "amount": 40}
        key = {"ledger_id": run["ledger_id"], "adjustment_id": run["id"]}
        insert(app, "adjustment_postings", key | line)


def explain(app: Connection, run: Values) -> None:
    """Its line is explained by it."""
    row = {"account_id": BANK, "what": "line", "item_id": LINE, "adjustment_id": run["id"]}
    insert(app, "adjusted_items", {"ledger_id": run["ledger_id"]} | row)


def decision(run: Values, **changes: Any) -> Values:
    """Its approval by another person, with the entry."""
    told = {"approved": True, "entry_id": ENTRY, "reason": "", "actor": "brian", "decided_at": NOW}
    return {"ledger_id": run["ledger_id"], "adjustment_id": run["id"]} | told | changes


@pytest.mark.parametrize(
    "lie",
    [{"difference": -41}, {"line_ids": [12]}, {"entry_ids": [1]}, {"numbers": [1, 2]}, {"account_id": WALLET}],
    ids=lambda lie: next(iter(lie)),
)
def test_an_adjustment_is_about_what_its_run_left_open(
    app: Connection, owner: Connection, run: Values, lie: Values
) -> None:
    app.commit()

    for connection in (app, owner):
        with refusal(connection, CHECK, ABOUT):
            insert(connection, "adjustments", run | lie)


def test_it_is_approved_by_another_with_the_entry_as_proposed(app: Connection, stage: Stage, run: Values) -> None:
    propose(app, run)
    stage.transfer(ENTRY, WALLET, BANK, 40, kind="reconciliation.adjusted").post(app)
    with refusal(app, CHECK, ANOTHER):  # nothing says yet what it explains
        insert(app, "adjustment_decisions", decision(run))
    explain(app, run)

    for lie in ({"actor": "amina"}, {"entry_id": None}):
        with refusal(app, CHECK, ANOTHER):
            insert(app, "adjustment_decisions", decision(run, **lie))
    insert(app, "adjustment_decisions", decision(run))
    with refusal(app, UNIQUE, "adjustment_decisions_pkey"):
        insert(app, "adjustment_decisions", decision(run))


@pytest.mark.parametrize(
    ("debited", "credited", "amount", "kind"),
    [
        (WALLET, BANK, 41, "reconciliation.adjusted"),
        (BANK, WALLET, 40, "reconciliation.adjusted"),
        (WALLET, BANK, 40, "test.entry"),
    ],
)
def test_no_other_entry_passes_for_it(
    app: Connection, stage: Stage, run: Values, debited: int, credited: int, amount: int, kind: str
) -> None:
    propose(app, run)
    explain(app, run)
    stage.transfer(ENTRY, debited, credited, amount, kind=kind).post(app)

    with refusal(app, CHECK, ANOTHER):
        insert(app, "adjustment_decisions", decision(run))


def test_the_entry_moves_the_account_by_what_is_open(app: Connection, stage: Stage, run: Values) -> None:
    insert(app, "adjustments", run)
    for number, side in ((1, "D"), (2, "C")):
        line = {"line": number, "account_id": WALLET, "side": side, "amount": 40}
        insert(app, "adjustment_postings", {"ledger_id": stage.ledger_id, "adjustment_id": ONE} | line)
    explain(app, run)
    stage.transfer(ENTRY, WALLET, WALLET, 40, kind="reconciliation.adjusted").post(app)

    with refusal(app, CHECK, ANOTHER):
        insert(app, "adjustment_decisions", decision(run))


def test_a_line_is_explained_once(app: Connection, run: Values) -> None:
    propose(app, run)
    propose(app, run | {"id": 2})
    explain(app, run)

    with refusal(app, UNIQUE, "adjusted_items_pkey"):
        explain(app, run | {"id": 2})


def test_what_only_belongs_together_posts_nothing(app: Connection, stage: Stage, run: Values) -> None:
    insert(app, "adjustments", run | {"way": "match"})
    explain(app, run)
    stage.transfer(ENTRY, WALLET, BANK, 40, kind="reconciliation.adjusted").post(app)

    with refusal(app, CHECK, ANOTHER):
        insert(app, "adjustment_decisions", decision(run))
    insert(app, "adjustment_decisions", decision(run, entry_id=None))


def test_a_receipt_is_that_of_the_line(app: Connection, stage: Stage, run: Values) -> None:
    insert(app, "adjustments", run | {"way": "receipt"})
    explain(app, run)
    stage.transfer(ENTRY, WALLET, BANK, 40, kind="collection.received").post(app)

    with refusal(app, CHECK, ANOTHER):
        insert(app, "adjustment_decisions", decision(run))


def test_a_rejection_says_why_and_posts_nothing(app: Connection, stage: Stage, run: Values) -> None:
    propose(app, run)
    stage.transfer(ENTRY, WALLET, BANK, 40).post(app)

    for lie in ({"entry_id": None}, {"reason": "not ours"}):
        with refusal(app, CHECK, "adjustment_decisions_rejected_say_why"):
            insert(app, "adjustment_decisions", decision(run, approved=False, **lie))
