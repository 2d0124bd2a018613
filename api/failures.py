"""What an exception means to a caller: refusals as they are, an unreachable database as such, a bug as a safe number.

Logs bugs with where they happened and never with what they carried: messages of database errors quote the request.
"""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Iterator

import psycopg
import sqlalchemy.exc
import structlog

from ledger.database import sqlstate, violated_constraint
from ledger.errors import DatabaseUnavailable, LedgerError, Overloaded

_log = structlog.get_logger("daftari.api")
_DATABASE_AWAY = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)


class InternalFailure(LedgerError):
    """A bug or a broken guard; the caller gets a number that finds the cause in the log."""


def refusal_of(error: BaseException, *, request_id: str) -> LedgerError:
    """What to tell the caller. Logs what is not a refusal under an error id, which is all the caller learns of it."""
    refusal = known_refusal(error)
    if refusal is not None:
        return refusal
    error_id = secrets.token_hex(8)
    log_failure("call.failed", error, error_id=error_id, request_id=request_id)
    return InternalFailure(f"an internal error; please report error id {error_id}", error_id=error_id)


def log_failure(event: str, error: BaseException, **facts: str) -> None:
    """Logs what nobody foresaw by where it happened and what kinds of error it was, never by their texts."""
    causes = [_name(cause) for cause in _chain(error)]
    _log.error(event, causes=causes, trace="".join(traceback.format_tb(error.__traceback__)), **facts)


def known_refusal(error: BaseException) -> LedgerError | None:
    """The refusal that an error is or amounts to; None for anything nobody foresaw.

    The database being away is told apart from a bug because a transaction that did not commit did nothing, and
    CommitUnknown is raised where that is not sure.
    """
    if isinstance(error, LedgerError):
        return error
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return Overloaded("all database connections are busy and nothing was done; repeat in a moment")
    if isinstance(error, _DATABASE_AWAY):
        return DatabaseUnavailable("the database cannot be reached and nothing was done; repeat in a moment")
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, outermost first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _name(error: BaseException) -> str:
    told = [type(error).__qualname__, sqlstate(error), violated_constraint(error)]
    return " ".join(part for part in told if part)
