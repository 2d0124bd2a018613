"""The demonstration's promotion: a thousand codes over the wallet, redeemed by phones over the USSD gateway, paid, and
told by text message; one code stolen, one payout failed and made again by policy, and the batch's end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import grpc.aio
import httpx
from daftari.v1 import money_pb2
from daftari.v1 import promotions_pb2 as pb
from daftari.v1.promotions_pb2_grpc import PromotionCommandServiceStub, PromotionQueryServiceStub
from pydantic import SecretStr
from rich.console import Console

from api import demonstration_promotion_report as report
from api.administration import create_key
from api.conversion.times import timestamp_of
from api.demonstration_books import Books, balances_of
from api.demonstration_promotion_report import Owed
from api.permissions import Permission
from api.settings import UssdSettings
from api.staging import MOMO, PARTNER, WALLET_LEDGER, WALLET_RAIL, WALLET_SENDER, Stage
from api.ussd_gateway import open_gateway

if TYPE_CHECKING:
    from daftari.v1.promotions_pb2_grpc import PromotionCommandServiceAsyncStub, PromotionQueryServiceAsyncStub

LOOKS_MAX, LOOK_REST_SECONDS = 600, 0.1
CODES, FACE, DAYS = 1_000, 500, 30
BATCH, CAMPAIGN = "caps-1", "caps"
WINNERS = ("250781234567", "250782222222", "250783333333")
UNLUCKY, CROOK = "250784444444", "250785555555"
# Redeemed, failed and paid: what each winner is told.
MESSAGES = 2 * (len(WINNERS) + 1) + 1
PATH_SECRET = "5e" * 32
FLOAT = f"asset.float.{WALLET_RAIL}.{MOMO.wallet}.disbursement"
_KEY_DAYS = 2 * DAYS  # the story lasts longer than the keys of `serve --sandbox`
_PAID, _FAILED = pb.Redemption.STATE_PAID, pb.Redemption.STATE_FAILED

Answer = TypeVar("Answer")


class Telco:
    """A phone company: carries what a phone types to the gateway, hop by hop."""

    def __init__(self, client: httpx.AsyncClient, *, path_secret: str) -> None:
        self._client = client
        self._path = f"/ussd/{path_secret}"
        self._sessions = 0

    async def redeem(self, phone: str, code: str) -> str:
        """The last screen of a session in which a phone chose to redeem, and typed a code."""
        self._sessions += 1
        form = {"sessionId": f"ATUid_{self._sessions}", "phoneNumber": f"+{phone}", "networkCode": "63510"}
        screen = ""
        for text in ("", "1", f"1*{code}"):
            answer = await self._client.post(self._path, data={**form, "serviceCode": "*384#", "text": text})
            screen = answer.raise_for_status().text
        return screen


@dataclass(frozen=True, slots=True)
class Desk:
    """Who makes the batch, who lets it go, and a finance person who reads."""

    maker: PromotionCommandServiceAsyncStub
    checker: PromotionCommandServiceAsyncStub
    reader: PromotionQueryServiceAsyncStub
    books: Books
    making: Sequence[tuple[str, str]]
    checking: Sequence[tuple[str, str]]

    async def print_codes(self, stage: Stage) -> tuple[str, list[str]]:
        """A batch, by its id, and its codes as they are printed: worth nothing yet."""
        campaign = pb.Campaign(code=CAMPAIGN, name="Crown caps")
        await self._make(
            self.maker.CreateCampaign,
            pb.CreateCampaignRequest(ledger=WALLET_LEDGER, request_id="c", campaign=campaign),
        )
        request = pb.CreateBatchRequest(
            ledger=WALLET_LEDGER,
            request_id="b",
            code=BATCH,
            campaign=CAMPAIGN,
            amount=money_pb2.Money(currency=MOMO.currency, minor_units=FACE),
            count=CODES,
            funding=pb.Batch.FUNDING_PREFUND,
            partner=PARTNER,
            expire_time=timestamp_of(stage.application.now() + timedelta(days=DAYS)),
            second_person=True,
        )
        batch_id = (await self._make(self.maker.CreateBatch, request)).batch.id
        generate = pb.GenerateCodesRequest(ledger=WALLET_LEDGER, batch_id=batch_id)
        async for _ in self.maker.GenerateCodes(generate, metadata=self.making, timeout=30):
            pass
        export = pb.ExportCodesRequest(ledger=WALLET_LEDGER, request_id="e", batch_id=batch_id, reason="printer")
        printed = self.maker.ExportCodes(export, metadata=self.making, timeout=30)
        return batch_id, [one.code async for sheet in printed for one in sheet.codes]

    async def activate(self, batch_id: str) -> None:
        """By another person than who made it."""
        request = pb.ActivateBatchRequest(ledger=WALLET_LEDGER, request_id="a", batch_id=batch_id)
        await self.checker.ActivateBatch(request, metadata=self.checking, timeout=10)

    async def report_stolen(self, batch_id: str, number: int) -> None:
        """One code is worth nothing from now on."""
        request = pb.ReportStolenRequest(
            ledger=WALLET_LEDGER, request_id="s", batch_id=batch_id, number=number, reason="a crate is gone"
        )
        await self._make(self.maker.ReportStolen, request)

    async def owed(self, batch_id: str) -> Owed:
        """What the batch's accounts hold, and how many of its codes are live."""
        request = pb.GetBatchRequest(ledger=WALLET_LEDGER, batch_id=batch_id)
        batch = (await self.reader.GetBatch(request, metadata=self.making, timeout=10)).batch
        held = balances_of(await self.books.trial_balance())
        return Owed(
            state=pb.Batch.State.Name(batch.state).removeprefix("STATE_"),
            live_codes=batch.live_count,
            liability=held.get(f"liab.promo.{BATCH}", 0),
            winners=held.get(f"liab.payable.winners.{BATCH}", 0),
            in_transit=held.get(f"liab.payout.in_transit.{WALLET_RAIL}.{MOMO.wallet}", 0),
            prefund=held[f"liab.partner_prefund.{PARTNER}"],
            float_units=held[FLOAT],
        )

    async def redemptions(self, state: pb.Redemption.State.ValueType) -> int:
        """How many stand there."""
        request = pb.ListRedemptionsRequest(ledger=WALLET_LEDGER)
        found = await self.reader.ListRedemptions(request, metadata=self.making, timeout=10)
        return sum(one.state == state for one in found.redemptions)

    async def _make(self, call: Callable[..., Awaitable[Answer]], request: object) -> Answer:
        return await call(request, metadata=self.making, timeout=10)


