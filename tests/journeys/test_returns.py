"""Money of receipts goes back to its payer, over real HTTP: in full, in part, refused, unknown, twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.sandbox import magic
from ledger.collections import directory, returning
from ledger.collections import order as orders
from ledger.collections.allocation import Target, TargetKind
from ledger.collections.receipt import Holdings
from ledger.collections.returning import Return, State
from ledger.collections.writing import lock_receipts
from ledger.database import driver, run
from ledger.errors import ReceiptShort
from ledger.idempotency import claim
from ledger.journal import accounts, chart
from ledger.money import Money
from ledger.returns import RACING_CONSTRAINTS, ReturnRequest
from tests.journeys.rig import open_rig
from tests.journeys.test_money_in import NUMBER, Market, open_market
from tests.ledger.collections.till import KEYS, LANDING, RETURNING, SUSPENSE, WALLET


def number_of(behaviour: str) -> str:
    """The magic number of somebody whose reversal goes so."""
    return magic.magic_msisdn(next(suffix for suffix, row in magic.ROWS.items() if row.name == behaviour))


@dataclass
class Desk(Market):
    """A market whose money may go back."""

    async def taken(self, reference: str = "SHOES12", *, behaviour: str = "", shillings: int = 1000) -> int:
        """The id of a receipt that was just paid by somebody whose reversal goes so."""
        number = number_of(behaviour) if behaviour else NUMBER
        await self.pay(reference, shillings=shillings, number=number)
        found = await self.rig.rows("SELECT max(id) FROM receipts WHERE ledger_id = :ledger")
        return int(found[0][0])

    async def ask(self, receipt_id: int, *, shillings: int | None = None, key: str = "r1") -> int:
        """Asks for a return; its id."""
        request = ReturnRequest(
            key=claim(client_id=7, key=key, method="RequestReturn", content=f"{receipt_id}:{shillings}".encode()),
            actor="amina",
            receipt_id=receipt_id,
            amount=None if shillings is None else Money("KES", shillings * 100),
            reason="wrong goods",
        )

        async def command(connection: AsyncConnection) -> int:
            asked, _ = await self.rig.application.return_recorder.request(
                await driver(connection), ledger=self.rig.ledger, request=request, now=self.rig.now()
            )
            return asked.id

        return await run(self.rig.engine, command, again_on=RACING_CONSTRAINTS)

    async def returned(self, receipt_id: int, *, shillings: int | None = None, key: str = "r1") -> int:
        """Asks for a return and lets it be carried out; its id."""
        return_id = await self.ask(receipt_id, shillings=shillings, key=key)
        await self.rig.work_until_quiet()
        await self.rig.judge_for_good()
        return return_id

    async def of(self, return_id: int) -> Return:
        """As it is now."""

        async def command(connection: AsyncConnection) -> Return:
            found = await returning.read_returns(
                await driver(connection), ledger_id=self.rig.ledger.id, return_ids=[return_id]
            )
            return found[return_id]

        return await run(self.rig.engine, command)

    async def holdings(self, receipt_id: int) -> Holdings:
        """Where a receipt's money is."""

        async def command(connection: AsyncConnection) -> Holdings:
            found = await lock_receipts(
                await driver(connection), ledger_id=self.rig.ledger.id, receipt_ids=[receipt_id]
            )
            return found[receipt_id].holdings

        return await run(self.rig.engine, command)

    async def queues(self) -> list[str]:
        """The queues of open cases."""
        found = await self.rig.rows(
            "SELECT queue FROM reviews AS r WHERE ledger_id = :ledger AND NOT EXISTS (SELECT FROM review_resolutions "
            "AS d WHERE d.ledger_id = r.ledger_id AND d.review_id = r.id) ORDER BY id"
        )
        return [queue for (queue,) in found]

    async def open_wallet(self, connection: AsyncConnection) -> None:
        """Whoever types AMINA pays into her wallet."""
        rig = self.rig
        specs = chart.customer_accounts(customer="amina", currency="KES")
        await accounts.open_accounts(connection, ledger_id=rig.ledger.id, specs=specs, ids=rig.ids, now=rig.now())
        await directory.add_reference(
            await driver(connection),
            ledger_id=rig.ledger.id,
            reference="AMINA",
            target=Target(TargetKind.ACCOUNT, WALLET),
            keys=KEYS,
            ids=rig.ids,
            now=rig.now(),
        )


@pytest.fixture
async def desk(engine: AsyncEngine) -> AsyncIterator[Desk]:
    """Open, registered, and asked before each payment; Amina has a wallet."""
    async with open_rig(engine) as rig, open_market(rig) as market:
        opened = Desk(market.rig, market.control)
        await run(engine, partial(opened.open_wallet))
        yield opened


