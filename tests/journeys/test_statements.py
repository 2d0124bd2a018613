"""The rail's own statements held against the books: nothing unexplained but what somebody else paid with our access."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.daraja.statement import COLUMNS
from adapters.sandbox.apis import Api
from adapters.sandbox.products import PRODUCTS
from adapters.sandbox.world import Payment
from adapters.statements import read_statement
from ledger.database import driver, run
from ledger.reconciliation.importing import Importer, find_statement_account
from ledger.reconciliation.matching import State
from ledger.reconciliation.queries import RecordedDecision, list_decisions
from ledger.reconciliation.run import Reconciler, Run
from ledger.sealing import Sealer
from tests.journeys.rig import Rig


async def _reconciled(rig: Rig, file: Path, sub_account: str) -> Run:
    """The rail's statement of today, imported and held against the books."""
    today = {"since": rig.now().replace(hour=0, minute=0).isoformat(), "until": rig.now().isoformat()}
    async with httpx.AsyncClient(base_url=rig.sandbox_url, trust_env=False) as control:
        told = (await control.get("/sandbox/statement", params={"account": sub_account, **today})).raise_for_status()
    _write(file, told.content)
    importer = Importer(sealer=Sealer(bytes(32), purpose="statements"), ids=rig.ids)

    async def command(connection: AsyncConnection) -> Run:
        session = await driver(connection)
        account = await find_statement_account(
            session, ledger=rig.ledger, directory=rig.directory, provider="daraja", shortcode="600584",
            sub_account=sub_account, currency="KES",
        )  # fmt: skip
        file_id = await importer.keep(
            session, ledger=rig.ledger, account=account, name=file.name, chunks=[told.content],
            size=len(told.content), sha256=sha256(told.content).digest(), actor="fin.viewer", now=rig.now(),
        )  # fmt: skip
        statement = read_statement(file, COLUMNS, currency="KES")
        await importer.take_in(
            session, ledger=rig.ledger, account=account, file_id=file_id, heading=statement.heading,
            lines=statement.lines, actor="fin.viewer", now=rig.now(),
        )  # fmt: skip
        reconciler = Reconciler(recorder=rig.application.recorder, ids=rig.ids)
        return await reconciler.reconcile(
            session, ledger=rig.ledger, account=account, days=None, actor="fin.viewer", now=rig.now()
        )

    return await run(rig.engine, command)


async def _breaks(rig: Rig, made: Run) -> list[tuple[str, State, int]]:
    async def query(connection: AsyncConnection) -> list[RecordedDecision]:
        return await list_decisions(
            await driver(connection), ledger_id=rig.ledger.id, run_id=made.id, only_breaks=True, after=0, limit=100
        )

    return [(one.receipt, one.state, one.difference) for one in await run(rig.engine, query)]


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


@pytest.mark.parametrize("steals", [False, True])
async def test_one_statement_explains_everything_but_the_insiders_payout(
    rig: Rig, tmp_path: Path, steals: bool
) -> None:
    rig.clock.advance(seconds=timedelta(days=1).total_seconds())
    paid, failed, silent = [
        await rig.request(msisdn=f"254700000{digits}", shillings=1500) for digits in ("017", "140", "302")
    ]
    await rig.work_until_quiet()
    if (await rig.payout(silent)).state.value == "SUBMITTED":
        await rig.fall_silent()
    assert (await rig.payout(silent)).state.value == "UNKNOWN"
    if steals:
        world = rig.sandbox.world
        world.pay(_theft(), receipt="UI2THIEF01", now=rig.now())

    utility = await _reconciled(rig, tmp_path / "utility.csv", "utility")
    charges = await _reconciled(rig, tmp_path / "charges.csv", "charges_paid")

    states = [(await rig.payout(one)).state.value for one in (paid, failed, silent)]
    assert states == ["SETTLED", "RELEASED", "SETTLED"]
    assert utility.resolved == 1
    stolen = [("UI2THIEF01", State.MISSING_HERE, -9_100_000)] if steals else []
    assert await _breaks(rig, utility) == stolen
    assert (utility.agrees, utility.decided.unexplained) == (not steals, 9_100_000 if steals else 0)
    assert [receipt for receipt, _, _ in await _breaks(rig, charges)] == (["UI2THIEF01"] if steals else [])
    cases = await rig.rows("SELECT queue FROM reviews WHERE ledger_id = :ledger")
    assert [queue for (queue,) in cases] == (["unledgered-movement"] if steals else [])


def _theft() -> Payment:
    """KES 91,000 that somebody sent with our credentials."""
    return Payment(
        product=PRODUCTS[Api.B2C_V3]["BusinessPayment"], originator_conversation_id="thief-1",
        conversation_id="AG_thief", msisdn="254700000666", shortcode="", amount_cents=9_100_000, charge_cents=1_300,
        reference="", account="",
    )  # fmt: skip
