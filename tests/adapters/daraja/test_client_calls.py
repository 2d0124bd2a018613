"""Payments to businesses and questions over real HTTP: where each goes, and what an answer is taken to prove."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from adapters.daraja.client import DarajaRail
from adapters.provider import BalanceAnswer
from ledger.outbox.instruction import Acknowledged, Answer, NotSent, OutcomeUnknown, QueryAnswer, Rejected
from ledger.payee import BusinessKind, BusinessPayee
from tests.adapters.daraja import scripted_server
from tests.adapters.daraja.examples import REFERENCE, URLS, business, example, index, inquiry, instruction, status_of
from tests.adapters.daraja.scripted_server import Play, ScriptedServer, TokenDesk, reply

OAUTH = "/oauth/v1/generate"
Made = Answer | QueryAnswer | BalanceAnswer
TOKEN_REFUSALS = sorted(name for name in index() if name.startswith("error-invalid-access-token"))


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the rail, where it goes, and what accepts it."""

    make: Callable[[DarajaRail], Awaitable[Made]]
    path: str
    accepted: str
    command: str

    @property
    def accept(self) -> Play:
        return reply(200, example(self.accepted))


def to_business(kind: BusinessKind) -> Callable[[DarajaRail], Awaitable[Made]]:
    return lambda rail: rail.submit_payout(instruction(payee=business(kind)), URLS)


B2B = "/mpesa/b2b/v1/paymentrequest"
PAYMENTS = {
    "paybill": Call(to_business(BusinessKind.PAYBILL), B2B, "b2b-response.json", "BusinessPayBill"),
    "till": Call(to_business(BusinessKind.TILL), B2B, "b2b-response.json", "BusinessBuyGoods"),
    "tax": Call(to_business(BusinessKind.TAX), "/mpesa/b2b/v1/remittax", "b2b-response.json", "PayTaxToKRA"),
}
QUESTIONS = {
    "status": Call(
        lambda rail: rail.query_payout(inquiry(), URLS),
        "/mpesa/transactionstatus/v1/query",
        "transaction-status-response.json",
        "TransactionStatusQuery",
    ),
    "balance": Call(
        lambda rail: rail.query_balance("600584", URLS),
        "/mpesa/accountbalance/v1/query",
        "account-balance-response.json",
        "AccountBalance",
    ),
}
CALLS = PAYMENTS | QUESTIONS


