"""What operators do to a whole installation, each in one transaction: open books, add partners and keys, verify.

Used by the command line and by the staged demonstration; nothing here is reached over the network.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import date, timedelta

from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from api.permissions import PARTNER_PERMISSIONS, Permission
from api.rails import float_names, shipped_tariffs
from api.tables import table
from api.wiring import Application
from ledger import partners, tariffs
from ledger.database import run as run_transaction
from ledger.database import transaction
from ledger.journal import accounts, books, chart
from ledger.journal.books import Ledger
from ledger.journal.verify import VerifyReport, verify
from ledger.money import Money, parse_decimal
from ledger.partners import Partner
from ledger.tariffs import Band


async def open_books(
    application: Application, *, code: str, name: str, currency: str, zone: str, shortcodes: Sequence[tuple[str, str]]
) -> tuple[Ledger, int]:
    """A ledger with the chart's common accounts, those of each (provider, shortcode), and the published tariffs, in one
    transaction; returns it with the number of its chart's accounts."""

    async def command(connection: AsyncConnection) -> tuple[Ledger, int]:
        now = application.now()
        ledger = await books.create_ledger(
            connection, code=code, name=name, base_currency=currency, time_zone=zone, now=now
        )
        specs = chart.common_accounts(currency=currency)
        for provider, shortcode in shortcodes:
            specs += chart.shortcode_accounts(
                provider=provider, shortcode=shortcode, currency=currency, floats=float_names(provider)
            )
        await accounts.open_accounts(connection, ledger_id=ledger.id, specs=specs, ids=application.ids, now=now)
        providers = {provider for provider, _ in shortcodes}
        bands = [band for band in shipped_tariffs() if band.provider in providers and band.currency == currency]
        await tariffs.add_bands(connection, ledger_id=ledger.id, bands=bands)
        return ledger, len(specs)

    return await run_transaction(application.engine, command)


async def add_collection_tariff(
    application: Application,
    *,
    ledger_code: str,
    provider: str,
    shortcode: str,
    valid_from: date,
    steps: Sequence[tuple[int, int]],
) -> list[Band]:
    """What a provider takes from us for what a shortcode, or with an empty one any of its shortcodes, takes in from a
    day on. Bands of that day that are there stay as they are."""
    service = f"{tariffs.COLLECTION_SERVICE}.{shortcode}" if shortcode else tariffs.COLLECTION_SERVICE

    async def command(connection: AsyncConnection) -> list[Band]:
        ledger = await books.find_ledger(connection, code=ledger_code)
        bands = tariffs.bands_of(
            steps, provider=provider, service=service, currency=ledger.base_currency, valid_from=valid_from
        )
        await tariffs.add_bands(connection, ledger_id=ledger.id, bands=bands)
        return bands

    return await run_transaction(application.engine, command)


async def create_partner(
    application: Application, *, ledger_code: str, code: str, name: str, currency: str, fee: str
) -> tuple[Partner, str]:
    """A partner and its first key, in one transaction."""

    async def command(connection: AsyncConnection) -> tuple[Partner, str]:
        ledger = await books.find_ledger(connection, code=ledger_code)
        payout_fee: Money = parse_decimal(fee, currency or ledger.base_currency)
        now = application.now()
        partner = await partners.create_partner(
            connection, ledger=ledger, code=code, name=name, payout_fee=payout_fee, ids=application.ids, now=now
        )
        key = await partners.create_key(
            connection,
            name=code,
            ledger_id=ledger.id,
            partner_id=partner.id,
            permissions=[one.value for one in PARTNER_PERMISSIONS],
            expires_at=None,
            secret=secrets.token_bytes(partners.SECRET_BYTES),
            ids=application.ids,
            now=now,
        )
        return partner, key

    return await run_transaction(application.engine, command)


async def create_key(
    application: Application,
    *,
    name: str,
    ledger_code: str,
    partner_code: str,
    permissions: list[Permission] | None,
    days: int,
) -> str:
    """The text of a new key; a partner's key gets a partner's permissions unless some are named."""

    async def command(connection: AsyncConnection) -> str:
        now = application.now()
        ledger = await books.find_ledger(connection, code=ledger_code) if ledger_code or partner_code else None
        partner_id = None
        if partner_code and ledger is not None:
            partner_id = (await partners.find_partner(connection, ledger_id=ledger.id, code=partner_code)).id
        granted = permissions or (PARTNER_PERMISSIONS if partner_code else list(Permission))
        return await partners.create_key(
            connection,
            name=name,
            ledger_id=ledger.id if ledger is not None else None,
            partner_id=partner_id,
            permissions=[one.value for one in granted],
            expires_at=now + timedelta(days=days) if days else None,
            secret=secrets.token_bytes(partners.SECRET_BYTES),
            ids=application.ids,
            now=now,
        )

    return await run_transaction(application.engine, command)


async def verify_ledgers(application: Application, *, code: str, out: Console) -> bool:
    """Whether the books of one ledger, or of all, agree with their postings; prints what does not."""
    async with transaction(application.engine) as connection:
        ledgers = await books.list_ledgers(connection, after_code="", limit=10_000)
    if code:
        async with transaction(application.engine) as connection:
            ledgers = [await books.find_ledger(connection, code=code)]
    sound = True
    for ledger in ledgers:
        async with transaction(application.engine) as connection:
            report = await verify(connection, ledger_id=ledger.id)
        sound = sound and report.agrees
        _print(out, ledger.code, report)
    return sound


def _print(out: Console, code: str, report: VerifyReport) -> None:
    verdict = "every cache agrees" if report.agrees else f"[bold]{report.differences_total:,} differences[/]"
    out.print(
        f"{code}: {report.entries:,} entries, {report.postings:,} postings, {report.accounts:,} accounts: {verdict}"
    )
    if not report.agrees:
        rows = [
            (d.check.value, d.place, d.field, d.stored or "missing", d.rebuilt or "nothing") for d in report.differences
        ]
        out.print(table("Differences", ("check", "place", "field", ">stored", ">rebuilt"), rows))
