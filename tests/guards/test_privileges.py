"""The application's role cannot lift a guard, become somebody else or reach the server: PostgreSQL denies it all."""

from __future__ import annotations

from typing import LiteralString

import psycopg
import pytest
from psycopg import errors, sql

from ledger.database import conninfo
from tests.fix_database import Database
from tests.guards.stage import BANK, WALLET, Connection, Stage, refusal, session
from tests.guards.test_catalogue import granted

DENIED = "42501"

LIFTING_A_GUARD: tuple[LiteralString, ...] = (
    "ALTER TABLE postings DISABLE TRIGGER ALL",
    "ALTER TABLE postings DISABLE TRIGGER postings_form_entries",
    "ALTER TABLE journal_entries DISABLE TRIGGER USER",
    "DROP TRIGGER postings_form_entries ON postings",
    "ALTER TRIGGER postings_form_entries ON postings RENAME TO harmless",
    "CREATE TRIGGER aside BEFORE INSERT ON postings FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "ALTER FUNCTION postings_must_form_entries() SET search_path = pg_temp, public",
    "ALTER FUNCTION postings_must_form_entries() SECURITY DEFINER",
    "DROP FUNCTION postings_must_form_entries() CASCADE",
    "ALTER TABLE postings DROP CONSTRAINT postings_amount_is_positive",
    "ALTER TABLE postings ADD COLUMN note text",
    "ALTER TABLE accounts OWNER TO daftari_app",
    "DROP TABLE postings",
    "DROP INDEX journal_entries_transition_is_unique",
    "CREATE RULE aside AS ON INSERT TO postings DO INSTEAD NOTHING",
    "CREATE INDEX ON postings (amount)",
    "COMMENT ON TABLE postings IS 'mine'",
    "SET session_replication_role = replica",
    "SET LOCAL session_replication_role = replica",
    "SELECT set_config('session_replication_role', 'replica', false)",
    "ALTER ROLE daftari_app SET session_replication_role = replica",
    "ALTER DATABASE {database} SET session_replication_role = replica",
)
BECOMING_SOMEBODY_ELSE: tuple[LiteralString, ...] = (
    "SET ROLE daftari_owner",
    "SET ROLE daftari_migrator",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION daftari_owner",
    "GRANT daftari_owner TO daftari_app",
    "ALTER ROLE daftari_app SUPERUSER",
    "ALTER ROLE daftari_owner LOGIN PASSWORD 'x'",
    "CREATE ROLE another",
    "CALL make_append_only('accounts')",
    "CALL keep_rows('accounts')",
)
MAKING_A_PLACE_OF_ITS_OWN: tuple[LiteralString, ...] = (
    "CREATE TEMP TABLE accounts AS SELECT * FROM accounts",
    "CREATE TEMP VIEW postings AS SELECT 1",
    "CREATE TABLE public.mine (id int)",
    "CREATE TABLE heir () INHERITS (postings)",
    "CREATE VIEW public.mine AS SELECT 1",
    "CREATE FUNCTION public.sum(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0'",
    "CREATE OPERATOR public.= (LEFTARG = numeric, RIGHTARG = smallint, FUNCTION = numeric_eq)",
    "CREATE SCHEMA mine",
    "CREATE EXTENSION dblink",
    "CREATE EVENT TRIGGER aside ON ddl_command_start EXECUTE FUNCTION refuse_change()",
)
REACHING_THE_SERVER: tuple[LiteralString, ...] = (
    "COPY postings TO PROGRAM 'cat'",
    "COPY postings (entry_id) FROM PROGRAM 'echo 1'",
    "COPY postings TO '/var/tmp/postings'",
    "COPY postings FROM '/etc/hostname'",
    "SELECT pg_read_file('/etc/hostname')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/hostname')",
    "SELECT pg_reload_conf()",
    "SELECT rolpassword FROM pg_authid",
    "SELECT setval('ledgers_id_seq', 1)",
    "LOAD 'auto_explain'",
)
WRITING_AS_A_READER: tuple[LiteralString, ...] = (
    "INSERT INTO ledgers (code, name, base_currency, time_zone, created_at) VALUES ('x1', 'x', 'KES', 'UTC', now())",
    "UPDATE account_balances SET floor = NULL",
    "DELETE FROM postings",
    "SELECT * FROM account_balances FOR UPDATE",
    "CREATE TEMP TABLE mine (id int)",
    "LOCK TABLE postings IN SHARE MODE",
    "SELECT sealed FROM vault_secrets",
    "SELECT * FROM provider_tokens",
)


def denied(connection: Connection, database: Database, statement: LiteralString) -> None:
    """Expects insufficient_privilege."""
    with refusal(connection, DENIED, None):
        connection.execute(sql.SQL(statement).format(database=sql.Identifier(database.name)))


@pytest.mark.parametrize("statement", LIFTING_A_GUARD)
def test_the_application_lifts_no_guard(app: Connection, database: Database, statement: LiteralString) -> None:
    denied(app, database, statement)


@pytest.mark.parametrize("statement", BECOMING_SOMEBODY_ELSE)
def test_the_application_becomes_nobody_else(app: Connection, database: Database, statement: LiteralString) -> None:
    denied(app, database, statement)


@pytest.mark.parametrize("statement", MAKING_A_PLACE_OF_ITS_OWN)
def test_the_application_makes_nothing_of_its_own(
    app: Connection, database: Database, statement: LiteralString
) -> None:
    denied(app, database, statement)


@pytest.mark.parametrize("statement", REACHING_THE_SERVER)
def test_the_application_reaches_no_server(app: Connection, database: Database, statement: LiteralString) -> None:
    denied(app, database, statement)


@pytest.mark.parametrize("statement", WRITING_AS_A_READER)
def test_a_reader_only_reads(database: Database, statement: LiteralString) -> None:
    with session(database, "reader") as reader:
        denied(reader, database, statement)


def test_a_migrator_reads_and_writes_nothing_until_it_becomes_the_owner(database: Database, stage: Stage) -> None:
    with session(database, "migrator") as migrator:
        denied(migrator, database, "SELECT * FROM postings")
        with refusal(migrator, DENIED, None):
            stage.transfer(3000, BANK, WALLET, 5).post(migrator)
        migrator.execute("SET ROLE daftari_owner")

        row = migrator.execute("SELECT count(*) FROM postings WHERE ledger_id = %s", (stage.ledger_id,)).fetchone()

    assert row == (4,)


def test_what_the_application_grants_or_revokes_has_no_effect(app: Connection, owner: Connection) -> None:
    """PostgreSQL only warns where nothing can be granted."""
    before = granted(owner)

    app.execute("GRANT UPDATE ON postings TO daftari_app")
    app.execute("GRANT UPDATE (amount) ON postings TO daftari_reader")
    app.execute("REVOKE ALL ON postings FROM daftari_reader")
    app.commit()

    assert granted(owner) == before


def test_the_application_changes_no_setting_of_the_server(database: Database) -> None:
    with psycopg.connect(conninfo(database.app), autocommit=True) as app, pytest.raises(errors.InsufficientPrivilege):
        app.execute("ALTER SYSTEM SET fsync = off")
