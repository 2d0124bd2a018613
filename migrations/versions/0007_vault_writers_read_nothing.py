"""Writers of the vault have its public key alone and read nothing: for a key that is retired they write nothing."""

from alembic import op

from migrations import sql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table and its guards."""
    sql.run(op.get_bind(), "vault_keys")