async def promote(stage: Stage, channel: grpc.aio.Channel, out: Console) -> bool:
    """Lives the promotion through and prints what it owes at each step; whether that is its face value times its live
    codes throughout, and the wallet paid each winner once."""
    out.print(f"\n[bold]A promotion of {CODES:,} codes of {MOMO.currency} {FACE}[/], over the wallet and by USSD ...")
    desk = await _open_desk(stage, channel)
    async with open_telco(stage) as telco, httpx.AsyncClient(base_url=stage.sandbox_url, trust_env=False) as sandbox:
        steps, screens = await _live(stage, desk, telco, sandbox)
        texts = await _until(lambda: _texts(sandbox), lambda told: len(told) >= MESSAGES)
        wallet = await _truth(sandbox, "momo")
    report.print_steps(out, steps, face=FACE)
    report.print_screens(out, screens)
    report.print_texts(out, texts)
    paid = [one for one in wallet["transactions"] if one["product"] == "disbursement" and one["status"] == "SUCCESSFUL"]
    return report.print_proof(
        out, steps, face=FACE, winners=len(WINNERS) + 1, paid=[one["amount"] for one in paid],
        float_of_wallet=wallet["balances"]["disbursement"], messages=len(texts) == MESSAGES,
    )  # fmt: skip


@asynccontextmanager
async def open_telco(stage: Stage) -> AsyncIterator[Telco]:
    """A phone company before a gateway whose key can redeem and nothing else."""
    key = await _key(stage, "gateway", [Permission.PROMOTIONS_REDEEM])
    settings = UssdSettings(
        listen="127.0.0.1:0",
        path_secret=SecretStr(PATH_SECRET),
        core=stage.addresses.grpc or "",
        key=SecretStr(key),
        ledger=WALLET_LEDGER,
    )
    async with open_gateway(settings) as running, httpx.AsyncClient(base_url=running.url, trust_env=False) as client:
        yield Telco(client, path_secret=PATH_SECRET)


