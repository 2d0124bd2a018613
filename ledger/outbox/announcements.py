"""What partners are told of, and the deliveries that say so, written in the transaction that makes it true. Sends
nothing, and decides neither what is told nor in which words: each product does, in its own `announcing`.

The payload is made once, here: every try of a delivery sends the same bytes under the same id."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from ledger.database import Driver
from ledger.ids import IdSource, encode

EVENT_PREFIX = "evt"
PING = "webhook.ping"
Content: TypeAlias = dict[str, str | int | None]

_WRITE = """
INSERT INTO webhook_deliveries
    (ledger_id, id, endpoint_id, payout_id, order_id, loan_id, prompt_id, version, event, payload, state, created_at,
     due_at)
SELECT %(ledger)s, d.id, d.endpoint_id, CASE %(kind)s::text WHEN 'payout' THEN d.subject_id END,
    CASE %(kind)s::text WHEN 'order' THEN d.subject_id END, CASE %(kind)s::text WHEN 'loan' THEN d.subject_id END,
    CASE %(kind)s::text WHEN 'prompt' THEN d.subject_id END, d.version, d.event, d.payload, 'PENDING', %(now)s, %(now)s
FROM unnest(%(id)s::bigint[], %(endpoint)s::bigint[], %(subject)s::bigint[], %(version)s::int[], %(event)s::text[],
    %(payload)s::bytea[]) AS d (id, endpoint_id, subject_id, version, event, payload)
"""


class SubjectKind(enum.Enum):
    """What a delivery may tell of, in the order of the columns."""

    PAYOUT = "payout"
    ORDER = "order"
    LOAN = "loan"
    PROMPT = "prompt"


_PREFIXES: dict[SubjectKind, str] = {
    SubjectKind.PAYOUT: "pay",
    SubjectKind.ORDER: "ord",
    SubjectKind.LOAN: "loan",
    SubjectKind.PROMPT: "prm",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a delivery tells of; a ping tells of nothing."""

    kind: SubjectKind
    id: int

    @property
    def public_id(self) -> str:
        """What everybody outside knows it by."""
        return encode(_PREFIXES[self.kind], self.id)


def subject_of(
    payout_id: int | None, order_id: int | None, loan_id: int | None, prompt_id: int | None
) -> Subject | None:
    """What a row of webhook_deliveries tells of; one of its columns at most is filled."""
    columns = zip(SubjectKind, (payout_id, order_id, loan_id, prompt_id), strict=True)
    return next((Subject(kind, subject_id) for kind, subject_id in columns if subject_id is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One change of a subject for one endpoint; `event` is the word that partners see, such as "order.paid"."""

    endpoint_id: int
    subject_id: int
    version: int
    event: str
    content: Content


async def announce(
    driver: Driver,
    *,
    ledger_id: int,
    kind: SubjectKind,
    announcements: Sequence[Announcement],
    ids: IdSource,
    now: datetime,
) -> None:
    """Queues a delivery each, in one statement. The caller holds the subjects' locks: that is what keeps versions of
    one subject in order."""
    if not announcements:
        return
    event_ids = [ids.next(now) for _ in announcements]
    parameters = {
        "ledger": ledger_id,
        "kind": kind.value,
        "now": now,
        "id": event_ids,
        "endpoint": [one.endpoint_id for one in announcements],
        "subject": [one.subject_id for one in announcements],
        "version": [one.version for one in announcements],
        "event": [one.event for one in announcements],
        "payload": [
            payload(event_id, one.event, one.content) for event_id, one in zip(event_ids, announcements, strict=True)
        ],
    }
    await driver.execute(_WRITE, parameters)


def payload(event_id: int, event: str, content: Content) -> bytes:
    """The body of a webhook: the event's id and type, then the content. JSON, UTF-8."""
    document: Content = {"id": encode(EVENT_PREFIX, event_id), "type": event, **content}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
