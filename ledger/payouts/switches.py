"""The switches that stop money: a rail of a ledger, or a partner. They hold within the next transaction, everywhere."""

from __future__ import annotations

from datetime import datetime

from ledger.database import Driver
from ledger.errors import RailNotFound, RailNotStopped, RailStopped
from ledger.ids import IdSource
from ledger.payouts.rails import find_routes
from ledger.text import check_text

_STOPPED = "SELECT rail, reason FROM rail_stops WHERE ledger_id = %s AND resumed_at IS NULL"
_STOP = """
INSERT INTO rail_stops (ledger_id, rail, id, reason, stopped_by, stopped_at) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (ledger_id, rail) WHERE resumed_at IS NULL DO NOTHING
"""
_RESUME = """
UPDATE rail_stops SET resumed_by = %s, resumed_at = %s WHERE ledger_id = %s AND rail = %s AND resumed_at IS NULL
"""


async def stopped_rails(driver: Driver, *, ledger_id: int) -> dict[str, str]:
    """The rails that are stopped, each with the reason."""
    return dict(await (await driver.execute(_STOPPED, (ledger_id,))).fetchall())


async def stop_rail(
    driver: Driver, *, ledger_id: int, rail: str, reason: str, actor: str, ids: IdSource, now: datetime
) -> None:
    """Stops a rail; one that is stopped stays as it is. Payouts wait in their queue and nothing is lost. Raises
    TextInvalid, and RailNotFound for a rail the ledger does not pay over: a misspelt switch would stop nothing."""
    check_text(rail, field="rail", length_max=40)
    check_text(reason, field="reason", length_max=500)
    if rail not in {route.rail for route in await find_routes(driver, ledger_id=ledger_id)}:
        raise RailNotFound("this ledger pays over no rail of that name", field="rail")
    await driver.execute(_STOP, (ledger_id, rail, ids.next(now), reason, actor, now))


async def resume_rail(driver: Driver, *, ledger_id: int, rail: str, actor: str, now: datetime) -> None:
    """Lets a rail go on. Raises RailNotStopped."""
    cursor = await driver.execute(_RESUME, (actor, now, ledger_id, rail))
    if cursor.rowcount == 0:
        raise RailNotStopped(f"rail {rail} is not stopped", field="rail")


def refusal(rail: str) -> RailStopped:
    """What a request over a stopped rail is told: not why, which is the operators' matter."""
    return RailStopped(f"{rail} is stopped for now; nothing was done, try again later", rail=rail)
