"""Where a callback comes from: what a proxy may say of it, what a stranger may not, and the allow-list at the edge."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from api.http.sources import EVERYWHERE, Sources
from ledger.errors import TextInvalid
from tests.api.office import Office, open_office

SAFARICOM, STRANGER, PROXY = "196.201.214.200", "203.0.113.9", "10.0.0.5"
LISTED = Sources(allowed=["196.201.214.0/24", "2001:db8::/32"], proxies=["10.0.0.0/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        (SAFARICOM, None, SAFARICOM),
        (SAFARICOM, "", SAFARICOM),
        (STRANGER, SAFARICOM, STRANGER),
        (STRANGER, f"{SAFARICOM}, {SAFARICOM}", STRANGER),
        (PROXY, SAFARICOM, SAFARICOM),
        (PROXY, f"{SAFARICOM}, {STRANGER}", STRANGER),
        (PROXY, f"{STRANGER},{SAFARICOM} ", SAFARICOM),
        (PROXY, None, PROXY),
        (f"::ffff:{PROXY}", SAFARICOM, SAFARICOM),
        (None, SAFARICOM, None),
    ],
)
def test_only_the_last_hop_that_a_named_proxy_vouches_for_counts(
    peer: str | None, forwarded: str | None, address: str | None
) -> None:
    assert LISTED.address_of(peer, forwarded) == address


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        (SAFARICOM, True),
        ("196.201.214.0", True),
        ("196.201.215.0", False),
        (f"::ffff:{SAFARICOM}", True),
        (f"::ffff:{STRANGER}", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("", False),
        ("unknown", False),
        (f"{SAFARICOM}:443", False),
        ("0196.201.214.200", False),
        (None, False),
    ],
)
def test_an_address_is_allowed_where_a_listed_network_holds_it(address: str | None, *, allowed: bool) -> None:
    assert LISTED.allows(address) == allowed


@given(st.text(max_size=60) | st.none(), st.text(max_size=200) | st.none())
def test_whatever_is_sent_is_judged_and_an_empty_list_allows_it(peer: str | None, forwarded: str | None) -> None:
    address = LISTED.address_of(peer, forwarded)

    assert LISTED.allows(address) in (True, False)
    assert EVERYWHERE.allows(EVERYWHERE.address_of(peer, forwarded))
    assert address is None or address == peer or len(address) <= 45


@pytest.mark.parametrize("text", ["", "everyone", "196.201.214.0/33", "196.201.214"])
def test_a_list_holds_networks(text: str) -> None:
    for lists in ({"allowed": [text], "proxies": []}, {"allowed": [], "proxies": [text]}):
        with pytest.raises(TextInvalid) as caught:
            Sources(**lists)

        assert caught.value.field in ("callback_sources", "callback_proxies")


def test_a_host_with_its_bits_names_its_network() -> None:
    assert Sources(allowed=[f"{SAFARICOM}/24"], proxies=[]).allows("196.201.214.1")


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """The edge behind a proxy on this machine, open to one network."""
    async with open_office(engine, callback_sources=["196.201.214.0/24"], callback_proxies=["127.0.0.0/8"]) as opened:
        yield opened


async def call_back(office: Office, *forwarded: str) -> int:
    """A callback through the proxy, with these X-Forwarded-For lines."""
    path = f"/callbacks/{office.shop.ledger.id}/daraja/result/{'a' * 64}"
    lines = [("x-forwarded-for", one) for one in forwarded]
    return (await office.http.post(path, content=json.dumps({"Result": {}}), headers=lines)).status_code


async def test_a_callback_from_elsewhere_is_refused_and_not_stored(office: Office) -> None:
    statuses = [await call_back(office, STRANGER), await call_back(office), await call_back(office, SAFARICOM)]

    assert statuses == [403, 403, 200]
    stored = await office.shop.rows("SELECT remote_address FROM inbox WHERE ledger_id = :ledger")
    assert [address for (address,) in stored] == [SAFARICOM]


async def test_a_line_that_the_sender_wrote_itself_does_not_count_whether_merged_or_not(office: Office) -> None:
    merged = await call_back(office, f"{SAFARICOM}, {STRANGER}")
    apart = await call_back(office, SAFARICOM, STRANGER)
    honest = await call_back(office, STRANGER, SAFARICOM)

    assert (merged, apart, honest) == (403, 403, 200)
