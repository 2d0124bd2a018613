"""Calling URLs that partners chose: which may be called, and one bounded POST to an address that was checked. Nothing
else of ours may call a URL from outside.

A name is resolved once per call and the connection made to the very address that was judged; redirects are not
followed, proxies of the environment not used, and of the answer nothing but the status is read."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeAlias
from urllib.parse import SplitResult, urlsplit

import httpx

from adapters.connections import KeepLimits, KeptConnections
from adapters.transport import USER_AGENT
from ledger.errors import UrlRefused

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
# The addresses of a name as text; raises OSError where it has none.
Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

URL_LENGTH_MAX = 2000
# Lookups under way at once; a name server that hangs holds one of these, and its own call only.
LOOKUPS_MAX = 64

# Two labels at least, the last one starting with a letter: whatever else could be read as a number (127.1, 0x7f000001,
# 2130706433, 017700000001) is no name.
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_USUAL_PORTS = {"https": 443, "http": 80}
_PLAIN = re.compile(r"[!-~]+\Z")

# Not the public internet: IANA's special-purpose registries for IPv4 and IPv6 (RFC 6890 and its successors), multicast,
# and the IPv6 ranges that carry an IPv4 address inside (6to4, Teredo). Mapped, NAT64 and the rest lie outside 2000::/3.
_NOT_PUBLIC_4 = [
    ipaddress.IPv4Network(one)
    for one in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip
_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = [
    ipaddress.IPv6Network(one) for one in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
]


@dataclass(frozen=True, slots=True)
class EgressRules:
    """What may be called. Loopback is for demonstrations: there any port will do, and http."""

    ports: frozenset[int]
    allow_loopback: bool


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """What one call may take, in seconds; `call_seconds` bounds the whole of it, lookup and trickled bytes included."""

    connect_seconds: float = 5.0
    call_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was checked, taken apart. Paths carry credentials, so no repr shows them."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)
    literal: IpAddress | None

    @property
    def authority(self) -> str:
        """The Host header's value."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _USUAL_PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answered:
    """A status came back; nothing more of the answer was read."""

    status: int


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No status came back, or the call was not allowed; the reason quotes nothing of the URL."""

    reason: str


CallResult: TypeAlias = Answered | Unanswered


def check_url(url: str, *, rules: EgressRules) -> Target:
    """Takes a URL apart, or raises UrlRefused for one that may not be called whatever its name resolves to."""
    if not _PLAIN.match(url) or "\\" in url or len(url) > URL_LENGTH_MAX:
        raise _refused(f"a URL is up to {URL_LENGTH_MAX} visible ASCII characters without a backslash")
    try:
        parts = urlsplit(url)
        given_port = parts.port
    except ValueError:
        raise _refused("this cannot be read as a URL") from None
    host = (parts.hostname or "").lower()
    if parts.netloc.lower() not in _plain_authorities(host, given_port) or "#" in url:
        raise _refused("a URL to call is https://host/path, with a port where needed, no user and no fragment")
    literal = _literal(host, parts)
    if literal is None and not _NAME.match(host) and not (rules.allow_loopback and host == "localhost"):
        raise _refused("the host must be a full name, or an address in its usual form")
    if literal is not None:
        check_address(literal, rules=rules)
    port = given_port if given_port is not None else _USUAL_PORTS.get(parts.scheme, 0)
    target = Target(parts.scheme, host, port, _path(parts), literal)
    _check_scheme_and_port(target, given_port, rules)
    return target


def check_address(address: IpAddress, *, rules: EgressRules) -> None:
    """Raises UrlRefused unless the address is public, or loopback where that is allowed."""
    if not is_public(address) and not (rules.allow_loopback and address.is_loopback):
        raise _refused("the host is not at a public address")


def is_public(address: IpAddress) -> bool:
    """Whether an address is one of the public internet, and no other address in disguise."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id is not None or address not in _PUBLIC_6:
        return False
    return not any(address in network for network in _NOT_PUBLIC_6)


class WayOut(Protocol):
    """How a webhook leaves: Egress, or what stands for it where the receivers are simulated."""

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> CallResult:
        """Sends once. Never raises for what the URL, the network or the receiver does."""

    async def close(self) -> None:
        """Closes what is open."""


