"""Adjustments are found by the run whose breaks they are about."""

from alembic import op

from migrations import sql

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the index."""
    sql.run(op.get_bind(), "adjustments_by_run")
