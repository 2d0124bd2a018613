"""Values as Daraja writes them: JSON with numbers kept as text, amounts, East Africa Time, MSISDNs, ids. Pure.

Nothing here becomes a binary float, and nothing raises but Unreadable, whatever the bytes.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NoReturn

from ledger.errors import AmountInvalid, CurrencyUnknown, MsisdnInvalid
from ledger.money import Money, parse_decimal
from ledger.msisdn import Msisdn

CURRENCY = "KES"

# Some thirty times the longest message documented.
DOCUMENT_BYTES_MAX = 65_536

# Kenya keeps UTC+3 all year, and Daraja writes times without a zone.
EAST_AFRICA_TIME = timezone(timedelta(hours=3), "EAT")

# 1204310.5, "190.00", and what Java prints of a double from ten million on: 1.20431055E7.
_AMOUNT = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,10})?([eE]\+?[0-9]{1,2})?")
_COMPLETED_AT = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2})")
_TIMESTAMP = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})")
# What Java prints of such a number as a double.
_TIMESTAMP_AS_DOUBLE = re.compile(r"[0-9]\.[0-9]{1,13}[eE]\+?13")
_PARTY = re.compile(r"\s*\+?([0-9]{8,15})(?=\s|[-\u2013]|$)")
_SHORTCODE = re.compile(r"[0-9]{3,10}")
# Daraja's shortcodes have five to seven digits; eight or more are a telephone number.
_SHORTCODE_PARTY = re.compile(r"\s*([0-9]{3,7})(?=\s|[-\u2013]|$)")
_LOCAL_MSISDN = re.compile(r"0([17][0-9]{8})")
_IDENTIFIER = re.compile(r"[\x21-\x7e]{1,100}")
# Ten digits in a row are somebody's number, not a code; the longest code documented has nine.
_CODE = re.compile(r"(?!.*[0-9]{10})[A-Za-z0-9_.-]{1,64}")


class Unreadable(Exception):
    """The bytes are no document we know; `reason` is safe to show and quotes nothing of them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_document(body: bytes) -> dict[str, object]:
    """The JSON object in `body`, every number as the text it was written in. Raises Unreadable for anything else, for
    NaN, for a key told twice with different values, and for text a database cannot hold (NUL, half a surrogate)."""
    if len(body) > DOCUMENT_BYTES_MAX:
        raise Unreadable("the body is longer than any message documented")
    try:
        document: Any = json.loads(
            body.decode("utf-8-sig"),
            parse_int=str,
            parse_float=str,
            parse_constant=_refuse_constant,
            object_pairs_hook=_read_object,
        )
    except (ValueError, RecursionError):
        # The cause would carry the whole body, credentials and all, into a traceback.
        raise Unreadable("the body is not JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise Unreadable("the body is not a JSON object")
    return document


def text(value: object) -> str | None:
    """A JSON string, or a number as it was written; None for anything else."""
    return value if isinstance(value, str) else None


def printable(words: str) -> str:
    """Words for a person, in one line: whatever cannot be printed is a space, and none is left at the ends."""
    return "".join(character if character.isprintable() else " " for character in words).strip()


def identifier(value: object) -> str | None:
    """An id: up to 100 visible ASCII characters. Daraja's shapes vary too much to check more."""
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None


def code(value: object) -> str | None:
    """A result or error code, string or number, verbatim: 0, "SFC_IC0003", "400.002.02"."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def money(value: object, currency: str) -> Money | None:
    """The currency's amount of 10, 10.0, "-190.00" or 1.2E7; None if it is no amount, has a fraction of a minor unit,
    or is in no currency that the books hold."""
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        return None
    try:
        return parse_decimal(format(Decimal(value).normalize(), "f"), currency)
    except (AmountInvalid, CurrencyUnknown):
        return None


def amount(value: object) -> Money | None:
    """KES from 10, 10.0, "190.00" or 1.2E7; None if it is no amount or has a fraction of a cent."""
    return money(value, CURRENCY)


def completed_at(value: object) -> datetime | None:
    """The aware UTC time of "01.09.2026 10:15:36" in East Africa Time; None if it is no such time."""
    match = _COMPLETED_AT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    day, month, year, hour, minute, second = match.groups()
    return _east_africa(year, month, day, hour, minute, second)


def timestamp(value: object) -> datetime | None:
    """The aware UTC time of "20260901101536" in East Africa Time, also where the number was printed as a double; None
    if it is no such time."""
    if isinstance(value, str) and _TIMESTAMP_AS_DOUBLE.fullmatch(value):
        value = format(Decimal(value), "f")
    match = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    return None if match is None else _east_africa(*match.groups())


def shortcode(value: object) -> str | None:
    """A shortcode or till, string or number; None for anything else."""
    return value if isinstance(value, str) and _SHORTCODE.fullmatch(value) else None


def party_shortcode(value: object) -> str | None:
    """The shortcode of "600977 - NAME"; None if there is none, or a telephone number stands there."""
    match = _SHORTCODE_PARTY.match(value) if isinstance(value, str) else None
    return None if match is None else match.group(1)


def party_msisdn(value: object) -> Msisdn | None:
    """The number of "254700000017 - NAME", also in Kenya's local form (0700...); None if it is masked, missing or no
    number of any country. The name is a person's and is dropped here."""
    match = _PARTY.match(value) if isinstance(value, str) else None
    if match is None:
        return None
    digits = match.group(1)
    local = _LOCAL_MSISDN.fullmatch(digits)
    try:
        return Msisdn(f"254{local.group(1)}" if local else digits)
    except MsisdnInvalid:
        return None


def _east_africa(*parts: str) -> datetime | None:
    year, month, day, hour, minute, second = (int(part) for part in parts)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=EAST_AFRICA_TIME).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _read_object(members: list[tuple[str, object]]) -> dict[str, object]:
    document: dict[str, object] = {}
    for key, value in members:
        if key in document and document[key] != value:
            raise Unreadable("a key is told twice with different values")
        if not (_is_storable(key) and _is_storable(value)):
            raise Unreadable("a text holds characters that cannot be kept")
        document[key] = value
    return document


def _is_storable(value: object) -> bool:
    return not isinstance(value, str) or ("\x00" not in value and not re.search("[\ud800-\udfff]", value))


def _refuse_constant(name: str) -> NoReturn:
    raise Unreadable(f"{name} is not a JSON number")
