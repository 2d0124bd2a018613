"""Calling what partners name (scenario 41): public addresses alone, over https, resolved once, never redirected."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from adapters.egress import (
    Answered,
    CallResult,
    Egress,
    EgressLimits,
    EgressRules,
    Resolver,
    Unanswered,
    check_url,
    is_public,
)
from ledger.errors import UrlRefused

PUBLIC = EgressRules(frozenset({443, 8443}), allow_loopback=False)
LOCAL = EgressRules(frozenset({443}), allow_loopback=True)
NAME = "hooks.partner.example"

# URLs that must be refused as they stand, whatever a resolver says. PORT stands for one that something listens on.
HOSTILE_URLS = [
    # loopback and unspecified, in every notation that some library reads as a number
    "https://127.0.0.1/", "https://127.0.0.1:PORT/", "https://127.1/", "https://127.1:PORT/", "https://127.0.1/",
    "https://2130706433/", "https://2130706433:PORT/", "https://0x7f000001/", "https://0x7f.0x0.0x0.0x1/",
    "https://0177.0.0.1/", "https://017700000001/", "https://127.0.0.01/", "https://0/", "https://0.0.0.0/",
    "https://0.0.0.0:PORT/", "https://127.255.255.254/", "https://127.0.0.1./", "https://localhost/",
    "https://localhost:PORT/", "https://LOCALHOST/", "https://localhost./",
    # the same written with characters that are normalised on the way
    "https://\uff11\uff12\uff17.0.0.1/", "https://127\u30020\u30020\u30021/", "https://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
    "https://loc\u00adalhost/",
    "https://%31%32%37.0.0.1/", "https://127.0.0.1%2f@hooks.partner.example/",
    # private, shared, link-local, metadata, benchmarking, documentation, multicast, broadcast
    "https://10.0.0.1/", "https://10.255.255.255/", "https://172.16.0.1/", "https://172.31.255.255/",
    "https://192.168.0.1/", "https://192.168.1.254/", "https://100.64.0.1/", "https://100.127.255.255/",
    "https://169.254.169.254/latest/meta-data/", "https://169.254.0.1/", "https://0xa9fea9fe/", "https://2852039166/",
    "https://198.18.0.1/", "https://192.0.2.1/", "https://198.51.100.1/", "https://203.0.113.1/",
    "https://224.0.0.1/", "https://239.255.255.255/", "https://240.0.0.1/", "https://255.255.255.255/",
    "https://192.0.0.170/", "https://192.88.99.1/",
    # IPv6: itself, link-local, unique local, multicast, documentation, and IPv4 wrapped in it
    "https://[::1]/", "https://[::1]:PORT/", "https://[::]/", "https://[0:0:0:0:0:0:0:1]/", "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/", "https://[fec0::1]/", "https://[fc00::1]/", "https://[fd12:3456::1]/",
    "https://[ff02::1]/", "https://[2001:db8::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
    "https://[::ffff:a9fe:a9fe]/", "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::10.0.0.1]/", "https://[2002:7f00:1::]/", "https://[2002:a9fe:a9fe::1]/",
    "https://[2001:0:7f00:1::1]/", "https://[100::1]/", "https://[3fff::1]/", "https://[::ffff:0:127.0.0.1]/",
    # schemes
    "http://hooks.partner.example/", "http://127.0.0.1:PORT/", "ftp://hooks.partner.example/", "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO", "//hooks.partner.example/", "hooks.partner.example", "", "https://", "https:///x",
    # who is meant: users, two hosts, fragments, backslashes, white space, empty and odd ports
    "https://user@hooks.partner.example/", "https://user:secret@hooks.partner.example/",
    "https://hooks.partner.example@127.0.0.1/", "https://hooks.partner.example:443@127.0.0.1/",
    "https://127.0.0.1#@hooks.partner.example/", "https://hooks.partner.example\\@127.0.0.1/",
    "https://hooks.partner.example/#x", "https:\\\\hooks.partner.example/", "https://hooks.partner.example:/",
    "https://hooks.partner.example:0/", "https://hooks.partner.example:22/", "https://hooks.partner.example:PORT/",
    "https://hooks.partner.example:99999/", "https://hooks.partner.example:+443/", "https://hooks.partner.example:0443/",
    " https://hooks.partner.example/", "https://hooks.partner.example/\r\nHost: 127.0.0.1", "https://hooks .example/",
    "https://hooks.partner.example/\x00", "https://[2606:4700::1111].hooks.partner.example/", "https://[::1/",
    "https://intranet/", "https://-x.example/", "https://x..example/", "https://hooks_partner.example/",
    f"https://{'a' * 64}.example/", f"https://hooks.partner.example/{'a' * 2000}", "https://1.2.3.0x4/",
]  # fmt: skip

# What a name may resolve to and must not be connected to.
HOSTILE_ANSWERS = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.20.0.1", "192.168.1.1", "100.100.100.200", "169.254.169.254",
    "198.19.0.1", "224.0.0.251", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "fec0::1",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "2001:0:a00:1::1",
    "2001:db8::1", "100::1",
]  # fmt: skip

PUBLIC_ADDRESSES = ["1.1.1.1", "8.8.8.8", "41.90.0.1", "196.201.214.200", "2606:4700:4700::1111", "2c0f:fe38::1"]


class Watch:
    """Every address that this process connects a socket to, while it watches."""

    def __init__(self) -> None:
        self.watching = False
        self.connects: list[object] = []

    def hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.watching and event == "socket.connect":
            self.connects.append(arguments[1])


WATCH = Watch()


@pytest.fixture(scope="session", autouse=True)
def audit() -> None:
    """An audit hook stays for the life of the process; it is quiet unless a test watches."""
    sys.addaudithook(WATCH.hook)


@pytest.fixture
def connects() -> Iterator[list[object]]:
    """What was connected to during the test."""
    WATCH.connects.clear()
    WATCH.watching = True
    yield WATCH.connects
    WATCH.watching = False


def resolving(*answers: Sequence[str]) -> Resolver:
    """Answers each lookup with the next of these, and the last one from then on."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def post(
    url: str, *, resolver: Resolver, rules: EgressRules = PUBLIC, tls: ssl.SSLContext | None = None
) -> CallResult:
    """One call with a short time to live."""
    limits = EgressLimits(connect_seconds=2, call_seconds=5)
    egress = Egress(rules=rules, limits=limits, resolver=resolver, tls=tls or ssl.create_default_context())
    try:
        return await egress.post(url, headers={"webhook-id": "evt_1"}, body=b"{}")
    finally:
        await egress.close()


