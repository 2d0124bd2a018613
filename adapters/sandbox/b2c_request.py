"""Reads a B2C payment request as strictly as Daraja does and no stricter, so that other people's clients pass.

Parties and amounts come as numbers or strings, `Occasion` in either spelling, unknown fields are let be.
"""

from __future__ import annotations

import enum
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import httpx

from adapters.sandbox.refusals import INVALID_PAYLOAD, Refused, invalid_field
from adapters.sandbox.settings import SandboxSettings

COMMANDS = ("SalaryPayment", "BusinessPayment", "PromotionPayment")
REMARKS_LENGTHS = range(2, 101)
OCCASION_LENGTH_MAX = 100
ORIGINATOR_LENGTH_MAX = 100  # no limit is published; UUIDs are used in production
AMOUNT_DIGITS_MAX = 12

# Daraja's rules for callback addresses: none of these words, in any case, anywhere in it.
FORBIDDEN_IN_URLS = ("mpesa", "m-pesa", "safaricom", "exe", "exec", "cmd", "sql", "query", "ngrok", "requestbin")

_KENYAN_MSISDN = re.compile(r"254[17]\d{8}", re.ASCII)
_WHOLE_AMOUNT = re.compile(rf"\d{{1,{AMOUNT_DIGITS_MAX}}}", re.ASCII)


class Version(enum.Enum):
    """v3 carries the client's OriginatorConversationID; v1 has none, and so no protection against paying twice."""

    V1 = "v1"
    V3 = "v3"

    @property
    def first_field(self) -> str:
        """The field Daraja names when the body did not come as JSON."""
        return "OriginatorConversationID" if self is Version.V3 else "InitiatorName"


@dataclass(frozen=True, slots=True)
class B2CRequest:
    """A request that passed the gateway. `originator_conversation_id` is None on v1. Secrets stay out of `repr`."""

    originator_conversation_id: str | None
    security_credential: str = field(repr=False)
    shillings: int
    msisdn: str = field(repr=False)
    occasion: str
    result_url: str = field(repr=False)
    timeout_url: str = field(repr=False)
    body: bytes = field(repr=False)


Fields = Mapping[str, object]


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


def read(fields: Fields, *, body: bytes, version: Version, settings: SandboxSettings) -> B2CRequest:
    """Checks every field in the documents' order. Raises Refused with 400.002.02 naming the first bad one."""
    originator = _text(fields, "OriginatorConversationID", ORIGINATOR_LENGTH_MAX) if version is Version.V3 else None
    _require(_text(fields, "InitiatorName", 100) == settings.initiator_name, "InitiatorName")
    credential = _text(fields, "SecurityCredential", 4096)
    _require(fields.get("CommandID") in COMMANDS, "CommandID")
    shillings = _amount(fields.get("Amount"))
    _require(_number_or_text(fields.get("PartyA")) == settings.shortcode, "PartyA")
    msisdn = _number_or_text(fields.get("PartyB"))
    _require(_KENYAN_MSISDN.fullmatch(msisdn) is not None, "PartyB")
    _require(len(_text(fields, "Remarks", 100)) in REMARKS_LENGTHS, "Remarks")
    return B2CRequest(
        originator_conversation_id=originator,
        security_credential=credential,
        shillings=shillings,
        msisdn=msisdn,
        timeout_url=_url(fields, "QueueTimeOutURL", settings),
        result_url=_url(fields, "ResultURL", settings),
        occasion=_occasion(fields),
        body=body,
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _require(condition: bool, name: str) -> None:
    if not condition:
        raise Refused(invalid_field(name))


def _text(fields: Fields, name: str, length_max: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= length_max:
        raise Refused(invalid_field(name))
    return value


def _number_or_text(value: object) -> str:
    return str(value) if isinstance(value, int | str) else ""


def _amount(value: object) -> int:
    # 10, "10" and 10.0 are whole; 10.5, "10.00", "1e3" and true are not amounts Daraja takes.
    if isinstance(value, Decimal) and value.adjusted() < AMOUNT_DIGITS_MAX and value == value.to_integral_value():
        value = int(value)
    text = _number_or_text(value)
    _require(_WHOLE_AMOUNT.fullmatch(text) is not None and int(text) > 0, "Amount")
    return int(text)


def _occasion(fields: Fields) -> str:
    occasion = _number_or_text(fields.get("Occassion") or fields.get("Occasion") or "")
    _require(len(occasion) <= OCCASION_LENGTH_MAX, "Occassion")
    return occasion


def _url(fields: Fields, name: str, settings: SandboxSettings) -> str:
    text = _text(fields, name, 2048)
    _require(not any(word in text.lower() for word in FORBIDDEN_IN_URLS), name)
    try:
        # The same parser the courier sends with, so that no address can mean one host here and another there.
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise Refused(invalid_field(name)) from None
    _require(url.scheme in {"http", "https"} and _may_be_called(url.host, settings), name)
    return text


def _may_be_called(host: str, settings: SandboxSettings) -> bool:
    if host in settings.callback_hosts or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
