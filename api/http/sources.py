"""Where a callback comes from: the address that counts behind known proxies, and whether it is on the allow-list.

Never sufficient to believe a callback, only to refuse one. Only the last hop that a named proxy vouches for is trusted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

from ledger.errors import TextInvalid

# The longest an address is in text: IPv6 with an IPv4 tail. Whatever else a proxy lets through is cut off here.
_ADDRESS_LENGTH_MAX = 45

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Sources:
    """`allowed` empty allows everyone; `proxies` are those whose X-Forwarded-For is read."""

    def __init__(self, *, allowed: Sequence[str], proxies: Sequence[str]) -> None:
        self._allowed = [_network(text, field="callback_sources") for text in allowed]
        self._proxies = [_network(text, field="callback_proxies") for text in proxies]

    def address_of(self, peer: str | None, forwarded: str | None) -> str | None:
        """The sender's address: the peer's or, where the peer is a named proxy, the last one that proxy added."""
        if peer is not None and forwarded and _within(peer, self._proxies):
            return forwarded.rpartition(",")[2].strip()[:_ADDRESS_LENGTH_MAX]
        return peer

    def allows(self, address: str | None) -> bool:
        """Whether callbacks are taken from there."""
        return not self._allowed or (address is not None and _within(address, self._allowed))


EVERYWHERE = Sources(allowed=(), proxies=())


def _network(text: str, *, field: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise TextInvalid(f"{text!r:.60} is not an address or network such as 196.201.214.0/24", field=field) from None


def _within(address: str, networks: Sequence[Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    # A socket that takes both families shows IPv4 peers as ::ffff:196.201.214.200.
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in network for network in networks)
