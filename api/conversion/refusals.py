"""Refusals on the wire: a gRPC status with google.rpc details for a call, an ItemError for one item of a set."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from daftari.v1 import money_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from ledger.errors import Category, LedgerError, Overloaded

DOMAIN = "daftari"
# How long a caller should leave a full queue alone; at the rates this service reaches, it is empty again by then.
RETRY_DELAY_MILLISECONDS = 500

CODES: Mapping[Category, grpc.StatusCode] = {
    Category.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Category.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Category.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Category.FAILED_PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    Category.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Category.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Category.RESOURCE_EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Category.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Category.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Category.INTERNAL: grpc.StatusCode.INTERNAL,
}


def code_number(refusal: LedgerError) -> int:
    """The status code as the wire numbers it."""
    number: int = CODES[refusal.category].value[0]
    return number


def status_of(refusal: LedgerError) -> status_pb2.Status:
    """The whole refusal: ErrorInfo always, BadRequest where a field is at fault, RetryInfo where waiting helps."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=refusal.facts)]
    if refusal.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=refusal.field, description=refusal.message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(refusal, Overloaded):
        delay = error_details_pb2.RetryInfo()
        delay.retry_delay.FromMilliseconds(RETRY_DELAY_MILLISECONDS)
        details.append(delay)
    return status_pb2.Status(
        code=code_number(refusal), message=refusal.message, details=[_packed(one) for one in details]
    )


def _packed(detail: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed


def item_error(refusal: LedgerError) -> money_pb2.ItemError:
    """The refusal of one item of a set."""
    return money_pb2.ItemError(
        code=code_number(refusal),
        reason=refusal.reason,
        message=refusal.message,
        field=refusal.field,
        metadata=refusal.facts,
    )
