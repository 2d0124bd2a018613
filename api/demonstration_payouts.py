"""The demonstration's payouts: ten as a partner's backend makes them, and the proof that the books tell what the rail
did."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc.aio
import httpx
from daftari.v1 import money_pb2, payouts_pb2, webhooks_pb2
from daftari.v1.payouts_pb2_grpc import PayoutCommandServiceStub, PayoutQueryServiceStub
from daftari.v1.webhooks_pb2_grpc import WebhookCommandServiceStub
from rich.console import Console

from api import demonstration_report as report
from api.demonstration_books import Books
from api.demonstration_receiver import Receiver
from api.staging import LEDGER, PARTNER, Stage

WAIT_SECONDS_MAX = 60
_SETTLED = payouts_pb2.Payout.STATE_SETTLED
_RELEASED = payouts_pb2.Payout.STATE_RELEASED
_UNKNOWN = payouts_pb2.Payout.STATE_UNKNOWN


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of the story: a request id, a magic MSISDN, whole shillings, what the rail is going to do, and where
    the payout must end."""

    request_id: str
    msisdn: str
    shillings: int
    story: str
    ends: payouts_pb2.Payout.State.ValueType = _SETTLED

    @property
    def reference(self) -> str:
        """The partner's own reference."""
        return f"order-{self.request_id}"


STORY = (
    Ask("1", "254700000000", 1_500, "paid and called back"),
    Ask("2", "254712345678", 250, "paid and called back"),
    Ask("3", "254700000401", 12_000, "the callback comes before the answer"),
    Ask("4", "254700000402", 640, "the same callback comes twice"),
    Ask("5", "254700000403", 2_000, "queue-timeout notice first, success later"),
    Ask("6", "254700000140", 900, "definite failure: the receiver is not registered", _RELEASED),
    Ask("7", "254700000104", 3_300, "definite failure: the receiver's daily limit", _RELEASED),
    Ask("8", "254700000302", 4_400, "the answer is lost, then silence; a status query finds it paid"),
    Ask("9", "254700000513", 1_100, "silence; a status query finds it expired", _RELEASED),
    Ask("10", "254700000503", 5_000, "paid, but nothing ever says so", _UNKNOWN),
)


class Partner:
    """A partner's backend: asks, asks again under the same request id, watches."""

    def __init__(self, channel: grpc.aio.Channel, key: str) -> None:
        self._commands = PayoutCommandServiceStub(channel)
        self._queries = PayoutQueryServiceStub(channel)
        self._webhooks = WebhookCommandServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {key}"),)

    async def request(self, ask: Ask) -> payouts_pb2.RequestPayoutResponse:
        """The answer to one request."""
        draft = payouts_pb2.PayoutDraft(
            request_id=f"demo-{ask.request_id}",
            partner_reference=ask.reference,
            msisdn=ask.msisdn,
            amount=money_pb2.Money(currency="KES", minor_units=ask.shillings * 100),
        )
        request = payouts_pb2.RequestPayoutRequest(ledger=LEDGER, payout=draft)
        return await self._commands.RequestPayout(request, metadata=self._metadata, timeout=10)

    async def refusal_of(self, minor_units: int) -> str:
        """The words with which an amount is refused."""
        draft = payouts_pb2.PayoutDraft(
            request_id="demo-cents",
            partner_reference="order-cents",
            msisdn="254700000000",
            amount=money_pb2.Money(currency="KES", minor_units=minor_units),
        )
        try:
            await self._commands.RequestPayout(
                payouts_pb2.RequestPayoutRequest(ledger=LEDGER, payout=draft), metadata=self._metadata, timeout=10
            )
        except grpc.aio.AioRpcError as refusal:
            return f"{refusal.code().name}: {refusal.details()}"
        return "accepted"

    async def listen(self, url: str) -> str:
        """Has webhooks sent to a URL; returns the secret that signs them."""
        request = webhooks_pb2.CreateWebhookEndpointRequest(ledger=LEDGER, url=url, request_id="demo-webhook")
        answer = await self._webhooks.CreateWebhookEndpoint(request, metadata=self._metadata, timeout=10)
        return answer.secret

    async def wait_until(self, wanted: dict[str, payouts_pb2.Payout.State.ValueType]) -> None:
        """Watches from the start until each payout is where it must end."""
        states: dict[str, payouts_pb2.Payout.State.ValueType] = {}
        request = payouts_pb2.WatchPayoutsRequest(ledger=LEDGER, cursor="start")
        stream = self._queries.WatchPayouts(request, metadata=self._metadata, timeout=WAIT_SECONDS_MAX)
        async for change in stream:
            states[change.payout.id] = change.payout.state
            if all(states.get(payout_id) == state for payout_id, state in wanted.items()):
                stream.cancel()
                return

    async def life_of(self, payout_id: str) -> payouts_pb2.GetPayoutResponse:
        """A payout with its events."""
        request = payouts_pb2.GetPayoutRequest(ledger=LEDGER, payout_id=payout_id)
        return await self._queries.GetPayout(request, metadata=self._metadata, timeout=10)


