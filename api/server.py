"""The gRPC server of a process: services behind the door, health, reflection, limits, graceful stop. Knows no RPC."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from api.interceptors import Door
from ledger.errors import LedgerError

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
METADATA_BYTES_MAX = 8 * 1024
STREAMS_PER_CONNECTION_MAX = 512
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_SERVING = health_pb2.HealthCheckResponse.SERVING

_OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
    # Further calls of one connection wait at the client, where they cost this process nothing.
    ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
    # Streams beyond those are refused unseen, so that a flood of calls begun and given up is no queue of dead ones.
    # Those answered and not cleaned up yet count too: the limit is twice what a client of ours has in flight.
    ("grpc.http.overload_protection", 1),
    # A dead peer is noticed within 80 seconds; clients may ping every 10 without being sent away.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    # Two processes on one port is a mistake here, not a way to share it.
    ("grpc.so_reuseport", 0),
)


class PlaintextRefused(LedgerError):
    """The address is reachable from outside and no TLS certificate is given."""


class AddressUnavailable(LedgerError):
    """Nobody can listen there: another process does, or the address is not this machine's."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service by its full name ("daftari.v1.JournalQueryService") and how it is added to a server."""

    name: str
    add: Callable[[grpc.aio.Server], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The server's certificate chain and private key, PEM."""

    certificate_chain: bytes
    private_key: bytes = field(repr=False)


class GrpcServer:
    """One listening server. Make it inside the running event loop."""

    def __init__(self, services: Sequence[Service], *, door: Door) -> None:
        self._names = [service.name for service in services]
        self._server = grpc.aio.server(interceptors=[door], options=_OPTIONS)
        self._health = HealthServicer()
        for service in services:
            service.add(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([*self._names, _HEALTH, reflection.SERVICE_NAME], self._server)

    async def start(self, address: str, *, tls: Tls | None) -> int:
        """Listens on "host:port" (port 0 for any) and returns the port. Raises PlaintextRefused, AddressUnavailable."""
        try:
            port = self._bind(address, tls)
        except RuntimeError as error:
            raise AddressUnavailable(f"cannot listen on {address}: it is taken, or not this machine's") from error
        await self._server.start()
        for name in ("", *self._names):
            await self._health.set(name, _SERVING)
        return port

    async def stop(self, *, grace_seconds: float) -> None:
        """Says NOT_SERVING, takes no new calls, lets those under way finish for so long, then ends them."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)

    def _bind(self, address: str, tls: Tls | None) -> int:
        if tls is not None:
            pair = (tls.private_key, tls.certificate_chain)
            return self._server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
        if not is_local(address):
            raise PlaintextRefused(
                f"{address} can be reached from outside and would carry API keys in the clear: listen on 127.0.0.1, or "
                "give a TLS certificate and key"
            )
        return self._server.add_insecure_port(address)


def is_local(address: str) -> bool:
    """Whether only this machine can reach the address."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
