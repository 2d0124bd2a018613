"""Reads STK push requests and STK queries, field by field in the documents' order."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field

from adapters.sandbox import fields as read
from adapters.sandbox.fields import Fields
from adapters.sandbox.money_in import SHILLINGS_MAX, Command
from adapters.sandbox.refusals import UNKNOWN_MERCHANT, WRONG_CREDENTIALS, Refused
from adapters.sandbox.settings import SandboxSettings

DESCRIPTION_LENGTH_MAX = 13
CHECKOUT_LENGTH_MAX = 100
# A till under CustomerPayBillOnline, a paybill under CustomerBuyGoodsOnline: Daraja's result codes for either.
_NOT_OF_THE_PAYBILL, _NOT_A_TILL = "2028", "SFC_IC0003"
_ABOVE_MAXIMUM = "3"


@dataclass(frozen=True, slots=True)
class PushRequest:
    """A prompt asked for. `objection` is the result code it will end with, "0" for none."""

    command: Command
    shillings: int
    msisdn: str = field(repr=False)
    shortcode: str
    reference: str
    objection: str
    callback_url: str = field(repr=False)


def read_push(fields: Fields, settings: SandboxSettings) -> PushRequest:
    """An STK push request. Raises Refused naming the first bad field, or for credentials that are not ours."""
    credentials = _credentials(fields)
    command = Command(read.one_of(fields, "TransactionType", {command.value for command in Command}))
    shillings = read.shillings(fields)
    read.msisdn(fields, "PartyA")
    receiver = read.shortcode(fields, "PartyB")
    msisdn = read.msisdn(fields, "PhoneNumber")
    callback_url = read.url(fields, "CallBackURL", settings)
    reference = read.optional_text(fields, "AccountReference", length_max=settings.account_reference_length_max)
    read.require(bool(reference), "AccountReference")
    # A request without TransactionDesc was answered under this other name, though the page calls it optional.
    read.require(bool(fields.get("TransactionDesc")), "Remarks")
    read.optional_text(fields, "TransactionDesc", length_max=DESCRIPTION_LENGTH_MAX)
    credentials.require_ours(settings)
    return PushRequest(
        command=command,
        shillings=shillings,
        msisdn=msisdn,
        shortcode=receiver,
        reference=reference,
        objection=_objection(command, receiver, shillings, settings),
        callback_url=callback_url,
    )


def read_query(fields: Fields, settings: SandboxSettings) -> str:
    """The CheckoutRequestID asked about. Raises Refused as for a push."""
    credentials = _credentials(fields)
    checkout_request_id = read.text(fields, "CheckoutRequestID", CHECKOUT_LENGTH_MAX)
    credentials.require_ours(settings)
    return checkout_request_id


@dataclass(frozen=True, slots=True)
class _Credentials:
    shortcode: str
    password: str = field(repr=False)
    timestamp: str

    def require_ours(self, settings: SandboxSettings) -> None:
        """Raises Refused for another's shortcode, or a password that is not made of ours, the passkey and this time."""
        if self.shortcode != settings.shortcode:
            raise Refused(UNKNOWN_MERCHANT)
        made = base64.b64encode(f"{self.shortcode}{settings.passkey}{self.timestamp}".encode())
        if not hmac.compare_digest(made, self.password.encode()):
            raise Refused(WRONG_CREDENTIALS)


def _credentials(fields: Fields) -> _Credentials:
    return _Credentials(
        shortcode=read.shortcode(fields, "BusinessShortCode"),
        password=read.text(fields, "Password", 1024),
        timestamp=read.timestamp(fields, "Timestamp"),
    )


def _objection(command: Command, receiver: str, shillings: int, settings: SandboxSettings) -> str:
    if command is Command.PAY_BILL and receiver != settings.shortcode:
        return _NOT_OF_THE_PAYBILL
    if command is Command.BUY_GOODS and receiver != settings.till:
        return _NOT_A_TILL
    return _ABOVE_MAXIMUM if shillings > SHILLINGS_MAX else "0"
