"""Making codes, a part of a batch at a time; taking existing ones in; and telling them to the printer, once.

A part is one transaction: its hashes go in by COPY, its printed forms in sealed sheets, its worth beside the books.
What broke off is taken up where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.database import Driver
from ledger.errors import SetTooLarge
from ledger.idempotency import find_answer, store_key
from ledger.ids import encode
from ledger.journal.books import Ledger
from ledger.journal.decide import PostRequest
from ledger.journal.post import business_date
from ledger.journal.poster import Poster
from ledger.promotions.batch import Event, State
from ledger.promotions.code import draw_codes, first_repeated, normalise, printed
from ledger.promotions.code_keys import CodeKeys
from ledger.promotions.desk import Order, check_allowed
from ledger.promotions.entries import issued_entry
from ledger.promotions.refusals import BatchNotReady, CodesExported, CodeTaken
from ledger.promotions.writing import PREFIX, Batch, Step, lock_batch, write_steps
from ledger.text import check_text

# Codes of one transaction, small enough that nobody else waits long for this process; and of one sealed sheet.
PART_MAX = 5_000
SHEET_MAX = 1_000
IMPORT_MAX = 10_000

_COPY = "COPY promo_codes (ledger_id, hash, batch_id, number, state) FROM STDIN"
_SHEETS = """
INSERT INTO promo_sheets (ledger_id, batch_id, first_number, codes, sealed)
SELECT %s, %s, s.* FROM unnest(%s::int[], %s::int[], %s::bytea[]) AS s
"""
_TAKEN = """
SELECT w.position FROM unnest(%s::bytea[]) WITH ORDINALITY AS w (hash, position)
JOIN promo_codes AS c ON c.ledger_id = %s AND c.hash = w.hash ORDER BY 1 LIMIT 1
"""
_NEXT_SHEET = """
SELECT first_number, codes, sealed FROM promo_sheets
WHERE ledger_id = %s AND batch_id = %s AND first_number >= %s ORDER BY first_number LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many codes a batch has, of how many."""

    issued: int
    count: int


@dataclass(frozen=True, slots=True)
class PrintedCode:
    """A code as it is printed, with its number in the batch."""

    number: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """Makes codes. `randomness` returns as many bytes as it is asked for, from a cryptographic source."""

    poster: Poster
    keys: CodeKeys
    randomness: Callable[[int], bytes]

    async def generate(self, driver: Driver, *, ledger: Ledger, batch_id: int, actor: str, now: datetime) -> Progress:
        """Makes the next part of the codes that a draft misses, and says how far it is. Raises BatchNotFound,
        BatchNotReady. Two that do this at once take turns."""
        batch = await lock_batch(driver, ledger_id=ledger.id, batch_id=batch_id)
        missing = batch.count - batch.issued
        if not missing:
            return Progress(batch.issued, batch.count)
        check_allowed(batch, Event.GENERATED)
        issued_on = business_date(batch.created_at, ledger.zone)
        codes = draw_codes(self.randomness, count=min(missing, PART_MAX), issued_on=issued_on)
        await self._issue(driver, ledger, batch, codes, Event.GENERATED, actor, now)
        return Progress(batch.issued + len(codes), batch.count)

    async def take_in(
        self, driver: Driver, *, ledger: Ledger, order: Order, typed: Sequence[str], now: datetime
    ) -> bool:
        """Takes existing codes into a draft, all of them or none; whether the same request had before. Raises
        BatchNotFound, BatchNotReady, CodeMalformed, CodeTaken, SetTooLarge."""
        if not 1 <= len(typed) <= IMPORT_MAX:
            raise SetTooLarge(f"import 1 to {IMPORT_MAX:,} codes in one call", field="codes")
        codes = [normalise(one, field=f"codes[{index}]") for index, one in enumerate(typed)]
        if (index := first_repeated(codes)) is not None:
            raise CodeTaken("the code stands in this request twice", field=f"codes[{index}]")
        batch = await lock_batch(driver, ledger_id=ledger.id, batch_id=order.batch_id)
        if await find_answer(driver, ledger_id=ledger.id, claim=order.key) is not None:
            return True
        check_allowed(batch, Event.IMPORTED)
        if len(codes) > batch.count - batch.issued:
            raise BatchNotReady(f"the batch misses {batch.count - batch.issued:,} codes", field="codes")
        hashes = self.keys.hashes(codes, ledger_id=ledger.id)
        row = await (await driver.execute(_TAKEN, (hashes, ledger.id))).fetchone()
        if row is not None:
            raise CodeTaken("the code is there already", field=f"codes[{row[0] - 1}]")
        await self._issue(driver, ledger, batch, codes, Event.IMPORTED, order.actor, now)
        await store_key(driver, ledger_id=ledger.id, claim=order.key, result_id=batch.id, now=now)
        return False

    async def _issue(
        self,
        driver: Driver,
        ledger: Ledger,
        batch: Batch,
        codes: Sequence[str],
        event: Event,
        actor: str,
        now: datetime,
    ) -> None:
        first = batch.issued + 1
        after = batch.moved(check_allowed(batch, event))
        await self._copy(driver, ledger.id, batch.id, first, codes)
        starts = range(0, len(codes), SHEET_MAX)
        sheets = [
            self.keys.seal(codes[at : at + SHEET_MAX], ledger_id=ledger.id, batch_id=batch.id, first_number=first + at)
            for at in starts
        ]
        sizes = [len(codes[at : at + SHEET_MAX]) for at in starts]
        await driver.execute(_SHEETS, (ledger.id, batch.id, [first + at for at in starts], sizes, sheets))
        entry = issued_entry(batch.money, codes=len(codes), version=after.version, at=now)
        (entry_id,) = await self.poster.post(driver, ledger=ledger, requests=[PostRequest(entry, actor)], now=now)
        step = Step(batch=after, event=event, actor=actor, codes=len(codes), entry_id=entry_id)
        await write_steps(driver, ledger_id=ledger.id, steps=[step], now=now)

    async def _copy(self, driver: Driver, ledger_id: int, batch_id: int, first: int, codes: Sequence[str]) -> None:
        hashes = self.keys.hashes(codes, ledger_id=ledger_id)
        lines = [
            f"{ledger_id}\t\\\\x{one.hex()}\t{batch_id}\t{number}\tLIVE\n"
            for number, one in enumerate(hashes, start=first)
        ]
        async with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
            await copy.write("".join(lines))


async def open_export(driver: Driver, *, ledger: Ledger, order: Order, now: datetime) -> bool:
    """Records the one export of a batch; whether the same request had opened it before. Raises BatchNotFound,
    CodesExported, BatchNotReady, TextInvalid."""
    check_text(order.reason, field="reason", length_max=200)
    batch = await lock_batch(driver, ledger_id=ledger.id, batch_id=order.batch_id)
    if await find_answer(driver, ledger_id=ledger.id, claim=order.key) is not None:
        return True
    move = check_allowed(batch, Event.EXPORTED)
    if batch.exported_at is not None:
        raise CodesExported(
            "the codes were exported before; only that request may be repeated", field="batch_id",
            exported_at=batch.exported_at.isoformat(),
        )  # fmt: skip
    if batch.state is State.DRAFT and batch.issued < batch.count:
        raise BatchNotReady("codes are missing; GenerateCodes makes them", field="batch_id")
    step = Step(
        batch=batch.moved(move, exported_at=now),
        event=Event.EXPORTED,
        actor=order.actor,
        codes=batch.issued,
        detail=order.reason,
    )
    await write_steps(driver, ledger_id=ledger.id, steps=[step], now=now)
    await store_key(driver, ledger_id=ledger.id, claim=order.key, result_id=batch.id, now=now)
    return False


async def read_sheet(
    driver: Driver, *, ledger: Ledger, batch_id: int, first_number: int, keys: CodeKeys
) -> list[PrintedCode]:
    """The sheet that begins at a number or after it; empty where there is none. For an export that is recorded."""
    row = await (await driver.execute(_NEXT_SHEET, (ledger.id, batch_id, first_number))).fetchone()
    if row is None:
        return []
    first, count, sealed = row
    codes = keys.open(bytes(sealed), ledger_id=ledger.id, batch_id=batch_id, first_number=first)
    assert len(codes) == count, f"a sheet of {encode(PREFIX, batch_id)} is short"
    return [PrintedCode(number, printed(code)) for number, code in enumerate(codes, start=first)]
