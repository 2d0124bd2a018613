"""Requests of the wire with sensible defaults, and what a refused call told."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc
import grpc.aio
import pytest
from daftari.v1 import journal_pb2 as pb
from daftari.v1 import money_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tests.builders import BANK, WALLET

Detail = TypeVar("Detail", bound=Message)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused call: its status and its google.rpc details. `field` is "" without a BadRequest."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    metadata: Mapping[str, str]
    field: str
    has_retry_delay: bool
    request_id: str


async def refusal(call: Awaitable[object]) -> Refusal:
    """Awaits a call that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return refusal_in(caught.value)


def refusal_in(error: grpc.aio.AioRpcError) -> Refusal:
    """What the error told; every refusal carries exactly one ErrorInfo."""
    status = rpc_status.from_call(error)
    assert status is not None, f"no details: {error.code()} {error.details()}"
    (info,) = _unpacked(status, error_details_pb2.ErrorInfo)
    fields = [one.field_violations[0].field for one in _unpacked(status, error_details_pb2.BadRequest)]
    return Refusal(
        code=error.code(),
        message=error.details() or "",
        reason=info.reason,
        domain=info.domain,
        metadata=dict(info.metadata),
        field=fields[0] if fields else "",
        has_retry_delay=bool(_unpacked(status, error_details_pb2.RetryInfo)),
        request_id=str(error.trailing_metadata().get("x-request-id", "")),
    )


def _unpacked(status: status_pb2.Status, kind: type[Detail]) -> list[Detail]:
    found: list[Detail] = []
    for detail in status.details:
        message = kind()
        if detail.Unpack(message):
            found.append(message)
    return found


def money(minor_units: int, currency: str = "KES") -> money_pb2.Money:
    """KES unless said otherwise."""
    return money_pb2.Money(currency=currency, minor_units=minor_units)


def debit(account: str, minor_units: int, currency: str = "KES") -> pb.Posting:
    """A debit line."""
    return pb.Posting(account=account, side=pb.SIDE_DEBIT, amount=money(minor_units, currency))


def credit(account: str, minor_units: int, currency: str = "KES") -> pb.Posting:
    """A credit line."""
    return pb.Posting(account=account, side=pb.SIDE_CREDIT, amount=money(minor_units, currency))


def transfer(minor_units: int, *, debited: str = BANK, credited: str = WALLET, kind: str = "transfer") -> pb.EntryDraft:
    """A two-line entry; by default money comes into the wallet."""
    return draft(debit(debited, minor_units), credit(credited, minor_units), kind=kind)


def draft(*postings: pb.Posting, kind: str = "transfer") -> pb.EntryDraft:
    """An entry without anything that may be left out."""
    return pb.EntryDraft(kind=kind, postings=postings)


def items(entries: Sequence[pb.EntryDraft], *, prefix: str = "item") -> list[pb.EntryItem]:
    """One item per entry, with request ids "item-0", "item-1" ..."""
    return [pb.EntryItem(request_id=f"{prefix}-{index}", entry=entry) for index, entry in enumerate(entries)]
