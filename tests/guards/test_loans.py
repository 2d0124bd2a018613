"""PostgreSQL keeps loans to their moves, their entries and their payouts, against the owner too."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from ledger.ids import encode
from ledger.loans.loan import BORN_STATES, Effect, Event, Move, State, Stay, transition
from tests.guards.attacks import CHECK, UNIQUE
from tests.guards.loan_scene import BORN, GROSS, LOAN, NEW, OTHER, PAYOUT, PRINCIPAL, Bank
from tests.guards.payout_scene import insert, update
from tests.guards.stage import BANK, FIRST, NOW, Connection, Stage, Values, refusal

DENIED, RESTRICT, FOREIGN = "42501", "23001", "23503"
INTENT, FOLLOWS, RESTS = "loan_intent_is_fixed", "loan_follows_its_entry", "loan_rests_on_its_payout"
TOLD = "loan_event_tells_a_change"
KINDS: dict[Effect, set[str]] = {
    Effect.NONE: set(),
    Effect.DISBURSE: {"loan.disbursed"},
    Effect.DISBURSE_TWICE: {"loan.disbursed_twice"},
    Effect.ACCRUE: {"loan.interest_accrued", "loan.fee_amortised", "loan.penalty_charged"},
    Effect.CHARGE: {"loan.fee_charged"},
    Effect.REPAY: {"collection.allocated", "loan.repaid"},
    Effect.RECOVER: {"collection.allocated", "loan.repaid"},
    Effect.RETURN: {"collection.undone"},
    Effect.WRITE_OFF: {"loan.written_off"},
    Effect.WRITE_OFF_AGAIN: {"loan.written_off_again"},
}


@pytest.fixture(params=["app", "owner"])
def anyone(request: pytest.FixtureRequest, app: Connection, owner: Connection) -> Connection:
    """Each of the two roles that may write."""
    return app if request.param == "app" else owner


@pytest.fixture
def bank(app: Connection, stage: Stage) -> Bank:
    """Laid out by the application's role, and committed."""
    laid_out = Bank(stage)
    laid_out.lay_out(app)
    app.commit()
    return laid_out


def drawn() -> set[tuple[str, str, str, frozenset[str]]]:
    """Every move of the state table: event, states, kinds of the entry."""
    moves = set()
    for event in Event:
        for state in State:
            for another in (False, True):
                verdict = transition(event, state, of_another_payout=another)
                if isinstance(verdict, Move | Stay):
                    target = verdict.target if isinstance(verdict, Move) else state
                    moves.add((event.value, state.value, target.value, frozenset(KINDS[verdict.effect])))
    return moves


def test_the_moves_in_the_database_are_those_of_the_product(app: Connection) -> None:
    rows = app.execute("SELECT event, source, target, kinds FROM loan_moves").fetchall()

    assert {(event, source, target, frozenset(kinds)) for event, source, target, kinds in rows} == drawn()


def test_a_loan_is_called_the_same_in_the_database(app: Connection) -> None:
    for number in (0, 1, 897019589691231226, 2**63 - 1):
        row = app.execute("SELECT loan_public_id(%s)", (number,)).fetchone()

        assert row == (encode("loan", number),)


@pytest.mark.parametrize("state", State, ids=str)
def test_a_loan_reaches_each_state_and_goes_nowhere_else(owner: Connection, bank: Bank, state: State) -> None:
    bank.reach(owner, state.value)
    edges = {(event, target) for event, source, target, _ in drawn() if source == state.value}

    for event, target in itertools.product(Event, State):
        if (event.value, target.value) not in edges:
            born = target in BORN_STATES and bank.row["starts_on"] is None
            row: Values = BORN | {"approved_by": "baraka", "payout_id": bank.row["payout_id"]} if born else {}
            with pytest.raises(psycopg.errors.IntegrityError), owner.transaction():
                bank.twin().move(owner, event.value, target.value, **row)


