"""Entries sealed into a signed chain, outside the hot path."""

from alembic import op

from migrations import sql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables."""
    sql.run(op.get_bind(), "proof_tables")
