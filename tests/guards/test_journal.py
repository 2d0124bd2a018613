"""PostgreSQL keeps the journal whole against anybody who may write, psql and the owner of its tables included."""

from __future__ import annotations

from typing import LiteralString

import pytest
from psycopg import errors, sql
from psycopg.types.json import Jsonb

from tests.fix_database import Database
from tests.guards import attacks_on_accounts, attacks_on_entries, attacks_on_reversals
from tests.guards.attacks import ATTACKS, Attack
from tests.guards.attacks_on_reversals import reverse
from tests.guards.stage import (
    BANK,
    CAPPED,
    CODES,
    CONTRA,
    DOLLARS,
    FIRST,
    FRESH,
    WALLET,
    Connection,
    Rows,
    Stage,
    lay_out,
    refusal,
    session,
)

LISTS = (attacks_on_entries, attacks_on_accounts, attacks_on_reversals)  # importing them filled ATTACKS
GUARDED = [attack for attack in ATTACKS if attack.guards]


def entry_ids(connection: Connection, stage: Stage) -> list[int]:
    rows = connection.execute("SELECT id FROM journal_entries WHERE ledger_id = %s ORDER BY id", (stage.ledger_id,))
    return [row[0] for row in rows]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_application_is_refused_and_nothing_stays(app: Connection, stage: Stage, attack: Attack) -> None:
    before = stage.everything(app)
    app.commit()

    with refusal(app, attack.sqlstate, attack.constraint):
        attack.do(app, stage)

    assert stage.everything(app) == before


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_owner_of_the_tables_is_refused_too(owner: Connection, stage: Stage, attack: Attack) -> None:
    with refusal(owner, attack.sqlstate, attack.constraint):
        attack.do(owner, stage)


@pytest.mark.parametrize("attack", GUARDED, ids=lambda attack: attack.name)
def test_it_is_the_named_trigger_that_refuses(owner: Connection, stage: Stage, attack: Attack) -> None:
    """With the trigger dropped the attack succeeds: so the tests above can fail."""
    for trigger, table in attack.guards:
        owner.execute(sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(trigger), sql.Identifier(table)))
    before = stage.everything(owner)

    attack.do(owner, stage)
    owner.execute("SET CONSTRAINTS ALL IMMEDIATE")

    assert stage.everything(owner) != before


def test_every_guard_of_the_journal_is_attacked(owner: Connection) -> None:
    # What a batch owes is guarded from its accounts' side too; tests/guards/test_promotions.py attacks that.
    rows = owner.execute(
        "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text IN "
        "('journal_entries', 'postings', 'account_balances', 'reversal_links') AND tgfoid::regproc::text !~ '^refuse_' "
        "AND tgname <> 'promo_accounts_touch_batches'"
    )

    assert {(name, table) for name, table in rows} == {guard for attack in GUARDED for guard in attack.guards}


def test_a_superuser_is_refused_too(database: Database) -> None:
    with session(database, "admin") as admin:
        stage = lay_out(admin)
        for attack in (
            one for one in ATTACKS if one.name in {"debits_more_than_credits", "header_alone", "money_from_nowhere"}
        ):
            with refusal(admin, attack.sqlstate, attack.constraint):
                attack.do(admin, stage)


def test_what_is_valid_is_accepted(app: Connection, stage: Stage) -> None:
    """The same rows without the one change: entries of many lines, sets, memorandum accounts, bounds just reached."""
    legs = (BANK, "D", 5), (BANK, "C", 2), (BANK, "D", 3), (WALLET, "C", 6), (CODES, "D", 9), (CONTRA, "C", 9)
    rows = stage.entry(3000, *legs) + stage.transfer(3001, WALLET, BANK, 306) + stage.transfer(3002, BANK, CAPPED, 100)
    rows += stage.entry(3003, (DOLLARS, "D", 5), (DOLLARS, "C", 5)) + stage.transfer(3004, BANK, FRESH, 2**40)
    last = {balance["account_id"]: balance for balance in rows.balances}

    Rows(rows.headers, rows.lines, list(last.values())).post(app)
    reverse(app, stage, 3005, 300)
    reverse(app, stage, 3006, 200, ordinal=2, after=500)
    app.commit()

    assert entry_ids(app, stage)[2:] == [3000, 3001, 3002, 3003, 3004, 3005, 3006]


def test_within_an_entry_only_the_end_counts_for_a_floor(app: Connection, stage: Stage) -> None:
    through = (WALLET, "D", 900), (BANK, "C", 900), (BANK, "D", 900), (WALLET, "C", 900)

    stage.entry(3000, *through).post(app)
    app.commit()

    assert entry_ids(app, stage)[2:] == [3000]


def test_an_account_outside_its_bounds_may_move_towards_them_alone(app: Connection, stage: Stage) -> None:
    app.execute(
        "UPDATE account_balances SET floor = 10000 WHERE (ledger_id, account_id) = (%s, %s)", (stage.ledger_id, WALLET)
    )
    app.execute(
        "UPDATE account_balances SET ceiling = -10000 WHERE (ledger_id, account_id) = (%s, %s)",
        (stage.ledger_id, FRESH),
    )
    stage.transfer(3000, FRESH, WALLET, 5).post(app)
    app.commit()

    for debited, credited in ((WALLET, BANK), (BANK, FRESH)):
        twin = stage.twin()
        with refusal(app, "23514", "account_chain_is_unbroken"):
            twin.transfer(3001, debited, credited, 5).post(app)
    assert entry_ids(app, stage)[2:] == [3000]


