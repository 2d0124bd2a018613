"""Where partners are told what became of their payouts, and what is to be told."""

from alembic import op

from migrations import sql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables."""
    sql.run(op.get_bind(), "webhook_tables")
