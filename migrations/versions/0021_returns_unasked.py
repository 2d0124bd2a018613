"""Returns that a provider made unasked or that were known too late, cases about one return, and what a loan given up
loses again."""

from alembic import op

from migrations import sql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds columns and edges, and replaces what guards returns."""
    sql.run(op.get_bind(), "returns_unasked", "guard_returns_begin_and_end", "loans_lost_again")
