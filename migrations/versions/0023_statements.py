"""Providers' statements: the files as they came, what became of each, and their lines."""

from alembic import op

from migrations import sql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables."""
    sql.run(op.get_bind(), "statement_tables")
