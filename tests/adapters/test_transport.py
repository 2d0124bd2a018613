"""The shared token under an injected clock, redaction, and the bounds of one exchange."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import transport
from adapters.transport import HttpAnswer, HttpLimits, Secret, TokenCache, TokenGrant, TokenUnavailable
from tests.adapters.daraja.scripted_server import ScriptedServer, reply


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class Grants:
    """A provider of numbered tokens that hands each out only when `open` is set."""

    def __init__(self, lifetime_seconds: int = 3_599) -> None:
        self.count = 0
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.lifetime_seconds = lifetime_seconds
        self.refused = False

    async def __call__(self) -> TokenGrant | TokenUnavailable:
        self.count += 1
        self.asked.set()
        await self.open.wait()
        if self.refused:
            return TokenUnavailable("refused")
        return TokenGrant(Secret(f"token-{self.count}"), self.lifetime_seconds)


async def token_of(cache: TokenCache) -> str:
    token = await cache.current()
    assert isinstance(token, Secret)
    return token.reveal()


async def test_callers_at_once_share_one_refresh() -> None:
    grants = Grants()
    grants.open.clear()
    cache = TokenCache(grants, monotonic=Clock())
    callers = [asyncio.create_task(token_of(cache)) for _ in range(64)]
    await grants.asked.wait()

    grants.open.set()

    assert set(await asyncio.gather(*callers)) == {"token-1"}
    assert grants.count == 1


async def test_callers_at_once_share_one_refusal_and_the_next_asks_again() -> None:
    grants = Grants()
    grants.refused = True
    cache = TokenCache(grants, monotonic=Clock())

    answers = await asyncio.gather(*(cache.current() for _ in range(64)))

    assert answers == [TokenUnavailable("refused")] * 64
    assert grants.count == 1
    grants.refused = False
    assert await token_of(cache) == "token-2"


@pytest.mark.parametrize(("passed_seconds", "token"), [(3_538.0, "token-1"), (3_539.0, "token-2")])
async def test_a_token_is_renewed_a_minute_before_it_ends(passed_seconds: float, token: str) -> None:
    clock = Clock()
    cache = TokenCache(Grants(), monotonic=clock)
    await cache.current()

    clock.seconds += passed_seconds

    assert await token_of(cache) == token


async def test_a_life_counts_from_when_the_token_was_asked_for() -> None:
    clock, grants = Clock(), Grants()
    grants.open.clear()
    cache = TokenCache(grants, monotonic=clock)
    asking = asyncio.create_task(token_of(cache))
    await grants.asked.wait()

    clock.seconds += 3_600.0
    grants.open.set()

    assert await asking == "token-1"
    assert await token_of(cache) == "token-2"


async def test_a_token_shorter_than_the_margin_is_still_used() -> None:
    clock = Clock()
    cache = TokenCache(Grants(lifetime_seconds=40), monotonic=clock)
    await cache.current()

    clock.seconds += 19.0

    assert await token_of(cache) == "token-1"


async def test_a_forgotten_token_is_replaced() -> None:
    cache = TokenCache(Grants(), monotonic=Clock())
    first = await token_of(cache)

    cache.forget(Secret(first))

    assert await token_of(cache) == "token-2"


async def test_forgetting_an_older_token_leaves_the_current_one() -> None:
    cache = TokenCache(Grants(), monotonic=Clock())
    first = await token_of(cache)
    cache.forget(Secret(first))
    await cache.current()

    cache.forget(Secret(first))

    assert await token_of(cache) == "token-2"


async def test_a_caller_that_gives_up_does_not_take_the_token_from_the_others() -> None:
    grants = Grants()
    grants.open.clear()
    cache = TokenCache(grants, monotonic=Clock())
    impatient, patient = asyncio.create_task(token_of(cache)), asyncio.create_task(token_of(cache))
    await grants.asked.wait()

    impatient.cancel()
    await asyncio.wait([impatient])
    grants.open.set()

    assert await patient == "token-1"
    assert grants.count == 1


async def test_closing_abandons_a_refresh_in_progress() -> None:
    grants = Grants()
    grants.open.clear()
    cache = TokenCache(grants, monotonic=Clock())
    waiting = asyncio.create_task(cache.current())
    await grants.asked.wait()

    await cache.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_body_of_the_greatest_length_is_read_whole() -> None:
    server = ScriptedServer()
    base_url = await server.start()
    server.on("/", reply(200, b"x" * 1_000))
    limits = HttpLimits(body_bytes_max=1_000)

    async with transport.http_client(base_url=base_url, limits=limits) as client:
        answer = await transport.exchange(client, client.build_request("GET", "/"), limits=limits)
        shorter = HttpLimits(body_bytes_max=999)
        refused = await transport.exchange(client, client.build_request("GET", "/"), limits=shorter)
    await server.close()

    assert answer == HttpAnswer(200, b"x" * 1_000)
    assert refused == transport.NoAnswer("BodyTooLong")


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server = ScriptedServer()
    base_url = await server.start()
    server.on("/", reply(200, b"direct"))
    limits = HttpLimits()

    async with transport.http_client(base_url=base_url, limits=limits) as client:
        answer = await transport.exchange(client, client.build_request("GET", "/"), limits=limits)
    await server.close()

    assert answer == HttpAnswer(200, b"direct")


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("Bad Request - Invalid RecieverIdentifierType", "Bad Request - Invalid RecieverIdentifierType"),
        ("Duplicate OriginatorConversationID.", "Duplicate OriginatorConversationID."),
        ("The balance of 1204310.50 is too small", "The balance of 1204310.50 is too small"),
        ("for 254712345678 and +254 712 345 678", "for [number] and [number]"),
        ("Invalid Access Token - 283da7096f3cd58f166d86251d0a", "Invalid Access Token - [redacted]"),
        ("see https://pay.example/c/abc?x=1 there", "see [address] there"),
        ("two\r\nlines\x1b[0m", "two  lines [0m"),
    ],
)
def test_redaction_takes_numbers_tokens_and_addresses_and_leaves_words(told: str, kept: str) -> None:
    assert transport.redact(told) == kept


@given(before=st.text(max_size=50), subscriber=st.integers(0, 10**8 - 1), after=st.text(max_size=50))
def test_no_msisdn_survives_redaction_wherever_it_stands(before: str, subscriber: int, after: str) -> None:
    msisdn = f"2547{subscriber:08d}"

    assert msisdn not in transport.redact(f"{before}{msisdn}{after}")


@given(st.text(max_size=3_000))
def test_redaction_always_gives_a_short_printable_text(text: str) -> None:
    redacted = transport.redact(text)

    assert len(redacted) <= 200
    assert redacted.isprintable()
