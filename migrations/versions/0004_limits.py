"""What partners may pay out within a window, and the switches that stop a rail."""

from alembic import op

from migrations import sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables."""
    sql.run(op.get_bind(), "limit_tables")
