"""What a command that failed tells whoever typed it."""

from __future__ import annotations

import psycopg
from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.exc import ArgumentError, DBAPIError

from api.failures import known_refusal
from ledger.errors import DatabaseUnavailable, LedgerError, TextInvalid


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