async def pay_out(stage: Stage, channel: grpc.aio.Channel, books: Books, out: Console) -> bool:
    """Plays the story and prints it; whether the books and the rail agree, every difference named."""
    async with running_receiver(stage) as (receiver, url):
        partner = Partner(channel, stage.partner_key)
        receiver.believe(await partner.listen(url))
        out.print(f"Requesting {len(STORY)} payouts over gRPC as partner {PARTNER} ...")
        answers = [await partner.request(ask) for ask in STORY]
        again = await partner.request(STORY[0])
        cents = await partner.refusal_of(1050)
        out.print("Waiting for outcomes; after 3 seconds of silence a payout is unknown, and the rail is asked ...")
        ids = [answer.payout.id for answer in answers]
        await partner.wait_until({payout_id: ask.ends for payout_id, ask in zip(ids, STORY, strict=True)})
        told = await receiver.wait_for(set(ids), seconds_max=WAIT_SECONDS_MAX)
        await _let_callbacks_land(stage)
        before = await books.entries()
        forged = await _forge_callback(stage, answers[-1].payout)
        await _let_callbacks_land(stage)
        lives = [await partner.life_of(answer.payout.id) for answer in answers]
    entries, trial, truth = await books.entries(), await books.trial_balance(), await books.truth()
    report.print_lives(out, list(zip(STORY, lives, strict=True)), zone=stage.ledger.zone)
    report.print_duplicate(out, answers[0], again)
    out.print(f"KES 10.50 on a rail of whole shillings: {cents}\n")
    report.print_webhooks(out, [one.type for one in receiver.told.values()], refused=receiver.refused)
    unmoved = len(before) == len(entries) and forged
    report.print_forgery(out, believed=not unmoved)
    report.print_entries(out, entries, zone=stage.ledger.zone)
    balanced = report.print_trial_balance(out, trial)
    agrees = report.print_float(out, trial, lives, truth)
    replayed = again.replayed and again.payout == answers[0].payout
    return balanced and agrees and replayed and told and unmoved


async def _forge_callback(stage: Stage, payout: payouts_pb2.Payout) -> bool:
    """A callback as the rail would write it, by somebody who knows everything of the payout but its path. Whether it
    was answered like any other: a forger learns nothing."""
    parameters = {
        "TransactionAmount": payout.amount.minor_units // 100,
        "TransactionReceipt": "UKL0FORGED",
        "TransactionCompletedDateTime": "21.11.2026 10:00:00",
    }
    result = {
        "ResultType": 0,
        "ResultCode": 0,
        "ResultDesc": "The service request is processed successfully.",
        "OriginatorConversationID": payout.provider_reference,
        "ConversationID": "AG_20261121_2010708758bd6c3765f9",
        "TransactionID": "UKL0FORGED",
        "ResultParameters": {"ResultParameter": [{"Key": key, "Value": value} for key, value in parameters.items()]},
    }
    path = f"/callbacks/{stage.ledger.id}/{payout.rail}/result/{secrets.token_hex(32)}"
    async with httpx.AsyncClient(base_url=stage.addresses.http or "", trust_env=False) as client:
        answer = await client.post(path, json={"Result": result})
    return answer.status_code == httpx.codes.OK


@asynccontextmanager
async def running_receiver(stage: Stage) -> AsyncIterator[tuple[Receiver, str]]:
    """The partner's webhook receiver and its URL."""
    receiver = Receiver(stage.clock)
    url = await receiver.start()
    try:
        yield receiver, url
    finally:
        await receiver.stop()


async def _let_callbacks_land(stage: Stage) -> None:
    """The second of two equal callbacks may still be on its way; its verdict should be in what is printed."""
    await stage.sandbox.idle()
    await asyncio.sleep(0.3)
