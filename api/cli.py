"""`daftari`: the command line. Assembles the commands and turns a refusal into one sentence and exit code 2."""

from __future__ import annotations

import sys

import typer

from api.commands import books, database, demo, keys, partners, reviews, sandbox, serve, status, vault, verify, webhooks
from ledger.errors import LedgerError

app = typer.Typer(
    help="Daftari: a double-entry payments core for mobile money.", no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(books.app, name="books")
app.add_typer(partners.app, name="partner")
app.add_typer(keys.app, name="key")
app.add_typer(reviews.app, name="review")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(vault.app, name="vault")
app.add_typer(database.app, name="database")
app.command("serve")(serve.serve)
app.command("sandbox")(sandbox.run)
app.command("demo")(demo.demo)
app.command("verify")(verify.run)
app.command("status")(status.run)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 something does not agree, 2 refused."""
    try:
        app()
    except LedgerError as refusal:
        sys.stderr.write(f"daftari: {refusal.message} [{refusal.reason}]\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
