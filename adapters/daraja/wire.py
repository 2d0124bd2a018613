"""Values as Daraja writes them: JSON with numbers kept as text, amounts, East Africa Time, MSISDNs, ids. Pure.

Nothing here becomes a binary float, and nothing raises but Unreadable, whatever the bytes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from ledger.errors import AmountInvalid, CurrencyUnknown, MsisdnInvalid
from ledger.money import Money, parse_decimal
from ledger.msisdn import Msisdn

CURRENCY = "KES"

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
