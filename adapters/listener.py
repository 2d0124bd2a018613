"""An HTTP listener inside somebody else's event loop: uvicorn that takes no signals and starts and stops on request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator

import uvicorn
from fastapi import FastAPI

# Beyond them a request is answered 503 at once: what waits costs memory, and its caller has left before its turn.
CONNECTIONS_MAX = 2048
# Longer than clients keep theirs: a request written into a connection that is being closed has an unknown outcome.
KEEP_ALIVE_SECONDS = 75


class Server(uvicorn.Server):
    """uvicorn without its signal handlers and without its ticking loop."""

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
    """Serves one application on one address, to callers on fewer than `connections_max` connections. `grace_seconds` is
    what requests under way get when it stops."""

    def __init__(self, *, host: str, port: int, grace_seconds: int, connections_max: int = CONNECTIONS_MAX) -> None:
        self._address = (host, port)
        self._grace_seconds = grace_seconds
        self._connections_max = connections_max
        self.server: Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self, app: FastAPI) -> str:
        """Binds (port 0 takes a free one) and returns the base URL. Raises OSError when the address is taken."""
        # Paths may hold secrets: the access log stays off however a process sets its logging up.
        logging.getLogger("uvicorn.access").disabled = True
        bound = bound_socket(*self._address)
        config = uvicorn.Config(
            app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False, date_header=False,
            server_header=False, proxy_headers=False, timeout_graceful_shutdown=self._grace_seconds,
            limit_concurrency=self._connections_max,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )  # fmt: skip
        self.server = Server(config)
        self._serving = asyncio.create_task(self.server.serve(sockets=[bound]))
        await self.server.listening.wait()
        host, port = bound.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Takes no more requests, lets those under way finish within the grace, and frees the address."""
        if self.server is None or self._serving is None:
            return
        self.server.exit_asked.set()
        await self._serving
        self.server = None


def bound_socket(host: str, port: int) -> socket.socket:
    """A TCP socket on the address. Raises OSError when it is taken."""
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
