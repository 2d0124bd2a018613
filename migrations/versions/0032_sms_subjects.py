"""Text messages tell of orders and loans, too."""

from alembic import op

from migrations import sql

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns, and the guard of whom they are for."""
    sql.run(op.get_bind(), "sms_subjects")
