"""`daftari`: the command line. Assembles the commands and turns a refusal into one sentence and exit code 2."""

from __future__ import annotations

import sys

import psycopg
import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.exc import ArgumentError, DBAPIError

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
from api.failures import known_refusal
from ledger.errors import DatabaseUnavailable, LedgerError, TextInvalid

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


def refusal_to_tell(error: Exception) -> LedgerError | None:
    """What went wrong in the words of whoever can put it right: a setting, an address, a file, the database; None for a
    bug. Says no value of a setting, which may be a secret."""
    match error:
        case ValidationError():
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            name = f"DAFTARI_{first['loc'][0]}".upper()
            return TextInvalid(f"{name}: {first['msg']}", field=name)
        case SettingsError():
            return TextInvalid(f"{error}; lists are written as [1, 2]")
        case ArgumentError():
            return TextInvalid("write a database's URL as postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE")
        case OSError(filename=str(path), strerror=str(reason)):
            return TextInvalid(f"{path}: {reason}")
    refusal = known_refusal(error)
    if isinstance(refusal, DatabaseUnavailable) and refusal is not error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        # libpq says which address or name it could not have, and never the password.
        why = str(cause).partition("\n")[0] if isinstance(cause, psycopg.OperationalError) else ""
        return DatabaseUnavailable(why or refusal.message)
    return refusal


if __name__ == "__main__":
    main()
