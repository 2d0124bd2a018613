"""`daftari webhook`: where partners are told, the secrets that sign it, and what was told. A secret is printed once."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.egress import check_url
from api.commands.opening import run
from api.conversion.webhooks import delivery_id_of, endpoint_id_of, overlap_of
from api.tables import console, table
from api.wiring import Application
from ledger import partners
from ledger.database import run as run_transaction
from ledger.ids import encode
from ledger.journal import books
from ledger.journal.books import Ledger
from ledger.webhooks import endpoints, history
from ledger.webhooks.endpoints import ENDPOINT_PREFIX, Endpoint, Told
from ledger.webhooks.history import Delivery, DeliveryState

app = typer.Typer(help="Webhooks: where partners are told, and what was told.", no_args_is_help=True)
Result = TypeVar("Result")
LedgerOption = Annotated[str, typer.Argument(help="Ledger code")]
EndpointOption = Annotated[str, typer.Argument(help="whk_ and 13 characters")]
_ID_MAX = 2**63 - 1


@app.command("create")
def create_command(
    ledger: LedgerOption,
    partner: Annotated[str, typer.Argument(help="Partner code")],
    url: Annotated[str, typer.Argument(help="https; a public host")],
) -> None:
    """Adds an endpoint and prints its first secret, once."""

    async def command(application: Application, connection: AsyncConnection, books_of: Ledger) -> Told:
        check_url(url, rules=application.webhook_rules)
        found = await partners.find_partner(connection, ledger_id=books_of.id, code=partner)
        return await endpoints.create_endpoint(
            connection,
            ledger_id=books_of.id,
            partner_id=found.id,
            url=url,
            request_id=f"cli-{secrets.token_hex(16)}",
            secret=secrets.token_bytes(endpoints.SECRET_BYTES),
            sealer=application.webhook_sealer,
            ids=application.ids,
            now=application.now(),
        )

    _print_told(_in_ledger(ledger, command))


@app.command("rotate")
def rotate_command(
    ledger: LedgerOption,
    endpoint: EndpointOption,
    overlap_hours: Annotated[int, typer.Option(min=1, max=720, help="How long the old secret signs too")] = 24,
) -> None:
    """Makes a new secret and prints it, once; the one before signs beside it for a while."""
    overlap = overlap_of(int(timedelta(hours=overlap_hours).total_seconds()))

    async def command(application: Application, connection: AsyncConnection, books_of: Ledger) -> Told:
        return await endpoints.rotate_secret(
            connection,
            ledger_id=books_of.id,
            partner_id=None,
            endpoint_id=endpoint_id_of(endpoint),
            request_id=f"cli-{secrets.token_hex(16)}",
            overlap=overlap,
            secret=secrets.token_bytes(endpoints.SECRET_BYTES),
            sealer=application.webhook_sealer,
            ids=application.ids,
            now=application.now(),
        )

    _print_told(_in_ledger(ledger, command))


@app.command("list")
def list_command(ledger: LedgerOption) -> None:
    """Lists endpoints."""

    async def command(application: Application, connection: AsyncConnection, books_of: Ledger) -> list[Endpoint]:
        return await endpoints.list_endpoints(connection, ledger_id=books_of.id, partner_id=None, after=0, limit=500)

    rows = [(_name(one), one.partner, one.url, _stands(one)) for one in _in_ledger(ledger, command)]
    console().print(table("Webhook endpoints", ("endpoint", "partner", "URL", "stands"), rows))


@app.command("disable")
def disable_command(
    ledger: LedgerOption,
    endpoint: EndpointOption,
    reason: Annotated[str, typer.Option(help="Why")],
) -> None:
    """Stops telling an endpoint; what waits for it stays."""

    async def command(application: Application, connection: AsyncConnection, books_of: Ledger) -> Endpoint:
        return await endpoints.disable_endpoint(
            connection,
            ledger_id=books_of.id,
            partner_id=None,
            endpoint_id=endpoint_id_of(endpoint),
            why=reason,
            now=application.now(),
        )

    console().print(f"{endpoint} is {_stands(_in_ledger(ledger, command))}")


@app.command("enable")
def enable_command(ledger: LedgerOption, endpoint: EndpointOption) -> None:
    """Tells a disabled endpoint again."""

    async def command(application: Application, connection: AsyncConnection, books_of: Ledger) -> Endpoint:
        place = endpoint_id_of(endpoint)
        return await endpoints.enable_endpoint(
            connection, ledger_id=books_of.id, partner_id=None, endpoint_id=place, now=application.now()
        )

    console().print(f"{endpoint} is {_stands(_in_ledger(ledger, command))}")


@app.command("ping")
def ping_command(ledger: LedgerOption, endpoint: EndpointOption) -> None:
    """Queues a test event; `daftari webhook deliveries` says what came of it."""

    async def command(application: Application, connection: AsyncConnection, books_of: Ledger) -> Delivery:
        return await history.ping_endpoint(
            connection,
            ledger_id=books_of.id,
            partner_id=None,
            endpoint_id=endpoint_id_of(endpoint),
            ids=application.ids,
            now=application.now(),
        )

    console().print(f"{_in_ledger(ledger, command).event_id} is queued")


@app.command("deliveries")
def deliveries_command(
    ledger: LedgerOption,
    endpoint: EndpointOption,
    state: Annotated[list[DeliveryState] | None, typer.Option(help="Repeatable; all if none is named")] = None,
) -> None:
    """Lists an endpoint's newest deliveries."""

    async def command(application: Application, connection: AsyncConnection, books_of: Ledger) -> list[Delivery]:
        return await history.list_deliveries(
            connection,
            ledger_id=books_of.id,
            partner_id=None,
            endpoint_id=endpoint_id_of(endpoint),
            states=state or [],
            before=_ID_MAX,
            limit=200,
        )

    rows = [
        (one.event_id, one.event, _subject(one), one.state.value, str(one.tries), one.answer or "")
        for one in _in_ledger(ledger, command)
    ]
    console().print(table("Deliveries", ("delivery", "event", "tells of", "state", ">tries", "last answer"), rows))


