"""The text of tables, constraints and triggers: one file per invariant, read by the revisions in ../versions."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection


def run(connection: Connection, *names: str) -> None:
    """Executes the named files of this folder, each as one script. The driver is used directly: no placeholders."""
    driver = connection.connection.driver_connection
    assert driver is not None
    for name in names:
        driver.execute((Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8"))
