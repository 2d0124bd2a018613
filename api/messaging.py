"""Opening the text messages of a ledger: what is sent over which provider, and where that tells us of it."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.dispatch import fresh_token, hash_token
from adapters.sms import KINDS
from api.wiring import Application
from ledger.database import driver, run
from ledger.journal.accounts import open_accounts
from ledger.journal.books import find_ledger
from ledger.journal.chart import messenger_accounts
from ledger.sms import desk
from ledger.sms.desk import SmsSettings

ACTOR = "cli"


async def open_sms(
    application: Application,
    *,
    ledger_code: str,
    wanted: SmsSettings,
    currencies: Collection[str],
    public_url: str,
) -> dict[str, dict[str, str]]:
    """Has a ledger's messages sent from now on, and opens what their costs are booked on; returns the addresses that
    the providers are to be given, by what they tell there and by provider. Those given before are dead from now on."""
    token = fresh_token()
    providers = [one for one in (wanted.provider, wanted.fallback) if one is not None]

    async def open_it(connection: AsyncConnection) -> int:
        now = application.now()
        ledger = await find_ledger(connection, code=ledger_code)
        specs = [
            spec
            for currency in sorted(set(currencies))
            for provider in providers
            for spec in messenger_accounts(messenger=provider, currency=currency)
        ]
        unique = list({(one.path, one.currency): one for one in specs}.values())
        await open_accounts(connection, ledger_id=ledger.id, specs=unique, ids=application.ids, now=now)
        session = await driver(connection)
        await desk.open_sms(
            session, ledger_id=ledger.id, settings=wanted, token_hash=hash_token(token), actor=ACTOR, now=now
        )
        return ledger.id

    ledger_id = await run(application.engine, open_it)
    base = public_url.rstrip("/")
    return {kind: {one: f"{base}/callbacks/{ledger_id}/{one}/{kind}/{token}" for one in providers} for kind in KINDS}
