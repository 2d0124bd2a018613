"""Partners are told of their orders, loans and prompts as of their payouts, and of nobody else's."""

from alembic import op

from migrations import sql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns and what orders them, then what guards them."""
    sql.run(op.get_bind(), "webhook_subjects", "guard_deliveries_tell_their_partner")
