"""Prompts: payers whose phones are asked for money, their events, what guards them, and instructions about them."""

from alembic import op

from migrations import sql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables, then what guards them."""
    sql.run(op.get_bind(), "prompt_tables", "guard_prompts_follow_events")
