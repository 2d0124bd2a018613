"""Every `daftari` command as a real process: what it prints, what it leaves behind, and how it refuses.

One installation with an embedded PostgreSQL serves most tests; ledgers of their own keep them apart.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio
import httpx
import psycopg
import pytest
from daftari.v1 import journal_pb2, payouts_pb2
from daftari.v1.journal_pb2_grpc import JournalCommandServiceStub, JournalQueryServiceStub
from daftari.v1.payouts_pb2_grpc import PayoutCommandServiceStub, PayoutQueryServiceStub
from psycopg.rows import TupleRow
from sqlalchemy import URL

from adapters.sandbox.settings import SandboxSettings
from api.profile import DATABASE
from ledger import migrate
from ledger.database import conninfo
from ledger.embedded import EmbeddedServer
from ledger.embedded_directory import SUPERUSER, running_address
from tests.fix_api import WithKey
from tests.fix_canary import fail_on_leaks
from tests.fix_database import Database, Postgres
from tests.fix_embedded import new_directory
from tests.journeys.processes import SECONDS_MAX, Ended, LongRunning, daftari, free_address, running
from tests.journeys.traffic import payout_request
from tests.wire import transfer

KEY = re.compile(r"(dft_[0-9A-Z]{13})_[0-9a-f]{64}")
SECRET = bytes(range(32)).hex()
AT_ONCE = 2  # commands that run side by side: most of a command is the loading of its program


@dataclass(frozen=True, slots=True)
class Installation:
    """A data directory with the ledger "kenya" in it, and the gRPC role serving it. `opened` is the command that made
    both; `settings` are what each command gets."""

    settings: Mapping[str, str] = field(repr=False)
    opened: Ended

    @property
    def address(self) -> str:
        """Where the gRPC role listens."""
        return self.settings["grpc_listen"]

    def run(self, *arguments: str) -> Ended:
        """A command on this installation."""
        return daftari(*arguments, settings=self.settings)

    def output(self, *arguments: str) -> str:
        """What a command prints that must succeed."""
        ended = self.run(*arguments)
        assert (ended.code, ended.err) == (0, "")
        return ended.out

    def channel(self, key: str) -> grpc.aio.Channel:
        """A channel whose calls carry the key."""
        return grpc.aio.insecure_channel(self.address, interceptors=[WithKey(key)])

    @property
    def url(self) -> URL:
        """Its database, as the superuser."""
        address = running_address(Path(self.settings["data_directory"]) / "postgres")
        assert address is not None
        return address.url(role=SUPERUSER, database=DATABASE)

    @contextmanager
    def superuser(self) -> Iterator[psycopg.Connection[TupleRow]]:
        """A session on its database that no guard binds."""
        with psycopg.connect(conninfo(self.url), autocommit=True) as session:
            session.execute("SET session_replication_role = replica")
            yield session


OPEN_KENYA = ("books", "open", "kenya", "--name", "Kenya", "--shortcode", "daraja:600584")


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """See above; the first command finds nothing and makes everything."""
    with new_directory() as place:
        settings = {"data_directory": str(place / "data"), "grpc_listen": free_address()}
        opened = daftari(*OPEN_KENYA, settings=settings)
        service = LongRunning(
            "serve", "--role", "grpc", settings=settings, log=place / "serve.log", first_line="database"
        )
        asyncio.run(service.start())
        made = Installation(settings, opened)
        yield made
        fail_on_leaks(made.url)
        assert asyncio.run(service.stop()) == 0


def printed_key(out: str) -> str:
    """The one key that a command printed."""
    (found,) = KEY.finditer(out)
    return found.group()


def side_by_side(commands: Sequence[tuple[Sequence[str], Mapping[str, str]]]) -> list[Ended]:
    """Runs commands, each (arguments, settings), in any order; what became of them in theirs."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda command: daftari(*command[0], settings=command[1]), commands))


def told(ended: Ended) -> tuple[int, str, str]:
    """A refused command's exit code, standard output, and the reason at the end of its sentence. What stands before the
    sentence must be no traceback."""
    *before, sentence = ended.err.splitlines()
    assert "Traceback" not in "".join(before)
    matched = re.fullmatch(r"daftari: .+ \[([A-Z_]+)\]", sentence)
    assert matched is not None, ended.err
    return ended.code, ended.out, matched.group(1)


