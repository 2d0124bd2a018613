"""Text messages over the simulated providers, over real HTTP: told in the transaction that settles, sent once, reported
on, charged in the books; what may have been sent is never sent again, and STOP is respected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.africastalking.client import AfricasTalking
from adapters.dispatch import Dispatcher
from adapters.inbound import Inbound
from adapters.listener import Listener
from adapters.pindo.client import Pindo
from adapters.sandbox.sms.world import SMS_KEY, SMS_USERNAME, Sent
from adapters.sms import DELIVERY, INCOMING, ConstantKey
from adapters.transport import HttpLimits, Secret
from api.http import callbacks
from api.messaging import open_sms
from ledger.database import driver, run
from ledger.payouts.request import Requested
from ledger.sms import desk
from tests.adapters.test_dispatch import cut_off
from tests.journeys.rig import LEASE_SECONDS, Rig
from tests.ledger.payouts.roads import STARTED, settled
from tests.ledger.payouts.shop import open_shop
from tests.ledger.sms.opened import WANTED

KEY = ConstantKey(Secret(SMS_KEY))
EXPENSE, OWED = "expense.sms_ussd", "liab.sms.africastalking"


@dataclass
class Texted:
    """A rig whose customers are told, and the addresses that the providers were given."""

    rig: Rig
    texter: Dispatcher
    inbound: Inbound
    paths: dict[str, dict[str, str]]

    @property
    def sent(self) -> list[Sent]:
        """What phones got."""
        return self.rig.sandbox.sms.sent

    async def pay(self, *, ends: str = "678", purpose: str = "business") -> int:
        """A payout that settled; its id."""
        payout_id = await self.request(ends=ends, purpose=purpose)
        assert await self.rig.state(payout_id) == "SETTLED"
        return payout_id

    async def request(self, *, ends: str = "678", purpose: str = "business") -> int:
        """A payout that the rail has done with; its id."""
        draft = replace(self.rig.draft(msisdn=f"254712345{ends}"), purpose=purpose)
        (requested,) = await self.rig.request_all(draft)
        assert isinstance(requested, Requested)
        await self.rig.work_until_quiet()
        return requested.payout_id

    async def post(self, url: str, body: str) -> None:
        """A provider calls back, and is judged."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with httpx.AsyncClient(trust_env=False) as provider:
            (await provider.post(url, content=body, headers=headers)).raise_for_status()
        await self.inbound.step(limit=100)

    async def write_to_us(self, phone: str, words: str) -> None:
        """Somebody writes to the shop."""
        fields = {"from": phone, "to": "SHOP", "text": words, "id": "1", "date": "2026-09-01 07:15:36"}
        await self.post(self.paths[INCOMING]["africastalking"], urlencode(fields))

    async def work(self) -> None:
        """Sends and judges until nothing is due, on its way or unjudged."""
        while True:
            sent = await self.texter.step()
            await self.rig.sandbox.idle()
            if not await self.inbound.step(limit=100) and not sent:
                return

    async def told(self, payout_id: int) -> list[tuple[str, str, str | None]]:
        """State, provider and reason of each message about a payout."""
        found = await self.rig.rows(
            "SELECT state, provider, failure_code FROM sms_messages "
            "WHERE ledger_id = :ledger AND payout_id = :payout ORDER BY id",
            payout=payout_id,
        )
        return [(state, provider, code) for state, provider, code in found]

    async def events(self) -> list[str]:
        """Of all messages, in order."""
        found = await self.rig.rows("SELECT event FROM sms_events WHERE ledger_id = :ledger ORDER BY sms_id, version")
        return [event for (event,) in found]

    async def resend(self, payout_id: int) -> list[int]:
        """A person asks for the messages about a payout once more; those that are queued."""
        rig = self.rig
        found = await rig.rows(
            "SELECT id FROM sms_messages WHERE ledger_id = :ledger AND payout_id = :payout", payout=payout_id
        )
        ids = [sms_id for (sms_id,) in found]

        async def ask(connection: AsyncConnection) -> list[int]:
            session = await driver(connection)
            return await desk.resend(
                session, ledger_id=rig.ledger.id, sms_ids=ids, actor="amina", ids=rig.ids, now=rig.now()
            )

        return await run(rig.engine, ask)

    async def script(self, behaviour: str) -> None:
        """The next message meets this."""
        async with httpx.AsyncClient(base_url=self.rig.sandbox_url, trust_env=False) as control:
            (await control.post("/sandbox/sms/faults", json={"behaviour": behaviour})).raise_for_status()


