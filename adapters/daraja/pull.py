"""Pull: what came in within the last 48 hours, for what no callback told of. Pure: builds and reads, sends nothing.

Never raises on any bytes. Source: Daraja's Pull page; the wire forms are in tests/examples/daraja.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from adapters import documents
from adapters.collecting import Page, PageAnswer, Registered, RegistrationAnswer
from adapters.daraja import answers, c2b, gateway, payers, references, wire
from adapters.daraja.answers import TokenRefused
from adapters.daraja.gateway import Meaning
from adapters.daraja.request import Request
from ledger.msisdn import Msisdn
from ledger.outbox.collecting import Received
from ledger.outbox.instruction import OutcomeUnknown, Rejected

Registering: TypeAlias = RegistrationAnswer | TokenRefused
Listing: TypeAlias = PageAnswer | TokenRefused

ROWS_PER_PAGE = 100

_SUCCESS, _NONE_OR_ALREADY = "1000", "1001"

# "c2b-pay-bill-debit": the payer was debited. Another kind of row is nothing that came in.
_CAME_IN = re.compile(r"c2b-[a-z-]+-debit")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)


def register(shortcode: str, *, nominated: Msisdn, callback_url: str) -> Request:
    """Lets a shortcode be asked about; needed once. `nominated` is the number that Safaricom knows of us."""
    document = {
        "ShortCode": shortcode,
        "RequestType": "Pull",
        "NominatedNumber": nominated.digits,
        "CallBackURL": callback_url,
    }
    return Request("/pulltransactions/v1/register", document, sent_under=None)


def query(shortcode: str, *, since: datetime, until: datetime, offset: int) -> Request:
    """Asks for what came in, `since <= t < until`, aware times, from row `offset` on. Daraja's span holds both its
    ends, in whole seconds."""
    last = _second_from(until) - timedelta(seconds=1)
    document = {
        "ShortCode": shortcode,
        "StartDate": _local(_second_from(since)),
        "EndDate": _local(last),
        "OffSetValue": str(offset),
    }
    return Request("/pulltransactions/v1/query", document, sent_under=None)


def read_register_answer(status: int, body: bytes) -> Registering:
    """Whether the shortcode can be asked about; 1001 says that it could before."""
    document = answers.read_document(status, body)
    if isinstance(document, OutcomeUnknown):
        return document
    if not 200 <= status < 300:
        return answers.read_submission_error(status, document)
    # An older form has a space in the key.
    code = documents.text(document.get("ResponseStatus")) or documents.text(document.get("Response Status"))
    if code in {_SUCCESS, _NONE_OR_ALREADY}:
        return Registered(before=code == _NONE_OR_ALREADY)
    return answers.accepted_oddly(code)


def read_page(status: int, body: bytes, *, shortcode: str, offset: int) -> Listing:
    """The page from row `offset` on, which was asked for `shortcode`: no row names it."""
    document = answers.read_document(status, body)
    if isinstance(document, OutcomeUnknown):
        return document
    if not 200 <= status < 300:
        return _read_error(status, document)
    code, rows = documents.text(document.get("ResponseCode")), _rows(document.get("Response"))
    if code == _NONE_OR_ALREADY and not rows:
        return Page((), None)
    if code != _SUCCESS or rows is None:
        return answers.accepted_oddly(code)
    read = [_received(row, shortcode) for row in rows]
    received = sorted((one for one in read if one is not None), key=lambda one: one.completed_at)
    next_offset = offset + len(rows) if len(rows) >= ROWS_PER_PAGE else None
    return Page(tuple(received), next_offset, unreadable=len(read) - len(received))


def _read_error(status: int, document: dict[str, object]) -> Listing:
    """Nothing is moved by asking, so that it may be asked again where an answer is unclear."""
    error = gateway.read_error(status, document)
    if error.meaning is Meaning.REFUSED:
        return Rejected(error.code, error.description)
    return answers.read_question_error(status, document)


def _rows(told: object) -> list[object] | None:
    """The rows of [[...]], of [[]] none; None for anything else."""
    if not isinstance(told, list):
        return None
    return [row for inner in told for row in (inner if isinstance(inner, list) else [inner])]


def _received(row: object, shortcode: str) -> Received | None:
    if not isinstance(row, dict):
        return None
    kind = documents.text(row.get("transactiontype")) or ""
    receipt = references.receipt(row.get("transactionId"))
    amount = wire.amount(row.get("amount"))
    completed_at = _completed_at(row.get("trxDate"))
    if receipt is None or amount is None or amount.minor_units <= 0 or completed_at is None:
        return None
    if not _CAME_IN.fullmatch(kind.strip().casefold()):
        return None
    # `sender` is Daraja's own name for the network, not the payer's.
    payer, reference = payers.payer(row.get("msisdn")), c2b.reference(row.get("billreference"))
    return Received(receipt, shortcode, amount, completed_at, payer, reference)


def _completed_at(value: object) -> datetime | None:
    """The aware UTC time of "2026-09-01T11:02:09+03:00", in whole seconds, as the same receipt has it elsewhere; East
    Africa's where it names no zone."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return wire.timestamp(value)
    try:
        told = datetime.fromisoformat(value).replace(microsecond=0)
        return (told if told.tzinfo else told.replace(tzinfo=wire.EAST_AFRICA_TIME)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _second_from(moment: datetime) -> datetime:
    """The first whole second that is not before."""
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + timedelta(seconds=1)


def _local(moment: datetime) -> str:
    return moment.astimezone(wire.EAST_AFRICA_TIME).strftime("%Y-%m-%d %H:%M:%S")