@pytest.mark.parametrize(
    "change",
    [
        {"product_id": 9}, {"borrower": "thief"}, {"party_id": 9}, {"lender": "thief"}, {"currency": "USD"},
        {"gross": 9, "net": 5, "fee": 4}, {"reference": "B1"}, {"second_person": False}, {"requested_by": "thief"},
        {"created_at": "2026-11-19"}, {"version": 3}, {"version": 1}, {"penalties_charged": -1},
    ],
    ids=str,
)  # fmt: skip
def test_what_was_agreed_never_changes(owner: Connection, bank: Bank, change: Values) -> None:
    step = {"state": "REJECTED", "version": 2, **change}

    with refusal(owner, CHECK, INTENT):
        update(owner, "loans", {"ledger_id": bank.ledger_id, "id": LOAN}, **step)


@pytest.mark.parametrize(
    "change",
    [{"starts_on": "2026-11-01"}, {"accrued_before": "2026-11-01"}, {"worked_before": "2026-11-01"}, {"payout_id": 9}],
    ids=str,
)
def test_no_day_of_a_loan_is_taken_back(owner: Connection, bank: Bank, change: Values) -> None:
    bank.reach(owner, "ACTIVE")

    with refusal(owner, CHECK, INTENT):
        bank.move(owner, "accrued", "ACTIVE", **change)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "APPROVED", "approved_by": "baraka"}, {"second_person": False}, {"penalties_charged": 1},
        {"lender": "juma"}, {"approved_by": "baraka"},
    ],
    ids=str,
)  # fmt: skip
def test_a_loan_begins_requested_under_its_product(anyone: Connection, bank: Bank, change: Values) -> None:
    row = bank.loan(NEW, **change)

    with refusal(anyone, CHECK, FOLLOWS):
        bank.begin(anyone, row)


@pytest.mark.parametrize(
    ("event", "constraint"),
    [({"event": None}, FOLLOWS), ({"event": "x"}, FOLLOWS), ({"state": "ACTIVE"}, TOLD)],
    ids=str,
)
def test_a_loan_begins_with_its_event(anyone: Connection, bank: Bank, event: Values, constraint: str) -> None:
    with refusal(anyone, CHECK, constraint):
        bank.begin(anyone, bank.loan(NEW), **event)


def test_who_requested_a_loan_does_not_approve_it(anyone: Connection, bank: Bank) -> None:
    with refusal(anyone, CHECK, "loans_are_approved_by_another"):
        bank.move(anyone, "approved", "APPROVED", approved_by="amina")
    with refusal(anyone, CHECK, "loans_are_approved"):
        bank.twin().move(anyone, "approved", "APPROVED")


def test_no_loan_changes_without_its_event(anyone: Connection, bank: Bank) -> None:
    step = bank.step("approved", "APPROVED", approved_by="baraka")

    with refusal(anyone, CHECK, FOLLOWS):
        bank.post(anyone, step | {"events": []})
    with refusal(anyone, CHECK, FOLLOWS):
        bank.twin().move(anyone, "rejected", "APPROVED", approved_by="baraka")


@pytest.mark.parametrize("change", [{"version": 9}, {"state": "ACTIVE"}], ids=str)
def test_no_event_tells_of_a_change_that_was_not_made(anyone: Connection, bank: Bank, change: Values) -> None:
    (told,) = bank.step("approved", "APPROVED")["events"]

    with refusal(anyone, CHECK, TOLD):
        insert(anyone, "loan_events", told | change)


@pytest.mark.parametrize(
    "change",
    [
        {"funding": None}, {"funding": "liab.wallet.juma"}, {"amount": GROSS}, {"party_id": 2},
    ],
    ids=str,
)  # fmt: skip
def test_a_loan_is_paid_out_by_a_payout_that_was_asked_for_it(anyone: Connection, bank: Bank, change: Values) -> None:
    bank.approve(anyone)
    if change.get("party_id"):
        party = {"id": 2, "payee_index": b"\1" * 32, "payee_ciphertext": bytes(32), "payee_masked": "2547****999"}
        insert(anyone, "parties", {"ledger_id": bank.ledger_id, "created_at": NOW} | party)
    bank.request_payout(anyone, **change)

    with refusal(anyone, CHECK, RESTS):
        bank.move(anyone, "disbursement_started", "DISBURSING", payout_id=PAYOUT)


