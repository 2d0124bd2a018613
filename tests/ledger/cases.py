"""Cases of the review queues for tests: opening, finding and closing them, and payouts for them to be about."""

from __future__ import annotations

from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver, run
from ledger.outcomes import RACING_CONSTRAINTS, OutcomeRecorder
from ledger.payouts import reviews
from ledger.payouts.payout import State
from ledger.payouts.reviews import Review
from ledger.resolutions import Resolution, Verb, resolve_review
from tests.ledger.payouts.roads import road_to
from tests.ledger.payouts.shop import Shop

EVIDENCE = "the organisation's portal shows it, seen by amina"
AMOUNT = 150_000
ABOUT_SUSPENSE = {Verb.CHARGE, Verb.CLAW_BACK, Verb.REFUTE}


async def case_of(shop: Shop, payout_id: int | None, *, queue: str = "amount-mismatch") -> int:
    """A case, opened."""

    async def command(connection: AsyncConnection) -> int:
        await reviews.open_reviews(
            await driver(connection),
            ledger_id=shop.ledger.id,
            queue=queue,
            cases=[reviews.Case(payout_id, "a person decides")],
            ids=shop.ids,
            now=shop.now(),
        )
        found = await reviews.list_open(connection, ledger_id=shop.ledger.id, queue=queue, after=0, limit=100)
        return found[-1].id

    return await run(shop.engine, command)


async def holding_case(shop: Shop, payout_id: int, *, receipt: str = "") -> int:
    """The open case whose money is in suspense, under this receipt where several are."""
    found = await shop.rows(
        "SELECT r.id FROM reviews AS r JOIN journal_entries AS e ON e.ledger_id = r.ledger_id AND e.id = held_entry_id "
        "WHERE r.ledger_id = :ledger AND payout_id = :payout AND :receipt IN ('', e.reference) AND NOT EXISTS ("
        "SELECT FROM review_resolutions AS d WHERE d.ledger_id = r.ledger_id AND d.review_id = r.id)",
        payout=payout_id,
        receipt=receipt,
    )
    ((review_id,),) = found
    return int(review_id)


def decision(verb: Verb, *, receipt: str = "QKJ7MANUAL") -> Resolution:
    """With evidence, and a receipt where the verb takes one."""
    return Resolution(verb=verb, evidence=EVIDENCE, receipt=receipt if verb is Verb.SETTLE else "")


async def resolve(shop: Shop, review_id: int, resolution: Resolution, *, actor: str = "amina") -> Review:
    """Closes a case in a transaction of its own."""
    recorder = OutcomeRecorder(directory=shop.directory, ids=shop.ids)
    command = partial(
        resolve_review,
        ledger=shop.ledger,
        review_id=review_id,
        resolution=resolution,
        actor=actor,
        recorder=recorder,
        now=shop.now(),
    )
    return await run(shop.engine, command, again_on=RACING_CONSTRAINTS)


async def payout_in(shop: Shop, state: State) -> int:
    """A payout on its road to the state."""
    payout_id = await shop.request()
    await shop.record(*road_to(state, payout_id))
    return payout_id


async def open_queues(shop: Shop) -> list[str]:
    """The queues of the open cases."""
    found = await shop.rows(
        "SELECT queue FROM reviews AS r WHERE ledger_id = :ledger AND NOT EXISTS (SELECT FROM review_resolutions AS d "
        "WHERE d.ledger_id = r.ledger_id AND d.review_id = r.id) ORDER BY id"
    )
    return [queue for (queue,) in found]
