"""What a person decides about text messages of a ledger: over which provider, of what, and who wants none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.database import Driver
from ledger.errors import TextInvalid
from ledger.ids import IdSource
from ledger.msisdn import Msisdn
from ledger.outbox import queue
from ledger.parties import PartyKeys
from ledger.sms.message import Event
from ledger.sms.refusals import MessageNotResendable
from ledger.sms.segments import is_gsm
from ledger.sms.templates import Language, StopCovers, Told
from ledger.sms.writing import Message, Step, get_message, list_events, lock_messages, take_steps
from ledger.text import check_text

_OPEN = """
INSERT INTO sms_settings (ledger_id, provider, fallback, sender, brand, language, events, stop_covers, token_hash,
    actor, updated_at)
VALUES (%(ledger)s, %(provider)s, %(fallback)s, %(sender)s, %(brand)s, %(language)s, %(events)s, %(covers)s, %(hash)s,
    %(actor)s, %(now)s)
ON CONFLICT (ledger_id) DO UPDATE SET provider = excluded.provider, fallback = excluded.fallback,
    sender = excluded.sender, brand = excluded.brand, language = excluded.language, events = excluded.events,
    stop_covers = excluded.stop_covers, token_hash = excluded.token_hash, actor = excluded.actor,
    updated_at = excluded.updated_at
"""
_PATH = "SELECT token_hash, provider, fallback FROM sms_settings WHERE ledger_id = %s AND token_hash = ANY(%s)"
_STOP = """
INSERT INTO sms_opt_outs (ledger_id, phone, source, opted_out_at)
SELECT %(ledger)s, phone, %(source)s, %(now)s FROM unnest(%(phone)s::bytea[]) AS phone
ON CONFLICT (ledger_id, phone) DO UPDATE SET source = excluded.source, opted_out_at = excluded.opted_out_at,
    lifted_at = NULL WHERE sms_opt_outs.lifted_at IS NOT NULL
"""
_START = """
UPDATE sms_opt_outs SET lifted_at = %(now)s, source = %(source)s
WHERE ledger_id = %(ledger)s AND phone = ANY(%(phone)s) AND lifted_at IS NULL
"""
_STOPPED = "SELECT FROM sms_opt_outs WHERE ledger_id = %s AND phone = %s AND lifted_at IS NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsSettings:
    """How a ledger's messages go. `sender` is what phones show, empty for the provider's own; `brand` is what texts
    begin with; `language` is for numbers of countries without one of ours."""

    provider: str
    fallback: str | None
    sender: str
    brand: str
    language: Language
    events: tuple[Told, ...]
    stop_covers: StopCovers

    def __post_init__(self) -> None:
        check_text(self.brand, field="brand", length_max=20)
        if not is_gsm(self.brand):
            raise TextInvalid("write the brand in letters that every phone has, or texts grow too long", field="brand")
        if self.sender:
            check_text(self.sender, field="sender", length_max=15)
        if self.fallback == self.provider:
            raise TextInvalid("name another provider as the fallback, or none", field="fallback")


async def open_sms(
    driver: Driver, *, ledger_id: int, settings: SmsSettings, token_hash: bytes, actor: str, now: datetime
) -> None:
    """Sets how messages go from now on, and the path that their reports come by; what is queued goes as it was."""
    parameters: dict[str, object] = {
        "ledger": ledger_id,
        "provider": settings.provider,
        "fallback": settings.fallback,
        "sender": settings.sender,
        "brand": settings.brand,
        "language": settings.language.value,
        "events": [one.value for one in settings.events],
        "covers": settings.stop_covers.value,
        "hash": token_hash,
        "actor": actor,
        "now": now,
    }
    await driver.execute(_OPEN, parameters)


async def find_paths(
    driver: Driver, *, ledger_id: int, token_hashes: Sequence[bytes]
) -> dict[bytes, tuple[str, str | None]]:
    """The paths among these that this ledger's providers were given, with the providers."""
    cursor = await driver.execute(_PATH, (ledger_id, list(token_hashes)))
    return {bytes(hashed): (provider, fallback) for hashed, provider, fallback in await cursor.fetchall()}


async def stop(
    driver: Driver, *, ledger_id: int, phones: Sequence[Msisdn], source: str, keys: PartyKeys, now: datetime
) -> None:
    """These want no messages from now on. Only the keyed hash of a number is kept."""
    await driver.execute(_STOP, _change(ledger_id, phones, source, keys, now))


async def start(
    driver: Driver, *, ledger_id: int, phones: Sequence[Msisdn], source: str, keys: PartyKeys, now: datetime
) -> None:
    """These want messages again."""
    await driver.execute(_START, _change(ledger_id, phones, source, keys, now))


async def is_stopped(driver: Driver, *, ledger_id: int, phone: Msisdn, keys: PartyKeys) -> bool:
    """Whether a number wants no messages."""
    cursor = await driver.execute(_STOPPED, (ledger_id, keys.index(phone, ledger_id=ledger_id)))
    return await cursor.fetchone() is not None


async def resend(
    driver: Driver, *, ledger_id: int, sms_ids: Sequence[int], actor: str, ids: IdSource, now: datetime
) -> list[int]:
    """Queues failed messages once more, at a person's word; returns those that were. No other state allows it: what may
    have arrived is not sent again."""
    locked = await lock_messages(driver, ledger_id=ledger_id, sms_ids=sms_ids)
    steps = [Step(message=one, event=Event.RESENT) for one in locked.values()]
    taken = await take_steps(driver, ledger_id=ledger_id, steps=steps, actor=actor, now=now)
    again = [one.message.id for one in taken]
    await queue.renew(
        driver, ledger_id=ledger_id, kind=queue.SMS_SUBMIT, subject_ids=again, ids=ids, now=now, due_at=now
    )
    return again


async def resend_once(
    driver: Driver, *, ledger_id: int, sms_id: int, version: int, actor: str, ids: IdSource, now: datetime
) -> tuple[Message, bool]:
    """Queues a message once more that failed at this version, and whether the same had been done before. Raises
    MessageNotFound, MessageNotResendable."""
    await lock_messages(driver, ledger_id=ledger_id, sms_ids=[sms_id])
    message = await get_message(driver, ledger_id=ledger_id, sms_id=sms_id)
    if message.version != version:
        events = await list_events(driver, ledger_id=ledger_id, sms_id=sms_id)
        if (version + 1, Event.RESENT.value) in {(one.version, one.event) for one in events}:
            return message, True
        raise MessageNotResendable("the message has moved on: read it again", field="version")
    if not await resend(driver, ledger_id=ledger_id, sms_ids=[sms_id], actor=actor, ids=ids, now=now):
        raise MessageNotResendable(f"only what FAILED is sent again: it is {message.state.value}", field="message_id")
    return await get_message(driver, ledger_id=ledger_id, sms_id=sms_id), False


def _change(ledger_id: int, phones: Sequence[Msisdn], source: str, keys: PartyKeys, now: datetime) -> dict[str, object]:
    hashed = sorted({keys.index(one, ledger_id=ledger_id) for one in phones})
    return {"ledger": ledger_id, "source": source, "now": now, "phone": hashed}
