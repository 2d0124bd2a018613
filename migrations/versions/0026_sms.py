"""Text messages: which are sent, their events, who wants none, what they cost, and instructions about them."""

from alembic import op

from migrations import sql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables, then what guards them."""
    sql.run(op.get_bind(), "sms_tables", "guard_sms_follow_events")
