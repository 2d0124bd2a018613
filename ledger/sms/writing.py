"""The SQL of text messages: locking, reading and changing them. Decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ledger.database import Driver
from ledger.ids import encode
from ledger.outbox.announcements import Subject, subject_of
from ledger.sms.message import PREFIX, Cost, Event, State, transition
from ledger.sms.refusals import MessageNotFound
from ledger.sms.templates import Language, StopCovers, Told, is_withheld

_LOCK = "SELECT FROM sms_messages WHERE ledger_id = %s AND id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_READ = """
SELECT m.id, m.event, m.party_id, m.body, m.sender, m.provider, m.state, m.version, m.provider_message_id,
    m.failure_code, s.fallback, s.stop_covers, o.phone IS NOT NULL, m.created_at, y.payee_masked, m.payout_id,
    m.order_id, m.loan_id, m.language, m.updated_at
FROM sms_messages AS m
JOIN sms_settings AS s ON s.ledger_id = m.ledger_id
JOIN parties AS y ON y.ledger_id = m.ledger_id AND y.id = m.party_id
LEFT JOIN sms_opt_outs AS o ON o.ledger_id = m.ledger_id AND o.phone = y.payee_index AND o.lifted_at IS NULL
WHERE m.ledger_id = %s AND m.id = ANY(%s) ORDER BY m.id
"""
_FIND = """
SELECT provider_message_id, id FROM sms_messages
WHERE ledger_id = %s AND provider = %s AND provider_message_id = ANY(%s)
"""
_LIST = """
SELECT id FROM sms_messages WHERE ledger_id = %(ledger)s AND id < %(before)s AND (%(state)s = '' OR state = %(state)s)
ORDER BY id DESC LIMIT %(limit)s
"""
_EVENTS = """
SELECT version, state, event, detail, cost_currency, cost_micros, actor, recorded_at FROM sms_events
WHERE ledger_id = %s AND sms_id = %s ORDER BY version
"""
_STEP = """
WITH step AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(state)s::text[], %(version)s::int[], %(provider)s::text[],
        %(message)s::text[], %(code)s::text[], %(event)s::text[], %(detail)s::text[], %(currency)s::text[],
        %(micros)s::bigint[])
        AS s (id, state, version, provider, message_id, code, event, detail, currency, micros)
), changed AS (
    UPDATE sms_messages AS m SET state = s.state, version = s.version, provider = s.provider,
        provider_message_id = s.message_id, failure_code = s.code, updated_at = %(now)s
    FROM step AS s WHERE m.ledger_id = %(ledger)s AND m.id = s.id AND m.version = s.version - 1 RETURNING m.id
), told AS (
    INSERT INTO sms_events (ledger_id, sms_id, version, state, event, detail, cost_currency, cost_micros, actor,
        recorded_at)
    SELECT %(ledger)s, id, version, state, event, detail, currency, micros, %(actor)s, %(now)s FROM step
)
SELECT count(*) FROM changed
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it was read, about a subject. `is_unwanted`: its recipient wants none of its purpose; `fallback` is
    the ledger's other provider."""

    id: int
    told: Told
    about: Subject
    party_id: int
    body: str
    sender: str
    provider: str
    state: State
    version: int
    provider_message_id: str | None
    failure_code: str | None
    fallback: str | None
    is_unwanted: bool
    created_at: datetime
    updated_at: datetime
    to_masked: str
    language: Language

    @property
    def public_id(self) -> str:
        """What everybody outside knows it by."""
        return encode(PREFIX, self.id)


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """One change of a message, in the words it is kept in; `cost` is what the provider said that a sending costs."""

    version: int
    state: State
    event: str
    detail: str | None
    cost: Cost | None
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happened to a locked message. `provider` is the one it goes to next, for REROUTED; `message_id` the
    provider's id, for SENT; `code` why it failed."""

    message: Message
    event: Event
    provider: str | None = None
    message_id: str | None = None
    code: str | None = None
    cost: Cost | None = None

    @property
    def after(self) -> Message | None:
        """The message after it; None where the event changes nothing."""
        target = transition(self.event, self.message.state)
        if target is None:
            return None
        return replace(
            self.message,
            state=target,
            version=self.message.version + 1,
            provider=self.provider or self.message.provider,
            provider_message_id=self.message_id or self.message.provider_message_id,
            failure_code=self.code,
        )


