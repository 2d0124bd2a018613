"""Which changes of payouts partners are told of, written down with the change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ledger.database import Driver
from ledger.ids import IdSource
from ledger.money import Money
from ledger.outbox import announcements
from ledger.outbox.announcements import Announcement, SubjectKind
from ledger.payouts.notice import find_conversations, notice
from ledger.payouts.payout import State
from ledger.payouts.queries import Payout

# What is told of: the states in which a partner acts. A payout may reach one of them twice, at two versions.
EVENTS: dict[State, str] = {
    State.SETTLED: "payout.settled",
    State.RELEASED: "payout.released",
    State.CANCELLED: "payout.cancelled",
    State.UNKNOWN: "payout.unknown",
    State.CONFLICTED: "payout.conflicted",
}

# Nothing where the partner has no endpoint, which is the usual case.
_TO_TELL = """
SELECT e.id, p.id, r.code, p.partner_reference, y.payee_masked, p.currency, p.amount, p.fee, p.purpose, p.rail,
       p.shortcode, p.provider_reference, p.state, p.version, p.receipt, p.failure_code, p.failure_text, p.created_at,
       p.updated_at, p.completed_at
FROM payouts AS p
JOIN webhook_endpoints AS e ON e.ledger_id = p.ledger_id AND e.partner_id = p.partner_id AND e.disabled_at IS NULL
JOIN partners AS r ON r.ledger_id = p.ledger_id AND r.id = p.partner_id
JOIN parties AS y ON y.ledger_id = p.ledger_id AND y.id = p.party_id
WHERE p.ledger_id = %s AND p.id = ANY(%s) ORDER BY p.id, e.id
"""


async def announce(driver: Driver, *, ledger_id: int, payout_ids: Sequence[int], ids: IdSource, now: datetime) -> None:
    """Queues a delivery for each payout and live endpoint of its partner, of the version the payout has now. The caller
    holds the payouts' locks and has brought them to one of the states of EVENTS."""
    if not payout_ids:
        return
    rows = await (await driver.execute(_TO_TELL, (ledger_id, list(payout_ids)))).fetchall()
    if not rows:
        return
    told = [(endpoint_id, _payout(rest)) for endpoint_id, *rest in rows]
    conversations = await find_conversations(driver, ledger_id=ledger_id, payout_ids=[one.id for _, one in told])
    told_now = [
        Announcement(
            endpoint_id=endpoint_id,
            subject_id=payout.id,
            version=payout.version,
            event=EVENTS[payout.state],
            content=notice(payout, conversation_id=conversations.get(payout.id)),
        )
        for endpoint_id, payout in told
    ]
    await announcements.announce(
        driver, ledger_id=ledger_id, kind=SubjectKind.PAYOUT, announcements=told_now, ids=ids, now=now
    )


def _payout(row: Sequence[Any]) -> Payout:
    (
        payout_id, partner, reference, masked, currency, amount, fee, purpose, rail, shortcode, provider_reference,
        state, version, receipt, failure_code, failure_text, created_at, updated_at, completed_at,
    ) = row  # fmt: skip
    return Payout(
        id=payout_id,
        partner=partner,
        partner_reference=reference,
        payee_masked=masked,
        amount=Money(currency, amount),
        fee=Money(currency, fee),
        purpose=purpose,
        rail=rail,
        shortcode=shortcode,
        provider_reference=provider_reference,
        state=State(state),
        version=version,
        receipt=receipt,
        failure_code=failure_code,
        failure_text=failure_text,
        created_at=created_at,
        updated_at=updated_at,
        completed_at=completed_at,
    )
