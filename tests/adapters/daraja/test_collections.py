"""Collections over real HTTP: where each call goes, and what each thing that a gateway can do is taken to prove."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from adapters.collecting import CollectionRail, Page, Registered
from adapters.daraja.client import DarajaRail
from adapters.daraja.collections import DarajaCollections
from adapters.daraja.session import DarajaSession, open_session
from ledger.money import Money
from ledger.outbox.collecting import Prompted, PromptPaid, PromptPending
from ledger.outbox.instruction import Acknowledged, NotSent, OutcomeUnknown, Rejected
from tests.adapters.daraja import scripted_server
from tests.adapters.daraja.collecting import (
    CHECKOUT,
    CONVERSATION_ID,
    NOMINATED,
    NOW,
    ORIGINATOR_CONVERSATION_ID,
    PROMPT_URLS,
    PULL_URL,
    REGISTRATION,
    REVERSAL_URLS,
    SINCE,
    UNTIL,
    names,
    prompt_inquiry,
    prompt_instruction,
    reversal_instruction,
)
from tests.adapters.daraja.conftest import settings_for
from tests.adapters.daraja.examples import URLS, example, instruction, status_of
from tests.adapters.daraja.scripted_server import Play, ScriptedServer, TokenDesk, reply

OAUTH = "/oauth/v1/generate"
TOKEN_REFUSALS = names("error-invalid-access-token")


@dataclass(frozen=True, slots=True)
class Call:
    """One call, where it goes, the documents that go and come, and what they are taken to say."""

    make: Callable[[DarajaCollections], Awaitable[Any]]
    path: str
    request: str
    accepted: str
    answer: Any

    @property
    def accept(self) -> Play:
        return reply(status_of(self.accepted), example(self.accepted))


PROMPT = Call(
    lambda rail: rail.submit_prompt(prompt_instruction(), PROMPT_URLS),
    "/mpesa/stkpush/v1/processrequest",
    "stk-push-request.json",
    "stk-push-response.json",
    Prompted(CHECKOUT),
)
QUESTION = Call(
    lambda rail: rail.query_prompt(prompt_inquiry()),
    "/mpesa/stkpushquery/v1/query",
    "stk-query-request.json",
    "stk-query-response-success.json",
    PromptPaid(None),
)
REVERSAL = Call(
    lambda rail: rail.submit_reversal(reversal_instruction(), REVERSAL_URLS),
    "/mpesa/reversal/v1/request",
    "reversal-request.json",
    "reversal-response.json",
    Acknowledged((
        ("daraja.conversation_id", CONVERSATION_ID),
        ("daraja.originator_conversation_id", ORIGINATOR_CONVERSATION_ID),
    )),
)  # fmt: skip
REGISTERING = Call(
    lambda rail: rail.register_collections(REGISTRATION),
    "/mpesa/c2b/v2/registerurl",
    "c2b-register-url-request.json",
    "c2b-register-url-response.json",
    Registered(),
)
REGISTERING_PULL = Call(
    lambda rail: rail.register_pull("600584", nominated=NOMINATED, callback_url=PULL_URL),
    "/pulltransactions/v1/register",
    "pull-register-request.json",
    "pull-register-response.json",
    Registered(),
)
LISTING = Call(
    lambda rail: rail.list_received("600584", since=SINCE, until=UNTIL, offset=0),
    "/pulltransactions/v1/query",
    "pull-query-request.json",
    "pull-query-response-empty.json",
    Page((), None),
)
SUBMISSIONS = {"prompt": PROMPT, "reversal": REVERSAL, "registration": REGISTERING, "pull": REGISTERING_PULL}
QUESTIONS = {"question": QUESTION, "listing": LISTING}
CALLS = SUBMISSIONS | QUESTIONS


def each(calls: dict[str, Call]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", calls.values(), ids=calls.keys())


def replay(name: str) -> Play:
    return reply(status_of(name), example(name))


@pytest.fixture
def desk(server: ScriptedServer) -> TokenDesk:
    desk = TokenDesk()
    server.on(OAUTH, desk.grant)
    return desk


def test_the_rail_is_a_collection_rail(collections: DarajaCollections) -> None:
    any_rail: CollectionRail = collections

    assert any_rail.collection_capabilities.rail == "daraja"


@each(CALLS)
async def test_a_call_sends_the_documented_request_and_reads_the_documented_answer(
    server: ScriptedServer, desk: TokenDesk, collections: DarajaCollections, call: Call
) -> None:
    server.on(call.path, call.accept)

    answer = await call.make(collections)

    assert answer == call.answer
    [sent] = server.to(call.path)
    assert (sent.method, sent.headers["content-type"]) == ("POST", "application/json")
    assert sent.headers["authorization"] == f"Bearer {desk.current}"
    document, documented = json.loads(sent.body), json.loads(example(call.request))
    ours = {"SecurityCredential", "Occasion"}
    assert list(document) == list(documented)
    assert {key: document[key] for key in document if key not in ours} == {
        key: documented[key] for key in documented if key not in ours
    }


async def test_a_reversal_carries_the_password_under_the_certificate(
    server: ScriptedServer, desk: TokenDesk, collections: DarajaCollections, private_key: rsa.RSAPrivateKey
) -> None:
    server.on(REVERSAL.path, REVERSAL.accept)

    await REVERSAL.make(collections)

    credential = json.loads(server.to(REVERSAL.path)[0].body)["SecurityCredential"]
    assert private_key.decrypt(base64.b64decode(credential), padding.PKCS1v15()) == b"Safaricom999!*!"


UNCLEAR: dict[str, Play] = {
    "reset after the request": scripted_server.reset,
    "closed after the request": scripted_server.raw_then_close(b""),
    "cut in the body": scripted_server.raw_then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
    "empty 200": reply(200, b""),
    "a redirect": scripted_server.raw(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
    "gateway page": replay("error-gateway-503.html"),
    "internal error": replay("error-internal-500.json"),
    "undocumented code": reply(400, b'{"errorCode":"400.999.99","errorMessage":"?"}'),
}


@pytest.mark.parametrize("play", UNCLEAR.values(), ids=UNCLEAR.keys())
@each(CALLS)
async def test_once_sent_anything_unclear_is_unknown_and_sent_no_second_time(
    server: ScriptedServer, desk: TokenDesk, collections: DarajaCollections, call: Call, play: Play
) -> None:
    server.on(call.path, play)

    answer = await call.make(collections)

    assert isinstance(answer, OutcomeUnknown)
    assert len(server.to(call.path)) == 1


REFUSALS = ["error-auth-header-404.json", "error-invalid-payload-400.json", "error-no-apiproduct-401.json"]


@pytest.mark.parametrize("name", REFUSALS)
@each(SUBMISSIONS | {"listing": LISTING})
async def test_a_documented_refusal_is_a_rejection(
    server: ScriptedServer, desk: TokenDesk, collections: DarajaCollections, call: Call, name: str
) -> None:
    server.on(call.path, replay(name))

    answer = await call.make(collections)

    assert isinstance(answer, Rejected)
    assert answer.code == json.loads(example(name))["errorCode"]


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refused_question_was_not_asked(
    server: ScriptedServer, desk: TokenDesk, collections: DarajaCollections, name: str
) -> None:
    server.on(QUESTION.path, replay(name))

    answer = await QUESTION.make(collections)

    assert isinstance(answer, NotSent)
    assert json.loads(example(name))["errorCode"] in answer.reason


@pytest.mark.parametrize(
    "name", ["error-spike-arrest-500.json", "error-quota-500.json", "error-spike-arrest-apigee-429.json"]
)
@each(CALLS)
async def test_a_call_throttled_by_the_gateway_was_not_sent(
    server: ScriptedServer, desk: TokenDesk, collections: DarajaCollections, call: Call, name: str
) -> None:
    server.on(call.path, replay(name))

    answer = await call.make(collections)

    assert isinstance(answer, NotSent)
    assert len(server.to(call.path)) == 1


@pytest.mark.parametrize("name", TOKEN_REFUSALS)
@each(CALLS)
async def test_a_token_refused_in_any_familys_form_is_renewed_once_and_the_call_repeated_once(
    server: ScriptedServer, desk: TokenDesk, collections: DarajaCollections, call: Call, name: str
) -> None:
    server.on(call.path, desk.guard(call.accept, refusal=replay(name)))
    await call.make(collections)
    desk.revoke()
    before = len(server.received)

    answer = await call.make(collections)

    assert answer == call.answer
    assert [request.path for request in server.received[before:]] == [call.path, OAUTH, call.path]
    assert server.received[-1].body == server.received[-3].body


@each(CALLS)
async def test_without_a_token_nothing_is_sent(
    server: ScriptedServer, collections: DarajaCollections, call: Call
) -> None:
    server.on(OAUTH, reply(400, b""))

    answer = await call.make(collections)

    assert isinstance(answer, NotSent)
    assert not server.to(call.path)


async def test_payouts_and_collections_of_one_session_share_one_token(
    server: ScriptedServer, desk: TokenDesk, session: DarajaSession, collections: DarajaCollections
) -> None:
    payments = "/mpesa/b2c/v3/paymentrequest"
    server.on(payments, reply(200, example("b2c-response.json")))
    for call in CALLS.values():
        server.on(call.path, call.accept)

    await asyncio.gather(
        DarajaRail(session).submit_payout(instruction(), URLS), *(call.make(collections) for call in CALLS.values())
    )

    assert len(server.to(OAUTH)) == 1
    assert len(server.received) == 2 + len(CALLS)


async def test_a_session_may_be_closed_by_each_who_shares_it(
    session: DarajaSession, collections: DarajaCollections
) -> None:
    await DarajaRail(session).close()
    await collections.close()


OF_ANOTHER = {
    "prompt": lambda rail: rail.submit_prompt(prompt_instruction(shortcode="600999"), PROMPT_URLS),
    "question": lambda rail: rail.query_prompt(prompt_inquiry(shortcode="600999")),
    "reversal": lambda rail: rail.submit_reversal(reversal_instruction(shortcode="600999"), REVERSAL_URLS),
    "registration": lambda rail: rail.register_collections(dataclasses.replace(REGISTRATION, shortcode="600999")),
    "pull": lambda rail: rail.register_pull("600999", nominated=NOMINATED, callback_url=PULL_URL),
    "listing": lambda rail: rail.list_received("600999", since=SINCE, until=UNTIL, offset=0),
}


@pytest.mark.parametrize("make", OF_ANOTHER.values(), ids=OF_ANOTHER.keys())
async def test_nothing_is_sent_for_another_shortcode(
    server: ScriptedServer, collections: DarajaCollections, make: Callable[[DarajaCollections], Awaitable[Any]]
) -> None:
    answer = await make(collections)

    assert answer == NotSent("this rail holds the credentials of another shortcode")
    assert not server.received


async def test_a_rail_without_a_passkey_prompts_nobody_and_says_why_and_does_the_rest(
    server: ScriptedServer, desk: TokenDesk, base_url: str, certificate_pem: bytes
) -> None:
    for call in CALLS.values():
        server.on(call.path, call.accept)
    session = open_session(settings_for(base_url, certificate_pem), monotonic=time.monotonic)
    rail = DarajaCollections(session, now=lambda: NOW)

    answers = {name: await call.make(rail) for name, call in CALLS.items()}
    await rail.close()

    unsent = {name for name, answer in answers.items() if isinstance(answer, NotSent)}
    assert unsent == {"prompt", "question"}
    assert "passkey" in answers["prompt"].reason
    assert not server.to(PROMPT.path) + server.to(QUESTION.path)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"amount": Money("KES", 1_050)}, "AMOUNT_NOT_PAYABLE"),
        ({"amount": Money("KES", 25_000_100)}, "AMOUNT_NOT_PAYABLE"),
        ({"account_reference": "A" * 13}, "TEXT_INVALID"),
    ],
)
async def test_a_prompt_or_reversal_that_the_rail_cannot_carry_is_rejected_without_a_call(
    server: ScriptedServer, collections: DarajaCollections, given: dict[str, Any], code: str
) -> None:
    answer = await collections.submit_prompt(prompt_instruction(**given), PROMPT_URLS)
    of_cents = await collections.submit_reversal(reversal_instruction(amount=Money("KES", 45_050)), REVERSAL_URLS)

    assert isinstance(answer, Rejected)
    assert isinstance(of_cents, Rejected)
    assert (answer.code, of_cents.code) == (code, "AMOUNT_NOT_PAYABLE")
    assert not server.received


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stk-push-error-invalid-phone.json", Rejected),
        ("stk-push-error-merchant-unknown.json", Rejected),
        ("stk-push-error-wrong-credentials.json", Rejected),
        ("stk-push-error-subscriber-locked.json", Rejected),
        ("stk-push-error-busy.json", OutcomeUnknown),
        ("stk-query-error-being-processed.json", OutcomeUnknown),
    ],
)
async def test_each_error_of_a_prompt_is_taken_for_what_it_proves(
    server: ScriptedServer, desk: TokenDesk, collections: DarajaCollections, name: str, expected: type[object]
) -> None:
    server.on(PROMPT.path, replay(name))

    assert isinstance(await PROMPT.make(collections), expected)
    assert len(server.to(PROMPT.path)) == 1


@pytest.mark.parametrize("name", ["stk-query-error-being-processed.json", "stk-query-response-still-processing.json"])
async def test_a_prompt_still_under_way_is_pending_in_either_form(
    server: ScriptedServer, desk: TokenDesk, collections: DarajaCollections, name: str
) -> None:
    server.on(QUESTION.path, replay(name))

    assert isinstance(await QUESTION.make(collections), PromptPending)


async def test_addresses_registered_before_are_in_force(
    server: ScriptedServer, desk: TokenDesk, collections: DarajaCollections
) -> None:
    server.on(REGISTERING.path, replay("c2b-register-url-error-already-registered.json"))
    server.on(REGISTERING_PULL.path, replay("pull-register-response-already.json"))

    assert await REGISTERING.make(collections) == Registered(before=True)
    assert await REGISTERING_PULL.make(collections) == Registered(before=True)


async def test_pages_are_asked_for_by_their_row(
    server: ScriptedServer, desk: TokenDesk, collections: DarajaCollections
) -> None:
    [row] = json.loads(example("pull-query-response.json"))["Response"][0][:1]
    full = json.dumps({"ResponseCode": "1000", "Response": [[row] * 100]}).encode()
    server.on(LISTING.path, reply(200, full), LISTING.accept)

    first = await LISTING.make(collections)
    rest = await collections.list_received("600584", since=SINCE, until=UNTIL, offset=first.next_offset)

    assert (len(first.received), rest) == (100, Page((), None))
    assert [json.loads(request.body)["OffSetValue"] for request in server.to(LISTING.path)] == ["0", "100"]