@pytest.fixture
async def texted(shared_rig: Rig) -> AsyncIterator[Texted]:
    """Both providers run; all that can be told is."""
    rig, limits = shared_rig, HttpLimits(read_seconds=1.5)
    africastalking = _africastalking(rig.sandbox_url, limits=limits)
    pindo = Pindo(base_url=rig.sandbox_url, currency="USD", keys=KEY, limits=limits)
    application = replace(rig.application, messengers={"africastalking": africastalking, "pindo": pindo})
    inbound = application.inbound()
    listener = Listener(host="127.0.0.1", port=0, grace_seconds=1)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(africastalking.close)
        stack.push_async_callback(pindo.close)
        edge = callbacks.application(inbound, questions=application.questions(), healthy=_healthy)
        public_url = await listener.start(edge)
        stack.push_async_callback(listener.stop)
        paths = await open_sms(
            application,
            ledger_code=rig.ledger.code,
            wanted=WANTED,
            currencies=["KES", "USD"],
            public_url=public_url,
        )
        rig.sandbox.sms.reports_to |= paths[DELIVERY]
        yield Texted(rig, application.texter(public_url=public_url), inbound, paths)


async def _healthy() -> bool:
    return True


def _africastalking(base_url: str, *, limits: HttpLimits) -> AfricasTalking:
    return AfricasTalking(base_url=base_url, username=SMS_USERNAME, keys=KEY, limits=limits)


