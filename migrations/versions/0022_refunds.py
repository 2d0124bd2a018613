"""Receipts may be allocated to payouts: what payees send back, never more than was paid."""

from alembic import op

from migrations import sql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the target and what guards it."""
    sql.run(op.get_bind(), "refunds")
