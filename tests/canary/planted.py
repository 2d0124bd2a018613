"""Leaks on purpose, one test for each way out. Not collected with the others: test_proof runs it and wants each to die.

Every test's docstring names what its death must say.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import grpc
import grpc.aio
import httpx
import psycopg
import pytest
import structlog
import typer
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response
from typer.testing import CliRunner

from adapters.transport import Secret
from api.metrics import Metrics
from ledger.database import conninfo, transaction
from tests.fix_canary import WATCH
from tests.fix_database import Database

NUMBER = "254712345678"
KEY = f"dft_0SC7NZRHXWNNY_{secrets.token_hex(32)}"
WEBHOOK_SECRET = "whsec_" + "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE="
METHOD = "/daftari.v1.Planted/Call"
NOW = datetime(2026, 9, 1, tzinfo=UTC)
LEDGER = """
INSERT INTO ledgers (code, name, base_currency, time_zone, created_at)
VALUES (%s, %s, 'KES', 'Africa/Nairobi', '2026-09-01')
"""
TOKEN = "INSERT INTO provider_tokens (app, sealed, usable_until) VALUES (%s, %s, '2026-09-01')"

log = structlog.get_logger(__name__)


def write(database: Database, statement: str, *values: object) -> None:
    """A row that the application writes."""
    with psycopg.connect(conninfo(database.app)) as session:
        session.execute(statement.encode(), values)


async def call(abort: Callable[[grpc.aio.ServicerContext[bytes, bytes]], object]) -> None:
    """A call to a server in this process that ends as `abort` has it."""

    async def method(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        await abort(context)  # type: ignore[misc]  # never returns
        return b""

    handler = grpc.unary_unary_rpc_method_handler(method, request_deserializer=bytes, response_serializer=bytes)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("daftari.v1.Planted", {"Call": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary(METHOD, request_serializer=bytes, response_deserializer=bytes)(b"")
    await server.stop(0)


def test_a_record_at_debug_level() -> None:
    """log ledger.payouts DEBUG shows a full MSISDN"""
    logging.getLogger("ledger.payouts").debug("paid to %s", NUMBER)


def test_a_traceback_of_a_record() -> None:
    """log adapters ERROR shows an API key"""
    try:
        raise RuntimeError(KEY)
    except RuntimeError:
        logging.getLogger("adapters").exception("it broke")


async def test_a_statement_that_is_logged(engine: AsyncEngine) -> None:
    """log sqlalchemy.engine.Engine INFO shows a full MSISDN"""
    async with transaction(engine) as connection:
        await connection.execute(text(f"SELECT '{NUMBER}'"))


def test_an_event_that_somebody_captures() -> None:
    """log event payout.settled (info) shows a full MSISDN"""
    with structlog.testing.capture_logs():
        log.info("payout.settled", payee="0712345678")


def test_an_event_of_a_bound_logger() -> None:
    """log event token.granted (debug) shows a value that is typed as a secret"""
    token = Secret("kJ8sQ2mN7vB4cZ8xW1yT")
    log.bind(token=token.reveal()).debug("token.granted")


def test_standard_output() -> None:
    """captured stdout shows a webhook's signing secret"""
    sys.stdout.write(WEBHOOK_SECRET)


def test_standard_error() -> None:
    """captured stderr shows a value that is typed as a secret"""
    sys.stderr.write(SecretStr("correct horse battery").get_secret_value())


async def test_the_details_of_a_grpc_error() -> None:
    """gRPC error NOT_FOUND, details shows a full MSISDN"""
    await call(lambda context: context.abort(grpc.StatusCode.NOT_FOUND, f"no such payee: +{NUMBER}"))


async def test_the_metadata_of_a_grpc_error() -> None:
    """gRPC error INTERNAL, metadata grpc-status-details-bin shows an API key"""
    details = (("grpc-status-details-bin", b"\x0a" + KEY.encode() + b"\x12"),)
    await call(lambda context: context.abort(grpc.StatusCode.INTERNAL, "broken", details))


async def test_a_refusal_over_http() -> None:
    """HTTP answer 404 shows a secret that was made in this run"""
    edge = FastAPI(title="Daftari")

    @edge.get("/{token}")
    async def refuse(token: str) -> Response:
        return Response(f"no callback {token}", status_code=404)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://edge") as client:
        await client.get(f"/{secrets.token_hex(32)}")


async def test_a_label_of_a_metric(engine: AsyncEngine) -> None:
    """metrics shows a full MSISDN"""
    metrics = Metrics()
    metrics.calls.labels(f"pay/{NUMBER}", "OK").inc()
    await metrics.exposition(engine, now=lambda: NOW)


def test_a_command_in_this_process() -> None:
    """stdout of `daftari key list` shows an API key"""
    app = typer.Typer()

    @app.command()
    def main(words: list[str]) -> None:
        typer.echo(f"{words[0]}s: {KEY}")

    CliRunner().invoke(app, ["key", "list"])


def test_a_command_in_a_process_of_its_own() -> None:
    """stderr of `daftari key create` shows an Authorization header"""
    WATCH.hear_command(["key", "create", "x"], out=KEY, err="refused: Bearer abcdefgh12345678")


def test_a_row_of_the_tests_own_database(fresh_database: Database) -> None:
    """table ledgers of a dump shows a full MSISDN"""
    write(fresh_database, LEDGER, "planted", f"Books of {NUMBER}")


def test_a_callback_token_in_a_row(fresh_database: Database) -> None:
    """table provider_tokens of a dump shows a secret that was made in this run"""
    write(fresh_database, TOKEN, secrets.token_hex(32), secrets.token_bytes(64))


def test_bytes_that_are_not_sealed(fresh_database: Database) -> None:
    """table provider_tokens of a dump holds plain text in sealed"""
    write(fresh_database, TOKEN, "daraja", b"plain")


def test_a_secret_among_bytes(fresh_database: Database) -> None:
    """table provider_tokens of a dump shows an API key"""
    write(fresh_database, TOKEN, "daraja", b"\xff\x00" + KEY.encode())


def test_what_may_be_seen_is_no_leak(fresh_database: Database) -> None:
    """passes"""
    log.info("payout.settled", payee="2547****5678", entry=914490163950759711, took=1.0712345678)
    logging.getLogger("api").info("key dft_0SC7NZRHXWNNY, secret whsec_***, %s", secrets.token_hex(16))
    WATCH.hear_command(["key", "create", "x"], out=KEY, err="")
    write(fresh_database, TOKEN, "daraja", secrets.token_bytes(64))


async def test_what_the_provider_and_the_tests_say_is_not_ours() -> None:
    """passes"""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(FastAPI()), base_url="http://daraja") as client:
        await asyncio.create_task(client.get(f"/{NUMBER}"))


def test_last_a_row_of_the_database_that_all_share(database: Database) -> None:
    """table ledgers of a dump shows a full MSISDN"""
    write(database, LEDGER, "planted", f"Books of {NUMBER}")
