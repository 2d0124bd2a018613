"""Promotions: campaigns, batches, codes and redemptions, and what guards them."""

from alembic import op

from migrations import sql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables, then what guards them."""
    sql.run(
        op.get_bind(),
        "promotion_tables",
        "guard_batches_follow_entries",
        "guard_liability_is_live_codes",
        "guard_redemptions_follow_payouts",
    )