def test_opening_books_on_an_empty_directory_makes_everything_and_opening_them_again_nothing(
    installation: Installation,
) -> None:
    again = installation.run(*OPEN_KENYA)
    listed = installation.output("books", "list")

    assert again == installation.opened
    assert (again.code, again.err) == (0, "")
    assert re.fullmatch(r"ledger kenya \(KES, Africa/Nairobi\) has \d+ accounts of the chart\n", again.out)
    assert [line.split()[:4] for line in listed.splitlines() if "kenya" in line] == [
        ["kenya", "Kenya", "KES", "Africa/Nairobi"]
    ]


async def test_an_entry_is_read_back_from_the_journal_and_the_trial_balance(installation: Installation) -> None:
    installation.output("books", "open", "journal")
    entry = transfer(123_456, debited="asset.bank.main", credited="equity.opening")
    entry.reference = "FIRST-DEPOSIT"
    key = printed_key(installation.output("key", "create", "finance", "--ledger", "journal", "--days", "1"))
    async with installation.channel(key) as channel:
        request = journal_pb2.PostEntryRequest(ledger="journal", request_id="1", entry=entry)
        await JournalCommandServiceStub(channel).PostEntry(request, timeout=SECONDS_MAX)

    entries, trial, before = side_by_side(
        [
            (["books", "entries", "journal", "--account", "equity.opening"], installation.settings),
            (["books", "trial-balance", "journal"], installation.settings),
            (["books", "trial-balance", "journal", "--on", "2020-01-01"], installation.settings),
        ]
    )

    assert [one.code for one in (entries, trial, before)] == [0, 0, 0]
    assert "FIRST-DEPOSIT" in entries.out
    assert [line.split()[-4:] for line in trial.out.splitlines() if "equity.opening" in line] == [
        ["0.00", "1,234.56", "1,234.56", "credit"]
    ]
    assert "equity.opening" not in before.out


async def test_a_partners_key_is_printed_once_and_works(installation: Installation) -> None:
    created = installation.output("partner", "create", "shop", "--ledger", "kenya", "--fee", "10")
    listed = installation.output("key", "list", "--ledger", "kenya")

    key = printed_key(created)
    async with installation.channel(key) as channel:
        request = payouts_pb2.ListPayoutsRequest(ledger="kenya")
        answer = await PayoutQueryServiceStub(channel).ListPayouts(request, timeout=SECONDS_MAX)
    assert "liab.partner_prefund.shop in KES" in created
    assert list(answer.payouts) == []
    key_id, _, secret = key.rpartition("_")
    assert key_id in listed
    assert secret not in listed


async def test_a_revoked_key_is_refused_and_listed_as_revoked(installation: Installation) -> None:
    key = printed_key(installation.output("key", "create", "auditor", "--permission", "journal.read"))
    key_id = key.rpartition("_")[0]
    async with installation.channel(key) as channel:
        read = JournalQueryServiceStub(channel).GetLedger
        request = journal_pb2.GetLedgerRequest(ledger="kenya")
        found = await read(request, timeout=SECONDS_MAX)

        revoked = installation.output("key", "revoke", key_id)
        code = grpc.StatusCode.OK
        async with asyncio.timeout(SECONDS_MAX):
            while code is grpc.StatusCode.OK:
                await asyncio.sleep(0.1)
                code = await read(request, timeout=SECONDS_MAX).code()

    listed = installation.output("key", "list")
    assert found.ledger.code == "kenya"
    assert revoked == f"{key_id} is revoked\n"
    assert code is grpc.StatusCode.UNAUTHENTICATED
    (line,) = [line for line in listed.splitlines() if key_id in line]
    assert re.search(r"auditor +journal\.read +\S+ \S+ +never +\d{4}-\d\d-\d\d", line)


TAMPER = """
UPDATE account_balances AS b SET debits = 500 FROM accounts AS a JOIN ledgers AS l ON l.id = a.ledger_id
WHERE (b.ledger_id, b.account_id) = (l.id, a.id) AND l.code = 'tampered' AND a.path = 'asset.bank.main'
"""


def test_verify_exits_with_0_on_sound_books_and_with_1_naming_what_was_tampered_with(
    installation: Installation,
) -> None:
    installation.output("books", "open", "tampered")
    with installation.superuser() as session:
        assert session.execute(TAMPER).rowcount == 1

    sound, tampered = side_by_side([(["verify", code], installation.settings) for code in ("kenya", "tampered")])

    assert (sound.code, sound.err) == (0, "")
    assert "every cache agrees" in sound.out
    assert (tampered.code, tampered.err) == (1, "")
    (line,) = [line for line in tampered.out.splitlines() if "asset.bank.main" in line]
    assert line.split() == ["balances", "asset.bank.main", "KES", "debits", "500", "0"]