async def _live(
    stage: Stage, desk: Desk, telco: Telco, sandbox: httpx.AsyncClient
) -> tuple[list[tuple[str, Owed]], list[tuple[str, str]]]:
    """The steps with what was owed after each, and the screens that phones saw."""
    batch_id, codes = await desk.print_codes(stage)
    steps = [(f"{len(codes):,} codes are made and printed", await desk.owed(batch_id))]
    await desk.activate(batch_id)
    steps.append(("another person activates them", await desk.owed(batch_id)))
    screens = [("a winner", await telco.redeem(phone, code)) for phone, code in zip(WINNERS, codes, strict=False)]
    steps.append((f"{len(WINNERS)} phones redeem by USSD", await desk.owed(batch_id)))
    await _until(lambda: desk.redemptions(_PAID), lambda count: count == len(WINNERS))
    steps.append(("the wallet has paid them", await desk.owed(batch_id)))
    await desk.report_stolen(batch_id, number=CODES)
    screens += [("the stolen code", await telco.redeem(CROOK, codes[-1]))]
    screens += [("a code redeemed before", await telco.redeem(CROOK, codes[0]))]
    steps.append(("a code is reported stolen, and refused", await desk.owed(batch_id)))
    (await sandbox.post("/sandbox/momo/faults", json={"behaviour": "failed", "count": 1})).raise_for_status()
    await telco.redeem(UNLUCKY, codes[len(WINNERS)])
    await _until(lambda: desk.redemptions(_FAILED), lambda count: count == 1)
    steps.append(("a winner's payout fails", await desk.owed(batch_id)))
    stage.clock.pass_time(timedelta(hours=1, seconds=1))
    await _until(lambda: desk.redemptions(_PAID), lambda count: count == len(WINNERS) + 1)
    steps.append(("an hour later it is made again", await desk.owed(batch_id)))
    stage.clock.pass_time(timedelta(days=DAYS))
    over = await _until(lambda: desk.owed(batch_id), lambda owed: owed.state == "EXPIRED")
    steps.append((f"{DAYS} days later the rest expires", over))
    screens += [("a code of the batch that is over", await telco.redeem(CROOK, codes[-2]))]
    return steps, screens


async def _open_desk(stage: Stage, channel: grpc.aio.Channel) -> Desk:
    keys = [await _key(stage, name, None) for name in ("promotions.maker", "promotions.checker")]
    making, checking = ((("authorization", f"Bearer {key}"),) for key in keys)
    commands = PromotionCommandServiceStub(channel)
    books = Books(stage, channel, ledger=WALLET_LEDGER, key=keys[0])
    return Desk(commands, commands, PromotionQueryServiceStub(channel), books, making, checking)


async def _key(stage: Stage, name: str, permissions: list[Permission] | None) -> str:
    return await create_key(
        stage.application,
        name=name,
        ledger_code=WALLET_LEDGER,
        partner_code="",
        permissions=permissions,
        days=_KEY_DAYS,
    )


async def _truth(sandbox: httpx.AsyncClient, of: str) -> dict[str, Any]:
    answer: dict[str, Any] = (await sandbox.get(f"/sandbox/{of}/truth")).raise_for_status().json()
    return answer


async def _texts(sandbox: httpx.AsyncClient) -> list[str]:
    """What phones got from these books."""
    return [one["text"] for one in (await _truth(sandbox, "sms"))["sent"] if one["sender"] == WALLET_SENDER]


async def _until(look: Callable[[], Awaitable[Answer]], is_there: Callable[[Answer], bool]) -> Answer:
    """What was seen when it was there, or at last: the report tells the difference."""
    seen = await look()
    for _ in range(LOOKS_MAX):
        if is_there(seen):
            break
        await asyncio.sleep(LOOK_REST_SECONDS)
        seen = await look()
    return seen
