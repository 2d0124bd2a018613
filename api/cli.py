"""`daftari`: the command line. Assembles the commands and turns a refusal into one sentence and exit code 2."""

from __future__ import annotations

import sys

import typer

from api.commands import (
    adjustments,
    books,
    closings,
    collections,
    database,
    demo,
    keys,
    loans,
    momo,
    partners,
    promotions,
    proof,
    reconcile,
    refunds,
    reviews,
    sandbox,
    serve,
    sms,
    statements,
    status,
    ussd,
    vault,
    verify,
    webhooks,
)
from api.commands.telling import refusal_to_tell

app = typer.Typer(
    help="Daftari: a double-entry payments core for mobile money.", no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(books.app, name="books")
app.add_typer(partners.app, name="partner")
app.add_typer(keys.app, name="key")
app.add_typer(collections.app, name="collections")
app.add_typer(loans.app, name="loan")
app.add_typer(promotions.app, name="promo")
app.add_typer(refunds.app, name="refund")
app.add_typer(reviews.app, name="review")
app.add_typer(statements.app, name="statement")
app.add_typer(reconcile.app, name="reconcile")
app.add_typer(adjustments.app, name="adjustment")
app.add_typer(closings.app, name="close")
app.add_typer(proof.app, name="proof")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(sms.app, name="sms")
app.add_typer(vault.app, name="vault")
app.add_typer(momo.app, name="momo")
app.add_typer(database.app, name="database")
app.command("serve")(serve.serve)
app.command("sandbox")(sandbox.run)
app.command("ussd")(ussd.ussd)
app.command("demo")(demo.demo)
app.command("verify")(verify.run)
app.command("status")(status.run)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 something does not agree, 2 refused."""
    try:
        app()
    except Exception as error:
        refusal = refusal_to_tell(error)
        if refusal is not None:
            sys.stderr.write(f"daftari: {refusal.message} [{refusal.reason}]\n")
            sys.exit(2)
        raise


if __name__ == "__main__":
    main()
