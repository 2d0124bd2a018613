"""Alerts: what operators are told of, once until it is over."""

from alembic import op

from migrations import sql

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the table."""
    sql.run(op.get_bind(), "alerts")
