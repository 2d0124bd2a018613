"""Adjustments: what breaks of a run come to, proposed by one person and approved by another."""

from alembic import op

from migrations import sql

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables."""
    sql.run(op.get_bind(), "adjustment_tables")
