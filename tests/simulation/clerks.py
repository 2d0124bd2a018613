"""What the provider takes back unasked, and the people who notice: by its portal, or by asking about a receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.collections.return_asking import TakenBack
from ledger.database import driver, run
from ledger.idempotency import KeyClaim
from ledger.journal.books import Ledger
from ledger.journal.entry import Source
from ledger.money import Money
from tests.simulation import paybill_portal
from tests.simulation.asks import RACES, Ask
from tests.simulation.books import Opened
from tests.simulation.paybill_portal import Clawed
from tests.simulation.processes import Process

if TYPE_CHECKING:
    from tests.simulation.history_of_money_in import MoneyInHistory

CLAWED_MAX = 2
_BOOKED: LiteralString = "SELECT id FROM receipts WHERE receipt = %s AND returning_now = 0"
_ANY: LiteralString = "SELECT id FROM receipts ORDER BY id"


async def claw_or_notice(history: MoneyInHistory, opened: Opened) -> None:
    """The provider takes back, or somebody looks what it did."""
    chance, paybill = history.chance, history.daraja.paybill
    left = [one for one in paybill.taken if one.back_cents < one.cents]
    if left and len(paybill.clawed) < CLAWED_MAX and chance.random() < 0.5:
        taken = chance.choice(left)
        whole = taken.cents - taken.back_cents
        made = paybill_portal.claw_back(paybill, taken, chance.choice([whole, whole, whole // 200 * 100 or whole]))
        history.troubles["reverser"] += 1
        history.note(f"{made.receipt}: the provider takes {made.cents} back")
    elif paybill.clawed and chance.random() < 0.7:
        _want_booked(history, chance.choice(paybill.clawed))
    else:
        found = history.arena.ground.session.execute(_ANY).fetchall()
        if found:
            await _check(history, opened, int(chance.choice(found)[0]))


async def notice_all(history: MoneyInHistory, opened: Opened) -> None:
    """At the end of the day somebody has seen to everything that was taken back: booked it, or had it asked about."""
    session = history.arena.ground.session
    for made in history.daraja.paybill.clawed:
        taken = history.daraja.paybill.find(made.receipt)
        row = session.execute(_BOOKED, (made.receipt,)).fetchone()
        if row is None or taken is None or made.number in history.noticed:
            continue
        history.noticed.add(made.number)
        asking = "queries" not in history.options.without and taken.back_cents == taken.cents
        if asking and int(made.number[3:]) % 2:
            await _check(history, opened, int(row[0]))
        else:
            _want_booked(history, made)


def _want_booked(history: MoneyInHistory, made: Clawed) -> None:
    """Two people may see the same line of the portal."""
    row = history.arena.ground.session.execute(_BOOKED, (made.receipt,)).fetchone()
    if row is not None:
        history.clerks.append(_take_back(len(history.clerks), int(row[0]), made))


async def _check(history: MoneyInHistory, opened: Opened, receipt_id: int) -> None:
    process = history.processes["api"]

    async def command(connection: AsyncConnection) -> None:
        door = process.money_in.returns
        await door.check(await driver(connection), ledger=opened.ledger, receipt_id=receipt_id, now=process.clock.now())

    async def check() -> None:
        await run(process.engine, command, again_on=RACES)

    await history.act("api", f"check {receipt_id}", check())


def _take_back(number: int, receipt_id: int, made: Clawed) -> Ask:
    async def send(process: Process, ledger: Ledger, connection: AsyncConnection, key: KeyClaim) -> int:
        taken = TakenBack(
            receipt_id=receipt_id,
            amount=Money("KES", made.cents),
            return_receipt=made.number,
            completed_at=made.at,
            reason="the portal shows it",
            actor="operator",
            source=Source.MANUAL,
            key=key,
        )
        door = process.money_in.returns
        booked, _ = await door.take_back(await driver(connection), ledger=ledger, taken=taken, now=process.clock.now())
        return booked.id

    return Ask(f"taken-back-{number}", "BookTakenBack", f"{receipt_id} {made.number}", send)
