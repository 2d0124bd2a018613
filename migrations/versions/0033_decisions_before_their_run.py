"""A run's decisions may be written before its row, in one transaction."""

from alembic import op

from migrations import sql

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Looks for a decision's run when the transaction ends."""
    sql.run(op.get_bind(), "decisions_before_their_run")
