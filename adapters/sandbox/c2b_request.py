"""Reads C2B and Pull requests: addresses to register, payments to pretend, windows of payments to list."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from adapters.sandbox import fields as read
from adapters.sandbox.apis import Api
from adapters.sandbox.c2b_setup import Registration, ResponseType
from adapters.sandbox.confirmations import REFERENCE_LENGTH_MAX
from adapters.sandbox.fields import Fields
from adapters.sandbox.identifiers import EAST_AFRICA_TIME
from adapters.sandbox.money_in import Command
from adapters.sandbox.refusals import Refused, invalid_field
from adapters.sandbox.settings import SandboxSettings

_OFFSET = re.compile(r"\d{1,9}", re.ASCII)
_VERSIONS = {Api.C2B_REGISTER_V1: "v1", Api.C2B_REGISTER_V2: "v2"}


@dataclass(frozen=True, slots=True)
class CustomerPayment:
    """What a customer sets out to pay, and the account number that ought to be typed. Cents may be broken shillings."""

    command: Command
    msisdn: str = field(repr=False)
    shortcode: str
    reference: str
    amount_cents: int


@dataclass(frozen=True, slots=True)
class PullRegistration:
    """Pull to be switched on for a shortcode."""

    shortcode: str


@dataclass(frozen=True, slots=True)
class PullQuery:
    """Payments from `start` to `end`, both included, from row `offset` on."""

    start: datetime
    end: datetime
    offset: int


def read_registration(fields: Fields, *, api: Api, settings: SandboxSettings) -> Registration:
    """Addresses for the shortcode or the till. Raises Refused naming the first bad field."""
    return Registration(
        shortcode=read.one_of(fields, "ShortCode", {settings.shortcode, settings.till}),
        version=_VERSIONS[api],
        response_type=ResponseType(read.one_of(fields, "ResponseType", {kind.value for kind in ResponseType})),
        confirmation_url=read.url(fields, "ConfirmationURL", settings),
        validation_url=read.url(fields, "ValidationURL", settings),
    )


def read_simulation(fields: Fields, settings: SandboxSettings) -> CustomerPayment:
    """A payment to pretend. Raises Refused naming the first bad field."""
    shortcode = read.one_of(fields, "ShortCode", {settings.shortcode, settings.till})
    command = Command(read.one_of(fields, "CommandID", {command.value for command in Command}))
    shillings = read.shillings(fields)
    msisdn = read.msisdn(fields, "Msisdn")
    read.require((shortcode == settings.till) is (command is Command.BUY_GOODS), "CommandID")
    reference = read.optional_text(fields, "BillRefNumber", length_max=REFERENCE_LENGTH_MAX)
    read.require(bool(reference) or command is Command.BUY_GOODS, "BillRefNumber")
    return CustomerPayment(command, msisdn, shortcode, reference, shillings * 100)


def read_pull_registration(fields: Fields, settings: SandboxSettings) -> PullRegistration:
    """Pull for the shortcode; the nominated number is a phone. Raises Refused naming the first bad field."""
    shortcode = read.one_of(fields, "ShortCode", {settings.shortcode, settings.till})
    read.one_of(fields, "RequestType", {"Pull"})
    read.msisdn(fields, "NominatedNumber")
    read.url(fields, "CallBackURL", settings)
    return PullRegistration(shortcode)


def read_pull_query(fields: Fields, *, registered: set[str], settings: SandboxSettings) -> PullQuery:
    """A window in Nairobi time. Raises Refused naming the first bad field; no document says how a shortcode that is not
    registered is answered, and here it is a bad field."""
    shortcode = read.one_of(fields, "ShortCode", {settings.shortcode, settings.till})
    read.require(shortcode in registered, "ShortCode")
    start, end = _moment(fields, "StartDate"), _moment(fields, "EndDate")
    read.require(start <= end, "EndDate")
    offset = read.number_or_text(fields.get("OffSetValue"))
    read.require(_OFFSET.fullmatch(offset) is not None, "OffSetValue")
    return PullQuery(start=start, end=end, offset=int(offset))


def _moment(fields: Fields, name: str) -> datetime:
    text = read.number_or_text(fields.get(name))
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=EAST_AFRICA_TIME)
    except ValueError:
        raise Refused(invalid_field(name)) from None