def test_a_payout_pays_out_one_loan(anyone: Connection, bank: Bank) -> None:
    bank.reach(anyone, "DISBURSING")
    other = bank.twin()
    other.row = bank.loan(OTHER)
    other.begin(anyone, other.row)
    other.approve(anyone)

    with refusal(anyone, UNIQUE, "loan_events_started"):
        other.move(anyone, "disbursement_started", "DISBURSING", payout_id=PAYOUT)


def test_no_loan_exists_before_its_payout_is_settled(anyone: Connection, bank: Bank) -> None:
    bank.reach(anyone, "DISBURSING")
    entry = bank.entry(anyone, "loan.disbursed")

    with refusal(anyone, CHECK, RESTS):
        bank.twin().move(anyone, "disbursed", "ACTIVE", entry, **BORN)
    bank.settle_payout(anyone)
    with refusal(anyone, CHECK, "loans_exist_when_paid_out"):
        bank.twin().move(anyone, "disbursed", "ACTIVE", entry)
    bank.move(anyone, "disbursed", "ACTIVE", entry, **BORN)


def test_no_loan_exists_by_the_payout_of_another(anyone: Connection, bank: Bank) -> None:
    bank.reach(anyone, "DISBURSING")
    bank.request_payout(anyone, 7)
    bank.settle_payout(anyone, 7)

    with refusal(anyone, CHECK, RESTS):
        bank.move(anyone, "disbursed", "ACTIVE", bank.entry(anyone, "loan.disbursed"), payout_id=7, **BORN)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "loan.written_off"}, {"subject_id": encode("loan", OTHER)}, {"amount": GROSS - 1},
        {"subject_kind": "loan_day", "subject_id": "x", "facts": {"loan": encode("loan", OTHER)}},
        {"subject_kind": None, "subject_id": None}, None,
    ],
    ids=str,
)  # fmt: skip
def test_a_loan_moves_with_an_entry_about_it_of_a_fitting_kind_over_its_amount(
    anyone: Connection, bank: Bank, wrong: Values | None
) -> None:
    bank.reach(anyone, "DISBURSING")
    bank.settle_payout(anyone)
    told = None if wrong is None else dict(wrong)
    kind = told.pop("kind", "loan.disbursed") if told is not None else ""
    entry = None if told is None else bank.entry(anyone, kind, **told)
    step = bank.step("disbursed", "ACTIVE", entry, amount=GROSS, **BORN)

    with refusal(anyone, CHECK, FOLLOWS):
        bank.post(anyone, step)


def test_a_repayment_of_a_receipt_needs_its_allocation(anyone: Connection, bank: Bank) -> None:
    bank.reach(anyone, "ACTIVE")
    header: Values = {"kind": "collection.allocated", "subject_kind": "collection", "subject_id": "mpesa/R1"}
    entry = bank.entry(anyone, **header)

    with refusal(anyone, CHECK, FOLLOWS):
        bank.move(anyone, "repaid", "ACTIVE", entry)


def test_penalties_are_those_that_were_booked(anyone: Connection, bank: Bank) -> None:
    bank.reach(anyone, "ACTIVE")
    subject = {"subject_kind": "loan_day", "facts": {"loan": encode("loan", LOAN)}}
    day = f"{encode('loan', LOAN)}/2026-11-21"
    entry = bank.entry(anyone, "loan.penalty_charged", amount=10, subject_id=day, **subject)
    worked = {"worked_before": "2026-11-21"}

    for charged in (0, 11):
        with refusal(anyone, CHECK, FOLLOWS):
            step = bank.step("accrued", "ACTIVE", entry, amount=10, penalties_charged=charged, **worked)
            bank.post(anyone, step)
    bank.post(anyone, bank.step("accrued", "ACTIVE", entry, amount=10, penalties_charged=10, **worked))


