"""A lender's loans are found by an index, as a borrower's are."""

from alembic import op

from migrations import sql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the index."""
    sql.run(op.get_bind(), "loans_by_lender")
