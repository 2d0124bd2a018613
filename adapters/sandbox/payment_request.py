"""Reads B2C, B2B and tax payment requests, field by field in the documents' order."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.sandbox import fields as read
from adapters.sandbox.apis import Api
from adapters.sandbox.fields import Addresses, Fields
from adapters.sandbox.products import PRODUCTS, Product, Receiver
from adapters.sandbox.refusals import Refused, invalid_field
from adapters.sandbox.settings import SandboxSettings

ORIGINATOR_LENGTH_MAX = 100  # no limit is published; UUIDs are used in production
ACCOUNT_REFERENCE_LENGTH_MAX = 13
TAX_SHORTCODE = "572572"  # the Kenya Revenue Authority

# Daraja's identifier types: MSISDN, till, shortcode.
IDENTIFIER_TYPES = ("1", "2", "4")
ORGANISATION_TYPE = "4"
WRONG_TYPE_CODE = "SFC_IC0003"  # the type is known, but is not that of the receiver


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """A request that passed the gateway. `originator_conversation_id` is None where the API carries none. The receiver
    is an MSISDN or a shortcode, the other is empty. `objection` is a result code the core will find, "0" for none."""

    product: Product
    originator_conversation_id: str | None
    security_credential: str = field(repr=False)
    shillings: int
    msisdn: str = field(repr=False)
    shortcode: str
    account: str
    occasion: str
    objection: str
    addresses: Addresses
    body: bytes = field(repr=False)


def read_b2c(fields: Fields, body: bytes, *, api: Api, settings: SandboxSettings) -> PaymentRequest:
    """A B2C request: on v3 under the client's own id, on v1 under none. Raises Refused naming the first bad field."""
    originator = _originator(fields) if api is Api.B2C_V3 else None
    read.initiator(fields, "InitiatorName", settings)
    credential = read.text(fields, "SecurityCredential", 4096)
    product = _product(fields, api)
    shillings = read.shillings(fields)
    read.one_of(fields, "PartyA", {settings.shortcode})
    msisdn = read.msisdn(fields, "PartyB")
    read.remarks(fields)
    return PaymentRequest(
        product=product,
        originator_conversation_id=originator,
        security_credential=credential,
        shillings=shillings,
        msisdn=msisdn,
        shortcode="",
        account="",
        objection=product.declined_with,
        addresses=read.addresses(fields, settings),
        occasion=_occasion(fields),
        body=body,
    )


def read_b2b(fields: Fields, body: bytes, *, api: Api, settings: SandboxSettings) -> PaymentRequest:
    """A B2B or tax request, with the provider's spelling of RecieverIdentifierType. Raises Refused naming the first bad
    field."""
    read.initiator(fields, "Initiator", settings)
    credential = read.text(fields, "SecurityCredential", 4096)
    product = _product(fields, api)
    read.one_of(fields, "SenderIdentifierType", {ORGANISATION_TYPE})
    receiver_type = read.one_of(fields, "RecieverIdentifierType", IDENTIFIER_TYPES)
    shillings = read.shillings(fields)
    read.one_of(fields, "PartyA", {settings.shortcode})
    shortcode = read.shortcode(fields, "PartyB")
    read.require(api is not Api.TAX or shortcode == TAX_SHORTCODE, "PartyB")
    account = read.text(fields, "AccountReference", ACCOUNT_REFERENCE_LENGTH_MAX)
    read.remarks(fields)
    addresses = read.addresses(fields, settings)
    if fields.get("Requester"):
        read.msisdn(fields, "Requester")
    return PaymentRequest(
        product=product,
        originator_conversation_id=None,
        security_credential=credential,
        shillings=shillings,
        msisdn="",
        shortcode=shortcode,
        account=account,
        objection=_type_objection(product, receiver_type, settings),
        addresses=addresses,
        occasion=_occasion(fields),
        body=body,
    )


def _originator(fields: Fields) -> str:
    return read.text(fields, "OriginatorConversationID", ORIGINATOR_LENGTH_MAX)


def _product(fields: Fields, api: Api) -> Product:
    command = fields.get("CommandID")
    known = PRODUCTS[api]
    if not isinstance(command, str) or command not in known:
        raise Refused(invalid_field("CommandID"))
    return known[command]


def _type_objection(product: Product, receiver_type: str, settings: SandboxSettings) -> str:
    reaching = {ORGANISATION_TYPE} if product.receiver is Receiver.ORGANISATION else settings.till_identifier_types
    return product.declined_with if receiver_type in reaching else WRONG_TYPE_CODE


def _occasion(fields: Fields) -> str:
    return read.optional_text(fields, "Occassion", "Occasion", length_max=read.OCCASION_LENGTH_MAX)