@pytest.mark.parametrize(("event", "state", "kind"), [
    ("paid_off", "CLOSED", "loan.repaid"), ("written_off", "WRITTEN_OFF", "loan.written_off"),
])  # fmt: skip
def test_a_loan_ends_only_when_its_accounts_are_empty(
    anyone: Connection, bank: Bank, event: str, state: str, kind: str
) -> None:
    bank.reach(anyone, "ACTIVE")
    bank.next_entry += 1
    bank.stage.transfer(bank.next_entry, PRINCIPAL, BANK, 5).post(anyone)
    entry = bank.repaid(anyone) if kind == "loan.repaid" else bank.entry(anyone, kind)

    with refusal(anyone, CHECK, RESTS):
        bank.move(anyone, event, state, entry)


@pytest.mark.parametrize(
    "change", [{"payout_id": 7}, {"approved_by": "thief"}, {"worked_before": "2026-12-01"}], ids=str
)
def test_what_an_event_does_not_stand_for_stays(anyone: Connection, bank: Bank, change: Values) -> None:
    bank.reach(anyone, "DISBURSING")
    entry = None
    if "payout_id" in change:
        bank.request_payout(anyone, 7)
    if "worked_before" in change:
        bank.disburse(anyone)
        entry = bank.repaid(anyone)
    event, state = ("repaid", "ACTIVE") if entry else ("disbursement_failed", "DISBURSEMENT_FAILED")

    with refusal(anyone, CHECK, FOLLOWS):
        bank.move(anyone, event, state, entry, **change)


@pytest.mark.parametrize("table", ["loan_products", "loan_events", "loan_moves"])
def test_products_and_history_never_change(owner: Connection, bank: Bank, table: str) -> None:
    with refusal(owner, RESTRICT, f"{table}_are_append_only"):
        owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))


def test_no_loan_is_deleted(owner: Connection, bank: Bank) -> None:
    with refusal(owner, RESTRICT, "loans_are_kept"):
        owner.execute("DELETE FROM loans WHERE ledger_id = %s", (bank.ledger_id,))


def test_whose_money_a_payout_is_never_changes(owner: Connection, bank: Bank) -> None:
    bank.reach(owner, "DISBURSING")
    where = {"ledger_id": bank.ledger_id, "id": PAYOUT}

    with refusal(owner, CHECK, "payout_intent_is_fixed"):
        update(owner, "payouts", where, state="SUBMITTING", version=2, funding="liab.wallet.juma")


def by_another_entry(owner: Connection, bank: Bank) -> None:
    bank.post(owner, bank.step("approved", "APPROVED", FIRST, amount=500, approved_by="baraka"))


def without_payout(owner: Connection, bank: Bank) -> None:
    bank.approve(owner)
    bank.move(owner, "disbursement_started", "DISBURSING")


def event_of_no_change(owner: Connection, bank: Bank) -> None:
    bank.post(owner, bank.step("approved", "APPROVED") | {"loans": []})


def other_borrower(owner: Connection, bank: Bank) -> None:
    update(owner, "loans", {"ledger_id": bank.ledger_id, "id": LOAN}, borrower="thief")


CONTROLS: list[tuple[str, str, Callable[[Connection, Bank], None]]] = [
    ("loans_begin_requested", "loans", lambda owner, bank: bank.begin(owner, bank.loan(NEW), event=None)),
    ("loans_follow_entries", "loans", by_another_entry),
    ("loans_rest_on_payouts", "loans", without_payout),
    ("loan_events_tell_a_change", "loan_events", event_of_no_change),
]


@pytest.mark.parametrize(("trigger", "table", "attack"), CONTROLS, ids=[control[0] for control in CONTROLS])
def test_it_is_this_trigger_that_refuses(
    owner: Connection, bank: Bank, trigger: str, table: str, attack: Callable[[Connection, Bank], None]
) -> None:
    """Without it, the same attack goes through."""
    disable = sql.SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(sql.Identifier(table), sql.Identifier(trigger))
    with owner.transaction(force_rollback=True):
        owner.execute(disable)
        attack(owner, bank.twin())