def test_what_waits_for_an_operator_is_listed_and_nothing_waits_in_new_books(installation: Installation) -> None:
    commands = (["status"], ["review", "list", "kenya"], ["webhook", "list", "kenya"], ["vault", "list", "kenya"])

    ended = side_by_side([(arguments, installation.settings) for arguments in commands])

    assert [(one.code, one.err) for one in ended] == [(0, "")] * len(commands)
    assert [one.out.splitlines()[0].rstrip() for one in ended] == [
        "Queues",
        "0 open cases",
        "Webhook endpoints",
        "Vault",
    ]
    assert [one.out for one in ended[1:] if "kenya" in one.out] == []


BAD_INPUT = {
    ("books", "open", "Bad!"): "TEXT_INVALID",
    ("books", "open", "never", "--currency", "ZZZ"): "CURRENCY_UNKNOWN",
    ("books", "open", "never", "--shortcode", "600584"): "TEXT_INVALID",
    ("books", "open", "kenya", "--currency", "UGX"): "LEDGER_EXISTS",
    ("books", "trial-balance", "never"): "LEDGER_NOT_FOUND",
    ("books", "entries", "kenya", "--account", "asset.never"): "ACCOUNT_NOT_FOUND",
    ("books", "entries", "kenya", "--subject", "foo"): "TEXT_INVALID",
    ("books", "entries", "kenya", "--subject", ":foo"): "TEXT_INVALID",
    ("partner", "create", "stall", "--ledger", "kenya", "--fee", "1.005"): "AMOUNT_INVALID",
    ("key", "create", "clerk", "--ledger", "kenya", "--partner", "stall"): "PARTNER_NOT_FOUND",
    ("key", "revoke", "dft_x"): "KEY_NOT_FOUND",
    ("sandbox", "--listen", "nowhere"): "TEXT_INVALID",
    ("database", "prepare"): "TEXT_INVALID",
}


def test_bad_input_is_refused_in_one_sentence_with_a_reason_and_exit_code_2(installation: Installation) -> None:
    ended = side_by_side([(arguments, installation.settings) for arguments in BAD_INPUT])
    with installation.superuser() as session:
        ledgers = session.execute("SELECT count(*) FROM ledgers WHERE code = 'never'").fetchone()
        partners = session.execute("SELECT count(*) FROM partners WHERE code = 'stall'").fetchone()

    assert [told(one) for one in ended] == [(2, "", reason) for reason in BAD_INPUT.values()]
    assert [one.err.count("\n") for one in ended] == [1] * len(ended)
    assert (ledgers, partners) == ((0,), (0,))


def test_serve_refuses_what_would_put_money_or_secrets_at_risk(
    installation: Installation, fresh_database: Database, database: Database
) -> None:
    with psycopg.connect(conninfo(fresh_database.admin), autocommit=True) as session:
        session.execute(f"ALTER DATABASE {fresh_database.name} SET synchronous_commit = off".encode())
    unsafe, safe = settings_for(fresh_database), settings_for(database)
    superuser = safe | {"database_url": database.admin.render_as_string(hide_password=False)}
    refused = [
        ("synchronous_commit is off", "UNSAFE_DATABASE", unsafe),
        ("is a superuser", "UNSAFE_DATABASE", superuser),
        ("DAFTARI_SECRET", "TEXT_INVALID", safe | {"secret": ""}),
        ("in the clear", "PLAINTEXT_REFUSED", safe | {"grpc_listen": "0.0.0.0:0"}),
    ]

    ended = side_by_side([(["serve"], settings) for _, _, settings in refused])

    assert [told(one) for one in ended] == [(2, "", reason) for _, reason, _ in refused]
    assert [words for (words, _, _), one in zip(refused, ended, strict=True) if words not in one.err] == []
    assert not any(secret in one.err for one in ended for secret in (SECRET, database.app.password or SECRET))


