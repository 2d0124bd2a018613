"""Taking statements in: the bytes first, sealed; then every line or none, each once however often a file shows it.

Lines go in by thousands, as arrays, and those that are there stay as they are: no query is asked per line. A line is
known by its account, receipt, details, amount, state and its number among those alike in one file.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TypeAlias

from ledger.database import Driver
from ledger.errors import AccountNotFound
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.chart import path_of
from ledger.reconciliation.statement import Continuity, Heading, StatementLine, refused
from ledger.sealing import Sealer
from ledger.session import plain_array, text_array
from ledger.text import check_text

CHUNK_BYTES = 2**20
CHARGES_PAID = "charges_paid"
PURPOSE = "statements"
# A statement over a month of a million lines may take this long: a file that goes in, a run that reads both sides.
STATEMENT_SECONDS_MAX = 900
RACING_CONSTRAINTS = frozenset({"statement_files_are_kept_once", "statement_imports_accept_once"})
_SET_LINES, _SET_CHUNKS = 5_000, 8
_NEVER, _NOT_YET = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
_SAID_EVERY = 50_000

_ACCOUNT = "SELECT path, currency FROM accounts WHERE ledger_id = %s AND id = %s"
_KEPT = """
INSERT INTO statement_files (ledger_id, id, account_id, name, sha256, bytes, actor, received_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_CHUNK = "INSERT INTO statement_chunks (ledger_id, file_id, number, sealed) VALUES (%s, %s, %s, %s)"
_KNOWN = "SELECT id FROM statement_files WHERE ledger_id = %s AND account_id = %s AND sha256 = %s"
_ACCEPTED = """
SELECT id, lines, from_at, until_at, opening, closing FROM statement_imports
WHERE ledger_id = %s AND file_id = %s AND verdict = 'accepted'
"""
_ADD = """
INSERT INTO statement_lines (ledger_id, account_id, file_id, id, digest, ordinal, position, receipt, completed_at, kind,
    status, amount, balance, details, originator, party, reference, linked_receipt)
SELECT %(ledger)s, %(account)s, %(file)s, n.* FROM unnest(%(id)s::bigint[], %(digest)s::bytea[], %(ordinal)s::int[],
    %(position)s::int[], %(receipt)s::text[], %(completed_at)s::timestamptz[], %(kind)s::text[], %(status)s::text[],
    %(amount)s::bigint[], %(balance)s::bigint[], %(details)s::text[], %(originator)s::text[], %(party)s::text[],
    %(reference)s::text[], %(linked)s::text[]) AS n
ON CONFLICT (ledger_id, account_id, digest, ordinal) DO NOTHING
"""
_VERDICT = """
INSERT INTO statement_imports (ledger_id, id, file_id, verdict, reason, lines, added, from_at, until_at, opening,
    closing, actor, imported_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


@dataclass(frozen=True, slots=True)
class StatementAccount:
    """The account of the books that a provider's sub-account is: its float ("utility"), or charges owed
    ("charges_paid"), which providers show as a negative balance."""

    id: int
    path: str
    provider: str
    shortcode: str
    sub_account: str
    currency: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A file taken in. `added` is 0 where every line was there; `from_at` and `until_at` are what it covers; amounts
    in minor units."""

    import_id: int
    lines: int
    added: int
    from_at: datetime
    until_at: datetime
    opening: int | None
    closing: int | None


Say: TypeAlias = Callable[[int], None]


async def find_statement_account(
    driver: Driver, *, ledger: Ledger, directory: AccountDirectory, provider: str, shortcode: str, sub_account: str,
    currency: str,
) -> StatementAccount:  # fmt: skip
    """Raises AccountNotFound where the books have no such account: money is never matched to a guess."""
    path = (
        path_of("2410", provider=provider, shortcode=shortcode)
        if sub_account == CHARGES_PAID
        else f"asset.float.{provider}.{shortcode}.{sub_account}"
    )
    found = await directory.find(driver, ledger_id=ledger.id, names=[(path, currency)])
    if not found:
        raise AccountNotFound(f"the books have no account {path!r:.120} in {currency}", field="account")
    return StatementAccount(found[0].id, path, provider, shortcode, sub_account, currency)


async def read_statement_account(driver: Driver, *, ledger: Ledger, account_id: int) -> StatementAccount:
    """The same by its id."""
    row = await (await driver.execute(_ACCOUNT, (ledger.id, account_id))).fetchone()
    assert row is not None, "runs and statements are of accounts"
    path, currency = row
    return StatementAccount(account_id, path, *account_names(path), currency)


async def allow_minutes(driver: Driver) -> None:
    """Lets the statements of this transaction take as long as a month of a million lines needs on a busy machine."""
    await driver.execute("SELECT set_config('statement_timeout', %s, true)", (f"{STATEMENT_SECONDS_MAX}s",))


def account_names(path: str) -> tuple[str, str, str]:
    """Provider, shortcode and sub-account of the account of this path. Pure."""
    *_, provider, shortcode, last = (*path.split("."), CHARGES_PAID) if path.startswith("liab.") else path.split(".")
    return provider, shortcode, last


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """Takes statements in. What never changes in a process."""

    sealer: Sealer
    ids: IdSource

    async def keep(
        self,
        driver: Driver,
        *,
        ledger: Ledger,
        account: StatementAccount,
        name: str,
        chunks: Iterable[bytes],
        size: int,
        sha256: bytes,
        actor: str,
        now: datetime,
    ) -> int:
        """Stores the `size` bytes as they came, a few chunks in memory at a time, and returns the file's id; bytes that
        are there keep theirs. Raises StatementRefused for bytes that are not those of `sha256`."""
        check_text(name, field="name", length_max=200)
        check_text(actor, field="actor", length_max=100)
        row = await (await driver.execute(_KNOWN, (ledger.id, account.id, sha256))).fetchone()
        if row is not None:
            return int(row[0])
        file_id, read, digest = self.ids.next(now), 0, hashlib.sha256()
        await driver.execute(_KEPT, (ledger.id, file_id, account.id, name, sha256, size, actor, now))
        numbered = enumerate(chunks)
        while batch := list(islice(numbered, _SET_CHUNKS)):
            sealed = []
            for number, chunk in batch:
                read += len(chunk)
                digest.update(chunk)
                bound_to = f"{ledger.id} {file_id} {number}".encode()
                sealed.append((ledger.id, file_id, number, self.sealer.seal(chunk, bound_to=bound_to)))
            async with driver.cursor() as cursor:
                await cursor.executemany(_CHUNK, sealed)
        if (digest.digest(), read) != (sha256, size):
            raise refused("the file changed while it was read")
        return file_id

    async def take_in(
        self,
        driver: Driver,
        *,
        ledger: Ledger,
        account: StatementAccount,
        file_id: int,
        heading: Heading,
        lines: Iterator[StatementLine],
        actor: str,
        now: datetime,
        say: Say = lambda count: None,
    ) -> Imported:
        """All lines of a file in the caller's transaction. Raises StatementRefused: the caller then rolls back, and
        records that with `refuse`."""
        row = await (await driver.execute(_ACCEPTED, (ledger.id, file_id))).fetchone()
        if row is not None:
            return Imported(row[0], row[1], 0, *row[2:])
        _check_heading(heading, account)
        await allow_minutes(driver)
        continuity, alike, added, import_id = Continuity(heading), Counter[bytes](), 0, self.ids.next(now)
        count, first, last = 0, _NEVER, _NOT_YET
        place = {"ledger": ledger.id, "account": account.id, "file": file_id}
        # Reading is work for a processor: in a thread, so that a server goes on answering others meanwhile.
        while batch := await asyncio.to_thread(_next_lines, lines, continuity):
            first = min(first, *(line.completed_at for line in batch))
            last = max(last, *(line.completed_at for line in batch))
            ids = self.ids.next_many(now, count=len(batch))
            cursor = await driver.execute(_ADD, place | _columns(batch, ids, alike))
            added, count = added + cursor.rowcount, count + len(batch)
            if count % _SAID_EVERY == 0:
                say(count)
        opening, closing = await asyncio.to_thread(continuity.check)
        from_at, until_at = _covered(heading, first, last)
        one = Imported(import_id, count, added, from_at, until_at, opening, closing)
        row = (ledger.id, import_id, file_id, "accepted", None, count, added, from_at, until_at, opening, closing)
        await driver.execute(_VERDICT, (*row, actor, now))
        return one

    async def refuse(
        self, driver: Driver, *, ledger: Ledger, file_id: int, reason: str, actor: str, now: datetime
    ) -> None:
        """Records that a file was refused, and why."""
        nothing = (None, None, None, None)
        row = (ledger.id, self.ids.next(now), file_id, "refused", reason[:300], 0, 0, *nothing, actor, now)
        await driver.execute(_VERDICT, row)


def _next_lines(lines: Iterator[StatementLine], continuity: Continuity) -> list[StatementLine]:
    batch = list(islice(lines, _SET_LINES))
    for line in batch:
        continuity.add(line)
    return batch


def _check_heading(heading: Heading, account: StatementAccount) -> None:
    if heading.shortcode is not None and heading.shortcode != account.shortcode:
        raise refused(f"a statement of shortcode {heading.shortcode!r:.30}, not of {account.shortcode}")
    if heading.sub_account is not None and heading.sub_account != account.sub_account:
        raise refused(f"a statement of the account {heading.sub_account}, not of {account.sub_account}")


def _covered(heading: Heading, first: datetime, last: datetime) -> tuple[datetime, datetime]:
    from_at, until_at = heading.from_at or first, heading.until_at or last
    if first < from_at or last > until_at:
        raise refused("a line lies outside the time period of the heading")
    return from_at, until_at


def _columns(lines: Sequence[StatementLine], ids: Sequence[int], alike: Counter[bytes]) -> dict[str, str]:
    """The rows, column by column; `alike` counts the lines of each digest so far."""
    digests = [line.digest for line in lines]
    ordinals: list[int] = []
    for digest in digests:
        ordinals.append(alike[digest])
        alike[digest] += 1
    return {
        "id": plain_array(ids),
        "digest": plain_array([f'"\\\\x{digest.hex()}"' for digest in digests]),
        "ordinal": plain_array(ordinals),
        "position": plain_array([line.row for line in lines]),
        "receipt": text_array([line.receipt for line in lines]),
        "completed_at": plain_array([line.completed_at.isoformat() for line in lines]),
        "kind": plain_array([line.kind.value for line in lines]),
        "status": plain_array([line.status.value for line in lines]),
        "amount": plain_array([line.amount for line in lines]),
        "balance": plain_array([line.balance for line in lines]),
        "details": text_array([line.details for line in lines]),
        "originator": text_array([line.originator for line in lines]),
        "party": text_array([line.party for line in lines]),
        "reference": text_array([line.reference for line in lines]),
        "linked": text_array([line.linked_receipt for line in lines]),
    }
