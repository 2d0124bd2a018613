"""Partners, API keys, parties, payouts, instructions, the inbox and the review queues."""

from alembic import op

from migrations import sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables, then their guards."""
    sql.run(op.get_bind(), "payout_tables", "guard_payouts_move_forward")
