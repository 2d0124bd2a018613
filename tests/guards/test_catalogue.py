"""What the database's own catalogue says: privileges, guards and functions are exactly the ones meant."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.guards.intended import APPEND_ONLY, KEPT, UNGUARDED, intended
from tests.guards.stage import Connection

ROLES = ("daftari_app", "daftari_reader", "daftari_migrator", "public")

_TABLES = """
SELECT relname, array_agg(attname::text) FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped GROUP BY 1
"""
# Privileges on a whole table count for each of its columns, as PostgreSQL judges them.
_PRIVILEGES = """
SELECT coalesce(grantee.rolname, 'public'), relname, granted.privilege_type, attname::text
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
CROSS JOIN LATERAL (SELECT * FROM aclexplode(relacl) UNION ALL SELECT * FROM aclexplode(attacl)) AS granted
LEFT JOIN pg_roles AS grantee ON grantee.oid = granted.grantee
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND granted.grantee <> relowner
"""
_VIEWS_NOT_OF_THE_INVOKER = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')
AND NOT coalesce('security_invoker=true' = ANY(reloptions), false)
"""


def tables(connection: Connection) -> dict[str, frozenset[str]]:
    """The columns of each table."""
    return {name: frozenset(columns) for name, columns in connection.execute(_TABLES)}


def granted(connection: Connection) -> dict[tuple[str, str], dict[str, frozenset[str]]]:
    """By role and table: the columns of each privilege."""
    found: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for role, table, privilege, column in connection.execute(_PRIVILEGES):
        found[role, table][privilege].add(column)
    return {key: {privilege: frozenset(columns) for privilege, columns in one.items()} for key, one in found.items()}


def names(connection: Connection, query: bytes) -> list[str]:
    """The first column of what the query finds."""
    return [row[0] for row in connection.execute(query)]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_the_privileges_meant_for_it_and_no_other(owner: Connection, role: str) -> None:
    expected = {
        table: privileges for table, columns in tables(owner).items() if (privileges := intended(role, table, columns))
    }

    assert {table: one for (grantee, table), one in granted(owner).items() if grantee == role} == expected


def test_nobody_else_has_any(owner: Connection) -> None:
    assert {role for role, _ in granted(owner)} <= set(ROLES)
    assert (
        names(
            owner,
            b"SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' AND relacl IS NOT NULL",
        )
        == []
    )
    assert names(owner, b"SELECT defaclacl::text FROM pg_default_acl") == []


def test_every_table_has_its_place_in_the_list(owner: Connection) -> None:
    assert not APPEND_ONLY & set(KEPT)
    assert set(tables(owner)) == APPEND_ONLY | set(KEPT) | UNGUARDED
    for table, columns in tables(owner).items():
        assert set(KEPT.get(table, "").split()) <= columns, table


def test_the_owner_owns_all_and_the_roles_have_no_powers(owner: Connection) -> None:
    owners = names(
        owner, b"SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )
    powerful = names(
        owner,
        b"SELECT rolname FROM pg_roles WHERE rolname LIKE 'daftari%' AND "
        b"(rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)",
    )
    members = names(
        owner,
        b"SELECT member::regrole::text FROM pg_auth_members WHERE roleid = 'daftari_owner'::regrole "
        b"AND member IN ('daftari_app'::regrole, 'daftari_reader'::regrole)",
    )

    assert owners == ["daftari_owner"]
    assert powerful == []
    assert members == []
    assert names(owner, b"SELECT has_schema_privilege('daftari_app', 'public', 'CREATE')") == [False]
    assert names(owner, b"SELECT has_database_privilege('daftari_app', current_database(), 'TEMP')") == [False]


def test_every_function_has_its_search_path_pinned_and_runs_as_its_caller(owner: Connection) -> None:
    query = b"SELECT proname, prosecdef, proconfig FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'"
    found = owner.execute(query).fetchall()

    assert found
    for name, security_definer, settings in found:
        assert not security_definer, name
        assert "search_path=pg_catalog, public, pg_temp" in (settings or []), name


def test_what_migrations_call_is_not_for_others(owner: Connection) -> None:
    query = (
        b"SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'p' "
    )

    procedures = names(owner, query)
    open_to_all = names(owner, query + b"AND has_function_privilege('daftari_app', oid, 'EXECUTE')")

    assert sorted(procedures) == ["keep_rows(text[])", "make_append_only(text[])"]
    assert open_to_all == []


def test_every_view_runs_as_its_reader(owner: Connection) -> None:
    before = names(owner, _VIEWS_NOT_OF_THE_INVOKER.encode())

    owner.execute("CREATE VIEW safe WITH (security_invoker = true) AS SELECT * FROM ledgers")
    owner.execute("CREATE VIEW unsafe AS SELECT * FROM ledgers")

    assert before == []
    assert names(owner, _VIEWS_NOT_OF_THE_INVOKER.encode()) == ["unsafe"]


def test_every_table_has_the_guards_of_its_kind(owner: Connection) -> None:
    query = "SELECT tgrelid::regclass::text, tgfoid::regproc::text, tgtype FROM pg_trigger WHERE NOT tgisinternal"
    found = set(owner.execute(query))

    # tgtype: 2 BEFORE, 8 DELETE, 16 UPDATE, 32 TRUNCATE; of a statement where 1 is missing.
    expected = {(table, "refuse_change", kind) for table in APPEND_ONLY for kind in (2 | 8 | 16, 2 | 32)}
    expected |= {(table, "refuse_deletion", kind) for table in KEPT for kind in (2 | 8, 2 | 32)}
    assert {one for one in found if one[1].startswith("refuse_")} == expected


def test_no_guard_is_switched_off(owner: Connection) -> None:
    assert names(owner, b"SELECT tgname FROM pg_trigger WHERE tgenabled <> 'O'") == []
    assert names(owner, b"SELECT conname FROM pg_constraint WHERE NOT convalidated") == []
    assert (
        names(
            owner,
            b"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r')",
        )
        == []
    )
    assert names(owner, b"SELECT rulename FROM pg_rules WHERE schemaname = 'public'") == []