@asynccontextmanager
async def listener(tls: ssl.SSLContext | None = None, answer: bytes = b"") -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port that something listens on, and the heads of the requests it got."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer or b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()


def test_there_are_enough_hostile_urls() -> None:
    assert len(set(HOSTILE_URLS)) == len(HOSTILE_URLS) >= 60


async def test_no_hostile_url_is_connected_to(connects: list[object]) -> None:
    async with listener() as (port, heads):
        urls = [url.replace("PORT", str(port)) for url in HOSTILE_URLS]

        results = {url: await post(url, resolver=resolving(["127.0.0.1"])) for url in urls}

    allowed = [url for url, result in results.items() if not isinstance(result, Unanswered)]
    not_refused = [url for url, result in results.items() if not str(result).startswith("Unanswered(reason='refused: ")]
    assert (allowed, not_refused) == ([], [])
    assert (connects, heads) == ([], [])


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_a_hostile_url_is_refused_when_it_is_given(url: str) -> None:
    with pytest.raises(UrlRefused) as refusal:
        check_url(url.replace("PORT", "9999"), rules=PUBLIC)

    assert refusal.value.field == "url"
    assert "secret" not in refusal.value.message


@pytest.mark.parametrize("answer", HOSTILE_ANSWERS)
async def test_a_name_at_an_address_that_is_not_public_is_not_connected_to(answer: str, connects: list[object]) -> None:
    alone = await post(f"https://{NAME}/", resolver=resolving([answer]))
    among_public = await post(f"https://{NAME}/", resolver=resolving(["1.1.1.1", answer]))

    assert alone == among_public == Unanswered("refused: the host is not at a public address")
    assert connects == []


async def test_a_name_that_rebinds_is_judged_anew_on_every_call(connects: list[object]) -> None:
    """The URL was fine when it was given. One lookup per call, and nothing is remembered of the one before."""
    check_url(f"https://{NAME}/", rules=PUBLIC)
    lookups: list[str] = []
    answers = iter([["198.51.100.7"], ["127.0.0.1"], ["::1"], ["169.254.169.254"]])

    async def rebinding(host: str, port: int) -> Sequence[str]:
        lookups.append(host)
        return next(answers)

    results = [await post(f"https://{NAME}/", resolver=rebinding) for _ in range(4)]

    assert all(isinstance(result, Unanswered) for result in results)
    assert lookups == [NAME] * 4
    assert connects == []


async def test_the_name_is_looked_up_once_and_the_judged_address_connected_to(connects: list[object]) -> None:
    """A second lookup would answer another address: it is never made."""
    async with listener() as (port, heads), listener() as (other_port, other_heads):
        answers = resolving(["127.0.0.1"], ["127.0.0.2"])

        result = await post(f"http://{NAME}:{port}/a?b=c", resolver=answers, rules=LOCAL)

    assert result == Answered(200)
    assert connects == [("127.0.0.1", port)]
    assert heads[0].startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert f"Host: {NAME}:{port}\r\n".encode() in heads[0]
    assert (other_port != port, other_heads) == (True, [])


async def test_a_name_without_an_address_is_refused(connects: list[object]) -> None:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    assert await post(f"https://{NAME}/", resolver=resolving([])) == Unanswered("refused: the host has no address")
    assert await post(f"https://{NAME}/", resolver=nowhere) == Unanswered("gaierror")
    assert connects == []


