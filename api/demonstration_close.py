"""The demonstration's close: the rail's statements held against the books, what they alone show booked by two people,
and the month closed and signed, with the report as a page."""

from __future__ import annotations

import tempfile
from calendar import monthrange
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import httpx
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from api.closing import close_document
from api.demonstration_report import kes
from api.documents import write_document
from api.finance import document_tables
from api.staging import LEDGER, RAIL, Stage
from api.statement_desk import adjustment_desk, statement_desk
from api.statements import StatementFile, Whose
from ledger.database import Driver, driver
from ledger.database import run as run_transaction
from ledger.journal.post import business_date
from ledger.reconciliation.adjusting import RACING_CONSTRAINTS
from ledger.reconciliation.close_report import CloseReport, read_close_report
from ledger.reconciliation.closing import CloseDesk
from ledger.reconciliation.proposals import Adjustment
from ledger.reconciliation.reading import Days
from ledger.reconciliation.run import Run

SHORTCODE, PAYER, PAID = "600584", "254722000111", 75_000
MAKER, CHECKER = "amina", "brian"
UTILITY, CHARGES = "utility", "charges_paid"

Result = TypeVar("Result")


async def close_month(stage: Stage, out: Console, report: Path) -> bool:
    """Reconciles and closes everything up to the end of this month, as of the morning after it, and writes the report;
    whether nothing is open."""
    finance = _Finance(stage)
    out.print(
        f"\n[bold]The close.[/] A customer pays KES {kes(PAID)} at the paybill, and no callback ever tells of it ..."
    )
    await finance.pay_unheard()
    first = await finance.reconcile(UTILITY)
    _print_run(out, "utility", first)
    for one in await finance.propose(first):
        done = await finance.approve(one)
        out.print(f"{MAKER} proposes {done.public_id}: {done.way.value} {done.receipt}; {CHECKER} approves it.")
    again, charges = await finance.reconcile(UTILITY), await finance.reconcile(CHARGES)
    _print_run(out, "utility again", again)
    _print_run(out, "charges paid", charges)
    signed = await finance.close()
    document = close_document(stage.ledger, signed)
    write_document(document, report)
    for label, value in document.facts:
        out.print(f"{label}: {value}")
    for table in document_tables(document):
        out.print(table)
    out.print(f"The report is in {report}", soft_wrap=True)
    return again.agrees and charges.agrees and signed.open_items == 0


class _Finance:
    """Two finance people at work: what `daftari statement`, `reconcile`, `adjustment` and `close` do."""

    def __init__(self, stage: Stage) -> None:
        application = stage.application
        self._stage, self._now = stage, application.now
        self._statements = statement_desk(application)
        self._adjustments = adjustment_desk(application)
        self._closings = CloseDesk(application.ids)

    async def pay_unheard(self) -> None:
        """A payment that only the statement will show."""
        payment = {"msisdn": PAYER, "amount_cents": PAID, "reference": "order 77", "behaviour": "no-callback-paid"}
        async with httpx.AsyncClient(base_url=self._stage.sandbox_url, trust_env=False) as client:
            (await client.post("/sandbox/customers/pay", json=payment)).raise_for_status()

    async def reconcile(self, sub_account: str) -> Run:
        """The statement of the days so far, as the portal exports it, taken in and held against the books."""
        days, now = self._days(), self._now()
        wanted = {"account": sub_account, "since": days.start(self._stage.ledger).isoformat(), "until": now.isoformat()}
        async with httpx.AsyncClient(base_url=self._stage.sandbox_url, trust_env=False) as client:
            told = (await client.get("/sandbox/statement", params=wanted)).raise_for_status()
        whose = Whose(ledger=LEDGER, provider=RAIL, shortcode=SHORTCODE, sub_account=sub_account)
        with tempfile.NamedTemporaryFile(suffix=".csv") as file:
            file.write(told.content)
            file.flush()
            name = f"{sub_account}-{days.last}.csv"
            await self._statements.take_in(whose, StatementFile(path=Path(file.name), name=name), actor=MAKER)
        _, _, made = await self._statements.reconcile(whose, days=days, actor=MAKER)
        return made

    async def propose(self, found: Run) -> list[Adjustment]:
        """What rules are certain of."""
        return await self._run(
            lambda session: self._adjustments.propose_certain(
                session, ledger=self._stage.ledger, run_id=found.id, actor=MAKER, now=self._now()
            )
        )

    async def approve(self, one: Adjustment) -> Adjustment:
        """By the other."""
        done, _ = await self._run(
            lambda session: self._adjustments.approve(
                session, ledger=self._stage.ledger, adjustment_id=one.id, actor=CHECKER, now=self._now()
            )
        )
        return done

    async def close(self) -> CloseReport:
        """Begun by one, signed by the other; a month is closed once it is over, so they come the morning after."""
        ledger, days = self._stage.ledger, self._days()
        last, morning = days.last, days.end(ledger) + timedelta(hours=7)
        await self._run(
            lambda session: self._closings.begin(session, ledger=ledger, last=last, actor=MAKER, now=morning)
        )
        await self._run(
            lambda session: self._closings.sign(session, ledger=ledger, accept="", actor=CHECKER, now=morning)
        )

        async def read(connection: AsyncConnection) -> CloseReport:
            return await read_close_report(connection, ledger=ledger, last=last)

        return await run_transaction(self._stage.application.engine, read)

    def _days(self) -> Days:
        today = business_date(self._now(), self._stage.ledger.zone)
        return Days(self._stage.first_day, today.replace(day=monthrange(today.year, today.month)[1]))

    async def _run(self, command: Callable[[Driver], Awaitable[Result]]) -> Result:
        async def once(connection: AsyncConnection) -> Result:
            return await command(await driver(connection))

        return await run_transaction(self._stage.application.engine, once, again_on=RACING_CONSTRAINTS)


def _print_run(out: Console, label: str, run: Run) -> None:
    counted = sorted((state.value, count) for state, count in run.decided.states.items())
    states = ", ".join(f"{count} {state}" for state, count in counted)
    told = f"; {run.resolved} payout of unknown outcome is settled by it" if run.resolved else ""
    left = f"KES {kes(run.decided.unexplained)} unexplained" if run.decided.breaks else "nothing unexplained"
    out.print(f"{label}: {run.lines} lines, {states}: {left}{told}.")
