"""A person of a history: closes cases by what the provider's portal shows, which is the truth, and resumes a rail."""

from __future__ import annotations

import random

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver, run, transaction
from ledger.errors import LedgerError
from ledger.journal.books import Ledger
from ledger.outcomes import RACING_CONSTRAINTS
from ledger.payouts import reviews, switches, writing
from ledger.payouts.payout import State
from ledger.payouts.reviews import Review
from ledger.payouts.writing import LockedPayout
from ledger.resolutions import Resolution, Verb, resolve_review
from tests.simulation.daraja import Daraja
from tests.simulation.processes import Process

_HELD = text("SELECT reference FROM journal_entries WHERE ledger_id = :ledger AND id = :entry")


async def resume(process: Process, ledger: Ledger, *, rail: str = "daraja") -> None:
    """Our access is mended; the rail goes on."""

    async def command(connection: AsyncConnection) -> None:
        session = await driver(connection)
        if rail in await switches.stopped_rails(session, ledger_id=ledger.id):
            await switches.resume_rail(
                session, ledger_id=ledger.id, rail=rail, actor="operator", now=process.clock.now()
            )

    await run(process.engine, command)


async def close_a_case(process: Process, ledger: Ledger, daraja: Daraja, chance: random.Random) -> None:
    """Decides one open case, if there is one that the truth decides by now."""
    async with transaction(process.engine) as connection:
        cases = await reviews.list_open(connection, ledger_id=ledger.id, queue="", after=0, limit=100)
        if not cases:
            return
        case = chance.choice(cases)
        decision = await _decide(connection, ledger, case, daraja, chance)
    if decision is None:
        return

    async def command(connection: AsyncConnection) -> None:
        await resolve_review(
            connection,
            ledger=ledger,
            review_id=case.id,
            resolution=decision,
            actor="operator",
            recorder=process.recorder,
            now=process.clock.now(),
        )

    try:
        await run(process.engine, command, again_on=RACING_CONSTRAINTS)
    except LedgerError:
        return  # somebody was faster, or the partner has no money: the case stays


async def _decide(
    connection: AsyncConnection, ledger: Ledger, case: Review, daraja: Daraja, chance: random.Random
) -> Resolution | None:
    if case.payout_id is None:
        return _say(Verb.DISMISS)
    session = await driver(connection)
    (payout,) = (await writing.lock_payouts(session, ledger_id=ledger.id, payout_ids=[case.payout_id])).values()
    if case.held_entry_id is not None:
        place = {"ledger": ledger.id, "entry": case.held_entry_id}
        receipt = (await connection.execute(_HELD, place)).scalar_one()
        genuine = receipt in {one.receipt for one in daraja.paid(payout.provider_reference)}
        return _say(chance.choice([Verb.CHARGE, Verb.CLAW_BACK]) if genuine else Verb.REFUTE)
    if payout.state is State.UNKNOWN:
        return _by_the_portal(payout, daraja)
    return None if payout.state is State.RESERVED else _say(Verb.DISMISS)


def _by_the_portal(payout: LockedPayout, daraja: Daraja) -> Resolution | None:
    """Settles what was paid, releases what can no longer be; waits where it may still go either way."""
    paid = daraja.paid(payout.provider_reference)
    if paid:
        return Resolution(
            verb=Verb.SETTLE, evidence="the portal shows it", receipt=paid[0].receipt, completed_at=paid[0].at
        )
    orders = daraja.orders_of(payout.provider_reference)
    return _say(Verb.RELEASE) if orders and all(one.code for one in orders) else None


def _say(verb: Verb) -> Resolution:
    return Resolution(verb=verb, evidence="the portal shows it")