async def test_a_lookup_that_hangs_is_given_up(connects: list[object]) -> None:
    async def hanging(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    egress = Egress(
        rules=PUBLIC, limits=EgressLimits(call_seconds=0.05), resolver=hanging, tls=ssl.create_default_context()
    )
    result = await egress.post(f"https://{NAME}/", headers={}, body=b"")
    await egress.close()

    assert result == Unanswered("no answer in time")
    assert connects == []


async def test_loopback_where_it_is_allowed_is_all_that_is_allowed_more(connects: list[object]) -> None:
    """The demonstration's exception opens this machine, and neither the network nor plain http to the internet."""
    refused = [
        "https://10.0.0.1/", "http://10.0.0.1/", "https://[::ffff:127.0.0.1]/", "http://1.1.1.1/", "https://1.1.1.1:81/",
        "https://2130706433/", "https://127.1/", "http://user@127.0.0.1/",
    ]  # fmt: skip
    for url in refused:
        with pytest.raises(UrlRefused):
            check_url(url, rules=LOCAL)

    away = [await post(f"http://{NAME}:{port}/", resolver=resolving(["1.1.1.1"]), rules=LOCAL) for port in (80, 443)]

    assert all(str(result).startswith("Unanswered(reason='refused: ") for result in away)
    assert connects == []
    for url in ("http://127.0.0.1:8080/", "http://localhost:9/", "https://[::1]:9/", "https://127.0.0.1/"):
        assert check_url(url, rules=LOCAL).host in {"127.0.0.1", "localhost", "::1"}


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://hooks.partner.example", "hooks.partner.example"),
        ("https://HOOKS.Partner.example/x?y=z", "hooks.partner.example"),
        ("https://hooks.partner.example:8443/", "hooks.partner.example:8443"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("https://1.1.1.1/", "1.1.1.1"),
        ("https://[2606:4700:4700::1111]/", "[2606:4700:4700::1111]"),
    ],
)
def test_a_plain_public_url_is_allowed(url: str, authority: str) -> None:
    assert check_url(url, rules=PUBLIC).authority == authority


@pytest.mark.parametrize("text", PUBLIC_ADDRESSES)
def test_public_addresses_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@given(st.ip_addresses())
def test_what_the_standard_library_calls_not_global_is_not_public_here(address: ipaddress.IPv4Address) -> None:
    """Ours may be stricter, never laxer."""
    if not address.is_global or address.is_multicast or address.is_loopback or address.is_link_local:
        assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_public_when_it_is_wrapped_in_ipv6(inner: ipaddress.IPv4Address) -> None:
    number = int(inner)
    wrapped = [
        (0xFFFF << 32) | number,
        number,
        (0x64_FF9B << 96) | number,
        (0x2002 << 112) | (number << 80) | 1,
        (0x2001_0000 << 96) | (number << 64) | 1,
    ]

    assert not any(is_public(ipaddress.IPv6Address(one)) for one in wrapped)


@pytest.mark.parametrize("name", [NAME, "other.example"])
async def test_the_certificate_is_checked_against_the_name_and_not_the_address(name: str, tmp_path: Path) -> None:
    server_tls, client_tls = tls_for(NAME, tmp_path)
    names: list[str | None] = []
    server_tls.sni_callback = lambda _socket, asked, _context: names.append(asked)
    async with listener(server_tls) as (port, heads):
        result = await post(f"https://{name}:{port}/", resolver=resolving(["127.0.0.1"]), rules=LOCAL, tls=client_tls)

    assert names == [name]
    if name == NAME:
        assert result == Answered(200)
    else:
        assert (result, heads) == (Unanswered("ConnectError"), [])


async def test_a_redirect_is_an_answer_and_not_an_order(connects: list[object]) -> None:
    async with listener() as (inner_port, inner_heads):
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inner_port}/\r\nContent-Length: 0\r\n\r\n"
        async with listener(answer=moved.encode()) as (port, _):
            result = await post(f"http://127.0.0.1:{port}/", resolver=resolving([]), rules=LOCAL)

    assert result == Answered(302)
    assert inner_heads == []
    assert connects == [("127.0.0.1", port)]


@pytest.mark.parametrize(
    "answer",
    [b"not http at all\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n"],
    ids=["garbage", "a head without end"],
)
async def test_an_answer_that_is_no_http_is_no_answer(answer: bytes) -> None:
    async with listener(answer=answer) as (port, _):
        result = await post(f"http://127.0.0.1:{port}/", resolver=resolving([]), rules=LOCAL)

    assert result == Unanswered("RemoteProtocolError")


async def test_the_environment_chooses_no_proxy(monkeypatch: pytest.MonkeyPatch, connects: list[object]) -> None:
    async with listener() as (port, heads):
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")

        result = await post(f"https://{NAME}/", resolver=resolving(["127.0.0.1"]))

    assert isinstance(result, Unanswered)
    assert (connects, heads) == ([], [])


def tls_for(name: str, directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for the name, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    build: Callable[..., x509.CertificateBuilder] = x509.CertificateBuilder
    certificate = (
        build()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = directory / "chain.pem", directory / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, private)
    return server, ssl.create_default_context(cafile=str(chain))
