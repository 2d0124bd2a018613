"""Loans: products, loans and their events, what guards them, and payouts that others than the partner pay for."""

from alembic import op

from migrations import sql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables, then what guards them."""
    sql.run(op.get_bind(), "loan_tables", "guard_payout_funding_is_intent", "guard_loans_follow_entries")
