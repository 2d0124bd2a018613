"""Listings: until when what came in was listed to its end, so that a list that broke off is made again."""

from alembic import op

from migrations import sql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table."""
    sql.run(op.get_bind(), "collection_listings")
