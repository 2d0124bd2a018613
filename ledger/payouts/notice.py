"""A payout as partners are told of it outside gRPC: in webhooks and over REST, in the same words. Pure but for one
read.

disbursement_id      "pay_..."
client_request_id    the partner's own reference
status               accepted, submitted, unknown, succeeded, failed, cancelled, in_review
conversation_id      the provider's id; null until it answered
result_code          "0" for success, the provider's code for a failure, null before
result_desc          the provider's words, null before
transaction_receipt  the provider's receipt, null unless succeeded
amount, currency     "1500.00", "KES"
msisdn               masked
processed_at         when the provider completed it, or we learned that it will not; null before
version              rises with every change of the payout
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from ledger.database import Driver
from ledger.money import decimal_text
from ledger.payouts.payout import State
from ledger.payouts.queries import Payout

Notice: TypeAlias = dict[str, str | int | None]

STATUSES: dict[State, str] = {
    State.RESERVED: "accepted",
    State.SUBMITTING: "accepted",
    State.SUBMITTED: "submitted",
    State.UNKNOWN: "unknown",
    State.SETTLED: "succeeded",
    State.RELEASED: "failed",
    State.CANCELLED: "cancelled",
    State.CONFLICTED: "in_review",
}
_FINAL = (State.SETTLED, State.RELEASED, State.CANCELLED)
_CONVERSATIONS = """
SELECT payout_id, min(value) FROM provider_references
WHERE ledger_id = %s AND payout_id = ANY(%s) AND kind LIKE '%%.conversation_id' GROUP BY payout_id
"""


def notice(payout: Payout, *, conversation_id: str | None) -> Notice:
    """What a partner is told."""
    settled = payout.state is State.SETTLED
    processed_at: datetime | None = payout.completed_at if settled else payout.updated_at
    return {
        "disbursement_id": payout.public_id,
        "client_request_id": payout.partner_reference,
        "status": STATUSES[payout.state],
        "conversation_id": conversation_id,
        "result_code": "0" if settled else payout.failure_code,
        "result_desc": "The payout was completed." if settled else payout.failure_text,
        "transaction_receipt": payout.receipt if settled else None,
        "amount": decimal_text(payout.amount.minor_units, payout.amount.currency),
        "currency": payout.amount.currency,
        "msisdn": payout.payee_masked,
        "processed_at": processed_at.isoformat() if processed_at is not None and payout.state in _FINAL else None,
        "version": payout.version,
    }


async def find_conversations(driver: Driver, *, ledger_id: int, payout_ids: Sequence[int]) -> dict[int, str]:
    """The provider's conversation ids of payouts that have one."""
    cursor = await driver.execute(_CONVERSATIONS, (ledger_id, list(payout_ids)))
    return dict(await cursor.fetchall())
