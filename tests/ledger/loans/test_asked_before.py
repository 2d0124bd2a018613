"""Asked before a payment, a loan takes what it can use: a lender's paybill refuses money for a loan that has ended."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.collections.shortcodes import Shortcode
from ledger.database import driver, run
from ledger.outbox.collecting import Refusal
from ledger.receiving import refusal_of
from tests.ledger.collections.till import KEYS, LANDING, SHORTCODE
from tests.ledger.loans.lending import Lending

ASKING = Shortcode("daraja", SHORTCODE, "KES", LANDING, accepts_unanswered=True, refuses_unknown=True)


async def asked(lending: Lending, reference: str) -> Refusal | None:
    """What a question about a payment of KES 100 is answered."""
    wanted = lending.till.paid(shillings=100, reference=reference)

    async def command(connection: AsyncConnection) -> Refusal | None:
        return await refusal_of(
            await driver(connection),
            ledger_id=lending.shop.ledger.id,
            shortcode=ASKING,
            asked=wanted,
            keys=KEYS,
            now=lending.shop.now(),
        )

    return await run(lending.shop.engine, command)


async def test_a_closed_loan_takes_no_more(lending: Lending) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)
    reference = (await lending.loan(loan_id)).reference
    while_active = await asked(lending, reference.lower())

    await lending.pay(loan_id, 1_000_000)

    assert await lending.state(loan_id) == "CLOSED"
    assert (while_active, await asked(lending, reference)) == (None, Refusal.ACCOUNT)


async def test_a_loan_that_was_taken_back_takes_nothing(lending: Lending) -> None:
    loan_id = await lending.approved_loan()
    await lending.cancel(loan_id)

    assert await asked(lending, (await lending.loan(loan_id)).reference) is Refusal.ACCOUNT


async def test_a_loan_that_was_written_off_takes_what_is_pursued_and_then_no_more(lending: Lending) -> None:
    loan_id = await lending.active_loan(minor_units=1_000_000)
    reference = (await lending.loan(loan_id)).reference
    await lending.write_off(loan_id)
    pursued = await asked(lending, reference)

    await lending.pay(loan_id, 1_000_000)

    assert await lending.state(loan_id) == "WRITTEN_OFF"
    assert (pursued, await asked(lending, reference)) == (None, Refusal.ACCOUNT)
