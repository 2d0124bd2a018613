"""Refusals over REST: those of gRPC, as an HTTP status and a small body in REST's own words. Quotes nothing that was
sent."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import grpc
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from api.conversion.refusals import CODES
from ledger.errors import LedgerError

HTTP_STATUS: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 422,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
# Refused before anything is read: too long, and not JSON.
_BEFORE_READING = (413, 415)
REQUEST_INVALID = "REQUEST_INVALID"
# Where the contract's words stand in a request over REST.
NAMES: Mapping[str, str] = {
    "ledger": "tenant_id",
    "request_id": "client_request_id",
    "amount.currency": "currency",
    "amount.minor_units": "amount",
    "principal.currency": "currency",
    "principal.minor_units": "amount",
    "principal": "amount",
}


class Rejected(BaseModel):
    """Nothing was done."""

    model_config = ConfigDict(
        title="Rejected",
        json_schema_extra={
            "examples": [
                {
                    "status": "rejected",
                    "error_code": "MSISDN_INVALID",
                    "error": "write the number in international form, such as 254712345678",
                    "field": "msisdn",
                }
            ]
        },
    )

    status: str = Field(default="rejected", description='Always "rejected"')
    error_code: str = Field(description="Stable; for programs")
    error: str = Field(description="What to do next; for people")
    field: str = Field(default="", description="The field at fault, where it is one")


_SHOWN = {"application/json": {"schema": {"$ref": "#/components/schemas/Rejected"}}}
# What every route may answer besides. The model is given once, which defines it: a field made of it anew for each
# status of each route is most of what starting this surface takes.
ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"description": HTTPStatus(status).phrase, "content": _SHOWN}
    for status in sorted({*HTTP_STATUS.values(), *_BEFORE_READING})
}
ANSWERS[400] = {"model": Rejected}


def renamed(error: LedgerError, names: Mapping[str, str]) -> LedgerError:
    """The same refusal with its field as REST calls it; `names` go by whole words of the path, the first that fits."""
    for wire, ours in names.items():
        if error.field == wire or error.field.startswith(f"{wire}."):
            field = (ours + error.field[len(wire) :]).removeprefix(".")
            return type(error)(error.message, field=field, **error.facts)
    return error


def rejection(refusal: LedgerError) -> JSONResponse:
    """The answer that tells a refusal."""
    refusal = renamed(refusal, NAMES)
    rejected = Rejected(error_code=refusal.reason, error=refusal.message, field=refusal.field)
    return JSONResponse(rejected.model_dump(), status_code=HTTP_STATUS.get(CODES[refusal.category], 500))


async def answer_invalid(_request: Request, error: Exception) -> JSONResponse:
    """A body that is not what the documents say, told like every other refusal and without quoting it."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    rejected = Rejected(error_code=REQUEST_INVALID, error=_told(first), field=".".join(place[1:])[:100])
    return JSONResponse(rejected.model_dump(), status_code=400)


async def answer_refused(_request: Request, error: Exception) -> JSONResponse:
    """What is refused before a route runs (no such path or method, a body that cannot be read) in the same form."""
    assert isinstance(error, HTTPException)
    rejected = Rejected(error_code=REQUEST_INVALID, error=error.detail)
    return JSONResponse(rejected.model_dump(), status_code=error.status_code, headers=error.headers)


def _told(first: Mapping[str, Any]) -> str:
    if first["type"] == "extra_forbidden":
        return "no such field; see /docs"
    return str(first["msg"])
