"""The guards of payouts, and two looks, reach every row by the index meant for it, also in a plan made for empty
tables."""

from alembic import op

from migrations import sql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replaces three functions and adds two; triggers and privileges stay."""
    sql.run(op.get_bind(), "guard_payouts_probe_by_key")