@asynccontextmanager
async def mute_provider() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Takes connections and says nothing; its URL, and what is set when it was asked."""
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    server.close()


async def test_a_settled_payout_is_told_once_and_charged_and_its_delivery_reported(texted: Texted) -> None:
    rig = texted.rig
    payout_id = await texted.pay()
    together = await rig.rows(
        "SELECT m.xmin = v.xmin FROM sms_messages AS m JOIN payout_events AS v USING (ledger_id, payout_id) "
        "WHERE m.ledger_id = :ledger AND v.state = 'SETTLED'"
    )
    before = list(texted.sent)

    await texted.work()

    (one,) = texted.sent
    receipt = (await rig.payout(payout_id)).receipt
    assert [bool(row[0]) for row in together] == [True]
    assert before == []
    assert (one.provider, one.to, one.sender) == ("africastalking", "+254712345678", "SHOP")
    assert one.text == f"Shop: KES 1500.00 zimelipwa kwa nambari hii. Risiti {receipt}."
    assert await texted.told(payout_id) == [("DELIVERED", "africastalking", None)]
    assert await texted.events() == ["queued", "sent", "delivered"]
    assert [await rig.balance(EXPENSE), await rig.balance(OWED)] == [80, 80]


@pytest.mark.parametrize(
    ("ends", "state", "provider", "phones"),
    [
        ("901", "FAILED", "africastalking", 0),  # a failure inside a 201
        ("903", "FAILED", "pindo", 0),  # no balance there; the other refuses as well
        ("905", "UNKNOWN", "africastalking", 1),  # the answer was lost
        ("906", "UNKNOWN", "africastalking", 1),
        ("907", "FAILED", "africastalking", 1),
        ("908", "SENT", "africastalking", 1),
        ("909", "DELIVERED", "africastalking", 1),
        ("911", "DELIVERED", "africastalking", 1),
    ],
)
async def test_whatever_a_provider_does_no_phone_gets_a_message_twice(
    texted: Texted, ends: str, state: str, provider: str, phones: int
) -> None:
    payout_id = await texted.pay(ends=ends)

    await texted.work()
    texted.rig.clock.advance(seconds=10 * LEASE_SECONDS)
    await texted.work()

    ((ended, over, _),) = await texted.told(payout_id)
    assert (ended, over, len(texted.sent)) == (state, provider, phones)
    assert await texted.rig.rows("SELECT FROM instructions WHERE ledger_id = :ledger AND done_at IS NULL") == []
    # What a provider never told the cost of is not booked.
    assert await texted.rig.balance(OWED) == (80 if state != "UNKNOWN" and phones else 0)


async def test_what_was_not_sent_goes_to_the_other_provider(texted: Texted) -> None:
    await texted.script("access-refused")
    payout_id = await texted.pay()

    await texted.work()

    (one,) = texted.sent
    assert one.provider == "pindo"
    assert await texted.told(payout_id) == [("DELIVERED", "pindo", None)]
    assert await texted.events() == ["queued", "rerouted", "sent", "delivered"]
    # 0.006 dollars are no whole cent: they are told, and nothing is due yet.
    costs = await texted.rig.rows("SELECT told_micros, posted_minor_units FROM sms_costs WHERE ledger_id = :ledger")
    assert [tuple(row) for row in costs] == [(6_000, 0)]


async def test_what_a_worker_was_sending_when_it_died_is_known_to_be_unknown_and_sent_by_no_other(
    texted: Texted,
) -> None:
    payout_id = await texted.pay()
    async with mute_provider() as (base_url, asked):
        mute = _africastalking(base_url, limits=HttpLimits(read_seconds=30))
        dying = replace(texted.rig.application, messengers={"africastalking": mute})
        step = asyncio.create_task(dying.texter(public_url="").step())
        await asyncio.wait_for(asked.wait(), 20)
        await cut_off(step)
        await mute.close()

    await texted.work()
    during = await texted.told(payout_id)
    texted.rig.clock.advance(seconds=10 * LEASE_SECONDS)
    await texted.work()

    assert during == [("QUEUED", "africastalking", None)]
    assert await texted.told(payout_id) == [("UNKNOWN", "africastalking", "interrupted")]
    assert texted.sent == []


async def test_a_failed_message_is_sent_again_once_however_many_people_ask(texted: Texted) -> None:
    payout_id = await texted.pay(ends="907")
    await texted.work()
    failed = await texted.told(payout_id)
    await texted.script("delivered")

    queued = await asyncio.gather(*(texted.resend(payout_id) for _ in range(3)))
    await texted.work()
    late = await texted.resend(payout_id)

    assert failed == [("FAILED", "africastalking", "UserIsInactive")]
    assert sorted(map(len, queued)) == [0, 0, 1]
    assert await texted.told(payout_id) == [("DELIVERED", "africastalking", None)]
    assert (late, len(texted.sent)) == ([], 2)
    assert await texted.events() == ["queued", "sent", "undelivered", "resent", "sent", "delivered"]
    assert await texted.rig.balance(OWED) == 160  # each sending costs


async def test_what_may_have_arrived_is_not_sent_again_at_anybodys_word(texted: Texted) -> None:
    unknown, under_way = await texted.pay(ends="905"), await texted.pay(ends="908")
    await texted.work()

    assert [await texted.resend(one) for one in (unknown, under_way)] == [[], []]
    assert len(texted.sent) == 2


async def test_ledgers_do_not_hear_of_each_others_messages(texted: Texted) -> None:
    rig, theirs = texted.rig, "SELECT state, provider_message_id FROM sms_messages WHERE ledger_id = :ledger"
    async with open_shop(rig.engine, clock=rig.clock) as other:
        await open_sms(rig.application, ledger_code=other.ledger.code, wanted=WANTED, currencies=["KES"], public_url="")
        payout_id = await other.request(msisdn="254712345908")
        await other.record((payout_id, STARTED), (payout_id, settled(payout_id)))
        await texted.work()
        ((_, message_id),) = await other.rows(theirs)

        await texted.post(texted.paths[DELIVERY]["africastalking"], urlencode({"id": message_id, "status": "Success"}))
        await texted.write_to_us("+254712345908", "STOP")

        assert [state for state, _ in await other.rows(theirs)] == ["SENT"]
        assert await other.rows("SELECT FROM sms_opt_outs WHERE ledger_id = :ledger") == []
    assert len(await rig.rows("SELECT FROM sms_opt_outs WHERE ledger_id = :ledger")) == 1


async def test_who_sent_stop_gets_what_is_essential_alone(texted: Texted) -> None:
    rig, phone = texted.rig, "+254712345678"
    await texted.write_to_us(phone, "Stop ")
    await rig.script("result-2040", count=1)

    failed = await texted.request(purpose="promotion")
    await texted.work()
    paid = await texted.pay(purpose="promotion")
    await texted.work()
    await texted.write_to_us(phone, "START")
    await rig.script("result-2040", count=1)
    again = await texted.request(purpose="promotion")
    await texted.work()

    assert await texted.told(failed) == [("FAILED", "africastalking", "opted-out")]
    assert await texted.told(paid) == [("DELIVERED", "africastalking", None)]
    assert await texted.told(again) == [("DELIVERED", "africastalking", None)]
    assert len(texted.sent) == 2


async def test_an_id_that_names_two_messages_is_believed_of_the_first_alone(texted: Texted) -> None:
    await texted.script("access-refused")
    first = await texted.pay()
    await texted.work()
    texted.sent.clear()  # Pindo counts from one again
    await texted.script("access-refused")

    second = await texted.pay()
    await texted.work()

    assert await texted.told(first) == [("DELIVERED", "pindo", None)]
    assert await texted.told(second) == [("UNKNOWN", "pindo", "id-repeated")]


async def test_a_path_that_nobody_was_given_moves_no_message(texted: Texted) -> None:
    payout_id = await texted.pay(ends="908")
    await texted.work()
    body = urlencode({"id": texted.sent[0].message_id, "status": "Success"})
    url = texted.paths[DELIVERY]["africastalking"]

    await texted.post(f"{url[:-4]}AAAA", body)
    strange = await texted.told(payout_id)
    await texted.post(url, body)

    assert strange == [("SENT", "africastalking", None)]
    assert await texted.told(payout_id) == [("DELIVERED", "africastalking", None)]
