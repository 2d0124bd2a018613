"""A market whose money may go back, and the people who decide about that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.sandbox import magic
from ledger.collections import directory, returning
from ledger.collections.allocation import Target, TargetKind
from ledger.collections.receipt import Holdings
from ledger.collections.return_asking import ReturnRequest, TakenBack
from ledger.collections.return_outcome import Report
from ledger.collections.returning import Return, Standing, State
from ledger.collections.writing import lock_receipts
from ledger.database import driver, run
from ledger.idempotency import claim
from ledger.journal import accounts, chart
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.money import Money
from ledger.outbox.collecting import Returned
from ledger.payouts.reviews import Review
from ledger.resolutions import Resolution, Verb, resolve_review
from ledger.returns import RACING_CONSTRAINTS
from tests.journeys.rig import open_rig
from tests.journeys.test_money_in import NUMBER, Market, open_market
from tests.ledger.collections.till import KEYS, LANDING, WALLET

CLAWBACK = "asset.receivable.customer_clawback"


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

    async def unknown(self, receipt_id: int, *, key: str = "r1") -> int:
        """Asks for a return that nobody tells of, until its silence has a case; its id."""
        return_id = await self.returned(receipt_id, key=key)
        self.rig.clock.advance(seconds=901)
        await self.rig.work_until_quiet()
        return return_id

    async def taken_back(self, receipt_id: int, *, shillings: int = 1000) -> int:
        """Books what the provider took back; the id of that return."""
        taken = TakenBack(
            receipt_id=receipt_id,
            amount=Money("KES", shillings * 100),
            return_receipt="UKL0RTN009",
            completed_at=self.rig.now(),
            reason="the statement of today",
            actor="amina",
            source=Source.MANUAL,
        )

        async def command(connection: AsyncConnection) -> int:
            booked, _ = await self.rig.application.return_recorder.take_back(
                await driver(connection), ledger=self.rig.ledger, taken=taken, now=self.rig.now()
            )
            return booked.id

        return await run(self.rig.engine, command, again_on=RACING_CONSTRAINTS)

    async def check(self, receipt_id: int) -> None:
        """Has the provider asked what became of a receipt, and judges the answer."""

        async def command(connection: AsyncConnection) -> None:
            await self.rig.application.return_recorder.check(
                await driver(connection), ledger=self.rig.ledger, receipt_id=receipt_id, now=self.rig.now()
            )

        await run(self.rig.engine, command, again_on=RACING_CONSTRAINTS)
        await self.rig.work_until_quiet()

    async def provider_takes_back(self, receipt_id: int) -> None:
        """The provider takes all of a receipt back and tells nobody."""
        rows = await self.rig.rows("SELECT receipt FROM receipts WHERE ledger_id = :ledger AND id = :id", id=receipt_id)
        answer = await self.control.post("/sandbox/reversals", json={"receipt": rows[0][0]})
        answer.raise_for_status()

    async def spend(self, units: int) -> None:
        """Amina's wallet pays somebody."""
        rig = self.rig
        lines = (debit(WALLET, Money("KES", units)), credit(LANDING, Money("KES", units)))
        entry = JournalEntry(kind="test.spent", postings=lines, effective_at=rig.now(), source=Source.MANUAL)

        async def command(connection: AsyncConnection) -> None:
            bookkeeper = rig.application.return_recorder.allocating.bookkeeper
            await bookkeeper.post(
                await driver(connection), ledger=rig.ledger, entry=entry, actor="amina", now=rig.now()
            )

        await run(rig.engine, command)

    async def report(self, return_id: int, told: Returned) -> State | Standing:
        """The provider's word of a return, by another way than its callback."""

        async def command(connection: AsyncConnection) -> State | Standing:
            recorder, reports = self.rig.application.return_recorder, [Report(return_id, told, "tests")]
            (result,) = await recorder.record(
                await driver(connection), ledger=self.rig.ledger, reports=reports, now=self.rig.now()
            )
            return result

        return await run(self.rig.engine, command)

    async def decide(self, review_id: int, verb: Verb, *, receipt: str = "") -> Review:
        """A person's verb."""
        resolve = partial(
            resolve_review,
            ledger=self.rig.ledger,
            review_id=review_id,
            resolution=Resolution(verb=verb, evidence="the portal", receipt=receipt),
            actor="amina",
            recorder=self.rig.application.recorder,
            returns=self.rig.application.return_recorder,
            now=self.rig.now(),
        )
        return await run(self.rig.engine, resolve)

    async def cases(self) -> list[int]:
        """The open cases of returns, oldest first."""
        found = await self.rig.rows(
            "SELECT id FROM reviews AS r WHERE ledger_id = :ledger AND return_id IS NOT NULL AND NOT EXISTS ("
            "SELECT FROM review_resolutions AS d WHERE d.ledger_id = r.ledger_id AND d.review_id = r.id) ORDER BY id"
        )
        return [review_id for (review_id,) in found]

    async def case(self) -> int:
        """The only one."""
        (review_id,) = await self.cases()
        return review_id

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


@asynccontextmanager
async def open_desk(engine: AsyncEngine) -> AsyncIterator[Desk]:
    """Open, registered, and asked before each payment; Amina has a wallet."""
    async with open_rig(engine) as rig, open_market(rig) as market:
        opened = Desk(market.rig, market.control)
        await run(engine, partial(opened.open_wallet))
        yield opened
