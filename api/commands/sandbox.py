"""`daftari sandbox`: the simulated rails on one port, with the test credentials they accept."""

from __future__ import annotations

from typing import Annotated

import typer
import uvloop

from adapters.sandbox.server import serve
from adapters.sandbox.settings import SandboxSettings
from api.server import AddressUnavailable
from api.serving import parse_address
from api.tables import console


def run(
    listen: Annotated[str, typer.Option(help="HOST:PORT; keep it on loopback, the control API has no password")] = (
        "127.0.0.1:9090"
    ),
) -> None:
    """Runs the simulated rails until interrupted."""
    host, port = parse_address(listen, field="listen")
    out = console()
    try:
        uvloop.run(serve(host, port, settings=SandboxSettings(), announce=lambda line: out.print(line, soft_wrap=True)))
    except OSError as error:
        raise AddressUnavailable(f"cannot listen on {listen}: {error.strerror}") from error
