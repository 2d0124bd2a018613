"""Controls: what partners may pay out, the switches that stop a rail, and the vault of provider credentials."""

from alembic import op

from migrations import sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables."""
    sql.run(op.get_bind(), "limit_tables", "vault_tables")
