"""Provisioning makes four powerless roles and a closed database, as a superuser and as a managed server's admin."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import URL

from ledger.database import conninfo
from ledger.embedded import EmbeddedServer
from ledger.errors import UnsafeDatabase
from ledger.provision import Passwords, provision
from tests.fix_embedded import SYSTEM_BINARIES, ask, new_directory, run

ROLES = ("daftari_owner", "daftari_migrator", "daftari_app", "daftari_reader")
PASSWORDS = Passwords(migrator="m'igrator \\ pass", application="a%pplication/pass", reader="r@eader pass")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(None, id="wheel"),
        pytest.param(
            SYSTEM_BINARIES, id="system", marks=pytest.mark.skipif(not SYSTEM_BINARIES, reason="none is installed")
        ),
    ],
)
def bare_server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server without roles or databases of ours, of each version at hand."""
    with new_directory() as directory:
        server = EmbeddedServer(directory, binaries=request.param)
        asyncio.run(server.start())
        yield server
        asyncio.run(server.stop())


@pytest.fixture
def server(bare_server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The server, with a managed server's kind of administrator; bare again afterwards."""
    run(bare_server, "CREATE ROLE administrator LOGIN CREATEROLE CREATEDB PASSWORD 'administrator'")
    yield bare_server
    run(bare_server, "DROP DATABASE IF EXISTS books WITH (FORCE)")
    for role in (*ROLES, "administrator"):
        run(bare_server, f"DROP ROLE IF EXISTS {role}")


def superuser(server: EmbeddedServer) -> URL:
    return server.url()


def administrator(server: EmbeddedServer) -> URL:
    return server.url().set(username="administrator", password="administrator")


def session(server: EmbeddedServer, role: str, password: str, database: str = "books") -> psycopg.Connection:
    url = server.url(database=database).set(username=role, password=password)
    return psycopg.connect(conninfo(url), autocommit=True)


def answer_to(attacker: psycopg.Connection, attack: str) -> str | None:
    """The SQLSTATE of the refusal; None when the attack succeeded."""
    try:
        attacker.execute(attack.encode())
    except psycopg.Error as refusal:
        return refusal.sqlstate
    return None


@pytest.fixture(params=[superuser, administrator])
async def books(server: EmbeddedServer, request: pytest.FixtureRequest) -> EmbeddedServer:
    """The server after provisioning, twice, by each kind of administrator."""
    for _ in range(2):
        await provision(request.param(server), database="books", passwords=PASSWORDS)
    return server


def test_no_role_has_any_power_over_the_server(books: EmbeddedServer) -> None:
    ours = "FROM pg_roles WHERE rolname LIKE 'daftari%' AND"
    powers = "rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls"

    count = ask(books, f"SELECT count(*) {ours} NOT ({powers})")
    login = ask(books, f"SELECT string_agg(rolname, ' ' ORDER BY rolname) {ours} rolcanlogin")

    assert count == "4"
    assert login == "daftari_app daftari_migrator daftari_reader"


def test_the_database_belongs_to_the_owner_and_only_our_roles_enter(books: EmbeddedServer) -> None:
    run(books, "CREATE ROLE stranger LOGIN PASSWORD 'stranger'")

    owner = ask(books, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'books'")
    with pytest.raises(psycopg.OperationalError, match='permission denied for database "books"'):
        session(books, "stranger", "stranger")
    run(books, "DROP ROLE stranger")

    assert owner == "daftari_owner"


def test_the_migrator_becomes_the_owner_only_by_saying_so(books: EmbeddedServer) -> None:
    with session(books, "daftari_migrator", PASSWORDS.migrator) as migrator:
        with pytest.raises(errors.InsufficientPrivilege):
            migrator.execute("CREATE TABLE early ()")
        migrator.execute("SET ROLE daftari_owner")
        migrator.execute("CREATE TABLE late ()")


@pytest.mark.parametrize(
    ("role", "password"), [("daftari_app", PASSWORDS.application), ("daftari_reader", PASSWORDS.reader)]
)
def test_the_application_and_the_reader_own_and_create_nothing(books: EmbeddedServer, role: str, password: str) -> None:
    attacks = [
        "SET ROLE daftari_owner",
        "SET ROLE daftari_migrator",
        "CREATE TABLE mine ()",
        "CREATE TEMPORARY TABLE mine ()",
        "CREATE SCHEMA mine",
        "ALTER DATABASE books SET synchronous_commit = off",
    ]

    with session(books, role, password) as attacker:
        answers = {attack: answer_to(attacker, attack) for attack in attacks}

    assert answers == dict.fromkeys(attacks, "42501")


def test_temporary_tables_come_last_in_the_search_path(books: EmbeddedServer) -> None:
    with session(books, "daftari_app", PASSWORDS.application) as application:
        row = application.execute("SELECT current_setting('search_path'), current_setting('TimeZone')").fetchone()

    assert row == ("public, pg_temp", "UTC")


def test_the_administrator_is_no_member_of_the_owner_afterwards(books: EmbeddedServer) -> None:
    query = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'daftari%%' AND pg_has_role('administrator', oid, %s)"
    with psycopg.connect(conninfo(books.url())) as admin:
        privilege = "SET" if admin.info.server_version >= 160000 else "MEMBER"

        roles = admin.execute(query.encode(), (privilege,)).fetchall()

    assert roles == []


async def test_passwords_are_replaced(server: EmbeddedServer) -> None:
    await provision(server.url(), database="books", passwords=PASSWORDS)
    await provision(server.url(), database="books", passwords=Passwords("new", "newer", "newest"))

    with session(server, "daftari_app", "newer"), pytest.raises(psycopg.OperationalError, match="password"):
        session(server, "daftari_app", PASSWORDS.application)


async def test_no_password_reaches_the_server_or_a_repr(server: EmbeddedServer) -> None:
    run(server, "ALTER SYSTEM SET log_statement = 'all'")
    run(server, "SELECT pg_reload_conf()")
    await provision(server.url(), database="books", passwords=PASSWORDS)
    run(server, "ALTER SYSTEM RESET log_statement")
    run(server, "SELECT pg_reload_conf()")

    log = (server.directory / "server.log").read_text()

    assert 'ALTER ROLE "daftari_app" PASSWORD' in log
    assert not [word for word in ("igrator \\", "a%pplication", "r@eader") if word in log + repr(PASSWORDS)]


async def test_a_role_that_has_grown_powers_is_refused(server: EmbeddedServer) -> None:
    run(server, "CREATE ROLE daftari_app LOGIN CREATEDB")

    with pytest.raises(UnsafeDatabase, match=r"daftari_app has powers .* take them away with ALTER ROLE"):
        await provision(server.url(), database="books", passwords=PASSWORDS)


async def test_a_database_of_another_owner_is_left_alone(server: EmbeddedServer) -> None:
    run(server, "CREATE DATABASE books")

    with pytest.raises(UnsafeDatabase, match="books exists and belongs to postgres: name another one"):
        await provision(server.url(), database="books", passwords=PASSWORDS)


async def test_two_at_once_take_turns(server: EmbeddedServer) -> None:
    await asyncio.gather(*(provision(server.url(), database="books", passwords=PASSWORDS) for _ in range(3)))

    with session(server, "daftari_app", PASSWORDS.application) as application:
        row = application.execute("SELECT 1").fetchone()

    assert row == (1,)
