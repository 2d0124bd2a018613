"""The HTTP listener: uvicorn in somebody else's event loop, leaving signals alone, able to ill-treat a connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn
from fastapi import FastAPI, Request
from uvicorn.protocols.http.h11_impl import H11Protocol


class _Server(uvicorn.Server):
    """uvicorn that starts and stops on request instead of on a tick, and takes no signals from its host process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.exit_asked = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        await self.exit_asked.wait()


class Listener:
    """Serves one application on one address."""

    def __init__(self, *, host: str, port: int) -> None:
        self._address = (host, port)
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self, app: FastAPI) -> str:
        """Binds (port 0 takes a free one) and returns the base URL. Raises OSError when the address is taken."""
        bound = _bound_socket(*self._address)
        config = uvicorn.Config(
            app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False, date_header=False,
            server_header=False, proxy_headers=False, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[bound]))
        await self._server.listening.wait()
        host, port = bound.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Cuts every connection, hung ones too, and frees the address."""
        if self._server is None or self._serving is None:
            return
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        self._server.exit_asked.set()
        await self._serving
        self._server = None

    async def drop(self, request: Request) -> None:
        """Closes the request's connection without a byte of answer; returns once it is gone."""
        assert self._server is not None
        for connection in list(self._server.server_state.connections):
            if isinstance(connection, H11Protocol) and connection.client == request.scope["client"]:
                connection.transport.abort()
        await _until_gone(request)

    async def hold(self, request: Request, *, seconds_max: float) -> None:
        """Leaves the request without an answer until its sender gives up; drops it after `seconds_max`."""
        try:
            async with asyncio.timeout(seconds_max):
                await _until_gone(request)
        except TimeoutError:
            await self.drop(request)


def _bound_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's delay off only on sockets that say they are TCP.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
