"""Refunds of payouts by manual evidence: asked for by one person, booked by another."""

from alembic import op

from migrations import sql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables."""
    sql.run(op.get_bind(), "manual_refunds")
