"""A ledger whose customers are told of everything, over both providers."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver, run
from ledger.sms import desk
from ledger.sms.desk import SmsSettings
from ledger.sms.message import Event
from ledger.sms.templates import Language, StopCovers, Told
from ledger.sms.writing import Step, lock_messages, take_steps
from tests.ledger.payouts.shop import Shop

WANTED = SmsSettings(
    provider="africastalking",
    fallback="pindo",
    sender="SHOP",
    brand="Shop",
    language=Language.ENGLISH,
    events=tuple(Told),
    stop_covers=StopCovers.ALL_BUT_ESSENTIAL,
)


async def tell_customers(shop: Shop) -> None:
    """From now on."""

    async def command(connection: AsyncConnection) -> None:
        await desk.open_sms(
            await driver(connection),
            ledger_id=shop.ledger.id,
            settings=WANTED,
            token_hash=bytes(32),
            actor="tests",
            now=shop.now(),
        )

    await run(shop.engine, command)


async def take(shop: Shop, event: Event, *sms_ids: int, code: str | None = None, message_id: str | None = None) -> None:
    """Something happens to messages."""

    async def command(connection: AsyncConnection) -> None:
        session = await driver(connection)
        found = await lock_messages(session, ledger_id=shop.ledger.id, sms_ids=sms_ids)
        steps = [Step(message=found[one], event=event, code=code, message_id=message_id) for one in sms_ids]
        await take_steps(session, ledger_id=shop.ledger.id, steps=steps, actor="tests", now=shop.now())

    await run(shop.engine, command)


async def messages(shop: Shop) -> list[int]:
    """Their ids, in the order of the payouts they tell of."""
    found = await shop.rows("SELECT id FROM sms_messages WHERE ledger_id = :ledger ORDER BY payout_id")
    return [sms_id for (sms_id,) in found]
