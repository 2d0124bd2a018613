"""What the resources of REST share: the parts of a request, and messages of the contract told as JSON.

Amounts are decimal text, never rounded; times are RFC 3339 in UTC; enum values are lower case without their prefix.
What the contract calls a ledger is a tenant here.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from daftari.v1 import money_pb2
from fastapi import Query
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict, Field

from api.caller import current_call
from api.core import Core
from ledger.errors import LedgerNotFound
from ledger.journal.books import Ledger
from ledger.money import format_minor_units, parse_decimal

_EXAMPLE = "1500.00"
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Where a prompt, a payout or a return stands, in the words of the webhooks.
STATUSES = {
    "requested": "accepted",
    "submitting": "accepted",
    "reserved": "accepted",
    "waiting": "submitted",
    "submitted": "submitted",
    "unknown": "unknown",
    "paid": "succeeded",
    "settled": "succeeded",
    "returned": "succeeded",
    "failed": "failed",
    "released": "failed",
    "cancelled": "cancelled",
    "conflicted": "in_review",
}

Amount = Annotated[
    Decimal | str, Field(description='Decimal, such as "1500.00" or 1500; never rounded', examples=[_EXAMPLE])
]
AmountShown = Annotated[str, Field(description="Decimal", examples=[_EXAMPLE])]
Status = Annotated[
    str,
    Field(
        description="accepted, submitted, unknown, succeeded, failed, cancelled or in_review", examples=["succeeded"]
    ),
]
Currency = Annotated[str, Field(description="ISO 4217; the ledger's own if left out", examples=["KES"], max_length=3)]
CurrencyShown = Annotated[str, Field(description="ISO 4217", examples=["KES"])]
Moment = Annotated[str, Field(description="RFC 3339, UTC", examples=["2026-11-28T09:30:00Z"])]
Msisdn = Annotated[str, Field(description="International form", examples=["254712345678"], max_length=32)]
Masked = Annotated[str, Field(description="With the middle hidden", examples=["2547****5678"])]
RequestId = Annotated[
    str,
    Field(description="Yours, unique; repeating it returns the first answer", examples=["order-17"], max_length=64),
]
TenantId = Annotated[str, Field(description="The ledger's code", examples=["kenya"], max_length=64)]
Tenant = Annotated[
    str, Query(description="The ledger's code; may be left out by keys of one ledger", max_length=64, alias="tenant_id")
]


class Body(BaseModel):
    """What is sent. A field that is not known is refused, for it may be a mistyped one."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Shown(BaseModel):
    """What is told, of a message with more in it."""

    model_config = ConfigDict(extra="ignore")


async def ledger_of(core: Core, code: str) -> Ledger:
    """The ledger that a request names, or the one that its key is bound to. Raises LedgerNotFound."""
    caller = current_call().caller
    if code or caller.ledger_id is None:
        return await core.ledgers.find(code, caller=caller)
    found = await core.ledgers.visible(caller=caller, after_code="", limit=1)
    if not found:
        raise LedgerNotFound("no ledger that this key may see", field="tenant_id")
    return found[0]


def money_of(amount: Decimal | str | None, *, currency: str) -> money_pb2.Money | None:
    """An amount as the contract carries it; None for none. Raises AmountInvalid, CurrencyUnknown."""
    if amount is None:
        return None
    parsed = parse_decimal(str(amount), currency)
    return money_pb2.Money(currency=currency, minor_units=parsed.minor_units)


def amount_text(minor_units: int, currency: str) -> str:
    """ "1500.00", for programs."""
    return format_minor_units(minor_units, currency).replace(",", "")


def shown(message: Message) -> dict[str, Any]:
    """A message as JSON; an amount is told as `amount` and `currency`, whatever its field is called is kept too."""
    told: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            told[field.name] = [_value(field.enum_type, one) for one in value]
        elif isinstance(value, money_pb2.Money):
            if message.HasField(field.name):
                told[field.name] = amount_text(value.minor_units, value.currency)
                told.setdefault("currency", value.currency)
        elif field.message_type is None or message.HasField(field.name):
            told[field.name] = _value(field.enum_type, value)
    return told


def _value(enum: Any, value: Any) -> Any:
    """`enum` describes the field's values where they are names."""
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, Message):
        return shown(value)
    if enum is not None:
        prefix = _HUMP.sub("_", enum.name).upper() + "_"
        return enum.values_by_number[value].name.removeprefix(prefix).lower()
    return value
