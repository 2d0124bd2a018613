"""Canaries: whole numbers of people, callback tokens and credentials, looked for wherever they must not be.

Payouts of every kind run with every logger open to the bottom; then all that was logged and the whole database are
searched for what only the wire may carry.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Iterator

import psycopg
import pytest
import structlog
from psycopg import sql

from adapters.sandbox.magic import MAGIC, magic_msisdn
from adapters.sandbox.settings import SandboxSettings
from api.worker import Worker
from ledger.database import conninfo
from tests.fix_database import Database
from tests.journeys.messages import timeout_echo
from tests.journeys.rig import RESULT_DEADLINE_SECONDS, Rig
from tests.ledger.payouts.shop import PAYEE, SECRET

# The test's own HTTP to the sandbox's control API, and the sandbox, which is the other side of the wire.
FOREIGN = ("adapters.sandbox",)


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """In a ledger of its own, on the database of all rigs."""
    return shared_rig


class Everything(logging.Handler):
    """Keeps every record as a line, tracebacks included."""

    def __init__(self) -> None:
        super().__init__(level=logging.NOTSET)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Formats as a log would."""
        if not record.name.startswith(FOREIGN):
            self.lines.append(f"{record.name} {self.format(record)} {record.__dict__}")


@pytest.fixture
def logged() -> Iterator[Callable[[], list[str]]]:
    """All that was logged so far, unmasked: through the standard library at every level, and through structlog."""
    handler, root = Everything(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    with structlog.testing.capture_logs() as events:
        yield lambda: handler.lines + [repr(event) for event in events]
    root.setLevel(level)
    root.removeHandler(handler)


async def live(rig: Rig) -> None:
    """A payout of each kind, an adapter that breaks, forged and broken callbacks, silence, and questions."""
    await rig.request_all(*(rig.draft(msisdn=magic_msisdn(suffix), shillings=1000) for suffix in MAGIC))
    await rig.work_through()
    broken = await rig.request(msisdn=PAYEE)

    async def break_down() -> None:
        raise RuntimeError("a bug of the adapter")

    rig.rail.meanwhile = break_down
    await rig.dispatcher.step()
    rig.rail.meanwhile = None
    await rig.call_back(broken, timeout_echo((await rig.payout(broken)).provider_reference), kind="timeout")
    await rig.receive(secrets.token_hex(32), timeout_echo("dft-0000000000001"))
    rig.clock.advance(seconds=RESULT_DEADLINE_SECONDS + 1)
    worker = Worker(rig.application, public_url=rig.public_url)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.3)
    worker.stop()
    await running
    await rig.work_until_quiet()


def canaries(rig: Rig) -> dict[str, str]:
    """What must be nowhere, by what it is."""
    defaults = SandboxSettings()
    found = {f"MSISDN {suffix}": magic_msisdn(suffix) for suffix in MAGIC} | {"MSISDN of a payee": PAYEE}
    for reference, urls in rig.rail.urls.items():
        for number, one in enumerate(urls):
            found[f"token {number} of {reference}"] = one.result_url.rpartition("/")[2]
    return found | {
        "consumer secret": defaults.consumer_secret,
        "initiator password": defaults.initiator_password,
        "SecurityCredential of an echo": "c2VjcmV0IGNyZWRlbnRpYWw",
        "installation's secret": SECRET.hex(),
    }


def leaks(text: str, found: dict[str, str]) -> set[str]:
    """Which canaries a text holds, as it stands or as the bytes of it in hexadecimal."""
    return {what for what, secret in found.items() if secret in text or secret.encode().hex() in text}


async def test_nothing_secret_is_logged_at_any_level(rig: Rig, logged: Callable[[], list[str]]) -> None:
    await live(rig)

    text = "\n".join(logged())
    for spoken in ("call.answered", "call.crashed", "callback.judged", "httpx"):
        assert spoken in text
    assert leaks(text, canaries(rig)) == set()
    # Access tokens are the sandbox's random 28 hexadecimal digits; SecurityCredentials are 344 characters of base 64.
    assert re.findall(r"[Bb]earer\s+\S+|Basic\s+\S+", text) == []
    assert re.findall(r"[A-Za-z0-9+/]{340,}={0,2}", text) == []


async def test_nothing_secret_is_readable_in_a_dump_of_the_database(rig: Rig, rig_database: Database) -> None:
    await live(rig)

    dump = await asyncio.to_thread(dumped, rig_database)
    assert {"parties", "inbox", "attempts", "payouts"} <= dump.keys()
    assert {table: leaks(rows, canaries(rig)) for table, rows in dump.items() if leaks(rows, canaries(rig))} == {}


def dumped(database: Database) -> dict[str, str]:
    """Every row of every table as a superuser reads it."""
    with psycopg.connect(conninfo(database.admin)) as session:
        tables = session.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
        ).fetchall()
        read = sql.SQL("SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM {} AS t")
        return {table: session.execute(read.format(sql.Identifier(table))).fetchall()[0][0] for (table,) in tables}


async def test_what_refers_to_secrets_does_not_show_them(rig: Rig) -> None:
    await rig.request(msisdn=PAYEE)
    await rig.dispatcher.step()
    shown = repr([rig.rail.urls, rig.application, await rig.payout(next(iter(await ids(rig))))])

    assert leaks(shown, canaries(rig)) == set()


async def ids(rig: Rig) -> list[int]:
    return [row.id for row in await rig.rows("SELECT id FROM payouts WHERE ledger_id = :ledger")]