async def test_all_of_a_receipt_goes_back_and_its_order_is_reversed(desk: Desk) -> None:
    order = await desk.order("SHOES12")
    before = await desk.rig.balance(LANDING)
    receipt_id = await desk.taken()

    return_id = await desk.returned(receipt_id)

    done = await desk.of(return_id)
    assert (done.state, done.amount) == (State.RETURNED, Money("KES", 100_000))
    assert await desk.holdings(receipt_id) == Holdings(0, returned=100_000)
    assert await desk.state(order) is orders.State.REVERSED
    assert await desk.rig.balance(LANDING) == before
    assert await desk.rig.balance(RETURNING) == 0


async def test_a_part_goes_back_and_the_rest_stays_with_its_owner(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA")

    first = await desk.returned(receipt_id, shillings=300)
    second = await desk.returned(receipt_id, shillings=100, key="r2")

    assert {(await desk.of(first)).state, (await desk.of(second)).state} == {State.RETURNED}
    assert await desk.holdings(receipt_id) == Holdings(0, allocated=60_000, returned=40_000)
    assert await desk.rig.balance(WALLET) == 60_000


async def test_no_more_goes_back_than_came_in_however_many_ask_at_once(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA")

    asked = await asyncio.gather(
        *(desk.ask(receipt_id, shillings=400, key=f"r{n}") for n in range(4)), return_exceptions=True
    )
    await desk.rig.work_until_quiet()

    assert sum(isinstance(one, int) for one in asked) == 2
    assert sum(isinstance(one, ReceiptShort) for one in asked) == 2
    assert await desk.holdings(receipt_id) == Holdings(0, allocated=20_000, returned=80_000)


@pytest.mark.parametrize("behaviour", ["reversal-result-1", "reversal-invalid"])
async def test_a_return_that_fails_leaves_the_money_in_suspense_with_a_case(desk: Desk, behaviour: str) -> None:
    receipt_id = await desk.taken("AMINA", behaviour=behaviour)

    return_id = await desk.returned(receipt_id)

    assert (await desk.of(return_id)).state is State.FAILED
    assert await desk.holdings(receipt_id) == Holdings(0, suspended=100_000)
    assert await desk.rig.balance(SUSPENSE) == 100_000
    assert await desk.queues() == ["receipt-unallocated"]


async def test_what_was_returned_before_stays_unknown_with_a_case(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA", behaviour="reversal-already")

    return_id = await desk.returned(receipt_id)

    assert (await desk.of(return_id)).state is State.UNKNOWN
    assert await desk.holdings(receipt_id) == Holdings(0, returning=100_000)
    assert await desk.queues() == ["reversal-race"]


@pytest.mark.parametrize("behaviour", ["reversal-silent", "reversal-forgotten"])
async def test_a_return_that_is_never_answered_is_unknown_and_not_sent_again(desk: Desk, behaviour: str) -> None:
    receipt_id = await desk.taken("AMINA", behaviour=behaviour)

    return_id = await desk.returned(receipt_id)
    desk.rig.clock.advance(seconds=901)
    await desk.rig.work_until_quiet()

    assert (await desk.of(return_id)).state is State.UNKNOWN
    assert await desk.holdings(receipt_id) == Holdings(0, returning=100_000)
    assert await desk.queues() == ["submit-unknown"]
    tries = await desk.rig.rows(
        "SELECT sum(attempts) FROM instructions WHERE ledger_id = :ledger AND kind = 'return.submit'"
    )
    assert tries[0][0] == 1


@pytest.mark.parametrize("behaviour", ["reversal-twice", "reversal-timeout-then-success", "reversal-before-ack"])
async def test_a_result_that_comes_oddly_is_booked_once(desk: Desk, behaviour: str) -> None:
    receipt_id = await desk.taken("AMINA", behaviour=behaviour)

    return_id = await desk.returned(receipt_id)

    assert (await desk.of(return_id)).state is State.RETURNED
    assert await desk.holdings(receipt_id) == Holdings(0, returned=100_000)


async def test_a_failure_that_nobody_documents_is_no_failure(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA", behaviour="reversal-contradicted")

    return_id = await desk.returned(receipt_id)

    assert (await desk.of(return_id)).state is State.RETURNED
    assert await desk.holdings(receipt_id) == Holdings(0, returned=100_000)
    assert await desk.queues() == []


async def test_a_result_over_another_amount_books_nothing(desk: Desk) -> None:
    receipt_id = await desk.taken("AMINA", behaviour="reversal-wrong-amount")

    return_id = await desk.returned(receipt_id)

    assert (await desk.of(return_id)).state is State.SUBMITTED
    assert await desk.holdings(receipt_id) == Holdings(0, returning=100_000)
    assert await desk.queues() == ["amount-mismatch"]
