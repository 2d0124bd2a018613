"""PostgreSQL lets no more be sent back of a payout than was paid, and no refund in by whoever asked for it."""

from __future__ import annotations

import pytest

from tests.guards.attacks import CHECK, UNIQUE
from tests.guards.collection_scene import AMOUNT, RECEIPT, Till
from tests.guards.payout_scene import PAYOUT, TOKEN, Scene, insert, subject_of
from tests.guards.stage import BANK, NOW, WALLET, Connection, Stage, Values, refusal

FITS, ANOTHER = "refund_fits_its_payout", "refund_is_decided_by_another"
RESERVE, REFUND = 5100, 1


@pytest.fixture
def till(app: Connection, stage: Stage) -> Till:
    """Two receipts whose money nobody has."""
    laid_out = Till(stage)
    laid_out.lay_out(app)
    return laid_out


def pay(app: Connection, till: Till, amount: int) -> Values:
    """A payout of the amount that was paid; how an allocation names it."""
    scene = Scene(till.stage, next_entry=6000)
    party = {"id": 1, "payee_index": TOKEN, "payee_ciphertext": TOKEN, "payee_masked": "2547****678", "created_at": NOW}
    insert(app, "parties", {"ledger_id": till.ledger_id} | party)
    header = subject_of("payout.reserved", PAYOUT)
    till.stage.transfer(RESERVE, BANK, WALLET, amount, **header).post(app)
    scene.begin(app, scene.payout(PAYOUT, amount=amount, reserve_entry_id=RESERVE))
    proof = {"provider": "mpesa", "kind": "receipt", "value": "RCPT1", "payout_id": PAYOUT, "created_at": NOW}
    insert(app, "provider_references", {"ledger_id": till.ledger_id} | proof)
    for state, kind in (("SUBMITTING", ""), ("SUBMITTED", ""), ("SETTLED", "payout.settled")):
        scene.step(app, state, scene.entry(app, kind, amount=amount) if kind else None)
    app.commit()
    till.next_entry = 7000  # what follows is younger
    return {"target_kind": "payout", "target_id": str(PAYOUT)}


def test_refunds_add_up_to_the_payout_and_not_beyond(app: Connection, owner: Connection, till: Till) -> None:
    target = pay(app, till, 400)
    till.allocate(app, amount=300, **target)
    app.commit()

    for connection in (app, owner):
        with refusal(connection, CHECK, FITS):
            till.twin().allocate(connection, amount=101, **target)
    till.allocate(app, amount=100, **target)
    with refusal(app, CHECK, FITS):
        till.twin().allocate(app, amount=1, **target)


def test_a_refund_is_decided_once_by_another_and_only_once_in_the_books(
    app: Connection, owner: Connection, till: Till
) -> None:
    target = pay(app, till, AMOUNT)
    row = till.receipt(RECEIPT)
    same = {name: row[name] for name in ("ledger_id", "provider", "shortcode", "receipt", "currency", "amount")}
    asked = {"payout_id": PAYOUT, "completed_at": NOW, "evidence": "slip", "requested_by": "amina", "created_at": NOW}
    insert(app, "payout_refunds", same | asked | {"id": REFUND})
    app.commit()
    decision = {
        "ledger_id": till.ledger_id, "refund_id": REFUND, "receipt_id": RECEIPT, "reason": "", "actor": "brian",
        "decided_at": NOW,
    }  # fmt: skip

    with refusal(owner, CHECK, ANOTHER):
        insert(owner, "refund_decisions", decision)
    till.allocate(app, amount=AMOUNT, **target)
    with refusal(app, CHECK, ANOTHER):
        insert(app, "refund_decisions", decision | {"actor": "amina"})
    insert(app, "refund_decisions", decision)
    with refusal(app, UNIQUE, "refund_decisions_pkey"):
        insert(app, "refund_decisions", decision | {"receipt_id": None})
