"""The rail over real HTTP: what each thing that a network or a gateway can do is taken to prove."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable

import pytest

from adapters.daraja.client import DarajaRail
from adapters.provider import PayoutRail
from adapters.transport import DEFAULT_LIMITS, HttpLimits
from ledger.money import Money
from ledger.outbox.instruction import Acknowledged, NotSent, OutcomeUnknown, Rejected
from tests.adapters.daraja import scripted_server
from tests.adapters.daraja.conftest import HASTY
from tests.adapters.daraja.examples import CONVERSATION_ID, URLS, example, index, instruction, status_of
from tests.adapters.daraja.scripted_server import Play, Received, ScriptedServer, TokenDesk, reply

OAUTH = "/oauth/v1/generate"
PAYMENT = "/mpesa/b2c/v3/paymentrequest"
ACCEPTED = reply(200, example("b2c-response.json"))
TOKEN_REFUSALS = sorted(name for name in index() if name.startswith("error-invalid-access-token"))


def replay(name: str) -> Play:
    """The example as an answer, with the status it came with."""
    return reply(status_of(name), example(name))


@pytest.fixture
def desk(server: ScriptedServer) -> TokenDesk:
    desk = TokenDesk()
    server.on(OAUTH, desk.grant)
    return desk


def test_the_rail_is_a_payout_rail(rail: DarajaRail) -> None:
    any_rail: PayoutRail = rail

    assert any_rail.capabilities.rail == "daraja"
    assert json.loads(any_rail.callback_acknowledgement()) == json.loads(example("b2c-result-ack-response.json"))


async def test_an_accepted_payout_is_acknowledged(server: ScriptedServer, desk: TokenDesk, rail: DarajaRail) -> None:
    server.on(PAYMENT, ACCEPTED)

    answer = await rail.submit_payout(instruction(), URLS)

    assert answer == Acknowledged((("daraja.conversation_id", CONVERSATION_ID),))
    [sent] = server.to(PAYMENT)
    assert sent.method == "POST"
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["user-agent"] == "daftari/0.1"
    assert sent.headers["authorization"] == f"Bearer {desk.current}"
    assert json.loads(sent.body)["OriginatorConversationID"] == instruction().provider_reference


UNKNOWN_PLAYS: dict[str, Play] = {
    "reset after the request": scripted_server.reset,
    "closed after the request": scripted_server.raw_then_close(b""),
    "no HTTP at all": scripted_server.raw_then_close(b"\x16\x03\x01\x00\x00"),
    "cut in the headers": scripted_server.raw_then_close(b"HTTP/1.1 200 OK\r\nContent-"),
    "cut in the body": scripted_server.raw_then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
    "endless body": scripted_server.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 100_000),
    "empty 200": reply(200, b""),
    "a redirect": scripted_server.raw(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
    "packed body": scripted_server.raw(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    ),
    "gateway page": replay("error-gateway-503.html"),
    "duplicate": replay("b2c-error-duplicate-originator.json"),
    "internal error": replay("error-internal-500.json"),
}


@pytest.mark.parametrize("play", UNKNOWN_PLAYS.values(), ids=UNKNOWN_PLAYS.keys())
async def test_once_sent_anything_unclear_is_unknown_and_sent_no_second_time(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail, play: Play
) -> None:
    server.on(PAYMENT, play)

    answer = await rail.submit_payout(instruction(), URLS)

    assert isinstance(answer, OutcomeUnknown)
    assert len(server.to(PAYMENT)) == 1
    assert not server.to("/elsewhere")


async def test_no_answer_in_time_is_unknown(
    server: ScriptedServer, desk: TokenDesk, base_url: str, open_rail_at: Callable[[str, HttpLimits], DarajaRail]
) -> None:
    server.on(PAYMENT, scripted_server.hang)
    rail = open_rail_at(base_url, HASTY)

    answer = await rail.submit_payout(instruction(), URLS)

    assert answer == OutcomeUnknown("no answer: ReadTimeout")
    assert len(server.to(PAYMENT)) == 1


async def test_an_answer_that_never_ends_is_unknown_at_the_deadline(
    server: ScriptedServer, desk: TokenDesk, base_url: str, open_rail_at: Callable[[str, HttpLimits], DarajaRail]
) -> None:
    server.on(PAYMENT, scripted_server.drip)
    rail = open_rail_at(base_url, HttpLimits(read_seconds=5.0, exchange_seconds=0.6))

    answer = await rail.submit_payout(instruction(), URLS)

    assert answer == OutcomeUnknown("no answer: TimeoutError")


@pytest.mark.parametrize(
    "name",
    [
        "b2c-error-invalid-initiator-name.json",
        "b2c-error-v3-not-authorised.json",
        "error-invalid-payload-400.json",
        "error-no-apiproduct-401.json",
        "error-not-found-404.json",
        "error-method-405.json",
    ],
)
async def test_a_documented_refusal_is_a_rejection(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail, name: str
) -> None:
    server.on(PAYMENT, replay(name))

    answer = await rail.submit_payout(instruction(), URLS)

    assert isinstance(answer, Rejected)
    assert answer.code == json.loads(example(name))["errorCode"]


@pytest.mark.parametrize(
    "name", ["error-spike-arrest-500.json", "error-quota-500.json", "error-spike-arrest-apigee-429.json"]
)
async def test_a_throttled_payout_was_not_sent(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail, name: str
) -> None:
    server.on(PAYMENT, replay(name))

    answer = await rail.submit_payout(instruction(), URLS)

    assert isinstance(answer, NotSent)
    assert len(server.to(PAYMENT)) == 1


async def test_a_refused_connection_means_not_sent(open_rail_at: Callable[[str, HttpLimits], DarajaRail]) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        rail = open_rail_at(f"http://127.0.0.1:{unheard.getsockname()[1]}", DEFAULT_LIMITS)

        answer = await rail.submit_payout(instruction(), URLS)

    assert answer == NotSent("OAuth did not answer: ConnectError")


async def test_a_gateway_gone_after_the_token_means_not_sent(
    server: ScriptedServer, desk: TokenDesk, base_url: str, rail: DarajaRail
) -> None:
    server.on(
        PAYMENT, scripted_server.raw_then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    )
    await rail.submit_payout(instruction(), URLS)
    await server.close()

    answer = await rail.submit_payout(instruction(), URLS)

    assert answer == NotSent("no connection: ConnectError")


async def test_a_payout_that_found_no_free_connection_was_not_sent(
    server: ScriptedServer, desk: TokenDesk, base_url: str, open_rail_at: Callable[[str, HttpLimits], DarajaRail]
) -> None:
    reached = asyncio.Event()

    async def hold(request: Received, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await scripted_server.hang(request, writer)

    server.on(PAYMENT, hold)
    limits = HttpLimits(read_seconds=5.0, exchange_seconds=5.0, pool_seconds=0.2, connections_max=1)
    rail = open_rail_at(base_url, limits)
    first = asyncio.create_task(rail.submit_payout(instruction(), URLS))
    await reached.wait()

    answer = await rail.submit_payout(instruction(), URLS)

    assert answer == NotSent("no connection: PoolTimeout")
    assert len(server.to(PAYMENT)) == 1
    first.cancel()
    await asyncio.wait([first])


@pytest.mark.parametrize(
    "play",
    [
        reply(400, b""),
        replay("oauth-error-invalid-auth-type.json"),
        replay("oauth-error-invalid-grant.json"),
        replay("error-gateway-503.html"),
        reply(200, b"{}"),
        scripted_server.reset,
    ],
)
async def test_without_a_token_nothing_is_sent(server: ScriptedServer, rail: DarajaRail, play: Play) -> None:
    server.on(OAUTH, play)

    answer = await rail.submit_payout(instruction(), URLS)

    assert isinstance(answer, NotSent)
    assert not server.to(PAYMENT)


async def test_no_token_in_time_means_not_sent(
    server: ScriptedServer, base_url: str, open_rail_at: Callable[[str, HttpLimits], DarajaRail]
) -> None:
    server.on(OAUTH, scripted_server.hang)
    rail = open_rail_at(base_url, HASTY)

    answer = await rail.submit_payout(instruction(), URLS)

    assert answer == NotSent("OAuth did not answer: ReadTimeout")
    assert not server.to(PAYMENT)


async def test_sixty_four_payouts_at_once_ask_for_one_token(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail
) -> None:
    server.on(PAYMENT, ACCEPTED)
    payouts = [instruction(provider_reference=f"ref-{number}") for number in range(64)]

    answers = await asyncio.gather(*(rail.submit_payout(payout, URLS) for payout in payouts))

    assert all(isinstance(answer, Acknowledged) for answer in answers)
    assert len(server.to(OAUTH)) == 1
    sent = [json.loads(request.body)["OriginatorConversationID"] for request in server.to(PAYMENT)]
    assert sorted(sent) == sorted(payout.provider_reference for payout in payouts)


async def test_sixty_four_payouts_on_a_dead_token_share_one_new_token(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail
) -> None:
    server.on(PAYMENT, desk.guard(ACCEPTED, refusal=replay("error-invalid-access-token-401.json")))
    await rail.submit_payout(instruction(), URLS)
    desk.revoke()

    answers = await asyncio.gather(*(rail.submit_payout(instruction(), URLS) for _ in range(64)))

    assert all(isinstance(answer, Acknowledged) for answer in answers)
    assert len(server.to(OAUTH)) == 2
    assert len(server.to(PAYMENT)) <= 1 + 2 * 64


@pytest.mark.parametrize("name", TOKEN_REFUSALS)
async def test_a_token_ended_by_someone_else_is_renewed_once_and_the_call_repeated_once(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail, name: str
) -> None:
    server.on(PAYMENT, desk.guard(ACCEPTED, refusal=replay(name)))
    await rail.submit_payout(instruction(), URLS)
    desk.revoke()
    before = len(server.received)

    answer = await rail.submit_payout(instruction(), URLS)

    assert isinstance(answer, Acknowledged)
    assert [request.path for request in server.received[before:]] == [PAYMENT, OAUTH, PAYMENT]
    assert server.received[-1].body == server.received[-3].body


async def test_a_token_refused_twice_is_not_tried_a_third_time(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail
) -> None:
    server.on(PAYMENT, replay("error-invalid-access-token-401.json"))

    answer = await rail.submit_payout(instruction(), URLS)

    assert answer == NotSent("the gateway refused two access tokens in a row")
    assert [request.path for request in server.received] == [OAUTH, PAYMENT, OAUTH, PAYMENT]


async def test_an_unclear_answer_to_the_repeat_is_unknown(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail
) -> None:
    server.on(PAYMENT, replay("error-invalid-access-token-404.json"), scripted_server.reset)

    answer = await rail.submit_payout(instruction(), URLS)

    assert isinstance(answer, OutcomeUnknown)
    assert len(server.to(PAYMENT)) == 2


async def test_an_amount_with_cents_is_rejected_without_a_call(server: ScriptedServer, rail: DarajaRail) -> None:
    answer = await rail.submit_payout(instruction(amount=Money("KES", 1_050)), URLS)

    assert isinstance(answer, Rejected)
    assert answer.code == "AMOUNT_NOT_PAYABLE"
    assert not server.received


async def test_a_payout_from_another_shortcode_is_not_sent(server: ScriptedServer, rail: DarajaRail) -> None:
    answer = await rail.submit_payout(instruction(shortcode="600999"), URLS)

    assert isinstance(answer, NotSent)
    assert not server.received
