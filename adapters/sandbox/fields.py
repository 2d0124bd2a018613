"""Reads the fields of a request as strictly as Daraja does and no stricter, so that other people's clients pass.

Numbers come as numbers or strings, unknown fields are let be. What does not pass raises Refused with the field's name.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import httpx

from adapters.sandbox.refusals import INVALID_PAYLOAD, Refused, invalid_field
from adapters.sandbox.settings import SandboxSettings

REMARKS_LENGTHS = range(2, 101)
OCCASION_LENGTH_MAX = 100
AMOUNT_DIGITS_MAX = 12
TIMESTAMP_LENGTH = 14

# Daraja's rules for callback addresses: none of these words, in any case, anywhere in it.
FORBIDDEN_IN_URLS = ("mpesa", "m-pesa", "safaricom", "exe", "exec", "cmd", "sql", "query", "ngrok", "requestbin")

_KENYAN_MSISDN = re.compile(r"254[17]\d{8}", re.ASCII)
_SHORTCODE = re.compile(r"\d{5,7}", re.ASCII)
_WHOLE_AMOUNT = re.compile(rf"\d{{1,{AMOUNT_DIGITS_MAX}}}", re.ASCII)

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a request wants its result and its queue-timeout notice. Both hold secret path tokens."""

    result_url: str = field(repr=False)
    timeout_url: str = field(repr=False)


def parse(body: bytes) -> Fields:
    """The JSON object in the body. Raises Refused with 400.002.05."""
    try:
        # Decimal keeps 10.50 as it was written; a float would not.
        document = json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refused(INVALID_PAYLOAD) from None
    if not isinstance(document, dict):
        raise Refused(INVALID_PAYLOAD)
    return document


def require(condition: bool, name: str) -> None:
    """Raises Refused with 400.002.02 naming the field, unless the condition holds."""
    if not condition:
        raise Refused(invalid_field(name))


def text(fields: Fields, name: str, length_max: int) -> str:
    """A string that is there and not empty."""
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= length_max:
        raise Refused(invalid_field(name))
    return value


def optional_text(fields: Fields, *names: str, length_max: int) -> str:
    """A string or number under the first of the names that holds one; empty where none does."""
    value = number_or_text(next((fields[name] for name in names if fields.get(name)), ""))
    require(len(value) <= length_max, names[0])
    return value


def one_of(fields: Fields, name: str, known: Collection[str]) -> str:
    """A string or number that is one of the known values."""
    value = number_or_text(fields.get(name))
    require(value in known, name)
    return value


def initiator(fields: Fields, name: str, settings: SandboxSettings) -> None:
    """The name of the API operator, under the field this API has for it."""
    require(text(fields, name, 100) == settings.initiator_name, name)


def remarks(fields: Fields) -> None:
    """Remarks of a permitted length."""
    require(len(text(fields, "Remarks", 100)) in REMARKS_LENGTHS, "Remarks")


def shillings(fields: Fields) -> int:
    """`Amount` in whole shillings, more than 0: 10, "10" and 10.0 pass; 10.5, "10.00", "1e3" and true do not."""
    value = fields.get("Amount")
    if isinstance(value, Decimal) and value.adjusted() < AMOUNT_DIGITS_MAX and value == value.to_integral_value():
        value = int(value)
    amount = number_or_text(value)
    require(_WHOLE_AMOUNT.fullmatch(amount) is not None and int(amount) > 0, "Amount")
    return int(amount)


def msisdn(fields: Fields, name: str) -> str:
    """A Kenyan mobile number, 254 and nine digits."""
    value = number_or_text(fields.get(name))
    require(_KENYAN_MSISDN.fullmatch(value) is not None, name)
    return value


def shortcode(fields: Fields, name: str) -> str:
    """A shortcode or till."""
    value = number_or_text(fields.get(name))
    require(_SHORTCODE.fullmatch(value) is not None, name)
    return value


def timestamp(fields: Fields, name: str) -> str:
    """A time as fourteen digits, which is one."""
    value = number_or_text(fields.get(name))
    try:
        # Daraja's page wants one of these; whose clock it was read from is not checked.
        datetime.strptime(f"{value}Z", "%Y%m%d%H%M%S%z")
    except ValueError:
        raise Refused(invalid_field(name)) from None
    require(len(value) == TIMESTAMP_LENGTH, name)
    return value


def addresses(fields: Fields, settings: SandboxSettings) -> Addresses:
    """Both callback addresses, each one that may be called."""
    timeout_url = url(fields, "QueueTimeOutURL", settings)
    return Addresses(result_url=url(fields, "ResultURL", settings), timeout_url=timeout_url)


def url(fields: Fields, name: str, settings: SandboxSettings) -> str:
    """An address that may be called: on loopback or a host on the list, without a forbidden word."""
    address = text(fields, name, 2048)
    require(not any(word in address.lower() for word in FORBIDDEN_IN_URLS), name)
    try:
        # The same parser the courier sends with, so that no address can mean one host here and another there.
        parsed = httpx.URL(address)
    except httpx.InvalidURL:
        raise Refused(invalid_field(name)) from None
    require(parsed.scheme in {"http", "https"} and _may_be_called(parsed.host, settings), name)
    return address


def number_or_text(value: object) -> str:
    """A number or a string as text; anything else is empty."""
    return str(value) if isinstance(value, int | str) else ""


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _may_be_called(host: str, settings: SandboxSettings) -> bool:
    if host in settings.callback_hosts or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