def each(calls: dict[str, Call]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", calls.values(), ids=calls.keys())


def replay(name: str) -> Play:
    return reply(status_of(name), example(name))


@pytest.fixture
def desk(server: ScriptedServer) -> TokenDesk:
    desk = TokenDesk()
    server.on(OAUTH, desk.grant)
    return desk


@each(CALLS)
async def test_an_accepted_call_is_acknowledged(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail, call: Call
) -> None:
    server.on(call.path, call.accept)

    answer = await call.make(rail)

    assert isinstance(answer, Acknowledged)
    assert json.loads(example(call.accepted))["ConversationID"] in dict(answer.references).values()
    [sent] = server.to(call.path)
    assert sent.method == "POST"
    assert sent.headers["authorization"] == f"Bearer {desk.current}"
    assert json.loads(sent.body)["CommandID"] == call.command
    assert json.loads(sent.body)["ResultURL"] == URLS.result_url


UNCLEAR: dict[str, Play] = {
    "reset after the request": scripted_server.reset,
    "closed after the request": scripted_server.raw_then_close(b""),
    "cut in the body": scripted_server.raw_then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
    "empty 200": reply(200, b""),
    "gateway page": replay("error-gateway-503.html"),
    "internal error": replay("error-internal-500.json"),
    "system internal error": replay("b2c-error-system-internal.json"),
    "undocumented code": reply(400, b'{"errorCode":"400.999.99","errorMessage":"?"}'),
}


@pytest.mark.parametrize("play", UNCLEAR.values(), ids=UNCLEAR.keys())
@each(CALLS)
async def test_once_sent_anything_unclear_is_unknown_and_sent_no_second_time(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail, call: Call, play: Play
) -> None:
    server.on(call.path, play)

    answer = await call.make(rail)

    assert isinstance(answer, OutcomeUnknown)
    assert len(server.to(call.path)) == 1


REFUSALS = [
    "b2c-error-invalid-initiator-name.json",
    "error-auth-header-404.json",
    "error-invalid-payload-400.json",
    "error-method-405.json",
    "error-no-apiproduct-401.json",
    "error-not-found-404.json",
]


@pytest.mark.parametrize("name", REFUSALS)
@each(PAYMENTS)
async def test_a_documented_refusal_rejects_a_payment(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail, call: Call, name: str
) -> None:
    server.on(call.path, replay(name))

    answer = await call.make(rail)

    assert isinstance(answer, Rejected)
    assert answer.code == json.loads(example(name))["errorCode"]


@pytest.mark.parametrize("name", REFUSALS)
@each(QUESTIONS)
async def test_a_documented_refusal_of_a_question_means_that_it_was_not_asked(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail, call: Call, name: str
) -> None:
    server.on(call.path, replay(name))

    answer = await call.make(rail)

    assert isinstance(answer, NotSent)
    assert json.loads(example(name))["errorCode"] in answer.reason


@pytest.mark.parametrize(
    "name", ["error-spike-arrest-500.json", "error-quota-500.json", "error-spike-arrest-apigee-429.json"]
)
@each(CALLS)
async def test_a_call_throttled_by_the_gateway_was_not_sent(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail, call: Call, name: str
) -> None:
    server.on(call.path, replay(name))

    answer = await call.make(rail)

    assert isinstance(answer, NotSent)
    assert len(server.to(call.path)) == 1


@pytest.mark.parametrize("name", TOKEN_REFUSALS)
@each(CALLS)
async def test_a_token_refused_in_any_familys_form_is_renewed_once_and_the_call_repeated_once(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail, call: Call, name: str
) -> None:
    server.on(call.path, desk.guard(call.accept, refusal=replay(name)))
    await call.make(rail)
    desk.revoke()
    before = len(server.received)

    answer = await call.make(rail)

    assert isinstance(answer, Acknowledged)
    assert [request.path for request in server.received[before:]] == [call.path, OAUTH, call.path]
    assert server.received[-1].body == server.received[-3].body


@each(CALLS)
async def test_without_a_token_nothing_is_sent(server: ScriptedServer, rail: DarajaRail, call: Call) -> None:
    server.on(OAUTH, reply(400, b""))

    answer = await call.make(rail)

    assert isinstance(answer, NotSent)
    assert not server.to(call.path)


async def test_all_kinds_of_calls_share_one_token(server: ScriptedServer, desk: TokenDesk, rail: DarajaRail) -> None:
    for call in CALLS.values():
        server.on(call.path, call.accept)

    await asyncio.gather(*(call.make(rail) for call in CALLS.values()))

    assert len(server.to(OAUTH)) == 1


async def test_a_question_names_the_payment_by_its_receipt_or_by_our_reference(
    server: ScriptedServer, desk: TokenDesk, rail: DarajaRail
) -> None:
    call = QUESTIONS["status"]
    server.on(call.path, call.accept)

    await rail.query_payout(inquiry(), URLS)
    await rail.query_payout(inquiry(receipt="UI1YOXP20E"), URLS)

    by_reference, by_receipt = (json.loads(request.body) for request in server.to(call.path))
    assert (by_reference["OriginalConversationID"], "TransactionID" in by_reference) == (REFERENCE, False)
    assert (by_receipt["TransactionID"], "OriginalConversationID" in by_receipt) == ("UI1YOXP20E", False)


async def test_nothing_is_asked_for_another_shortcode(server: ScriptedServer, rail: DarajaRail) -> None:
    of_payout = await rail.query_payout(inquiry(shortcode="600999"), URLS)
    of_balance = await rail.query_balance("600999", URLS)

    assert isinstance(of_payout, NotSent)
    assert isinstance(of_balance, NotSent)
    assert not server.received


async def test_a_business_the_rail_cannot_pay_is_rejected_without_a_call(
    server: ScriptedServer, rail: DarajaRail
) -> None:
    payee = BusinessPayee(BusinessKind.PAYBILL, "600977", "A" * 14)

    answer = await rail.submit_payout(instruction(payee=payee), URLS)

    assert isinstance(answer, Rejected)
    assert answer.code == "TEXT_INVALID"
    assert not server.received