def test_serve_says_which_setting_address_or_file_keeps_it_from_starting(
    installation: Installation, database: Database
) -> None:
    settings = settings_for(database)
    away = settings | {"database_url": "postgresql://daftari_app:geheim@127.0.0.1:1/daftari"}
    rail = settings | {"daraja_base_url": "http://127.0.0.1:1", "daraja_certificate": "missing.pem"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        refused = [
            ("port 1 failed: Connection refused", "DATABASE_UNAVAILABLE", away),
            (f"cannot listen on {address}", "ADDRESS_UNAVAILABLE", settings | {"grpc_listen": address}),
            (f"cannot listen on {address}", "ADDRESS_UNAVAILABLE", settings | {"http_listen": address}),
            ("DAFTARI_DATABASE_POOL_SIZE", "TEXT_INVALID", settings | {"database_pool_size": "1"}),
            ("missing.pem", "TEXT_INVALID", rail),
        ]

        ended = side_by_side([(["serve"], settings) for _, _, settings in refused])

    assert [told(one) for one in ended] == [(2, "", reason) for _, reason, _ in refused]
    assert [words for (words, _, _), one in zip(refused, ended, strict=True) if words not in one.err] == []
    assert not any("geheim" in one.err for one in ended)


def settings_for(database: Database) -> dict[str, str]:
    """What `serve` needs on a database that is given by URL."""
    return {
        "database_url": database.app.render_as_string(hide_password=False),
        "secret": SECRET,
        "grpc_listen": "127.0.0.1:0",
        "http_listen": "127.0.0.1:0",
    }


async def test_prepare_makes_a_server_of_ones_own_ready_and_prints_what_to_run_with(
    embedded_server: EmbeddedServer,
) -> None:
    admin = {"admin_url": embedded_server.url().render_as_string(hide_password=False)}

    prepared = await asyncio.to_thread(daftari, "database", "prepare", settings=admin)
    printed = dict(re.findall(r"DAFTARI_(DATABASE_URL|SECRET)=(\S+)", prepared.out))
    settings = {name.lower(): value for name, value in printed.items()}
    opened = await asyncio.to_thread(daftari, *OPEN_KENYA, settings=settings)

    assert (prepared.code, prepared.err) == (0, "")
    assert printed.keys() == {"DATABASE_URL", "SECRET"}
    assert (opened.code, opened.err) == (0, "")


def test_an_outdated_schema_is_refused_until_the_command_that_the_refusal_names_was_run(
    unmigrated_database: Database, postgres: Postgres
) -> None:
    settings = settings_for(unmigrated_database) | {"migrator_password": postgres.passwords.migrator}

    outdated = daftari("books", "list", settings=settings)
    migrated = daftari("database", "migrate", settings=settings)
    current = daftari("books", "list", settings=settings)

    assert told(outdated) == (2, "", "UNSAFE_DATABASE")
    assert "run `daftari database migrate`" in outdated.err
    assert (migrated.code, migrated.out, migrated.err) == (0, f"the schema is at revision {migrate.head()}\n", "")
    assert (current.code, current.err) == (0, "")


async def test_the_sandbox_prints_where_it_is_and_what_it_accepts_and_stops_when_asked(tmp_path: Path) -> None:
    sandbox = LongRunning(
        "sandbox", "--listen", "127.0.0.1:0", settings={}, log=tmp_path / "log", first_line="Daftari sandbox"
    )
    try:
        base_url = (await sandbox.start()).split()[-1]
        lines = [await sandbox.read_line() for _ in range(30)]
        async with httpx.AsyncClient(base_url=base_url, trust_env=False) as client:
            magic = await client.get("/sandbox/magic")
        code = await sandbox.stop()
    finally:
        sandbox.abandon()

    assert magic.status_code == 200
    assert SandboxSettings().consumer_key in "".join(lines)
    assert code == 0


async def test_serve_with_the_sandbox_prints_keys_that_pay(installation: Installation, tmp_path: Path) -> None:
    settings = {**installation.settings, "grpc_listen": free_address(), "http_listen": "127.0.0.1:0"}
    service = LongRunning("serve", "--sandbox", settings=settings, log=tmp_path / "log", first_line="database")
    async with running(service):
        line = ""
        while not line.startswith("  partner "):
            line = await service.read_line()
        async with grpc.aio.insecure_channel(
            settings["grpc_listen"], interceptors=[WithKey(line.split()[1])]
        ) as channel:
            request = payout_request("demo", "order-1", msisdn="254700000000", shillings=1500)
            answer = await PayoutCommandServiceStub(channel).RequestPayout(request, timeout=SECONDS_MAX)
        code = await service.stop()

    assert answer.payout.state == payouts_pb2.Payout.STATE_RESERVED
    assert code == 0
