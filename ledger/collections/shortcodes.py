"""Which shortcodes of a ledger take money in, into which account, and by which paths a provider tells of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.collections.receipt import ReceiptAccounts
from ledger.database import Driver, driver
from ledger.errors import ShortcodeExists, ShortcodeNotFound
from ledger.ids import IdSource
from ledger.journal import accounts, chart
from ledger.journal.books import Ledger

_FIND = """
SELECT provider, shortcode, currency, landing, accepts_unanswered, refuses_unknown FROM collection_shortcodes
WHERE ledger_id = %s AND (provider, shortcode) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
"""
_LIST = """
SELECT provider, shortcode, currency, landing, accepts_unanswered, refuses_unknown FROM collection_shortcodes
WHERE ledger_id = %s AND (provider, shortcode) > (%s, %s) ORDER BY provider, shortcode LIMIT %s
"""
LIST = "list"
_WRITE_CALL = """
INSERT INTO collection_calls (ledger_id, id, provider, shortcode, purpose, token_hash, made_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_DUE = """
SELECT s.ledger_id, s.provider, s.shortcode, s.currency, s.landing, s.accepts_unanswered, s.refuses_unknown,
whole.until FROM collection_shortcodes AS s CROSS JOIN LATERAL (
    SELECT max(c.made_at) AS made_at FROM collection_calls AS c
    WHERE c.ledger_id = s.ledger_id AND c.provider = s.provider AND c.shortcode = s.shortcode AND c.purpose = %s
) AS last CROSS JOIN LATERAL (
    SELECT max(g.until) AS until FROM collection_listings AS g
    WHERE g.ledger_id = s.ledger_id AND g.provider = s.provider AND g.shortcode = s.shortcode
) AS whole
WHERE s.provider = ANY(%s) AND (last.made_at IS NULL OR last.made_at <= %s) ORDER BY s.ledger_id, s.provider,
s.shortcode
"""
_WRITE_LISTING = """
INSERT INTO collection_listings (ledger_id, id, provider, shortcode, until, listed_at) VALUES (%s, %s, %s, %s, %s, %s)
"""
_ADD_PATH = """
INSERT INTO collection_paths (ledger_id, token_hash, provider, shortcode, kind, created_at)
VALUES (%s, %s, %s, %s, %s, %s)
"""
_PATHS = """
SELECT token_hash, provider, shortcode, kind FROM collection_paths WHERE ledger_id = %s AND token_hash = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Shortcode:
    """A shortcode that takes money in. `accepts_unanswered`: the provider takes a payment in although we left its
    question before it unanswered; `refuses_unknown`: asked, we refuse a reference that means nothing here."""

    provider: str
    shortcode: str
    currency: str
    landing: str
    accepts_unanswered: bool
    refuses_unknown: bool = False

    @property
    def accounts(self) -> ReceiptAccounts:
        """The accounts that its receipts pass through."""
        return chart_accounts(self)


@dataclass(frozen=True, slots=True)
class Path:
    """What a callback path of a shortcode is for: "confirmation" or "validation"."""

    provider: str
    shortcode: str
    kind: str


def chart_accounts(shortcode: Shortcode) -> ReceiptAccounts:
    """As the shipped chart names them."""
    own = f"{shortcode.provider}.{shortcode.shortcode}"
    return ReceiptAccounts(
        landing=shortcode.landing,
        unallocated=f"liab.receipts.unallocated.{own}",
        suspense="liab.receipts.suspense",
        returning=f"liab.receipts.returning.{own}",
        charges_owed=f"liab.provider_charges.{own}",
        charge_expense="expense.provider_charges.collections",
        clawback="asset.receivable.customer_clawback",
    )


async def open_shortcode(
    connection: AsyncConnection, *, ledger: Ledger, shortcode: Shortcode, ids: IdSource, now: datetime
) -> Shortcode:
    """Lets a shortcode take money in, with the accounts for it; repeating it changes nothing. Raises AccountNotFound
    where the ledger has no such landing account, and ShortcodeExists for another one than before."""
    await accounts.find_account(connection, ledger_id=ledger.id, path=shortcode.landing, currency=shortcode.currency)
    specs = chart.flight_accounts(
        provider=shortcode.provider, shortcode=shortcode.shortcode, currency=shortcode.currency
    ) + chart.common_accounts(currency=shortcode.currency)
    await accounts.open_accounts(connection, ledger_id=ledger.id, specs=specs, ids=ids, now=now)
    values = {
        "ledger_id": ledger.id,
        "provider": shortcode.provider,
        "shortcode": shortcode.shortcode,
        "currency": shortcode.currency,
        "landing": shortcode.landing,
        "accepts_unanswered": shortcode.accepts_unanswered,
        "refuses_unknown": shortcode.refuses_unknown,
        "created_at": now,
    }
    await connection.execute(postgresql_insert(tables.collection_shortcodes).values(values).on_conflict_do_nothing())
    names = [(shortcode.provider, shortcode.shortcode)]
    found = await find_shortcodes(await driver(connection), ledger_id=ledger.id, names=names)
    if found[names[0]] != shortcode:
        raise ShortcodeExists(
            f"shortcode {shortcode.shortcode} takes money in already, into {found[names[0]].landing}", field="shortcode"
        )
    return shortcode


async def find_shortcodes(
    driver: Driver, *, ledger_id: int, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Shortcode]:
    """Those of the (provider, shortcode) pairs that take money in."""
    columns = ([provider for provider, _ in names], [shortcode for _, shortcode in names])
    cursor = await driver.execute(_FIND, (ledger_id, *columns))
    return {(row[0], row[1]): Shortcode(*row) for row in await cursor.fetchall()}


async def get_shortcode(driver: Driver, *, ledger_id: int, provider: str, shortcode: str) -> Shortcode:
    """One of them. Raises ShortcodeNotFound."""
    found = await find_shortcodes(driver, ledger_id=ledger_id, names=[(provider, shortcode)])
    if not found:
        raise ShortcodeNotFound(
            "this ledger takes nothing in on such a shortcode; open it with `daftari collections open`",
            field="shortcode",
        )
    return found[provider, shortcode]


async def list_shortcodes(driver: Driver, *, ledger_id: int, after: tuple[str, str], limit: int) -> list[Shortcode]:
    """Those after a (provider, shortcode), in order."""
    cursor = await driver.execute(_LIST, (ledger_id, *after, limit))
    return [Shortcode(*row) for row in await cursor.fetchall()]


async def add_path(driver: Driver, *, ledger_id: int, token_hash: bytes, path: Path, now: datetime) -> None:
    """Keeps a path that the provider is about to be given. Earlier ones stay good: some providers keep the first."""
    values = (ledger_id, token_hash, path.provider, path.shortcode, path.kind, now)
    await driver.execute(_ADD_PATH, values)


async def find_paths(driver: Driver, *, ledger_id: int, token_hashes: Sequence[bytes]) -> dict[bytes, Path]:
    """What these paths are for; only those that are ours."""
    if not token_hashes:
        return {}
    cursor = await driver.execute(_PATHS, (ledger_id, list(token_hashes)))
    return {bytes(row[0]): Path(*row[1:]) for row in await cursor.fetchall()}


async def write_call(
    driver: Driver,
    *,
    ledger_id: int,
    shortcode: Shortcode,
    purpose: str,
    token_hash: bytes,
    ids: IdSource,
    now: datetime,
) -> None:
    """Writes a call down that is about to be made."""
    values = (ledger_id, ids.next(now), shortcode.provider, shortcode.shortcode, purpose, token_hash, now)
    await driver.execute(_WRITE_CALL, values)


async def write_listing(
    driver: Driver, *, ledger_id: int, shortcode: Shortcode, until: datetime, ids: IdSource, now: datetime
) -> None:
    """Keeps that everything until then was listed, with what it told booked in the same transaction."""
    values = (ledger_id, ids.next(now), shortcode.provider, shortcode.shortcode, until, now)
    await driver.execute(_WRITE_LISTING, values)


async def find_due(
    driver: Driver, *, providers: Sequence[str], asked_before: datetime
) -> list[tuple[int, Shortcode, datetime | None]]:
    """The shortcodes that nobody asked about since then: (ledger id, shortcode, until when it was listed to its
    end)."""
    cursor = await driver.execute(_DUE, (LIST, list(providers), asked_before))
    return [(row[0], Shortcode(*row[1:7]), row[7]) for row in await cursor.fetchall()]
