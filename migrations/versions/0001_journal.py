"""The journal: ledgers, accounts, entries, postings, their caches, and the guards that hold them."""

from alembic import op
from sqlalchemy import text

from ledger.money import EXPONENTS
from migrations import sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the schema, then the currencies."""
    sql.run(
        op.get_bind(),
        "journal_tables",
        "guard_entries_balance",
        "guard_balances_follow_postings",
        "guard_append_only",
        "guard_reversals_are_capped",
    )
    currencies = [{"code": code, "exponent": exponent} for code, exponent in sorted(EXPONENTS.items())]
    op.get_bind().execute(text("INSERT INTO currencies (code, exponent) VALUES (:code, :exponent)"), currencies)
