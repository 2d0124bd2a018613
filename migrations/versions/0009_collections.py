"""Money in: receipts and where their money is, allocations, references that payers type, and payment orders."""

from alembic import op

from migrations import sql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables, then what guards them."""
    sql.run(op.get_bind(), "collection_tables", "guard_receipts_follow_entries", "guard_orders_follow_allocations")
