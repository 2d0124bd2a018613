"""Prompts are found by their partner, newest first, however many others have."""

from alembic import op

from migrations import sql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the index."""
    sql.run(op.get_bind(), "prompts_by_partner")
