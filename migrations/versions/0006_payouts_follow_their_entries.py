"""A payout moves with its entry or not at all; cases know the money that waits for them in suspense."""

from alembic import op

from migrations import sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Draws the edges anew, each with its kinds of entry, then the guard; widens the cases."""
    sql.run(op.get_bind(), "guard_payouts_follow_entries", "review_suspense")
