"""Instructions are pinned to the platform they were sent to, and hints make questions due."""

from alembic import op

from migrations import sql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns."""
    sql.run(op.get_bind(), "instruction_pins")