async def lock_messages(driver: Driver, *, ledger_id: int, sms_ids: Collection[int]) -> dict[int, Message]:
    """Locks messages in id order, and reads them as they are then."""
    if not sms_ids:
        return {}
    await driver.execute(_LOCK, (ledger_id, sorted(sms_ids)))
    return await read_messages(driver, ledger_id=ledger_id, sms_ids=sms_ids)


async def read_messages(driver: Driver, *, ledger_id: int, sms_ids: Collection[int]) -> dict[int, Message]:
    """Messages by id, unlocked."""
    rows = await (await driver.execute(_READ, (ledger_id, list(sms_ids)))).fetchall()
    return {
        row[0]: Message(
            id=row[0],
            told=Told(row[1]),
            about=_about(row[15], row[16], row[17]),
            party_id=row[2],
            body=row[3],
            sender=row[4],
            provider=row[5],
            state=State(row[6]),
            version=row[7],
            provider_message_id=row[8],
            failure_code=row[9],
            fallback=row[10],
            is_unwanted=row[12] and is_withheld(Told(row[1]), StopCovers(row[11])),
            created_at=row[13],
            to_masked=row[14],
            language=Language(row[18]),
            updated_at=row[19],
        )
        for row in rows
    }


def _about(payout_id: int | None, order_id: int | None, loan_id: int | None) -> Subject:
    subject = subject_of(payout_id, order_id, loan_id, None)
    assert subject is not None, "a message is about one thing"
    return subject


async def get_message(driver: Driver, *, ledger_id: int, sms_id: int) -> Message:
    """One, unlocked. Raises MessageNotFound."""
    found = await read_messages(driver, ledger_id=ledger_id, sms_ids=[sms_id])
    if sms_id not in found:
        raise MessageNotFound("no such message in this ledger; see ListTextMessages", field="message_id")
    return found[sms_id]


async def list_events(driver: Driver, *, ledger_id: int, sms_id: int) -> list[MessageEvent]:
    """What happened to a message, oldest first."""
    cursor = await driver.execute(_EVENTS, (ledger_id, sms_id))
    return [
        MessageEvent(row[0], State(row[1]), row[2], row[3], Cost(row[4], row[5]) if row[4] else None, row[6], row[7])
        for row in await cursor.fetchall()
    ]


async def find_messages(
    driver: Driver, *, ledger_id: int, provider: str, message_ids: Collection[str]
) -> dict[str, int]:
    """The messages that a provider knows by these ids."""
    return dict(await (await driver.execute(_FIND, (ledger_id, provider, list(message_ids)))).fetchall())


async def list_messages(
    driver: Driver, *, ledger_id: int, state: State | None, before: int, limit: int
) -> list[Message]:
    """Messages in one state, or in any, the newest first."""
    parameters = {"ledger": ledger_id, "before": before, "state": state.value if state else "", "limit": limit}
    rows = await (await driver.execute(_LIST, parameters)).fetchall()
    found = await read_messages(driver, ledger_id=ledger_id, sms_ids=[row[0] for row in rows])
    return [found[row[0]] for row in rows]


async def take_steps(driver: Driver, *, ledger_id: int, steps: Sequence[Step], actor: str, now: datetime) -> list[Step]:
    """Changes locked messages, at most one step of each, tells of it, and returns the steps that changed something."""
    told = [(step, after) for step in steps if (after := step.after) is not None]
    if not told:
        return []
    parameters: dict[str, object] = {
        "ledger": ledger_id,
        "now": now,
        "actor": actor,
        "id": [after.id for _, after in told],
        "state": [after.state.value for _, after in told],
        "version": [after.version for _, after in told],
        "provider": [after.provider for _, after in told],
        "message": [after.provider_message_id for _, after in told],
        "code": [after.failure_code for _, after in told],
        "event": [step.event.value for step, _ in told],
        "detail": [step.code for step, _ in told],
        "currency": [step.cost.currency if step.cost else None for step, _ in told],
        "micros": [step.cost.micros if step.cost else None for step, _ in told],
    }
    row = await (await driver.execute(_STEP, parameters)).fetchone()
    assert row is not None
    assert row[0] == len(told), "a locked message changed"
    return [step for step, _ in told]
