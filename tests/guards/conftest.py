"""The stage of the attacks, laid out anew for each test, and connections of each role.

Fixtures:
    app, owner   psycopg connections of the application and of the owner of all tables; nothing stays uncommitted
    stage        Stage, laid out by the application's role
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fix_database import Database
from tests.guards.stage import Connection, Stage, lay_out, session


@pytest.fixture(scope="session")
def _app(database: Database) -> Iterator[Connection]:
    with session(database, "app") as connection:
        yield connection


@pytest.fixture(scope="session")
def _owner(database: Database) -> Iterator[Connection]:
    with session(database, "owner") as connection:
        yield connection


@pytest.fixture
def app(_app: Connection) -> Iterator[Connection]:
    """See above."""
    yield _app
    _app.rollback()


@pytest.fixture
def owner(_owner: Connection) -> Iterator[Connection]:
    """See above."""
    yield _owner
    _owner.rollback()


@pytest.fixture
def stage(app: Connection) -> Stage:
    """See above."""
    return lay_out(app)
