"""`daftari adjustment` and `daftari close` on a database of its own: what finance people type, and what is printed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from api.cli import app
from ledger.database import connect
from ledger.errors import LedgerError
from tests.adapters.statement_files import write_csv
from tests.fix_database import Database
from tests.ledger.collections.till import open_till
from tests.ledger.payouts.shop import SECRET
from tests.ledger.reconciliation.desk import Desk, statement_rows
from tests.ledger.reconciliation.test_adjusting import COLLECTED, FOREIGN
from tests.ledger.reconciliation.test_run import OPENING

Daftari = Callable[..., tuple[int, str]]
DAY = "2026-09-02"


@pytest.fixture
def daftari(fresh_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daftari]:
    """Runs the command line; its exit code and what it printed or refused."""
    monkeypatch.setenv("DAFTARI_DATABASE_URL", fresh_database.app.render_as_string(hide_password=False))
    monkeypatch.setenv("DAFTARI_SECRET", SECRET.hex())
    monkeypatch.setenv("COLUMNS", "250")
    runner = CliRunner()

    def call(*arguments: str) -> tuple[int, str]:
        result = runner.invoke(app, arguments)
        refused = result.exception.message if isinstance(result.exception, LedgerError) else ""
        return result.exit_code, result.output + refused

    yield call
    structlog.reset_defaults()  # a command sends its log to an output that ends with it


@pytest.fixture
def ledger(fresh_database: Database, tmp_path: Path) -> str:
    """The code of a shop's ledger whose statement shows a payment nobody told of, and one that nobody ordered."""

    async def laid_out() -> str:
        engine = connect(fresh_database.app, pool_size=2, application_name="tests")
        async with open_till(engine) as till:
            till.shop.clock.advance(seconds=86_400)
            at = till.shop.now()
            moves = (("UI4BBB0001", at, COLLECTED.format("X"), 70_000), ("UI4ZZZ0001", at, FOREIGN, -9_100_000))
            await Desk(till).take_in(write_csv(tmp_path / "utility.csv", statement_rows(OPENING, *moves)))
            code = till.shop.ledger.code
        await engine.dispose()
        return code

    return asyncio.run(laid_out())


def _ids(prefix: str, text: str) -> list[str]:
    return re.findall(rf"\b{prefix}_[0-9A-Z]{{13}}\b", text)


def test_breaks_are_adjusted_and_the_day_is_closed_by_two_people(daftari: Daftari, ledger: str, tmp_path: Path) -> None:
    reconcile = ("reconcile", "run", ledger, "daraja:600584", "--account", "utility", "--actor", "amina")
    code, found = daftari(*reconcile)
    (run,) = _ids("rec", found)
    by_rule = daftari("adjustment", "propose", ledger, run, "--actor", "amina")
    (receipt,) = _ids("adj", by_rule[1])
    named = ("--break", "2", "--reason", "police report 7", "--actor", "amina")
    (entry,) = _ids("adj", daftari("adjustment", "propose", ledger, run, *named)[1])
    own = daftari("adjustment", "approve", ledger, entry, "--actor", "amina")
    rejected = daftari("adjustment", "reject", ledger, entry, "--reason", "to the shortage", "--actor", "brian")
    against = ("--against", "asset.receivable.provider_claims")
    (claim,) = _ids("adj", daftari("adjustment", "propose", ledger, run, *named, *against)[1])
    shown = daftari("adjustment", "show", ledger, claim)
    approved = daftari("adjustment", "approve", ledger, receipt, claim, "--actor", "brian")
    listed = daftari("adjustment", "list", ledger)
    of_run, of_none = [daftari("adjustment", "list", ledger, "--run", one) for one in (run, "rec_0000000000000")]

    assert (code, by_rule[0]) == (1, 0)
    assert own == (1, "another than who proposed it approves it")
    assert rejected == (0, f"{entry} is rejected\n")
    assert re.search(r"asset\.receivable\.provider_claims +91,000\.00 *\n", shown[1])
    assert "UI4ZZZ0001" in shown[1]
    assert [len(_ids("ent", approved[1])), approved[1].count("is approved")] == [2, 2]
    assert [listed[1].count(state) for state in ("APPROVED", "REJECTED")] == [2, 1]
    assert (of_run, of_none[0]) == (listed, 1)

    began = daftari("close", "begin", ledger, "--through", DAY, "--actor", "amina")
    stale = daftari("close", "sign", ledger, "--actor", "brian")
    assert daftari(*reconcile)[0] == 0
    signed = daftari("close", "sign", ledger, "--actor", "brian")
    report = daftari("close", "report", ledger, "--out", str(tmp_path / "close.csv"))
    steps = daftari("close", "list", ledger)
    reopened = daftari("close", "reopen", ledger, "--reason", "so", "--actor", "amina")

    assert (began[0], stale[0], reopened[0]) == (0, 1, 1)
    assert "reconcile these days again" in stale[1]
    assert signed == (0, f"{_ids('cls', signed[1])[0]}: everything through {DAY} is closed, nothing open\n")
    assert report == (0, f"close through {DAY}: 0 open items, in {tmp_path / 'close.csv'}\n")
    assert "asset.float.daraja.600584.utility" in (tmp_path / "close.csv").read_text()
    assert [steps[1].count(step) for step in ("begun", "signed")] == [1, 1]
