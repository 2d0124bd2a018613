"""Which changes of payouts, orders and loans customers are told of, queued in the transaction that makes them; nothing
is sent here.

Of an order is told whose prompt for it was paid, of a loan its borrower. What does not fit two segments is not told: no
text ever holds up money."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from ledger.database import Driver
from ledger.ids import IdSource
from ledger.money import decimal_text
from ledger.outbox import queue
from ledger.outbox.announcements import Subject, SubjectKind
from ledger.sms.segments import SEGMENTS_MAX, is_gsm, segments
from ledger.sms.templates import Language, Told, language_of, render

# Nothing where the ledger has no provider, which is the usual case. Only people are told: a masked number has four
# digits first.
_PAYOUTS = """
SELECT t.event, t.id, t.party_id, t.payee_masked, t.provider, t.sender, t.brand, t.language, t.currency, t.amount,
    t.receipt, NULL::bigint, NULL::int, NULL::date
FROM (
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
WHERE t.event = ANY(t.events) ORDER BY t.id
"""
_ORDERS = """
SELECT DISTINCT ON (o.id) 'order.paid', o.id, q.party_id, y.payee_masked, s.provider, s.sender, s.brand, s.language,
    o.currency, o.amount, o.reference, NULL::bigint, NULL::int, NULL::date
FROM sms_settings AS s
JOIN orders AS o ON o.ledger_id = s.ledger_id AND o.id = ANY(%(order)s) AND o.state = 'PAID'
JOIN prompts AS q ON q.ledger_id = o.ledger_id AND q.order_id = o.id AND q.state = 'PAID'
JOIN parties AS y ON y.ledger_id = q.ledger_id AND y.id = q.party_id AND y.payee_masked ~ '^[0-9]{4}[*]'
WHERE s.ledger_id = %(ledger)s AND 'order.paid' = ANY(s.events) ORDER BY o.id, q.id
"""
_LOANS = """
SELECT n.event, l.id, l.party_id, y.payee_masked, s.provider, s.sender, s.brand, s.language, l.currency, n.amount,
    coalesce(r.receipt, l.reference), n.rest, n.version, n.due_on
FROM sms_settings AS s
JOIN unnest(%(event)s::text[], %(loan)s::bigint[], %(amount)s::bigint[], %(rest)s::bigint[], %(version)s::int[],
    %(due)s::date[], %(receipt)s::bigint[]) AS n (event, loan_id, amount, rest, version, due_on, receipt_id)
    ON n.event = ANY(s.events)
JOIN loans AS l ON l.ledger_id = s.ledger_id AND l.id = n.loan_id
JOIN parties AS y ON y.ledger_id = l.ledger_id AND y.id = l.party_id AND y.payee_masked ~ '^[0-9]{4}[*]'
LEFT JOIN receipts AS r ON r.ledger_id = s.ledger_id AND r.id = n.receipt_id
WHERE s.ledger_id = %(ledger)s ORDER BY l.id
"""
_LISTENS = "SELECT FROM sms_settings WHERE ledger_id = %s AND %s = ANY(events)"
# What is told already is not told again.
_WRITE = """
WITH added AS (
    INSERT INTO sms_messages (ledger_id, id, event, payout_id, order_id, loan_id, loan_version, due_on, party_id,
        language, body, segments, sender, provider, state, version, created_at, updated_at)
    SELECT %(ledger)s, n.id, n.event, CASE %(kind)s::text WHEN 'payout' THEN n.subject_id END,
        CASE %(kind)s::text WHEN 'order' THEN n.subject_id END, CASE %(kind)s::text WHEN 'loan' THEN n.subject_id END,
        n.version, n.due_on, n.party_id, n.language, n.body, n.segments, n.sender, n.provider, 'QUEUED', 1, %(now)s,
        %(now)s
    FROM unnest(%(id)s::bigint[], %(event)s::text[], %(subject)s::bigint[], %(version)s::int[], %(due)s::date[],
        %(party)s::bigint[], %(language)s::text[], %(body)s::text[], %(segments)s::int[], %(sender)s::text[],
        %(provider)s::text[])
        AS n (id, event, subject_id, version, due_on, party_id, language, body, segments, sender, provider)
    ON CONFLICT DO NOTHING RETURNING id
), told AS (
    INSERT INTO sms_events (ledger_id, sms_id, version, state, event, actor, recorded_at)
    SELECT %(ledger)s, id, 1, 'QUEUED', 'queued', 'daftari', %(now)s FROM added
)
SELECT id FROM added ORDER BY id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanNews:
    """What a borrower is told: LOAN_REPAID by the version that a payment made, with what is owed after it and its
    receipt, where it has one; or LOAN_DUE by the day. Amounts are minor units."""

    told: Told
    loan_id: int
    amount: int
    rest: int | None = None
    version: int | None = None
    due_on: date | None = None
    receipt_id: int | None = None


@dataclass(frozen=True, slots=True)
class _Telling:
    """A row of the questions above: what is told to whom, and how the ledger has it told."""

    event: str
    subject_id: int
    party_id: int
    masked: str
    provider: str
    sender: str
    brand: str
    language: str
    currency: str
    amount: int
    reference: str | None
    rest: int | None
    version: int | None
    due_on: date | None

    @property
    def tongue(self) -> Language:
        """The recipient's language."""
        return language_of(self.masked, otherwise=Language(self.language))

    def body(self, kind: SubjectKind) -> str:
        """The text. A reference that phones have no letters for would make all of it longer: our own id stands in."""
        own = Subject(kind, self.subject_id).public_id
        return render(
            Told(self.event),
            self.tongue,
            brand=self.brand,
            amount=self._money(self.amount),
            reference=self.reference if self.reference and is_gsm(self.reference) else own,
            rest=self._money(self.rest) if self.rest is not None else "",
            day=f"{self.due_on:%d/%m/%Y}" if self.due_on is not None else "",
        )

    def _money(self, units: int) -> str:
        return f"{self.currency} {decimal_text(units, self.currency)}"


async def announce(driver: Driver, *, ledger_id: int, payout_ids: Sequence[int], ids: IdSource, now: datetime) -> None:
    """Queues a message for each payout whose state now is something that the ledger has told, once per event. The
    caller holds the payouts' locks, or has made them in this transaction."""
    if payout_ids:
        rows = await _read(driver, _PAYOUTS, {"ledger": ledger_id, "payout": list(payout_ids)})
        await _queue(driver, ledger_id, SubjectKind.PAYOUT, rows, ids, now, due_at=now)


async def announce_orders(
    driver: Driver, *, ledger_id: int, order_ids: Collection[int], ids: IdSource, now: datetime
) -> None:
    """The same for orders that are paid, to whose prompt for it was: whichever of the two came last in this
    transaction."""
    if order_ids:
        rows = await _read(driver, _ORDERS, {"ledger": ledger_id, "order": list(order_ids)})
        await _queue(driver, ledger_id, SubjectKind.ORDER, rows, ids, now, due_at=now)


async def listens(driver: Driver, *, ledger_id: int, told: Told) -> bool:
    """Whether a ledger has this told at all."""
    return await (await driver.execute(_LISTENS, (ledger_id, told.value))).fetchone() is not None


async def announce_loans(
    driver: Driver, *, ledger_id: int, news: Sequence[LoanNews], ids: IdSource, now: datetime, due_at: datetime
) -> None:
    """The same for loans, whose locks the caller holds; sent from `due_at` on."""
    if news:
        parameters = {
            "ledger": ledger_id,
            "event": [one.told.value for one in news],
            "loan": [one.loan_id for one in news],
            "amount": [one.amount for one in news],
            "rest": [one.rest for one in news],
            "version": [one.version for one in news],
            "due": [one.due_on for one in news],
            "receipt": [one.receipt_id for one in news],
        }
        rows = await _read(driver, _LOANS, parameters)
        await _queue(driver, ledger_id, SubjectKind.LOAN, rows, ids, now, due_at=due_at)


async def _read(driver: Driver, statement: str, parameters: dict[str, object]) -> list[_Telling]:
    cursor = await driver.execute(statement, parameters)
    return [_Telling(*row) for row in await cursor.fetchall()]


async def _queue(
    driver: Driver,
    ledger_id: int,
    kind: SubjectKind,
    tellings: Sequence[_Telling],
    ids: IdSource,
    now: datetime,
    *,
    due_at: datetime,
) -> None:
    written = [(one, body) for one in tellings if segments(body := one.body(kind)) <= SEGMENTS_MAX]
    if not written:
        return
    parameters = {
        "ledger": ledger_id,
        "now": now,
        "kind": kind.value,
        "id": ids.next_many(now, count=len(written)),
        "event": [one.event for one, _ in written],
        "subject": [one.subject_id for one, _ in written],
        "version": [one.version for one, _ in written],
        "due": [one.due_on for one, _ in written],
        "party": [one.party_id for one, _ in written],
        "language": [one.tongue.value for one, _ in written],
        "body": [body for _, body in written],
        "segments": [segments(body) for _, body in written],
        "sender": [one.sender for one, _ in written],
        "provider": [one.provider for one, _ in written],
    }
    added = [sms_id for (sms_id,) in await (await driver.execute(_WRITE, parameters)).fetchall()]
    await queue.enqueue(
        driver, ledger_id=ledger_id, kind=queue.SMS_SUBMIT, subject_ids=added, ids=ids, now=now, due_at=due_at
    )
