"""What waits at a failing endpoint costs the deliverer nothing: indexes for the claim, and a mark on what must wait."""

from alembic import op

from migrations import sql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the mark, the trigger that takes it off, and the indexes."""
    sql.run(op.get_bind(), "webhook_backlog")
