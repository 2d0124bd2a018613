"""Brings a database's schema to this version's, with Alembic. Says nothing; the caller reports."""

from __future__ import annotations

from importlib import util
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, NullPool, create_engine
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ledger.database import driver_url, sqlstate

TRIES_MAX = 5
_LOCK_NOT_AVAILABLE = "55P03"


def upgrade(url: str | URL, *, folder: Path | None = None) -> None:
    """Applies every migration that is missing, as the owner; `url` logs in as the migrator. Two at once take turns.

    A migration that cannot have its locks within two seconds is undone and tried again, so that the service never
    stands still behind it for longer. `folder` is None for the shipped migrations.
    """
    config = _config(folder)
    config.attributes["url"] = driver_url(url)
    retrying = Retrying(
        stop=stop_after_attempt(TRIES_MAX),
        wait=wait_random_exponential(multiplier=0.5, max=5),
        retry=retry_if_exception(lambda error: sqlstate(error) == _LOCK_NOT_AVAILABLE),
        reraise=True,
    )
    retrying(command.upgrade, config, "head")


def current(url: str | URL) -> str | None:
    """The revision the database is at, None before the first."""
    engine = create_engine(driver_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head(*, folder: Path | None = None) -> str:
    """The revision this version of the service needs."""
    revision = ScriptDirectory.from_config(_config(folder)).get_current_head()
    assert revision is not None, "the migrations folder is empty"
    return revision


def _config(folder: Path | None) -> Config:
    config = Config()
    location = str(folder or _shipped_folder())
    config.set_main_option("script_location", location.replace("%", "%%"))
    return config


def _shipped_folder() -> Path:
    """The package `migrations`, in a checkout and in an installed wheel alike."""
    spec = util.find_spec("migrations")
    assert spec is not None, "the package `migrations` belongs to the installation"
    assert spec.origin is not None, "`migrations` is a package with an __init__.py"
    return Path(spec.origin).parent
