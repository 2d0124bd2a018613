"""Runs of matching statements with the books, and every decision of each."""

from alembic import op

from migrations import sql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables."""
    sql.run(op.get_bind(), "reconciliation_tables")
