"""`daftari webhook` on a database of its own: what an operator types, and what is printed once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from api.cli import app
from ledger.database import connect
from tests.fix_database import Database
from tests.ledger.payouts.shop import SECRET, open_shop

Daftari = Callable[..., str]
URL = "https://hooks.partner.example/events"


@asynccontextmanager
async def engine_on(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = connect(database.app, pool_size=2, application_name="tests")
    yield engine
    await engine.dispose()


@pytest.fixture
def ledger(fresh_database: Database) -> str:
    """The code of a shop's ledger."""

    async def opened() -> str:
        async with engine_on(fresh_database) as engine, open_shop(engine) as shop:
            return shop.ledger.code

    return asyncio.run(opened())


@pytest.fixture
def daftari(fresh_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daftari]:
    """Runs the command line and returns what it printed."""
    monkeypatch.setenv("DAFTARI_DATABASE_URL", fresh_database.app.render_as_string(hide_password=False))
    monkeypatch.setenv("DAFTARI_SECRET", SECRET.hex())
    monkeypatch.setenv("COLUMNS", "200")
    runner = CliRunner()

    def run(*arguments: str) -> str:
        result = runner.invoke(app, ["webhook", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    yield run
    structlog.reset_defaults()  # a command sends its log to an output that ends with it


def test_an_operator_keeps_endpoints_from_the_command_line(ledger: str, daftari: Daftari) -> None:
    created = daftari("create", ledger, "shop", URL)
    (endpoint,) = re.findall(r"whk_\w{13}", created)
    rotated = daftari("rotate", ledger, endpoint, "--overlap-hours", "2")
    listed = daftari("list", ledger)
    (ping,) = re.findall(r"evt_\w{13}", daftari("ping", ledger, endpoint))
    waiting = daftari("deliveries", ledger, endpoint, "--state", "PENDING")
    replayed = daftari("replay", ledger, ping)
    disabled = daftari("disable", ledger, endpoint, "--reason", "moving house")
    enabled = daftari("enable", ledger, endpoint)

    secrets = re.findall(r"whsec_[\w+/=]{44}", created + rotated)
    assert len(set(secrets)) == 2
    assert endpoint in listed
    assert URL in listed
    assert "whsec_" not in listed + waiting + disabled + enabled
    assert (ping in waiting, "webhook.ping" in waiting) == (True, True)
    assert replayed == "1 deliveries are sent again\n"
    assert "disabled: moving house" in disabled
    assert "live" in enabled
    assert daftari("replay", ledger, endpoint) == "0 deliveries are sent again\n"
