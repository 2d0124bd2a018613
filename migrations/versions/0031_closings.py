"""Business dates are closed: begun by one person, signed by another, and no entry is dated in them any more."""

from alembic import op

from migrations import sql

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables, and the guard of entries' dates."""
    sql.run(op.get_bind(), "closing_tables")
