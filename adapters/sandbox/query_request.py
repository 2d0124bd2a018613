"""Reads requests that ask: transaction status, by receipt or by the originator's id, and account balance."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.sandbox import fields as read
from adapters.sandbox.apis import Api
from adapters.sandbox.fields import Addresses, Fields
from adapters.sandbox.payment_request import ORGANISATION_TYPE, ORIGINATOR_LENGTH_MAX
from adapters.sandbox.settings import SandboxSettings

COMMANDS = {Api.STATUS: "TransactionStatusQuery", Api.BALANCE: "AccountBalance"}


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """A question that passed the gateway. `receipt` and `originator_conversation_id` say which payment a status query
    is about: one of them at least; for a balance query both are empty."""

    security_credential: str = field(repr=False)
    receipt: str
    originator_conversation_id: str
    addresses: Addresses
    body: bytes = field(repr=False)


def read_query(fields: Fields, body: bytes, *, api: Api, settings: SandboxSettings) -> QueryRequest:
    """A query of either kind. Raises Refused naming the first bad field."""
    read.initiator(fields, "Initiator", settings)
    credential = read.text(fields, "SecurityCredential", 4096)
    read.one_of(fields, "CommandID", {COMMANDS[api]})
    read.one_of(fields, "PartyA", {settings.shortcode})
    read.one_of(fields, "IdentifierType", {ORGANISATION_TYPE})
    addresses = read.addresses(fields, settings)
    read.remarks(fields)
    read.optional_text(fields, "Occasion", length_max=read.OCCASION_LENGTH_MAX)
    receipt = read.optional_text(fields, "TransactionID", length_max=ORIGINATOR_LENGTH_MAX)
    originator = read.optional_text(fields, "OriginalConversationID", length_max=ORIGINATOR_LENGTH_MAX)
    read.require(api is not Api.STATUS or bool(receipt or originator), "TransactionID")
    return QueryRequest(
        security_credential=credential,
        receipt=receipt,
        originator_conversation_id=originator,
        addresses=addresses,
        body=body,
    )