@app.command("replay")
def replay_command(
    ledger: LedgerOption,
    which: Annotated[str, typer.Argument(help="evt_...: that delivery; whk_...: all dead ones of that endpoint")],
) -> None:
    """Sends deliveries again, with the same ids and bytes."""

    async def command(application: Application, connection: AsyncConnection, books_of: Ledger) -> int:
        place, now = {"ledger_id": books_of.id}, application.now()
        if which.startswith(ENDPOINT_PREFIX):
            endpoint_id = endpoint_id_of(which)
            return await history.replay_dead(connection, **place, partner_id=None, endpoint_id=endpoint_id, now=now)
        delivery_id = delivery_id_of(which)
        await history.replay_delivery(connection, **place, partner_id=None, delivery_id=delivery_id, now=now)
        return 1

    console().print(f"{_in_ledger(ledger, command)} deliveries are sent again")


def _in_ledger(code: str, command: Callable[[Application, AsyncConnection, Ledger], Awaitable[Result]]) -> Result:
    """Runs a command in one transaction on the ledger of that code."""

    async def opened(application: Application) -> Result:
        async def transacted(connection: AsyncConnection) -> Result:
            return await command(application, connection, await books.find_ledger(connection, code=code))

        return await run_transaction(application.engine, transacted, again_on=endpoints.RACING_CONSTRAINTS)

    return run(opened)


def _print_told(told: Told) -> None:
    out = console()
    out.print(f"{_name(told.endpoint)} tells {told.endpoint.partner}", soft_wrap=True)
    out.print(f"signing secret (shown once, keep it safe): {told.secret}", soft_wrap=True)


def _name(endpoint: Endpoint) -> str:
    return encode(ENDPOINT_PREFIX, endpoint.id)


def _stands(endpoint: Endpoint) -> str:
    if endpoint.disabled_at is not None:
        return f"disabled: {endpoint.disabled_why}"
    return "live" if endpoint.failing_since is None else f"failing since {endpoint.failing_since:%Y-%m-%d %H:%M}"


def _subject(delivery: Delivery) -> str:
    return "" if delivery.subject is None else f"{delivery.subject.public_id} v{delivery.version}"
