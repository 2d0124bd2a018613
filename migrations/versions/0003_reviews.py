"""Resolutions of reviews, and what providers say they hold."""

from alembic import op

from migrations import sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables."""
    sql.run(op.get_bind(), "review_tables")
