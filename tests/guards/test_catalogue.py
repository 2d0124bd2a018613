"""What the database's own catalogue says: privileges, guards and functions are exactly the ones meant."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from tests.guards.intended import APPEND_ONLY, KEPT, UNGUARDED, intended
from tests.guards.stage import Connection

ROLES = ("daftari_app", "daftari_reader", "daftari_migrator", "public")

_COLUMNS = """
SELECT relname, array_agg(attname::text) FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped GROUP BY 1
"""
# A privilege on a table counts for each of its columns, as PostgreSQL judges it.
_PRIVILEGES = """
SELECT coalesce(grantee.rolname, 'public'), relname, granted.privilege_type, attname::text
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
CROSS JOIN LATERAL (SELECT * FROM aclexplode(relacl) UNION ALL SELECT * FROM aclexplode(attacl)) AS granted
LEFT JOIN pg_roles AS grantee ON grantee.oid = granted.grantee
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND granted.grantee <> relowner
"""
_SEQUENCES_GRANTED = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' AND relacl IS NOT NULL
"""
_OWNERS = "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
_POWERFUL = """
SELECT rolname FROM pg_roles WHERE rolname LIKE 'daftari%'
AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
"""
_BECOME_OWNER = """
SELECT role FROM unnest(ARRAY['daftari_app', 'daftari_reader']) AS role
WHERE pg_has_role(role, 'daftari_owner', 'MEMBER')
"""
_FUNCTIONS = """
SELECT proname, prosecdef, proconfig FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
"""
_PROCEDURES = (
    "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'p'"
)
_VIEWS_NOT_OF_THE_INVOKER = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')
AND NOT coalesce('security_invoker=true' = ANY(reloptions), false)
"""
_HEIRS = "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class ON oid = inhparent WHERE relkind = 'r'"


def tables(connection: Connection) -> dict[str, frozenset[str]]:
    """The columns of each table."""
    return {name: frozenset(columns) for name, columns in connection.execute(_COLUMNS)}


def granted(connection: Connection) -> dict[tuple[str, str], dict[str, frozenset[str]]]:
    """By role and table: the columns of each privilege."""
    found: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for role, table, privilege, column in connection.execute(_PRIVILEGES):
        found[role, table][privilege].add(column)
    return {key: {privilege: frozenset(columns) for privilege, columns in one.items()} for key, one in found.items()}


def names(connection: Connection, query: str) -> list[Any]:
    """The first column of what the query finds."""
    return [row[0] for row in connection.execute(query.encode())]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_the_privileges_meant_for_it_and_no_other(owner: Connection, role: str) -> None:
    meant = {table: intended(role, table, columns) for table, columns in tables(owner).items()}

    found = {table: privileges for (grantee, table), privileges in granted(owner).items() if grantee == role}

    assert found == {table: privileges for table, privileges in meant.items() if privileges}


def test_nobody_else_has_any(owner: Connection) -> None:
    assert {role for role, _ in granted(owner)} <= set(ROLES)
    assert names(owner, _SEQUENCES_GRANTED) == []
    assert names(owner, "SELECT defaclacl::text FROM pg_default_acl") == []


def test_every_table_has_its_place_in_the_list(owner: Connection) -> None:
    assert not APPEND_ONLY & set(KEPT)
    assert set(tables(owner)) == APPEND_ONLY | set(KEPT) | UNGUARDED
    for table, columns in tables(owner).items():
        assert set(KEPT.get(table, "").split()) <= columns, table


def test_the_owner_owns_all_and_the_roles_have_no_powers(owner: Connection) -> None:
    may_create = names(owner, "SELECT has_schema_privilege('daftari_app', 'public', 'CREATE')")
    may_shadow = names(owner, "SELECT has_database_privilege('daftari_app', current_database(), 'TEMP')")

    assert names(owner, _OWNERS) == ["daftari_owner"]
    assert names(owner, _POWERFUL) == []
    assert names(owner, _BECOME_OWNER) == []
    assert (may_create, may_shadow) == ([False], [False])


def test_every_function_has_its_search_path_pinned_and_runs_as_its_caller(owner: Connection) -> None:
    found = owner.execute(_FUNCTIONS).fetchall()

    assert found
    for name, security_definer, settings in found:
        assert not security_definer, name
        assert "search_path=pg_catalog, public, pg_temp" in (settings or []), name


def test_what_migrations_call_is_not_for_others(owner: Connection) -> None:
    open_to_the_application = f"{_PROCEDURES} AND has_function_privilege('daftari_app', oid, 'EXECUTE')"

    assert sorted(names(owner, _PROCEDURES)) == ["keep_rows(text[])", "make_append_only(text[])"]
    assert names(owner, open_to_the_application) == []


def test_every_view_runs_as_its_reader(owner: Connection) -> None:
    before = names(owner, _VIEWS_NOT_OF_THE_INVOKER)

    owner.execute("CREATE VIEW safe WITH (security_invoker = true) AS SELECT * FROM ledgers")
    owner.execute("CREATE VIEW unsafe AS SELECT * FROM ledgers")

    assert before == []
    assert names(owner, _VIEWS_NOT_OF_THE_INVOKER) == ["unsafe"]


def test_every_table_has_the_guards_of_its_kind(owner: Connection) -> None:
    query = "SELECT tgrelid::regclass::text, tgfoid::regproc::text, tgtype FROM pg_trigger WHERE NOT tgisinternal"
    found = {row for row in owner.execute(query) if row[1].startswith("refuse_")}

    # tgtype: 2 BEFORE, 8 DELETE, 16 UPDATE, 32 TRUNCATE; 1 is missing, so it is one of the statement.
    changes = {(table, "refuse_change", kind) for table in APPEND_ONLY for kind in (2 | 8 | 16, 2 | 32)}
    deletions = {(table, "refuse_deletion", kind) for table in KEPT for kind in (2 | 8, 2 | 32)}
    assert found == changes | deletions


def test_no_guard_is_switched_off_or_gone_around(owner: Connection) -> None:
    assert names(owner, "SELECT tgname FROM pg_trigger WHERE tgenabled <> 'O'") == []
    assert names(owner, "SELECT conname FROM pg_constraint WHERE NOT convalidated") == []
    assert names(owner, "SELECT rulename FROM pg_rules WHERE schemaname = 'public'") == []
    assert names(owner, _HEIRS) == []
