"""The sandbox's HTTP listener: one that can also ill-treat a connection, as networks and gateways do."""

from __future__ import annotations

import asyncio

from fastapi import Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapters.listener import Listener


class RoughListener(Listener):
    """A listener that drops connections and leaves requests hanging when a rail asks it to."""

    async def stop(self) -> None:
        """Cuts every connection, hung ones too, and frees the address."""
        if self.server is not None:
            for connection in list(self.server.server_state.connections):
                connection.transport.abort()
        await super().stop()

    async def drop(self, request: Request) -> None:
        """Closes the request's connection without a byte of answer; returns once it is gone."""
        assert self.server is not None
        for connection in list(self.server.server_state.connections):
            if isinstance(connection, HttpToolsProtocol) and connection.client == request.scope["client"]:
                connection.transport.abort()
        await _until_gone(request)

    async def hold(self, request: Request, *, seconds_max: float) -> None:
        """Leaves the request without an answer until its sender gives up; drops it after `seconds_max`."""
        try:
            async with asyncio.timeout(seconds_max):
                await _until_gone(request)
        except TimeoutError:
            await self.drop(request)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