def test_lines_that_arrive_through_two_inserts_of_one_statement_are_judged_together(
    app: Connection, stage: Stage
) -> None:
    rows = stage.entry(3000, (BANK, "D", 5), (WALLET, "C", 4))

    with refusal(app, "23514", "journal_entry_is_whole_and_balanced"):
        two_inserts(app, rows)

    stage = lay_out(app)
    two_inserts(app, stage.transfer(3000, BANK, WALLET, 5))
    app.commit()
    assert 3000 in entry_ids(app, stage)


_TWO_INSERTS = """
WITH one AS (INSERT INTO postings SELECT * FROM jsonb_populate_record(NULL::postings, %(one)s)),
other AS (INSERT INTO postings SELECT * FROM jsonb_populate_record(NULL::postings, %(other)s)),
header AS (
    INSERT INTO journal_entries
        (ledger_id, id, kind, effective_at, recorded_at, business_date, posting_count, source, actor)
    SELECT ledger_id, id, kind, effective_at, recorded_at, business_date, posting_count, source, actor
    FROM jsonb_populate_record(NULL::journal_entries, %(header)s)
)
UPDATE account_balances AS b
SET debits = u.debits, credits = u.credits, version = u.version, last_entry_id = u.last_entry_id
FROM jsonb_populate_recordset(NULL::account_balances, %(balances)s) AS u
WHERE b.ledger_id = u.ledger_id AND b.account_id = u.account_id
"""


def two_inserts(connection: Connection, rows: Rows) -> None:
    """Each line by an INSERT of its own, in one statement with the rest."""
    (header,), (one, other) = rows.headers, rows.lines
    given = {"header": header, "one": one, "other": other, "balances": rows.balances}
    connection.execute(_TWO_INSERTS, {name: Jsonb(value) for name, value in given.items()})


@pytest.mark.parametrize("command", ["COPY", "MERGE"])
def test_lines_by_other_commands_are_judged_alike(app: Connection, stage: Stage, command: str) -> None:
    line = stage.transfer(3000, BANK, WALLET, 5).lines[0]
    names, values = ", ".join(line), list(line.values())

    with refusal(app, "23514", "journal_entry_is_whole_and_balanced"):
        if command == "COPY":
            with app.cursor().copy(f"COPY postings ({names}) FROM STDIN".encode()) as copy:
                copy.write_row(values)
        else:
            marks = ", ".join(["%s"] * len(values))
            app.execute(
                f"MERGE INTO postings AS p USING (SELECT 1) AS s ON false "
                f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({marks})".encode(),
                values,
            )


def test_temporary_tables_do_not_stand_in_for_real_ones(owner: Connection, stage: Stage) -> None:
    """Made by the owner, for the application may make none: memorandum accounts without bounds, found before ours."""
    for table in ("accounts", "account_balances", "postings", "journal_entries", "reversal_links"):
        names = (sql.Identifier("pg_temp", table), sql.Identifier("public", table))
        owner.execute(sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(*names))
    for transition_table in ("new_postings", "new_entries", "new_balances", "old_balances", "new_links"):
        owner.execute(sql.SQL("CREATE TEMP TABLE {} ()").format(sql.Identifier(transition_table)))
    owner.execute("SET LOCAL search_path = pg_temp, public")
    owner.execute("UPDATE accounts SET class = 'memo', normal_side = 'D'")
    owner.execute("UPDATE account_balances SET floor = NULL, ceiling = NULL, closed_at = NULL")

    for attack in GUARDED:
        twin = stage.twin()
        with refusal(owner, attack.sqlstate, attack.constraint):
            attack.do(owner, twin)


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_two_sessions_that_read_the_same_balance_do_not_both_spend_it(database: Database, level: LiteralString) -> None:
    with session(database, "app") as one, session(database, "app") as other:
        stage = lay_out(one)
        twin = stage.twin()
        for connection in (one, other):
            connection.execute(sql.SQL("SET TRANSACTION ISOLATION LEVEL ") + sql.SQL(level))
            connection.execute("SELECT * FROM account_balances WHERE ledger_id = %s", (stage.ledger_id,))
        stage.transfer(3000, WALLET, BANK, 600).post(one)
        one.commit()

        with pytest.raises((errors.UniqueViolation, errors.SerializationFailure)):
            twin.transfer(3001, WALLET, BANK, 600).post(other)


def test_a_set_ends_where_its_first_offender_is(app: Connection, stage: Stage) -> None:
    """One statement is one verdict: the valid entries beside an offender are not written either."""
    valid = stage.transfer(3000, BANK, FRESH, 5)

    with refusal(app, "23514", "account_chain_is_unbroken"):
        (valid + stage.transfer(3001, WALLET, BANK, 10_000)).post(app)

    assert entry_ids(app, stage) == [FIRST, 2000]
