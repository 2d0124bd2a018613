"""Returns: money of receipts that goes back to its payer, their events, what guards them, and instructions for them."""

from alembic import op

from migrations import sql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables, then what guards them."""
    sql.run(op.get_bind(), "return_tables", "guard_returns_follow_entries")
