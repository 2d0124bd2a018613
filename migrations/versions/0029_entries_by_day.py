"""Entries found by their business date, for a sixth of a byte each."""

from alembic import op

from migrations import sql

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the index."""
    sql.run(op.get_bind(), "entries_by_day")
