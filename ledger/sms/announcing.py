"""Which changes of payouts customers are told of, queued in the transaction that makes them; nothing is sent here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ledger.database import Driver
from ledger.ids import IdSource, encode
from ledger.money import decimal_text
from ledger.outbox import queue
from ledger.sms.segments import segments
from ledger.sms.templates import Language, Told, language_of, render

# Nothing where the ledger has no provider, which is the usual case. Only people are told: a masked number has four
# digits first.
_TO_TELL = """
SELECT * FROM (
    SELECT p.id, p.party_id, y.payee_masked, p.currency, p.amount, p.receipt, s.provider, s.sender, s.brand, s.language,
        s.events, CASE
            WHEN p.purpose = 'promotion' AND p.state IN ('RESERVED', 'SUBMITTING') THEN 'promotion.redeemed'
            WHEN p.purpose = 'promotion' AND p.state = 'SETTLED' THEN 'promotion.paid'
            WHEN p.purpose = 'promotion' AND p.state = 'RELEASED' THEN 'promotion.failed'
            WHEN p.state = 'SETTLED' AND EXISTS (
                SELECT FROM loans AS l WHERE l.ledger_id = p.ledger_id AND l.payout_id = p.id) THEN 'loan.disbursed'
            WHEN p.state = 'SETTLED' THEN 'payout.settled'
        END AS event
    FROM sms_settings AS s
    JOIN payouts AS p ON p.ledger_id = s.ledger_id AND p.id = ANY(%(payout)s)
    JOIN parties AS y ON y.ledger_id = p.ledger_id AND y.id = p.party_id AND y.payee_masked ~ '^[0-9]{4}[*]'
    WHERE s.ledger_id = %(ledger)s
) AS t
WHERE t.event = ANY(t.events) AND NOT EXISTS (
    SELECT FROM sms_messages AS m WHERE m.ledger_id = %(ledger)s AND m.payout_id = t.id AND m.event = t.event)
ORDER BY t.id
"""
_WRITE = """
WITH added AS (
    INSERT INTO sms_messages (ledger_id, id, event, payout_id, party_id, language, body, segments, sender, provider,
        state, version, created_at, updated_at)
    SELECT %(ledger)s, n.*, 'QUEUED', 1, %(now)s, %(now)s
    FROM unnest(%(id)s::bigint[], %(event)s::text[], %(payout)s::bigint[], %(party)s::bigint[], %(language)s::text[],
        %(body)s::text[], %(segments)s::int[], %(sender)s::text[], %(provider)s::text[]) AS n
)
INSERT INTO sms_events (ledger_id, sms_id, version, state, event, actor, recorded_at)
SELECT %(ledger)s, id, 1, 'QUEUED', 'queued', 'daftari', %(now)s FROM unnest(%(id)s::bigint[]) AS id
"""


async def announce(driver: Driver, *, ledger_id: int, payout_ids: Sequence[int], ids: IdSource, now: datetime) -> None:
    """Queues a message for each payout whose state now is something that the ledger has told, once per event. The
    caller holds the payouts' locks, or has made them in this transaction."""
    if not payout_ids:
        return
    found = await driver.execute(_TO_TELL, {"ledger": ledger_id, "payout": list(payout_ids)})
    rows = await found.fetchall()
    if not rows:
        return
    languages = [language_of(row[2], otherwise=Language(row[9])) for row in rows]
    bodies = [
        render(
            Told(row[11]),
            language,
            brand=row[8],
            amount=f"{row[3]} {decimal_text(row[4], row[3])}",
            reference=row[5] or encode("pay", row[0]),
        )
        for row, language in zip(rows, languages, strict=True)
    ]
    new_ids = ids.next_many(now, count=len(rows))
    await driver.execute(
        _WRITE,
        {
            "ledger": ledger_id,
            "now": now,
            "id": new_ids,
            "event": [row[11] for row in rows],
            "payout": [row[0] for row in rows],
            "party": [row[1] for row in rows],
            "language": [one.value for one in languages],
            "body": bodies,
            "segments": [segments(body) for body in bodies],
            "sender": [row[7] for row in rows],
            "provider": [row[6] for row in rows],
        },
    )
    await queue.enqueue(
        driver, ledger_id=ledger_id, kind=queue.SMS_SUBMIT, subject_ids=new_ids, ids=ids, now=now, due_at=now
    )
