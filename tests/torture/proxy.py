"""A TCP proxy between a service and PostgreSQL that cuts connections at COMMIT, as a network may."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import URL

from tests.ledger.test_database import Cut, Proxy
from tests.torture.protocol import Frames, Seen, Transactions, asks_for_encryption, says_committed, says_ready

READ_BYTES = 65_536
_NO_ENCRYPTION = b"N"


@dataclass(slots=True)
class CuttingProxy:
    """`choose` says at every COMMIT of something written whether, and where, the connection is cut. `cuts` counts those
    that were made; one after COMMIT counts once the server said that it had carried it out. `passed` are the others."""

    server: URL
    choose: Callable[[], Cut | None] = lambda: None
    cuts: Counter[Cut] = field(default_factory=Counter)
    passed: int = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[URL]:
        """The URL that leads through the proxy."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        try:
            yield self.server.set(host=host, port=port, query={})
        finally:
            server.close()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await Proxy(self.server, Cut.BEFORE_COMMIT_ARRIVES).reach_server()
        link = _Link(self, to_client, to_server)
        ways = [
            asyncio.ensure_future(link.carry_to_server(client)),
            asyncio.ensure_future(link.carry_to_client(server)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (to_client, to_server):
                end.close()
            with contextlib.suppress(ConnectionError):
                await asyncio.gather(*ways, return_exceptions=True)


@dataclass(slots=True)
class _Link:
    """One connection. `muted`: the client hears nothing any more, and the server is listened to until it has answered
    the COMMIT."""

    proxy: CuttingProxy
    to_client: asyncio.StreamWriter
    to_server: asyncio.StreamWriter
    muted: bool = False

    async def carry_to_server(self, client: asyncio.StreamReader) -> None:
        """Returns when the client leaves, or is cut off."""
        frames, transactions = Frames(starts_bare=True), Transactions()
        while data := await client.read(READ_BYTES):
            for message in frames.feed(data):
                if asks_for_encryption(message):
                    self.to_client.write(_NO_ENCRYPTION)
                elif transactions.see(message) is Seen.COMMIT and not self._lets_pass():
                    return
                else:
                    self.to_server.write(message)
            await self.to_server.drain()
        if self.muted:
            await asyncio.Event().wait()  # the other way ends it, with the server's answer

    async def carry_to_client(self, server: asyncio.StreamReader) -> None:
        """Returns when the server leaves, or has answered the COMMIT that nobody is to hear of."""
        frames, committed = Frames(starts_bare=False), False
        while data := await server.read(READ_BYTES):
            messages = frames.feed(data)
            if not self.muted:
                self.to_client.write(data)
                await self.to_client.drain()
                continue
            committed = committed or any(map(says_committed, messages))
            if any(map(says_ready, messages)):
                self.proxy.cuts[Cut.AFTER_COMMIT_IS_DONE] += committed
                return

    def _lets_pass(self) -> bool:
        """Whether a COMMIT reaches the server."""
        cut = self.proxy.choose()
        if cut is Cut.BEFORE_COMMIT_ARRIVES:
            self.proxy.cuts[cut] += 1
            return False
        self.muted = cut is Cut.AFTER_COMMIT_IS_DONE
        self.proxy.passed += cut is None
        return True
