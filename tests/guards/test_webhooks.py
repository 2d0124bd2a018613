"""PostgreSQL ties each delivery to one change of one subject, tells it once, and to nobody but the partner it is of."""

from __future__ import annotations

import pytest

from ledger.outbox.announcements import SubjectKind
from tests.guards.attacks import CHECK, UNIQUE
from tests.guards.collection_scene import ORDER, Till
from tests.guards.loan_scene import LOAN, PAYOUT, Bank
from tests.guards.payout_scene import insert, update
from tests.guards.stage import NOW, Connection, Stage, Values, refusal
from tests.guards.test_prompts import PROMPT, begin, prompt

DENIED, MISSING = "42501", "23503"
OWN, OTHERS = 1, 2
ABOUT = "webhook_deliveries_are_about_one_thing"
COLUMNS: dict[SubjectKind, Values] = {
    SubjectKind.PAYOUT: {"payout_id": PAYOUT},
    SubjectKind.ORDER: {"order_id": ORDER},
    SubjectKind.LOAN: {"loan_id": LOAN},
    SubjectKind.PROMPT: {"prompt_id": PROMPT},
}
CHANGED = {
    SubjectKind.PAYOUT: "webhook_deliveries_ledger_id_payout_id_version_fkey",
    SubjectKind.ORDER: "webhook_deliveries_order_changed",
    SubjectKind.LOAN: "webhook_deliveries_loan_changed",
    SubjectKind.PROMPT: "webhook_deliveries_prompt_changed",
}
ONCE = {
    SubjectKind.PAYOUT: "webhook_deliveries_tell_a_change_once",
    SubjectKind.ORDER: "webhook_deliveries_tell_an_order_once",
    SubjectKind.LOAN: "webhook_deliveries_tell_a_loan_once",
    SubjectKind.PROMPT: "webhook_deliveries_tell_a_prompt_once",
}


@pytest.fixture(params=["app", "owner"])
def anyone(request: pytest.FixtureRequest, app: Connection, owner: Connection) -> Connection:
    """Each of the two roles that may write."""
    roles: dict[str, Connection] = {"app": app, "owner": owner}
    return roles[request.param]


@pytest.fixture
def bank(app: Connection, stage: Stage) -> Bank:
    """A payout, an order, a loan and a prompt of one partner, an endpoint of theirs and one of another's; committed."""
    laid_out, till = Bank(stage), Till(stage)
    own: Values = {"ledger_id": stage.ledger_id, "created_at": NOW}
    laid_out.lay_out(app)
    insert(app, "partners", own | {"id": OTHERS, "code": "rival", "name": "Rival", "currency": "KES"})
    for partner_id in (OWN, OTHERS):
        endpoint = {"id": partner_id, "partner_id": partner_id, "url": "https://hooks.example/", "request_id": "first"}
        insert(app, "webhook_endpoints", own | endpoint)
    laid_out.approve(app)
    laid_out.request_payout(app)
    till.open_shortcode(app, stage.ledger_id)
    till.begin_order(app, till.order(ORDER))
    begin(app, till, prompt(till, PROMPT, partner_id=OWN))
    app.commit()
    return laid_out


def tell(connection: Connection, bank: Bank, *, delivery_id: int = 1, **changes: object) -> None:
    """A delivery as the application writes it, but for the changes."""
    row: Values = {
        "ledger_id": bank.ledger_id, "id": delivery_id, "endpoint_id": OWN, "version": 1, "event": "test.event",
        "payload": b"{}", "state": "PENDING", "created_at": NOW, "due_at": NOW,
    }  # fmt: skip
    insert(connection, "webhook_deliveries", row | changes)


@pytest.mark.parametrize("kind", SubjectKind, ids=str)
def test_a_change_is_told_to_the_partner_it_is_of_and_once(anyone: Connection, bank: Bank, kind: SubjectKind) -> None:
    tell(anyone, bank, **COLUMNS[kind])

    with refusal(anyone, UNIQUE, ONCE[kind]):
        tell(anyone, bank, delivery_id=2, **COLUMNS[kind])


@pytest.mark.parametrize("kind", SubjectKind, ids=str)
def test_no_partner_hears_of_what_is_anothers(anyone: Connection, bank: Bank, kind: SubjectKind) -> None:
    with refusal(anyone, CHECK, "webhook_delivery_tells_its_partner"):
        tell(anyone, bank, endpoint_id=OTHERS, **COLUMNS[kind])


@pytest.mark.parametrize("kind", SubjectKind, ids=str)
def test_nothing_is_told_of_a_change_that_was_not_made(anyone: Connection, bank: Bank, kind: SubjectKind) -> None:
    with refusal(anyone, MISSING, CHANGED[kind]):
        tell(anyone, bank, version=9, **COLUMNS[kind])


@pytest.mark.parametrize(
    "about",
    [
        {"order_id": ORDER, "loan_id": LOAN},
        {"payout_id": PAYOUT, "prompt_id": PROMPT},
        {"version": 1},
        {"order_id": ORDER, "version": None},
    ],
    ids=str,
)
def test_a_delivery_is_about_one_version_of_one_thing_or_a_ping(anyone: Connection, bank: Bank, about: Values) -> None:
    with refusal(anyone, CHECK, ABOUT):
        tell(anyone, bank, **about)
    tell(anyone, bank, version=None)


@pytest.mark.parametrize("column", ["payout_id", "order_id", "loan_id", "prompt_id", "version", "event", "payload"])
def test_what_a_delivery_tells_is_nothing_that_the_application_changes(
    app: Connection, bank: Bank, column: str
) -> None:
    tell(app, bank, **COLUMNS[SubjectKind.ORDER])
    where: Values = {"ledger_id": bank.ledger_id, "id": 1}

    with refusal(app, DENIED, None):
        update(app, "webhook_deliveries", where, **{column: None})


@pytest.mark.parametrize("kind", SubjectKind, ids=str)
def test_what_waits_behind_a_delivery_waits_no_longer_when_that_ends(
    app: Connection, owner: Connection, bank: Bank, kind: SubjectKind
) -> None:
    """Whoever ends it, and nothing of another subject with it."""
    other = next(one for one in SubjectKind if one is not kind)
    tell(app, bank, **COLUMNS[kind], behind=True)
    tell(app, bank, delivery_id=2, **COLUMNS[other], behind=True)
    app.commit()

    update(owner, "webhook_deliveries", {"ledger_id": bank.ledger_id, "id": 1}, state="DEAD")

    found = owner.execute(
        "SELECT id FROM webhook_deliveries WHERE ledger_id = %s AND behind ORDER BY id", (bank.ledger_id,)
    ).fetchall()
    assert found == [(2,)]