class Egress:
    """The one door for such calls. `tls` verifies receivers' certificates against the name in the URL."""

    def __init__(self, *, rules: EgressRules, limits: EgressLimits, resolver: Resolver, tls: ssl.SSLContext) -> None:
        self._rules = rules
        self._limits = limits
        self._resolver = resolver
        # A connection is never kept: the next call is judged anew, and another name may share the address.
        self._client = httpx.AsyncClient(
            transport=KeptConnections(limits=KeepLimits(connections_max=None, idle_seconds=0.0), tls=tls),
            timeout=httpx.Timeout(limits.call_seconds, connect=limits.connect_seconds),
            follow_redirects=False,
            trust_env=False,
        )

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> CallResult:
        """Sends once. Never raises for what the URL, the network or the receiver does."""
        try:
            async with asyncio.timeout(self._limits.call_seconds):
                target = check_url(url, rules=self._rules)
                address = await self._resolve(target)
                return await self._send(_request(self._client, target, address, headers, body))
        except UrlRefused as refusal:
            return Unanswered(f"refused: {refusal.message}")
        except TimeoutError:
            return Unanswered("no answer in time")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Unanswered(type(error).__name__)

    async def close(self) -> None:
        """Closes what is open."""
        await self._client.aclose()

    async def _resolve(self, target: Target) -> IpAddress:
        """The address to connect to. All that the name resolves to must be allowed: a name that is public only at times
        is not."""
        if target.literal is not None:
            return target.literal
        found = [ipaddress.ip_address(text) for text in await self._resolver(target.host, target.port)]
        for address in found:
            check_address(address, rules=self._rules)
            if not address.is_loopback:
                _check_scheme_and_port(target, target.port, EgressRules(self._rules.ports, allow_loopback=False))
        if not found:
            raise _refused("the host has no address")
        return min(found, key=lambda address: address.version)

    async def _send(self, request: httpx.Request) -> Answered:
        response = await self._client.send(request, stream=True)
        await response.aclose()
        return Answered(response.status_code)


class SystemResolver:
    """The machine's resolver, in threads of its own so that slow names hold up nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="lookup")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a name. Raises OSError."""
        lookup = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, lookup)
        return [str(place[4][0]) for place in found]


def _plain_authorities(host: str, port: int | None) -> set[str]:
    """How a host, and a port, are written when nothing is hidden between them."""
    plain = f"[{host}]" if ":" in host else host
    return {plain} if port is None else {f"{plain}:{port}"}


def _literal(host: str, parts: SplitResult) -> IpAddress | None:
    """The address a host is written as, in the one usual form; bracketed for IPv6 alone."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    bracketed = "[" in parts.netloc
    if bracketed != (address.version == 6):
        raise _refused("the host must be a full name, or an address in its usual form")
    return address


def _check_scheme_and_port(target: Target, port: int | None, rules: EgressRules) -> None:
    """Whether it is https on one of the ports. Loopback is excused, names included: where theirs resolve to anything
    else, this is asked again without the excuse."""
    may_be_local = target.literal is None or target.literal.is_loopback
    if rules.allow_loopback and may_be_local and target.scheme in {"http", "https"} and port is not None:
        return
    if target.scheme != "https":
        raise _refused("a URL to call starts with https://")
    if target.port not in rules.ports:
        raise _refused(f"the port must be one of {', '.join(map(str, sorted(rules.ports)))}")


def _path(parts: SplitResult) -> str:
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _request(
    client: httpx.AsyncClient, target: Target, address: IpAddress, headers: Mapping[str, str], body: bytes
) -> httpx.Request:
    """The request to the pinned address; Host, SNI and the certificate's check still speak of the name."""
    pinned = f"[{address}]" if address.version == 6 else str(address)
    return client.build_request(
        "POST",
        httpx.URL(f"{target.scheme}://{pinned}:{target.port}{target.path}"),
        headers={**headers, "Host": target.authority, "User-Agent": USER_AGENT, "Connection": "close"},
        content=body,
        extensions={"sni_hostname": target.host},
    )


def _refused(message: str) -> UrlRefused:
    return UrlRefused(message, field="url")
