"""A promotion from its batch to its end, over real sockets: codes are printed and activated over gRPC, redeemed by
phones over the USSD gateway's HTTP, paid by the wallet; what the batch owes is its face value times its live codes at
every step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc.aio
import httpx
import pytest
from daftari.v1 import promotions_pb2 as pb
from daftari.v1.promotions_pb2_grpc import PromotionCommandServiceStub, PromotionQueryServiceStub
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from api.conversion.times import timestamp_of
from api.permissions import Permission
from api.roles import Role
from api.serving import Service
from api.settings import UssdSettings
from api.ussd_gateway import open_gateway
from tests.api.office import create_operator_key
from tests.fix_api import StreamWithKey, WithKey
from tests.journeys.wallet import IN_TRANSIT, NUMBER, PREFUNDED, WalletRig, open_wallet
from tests.ledger.payouts.shop import PREFUND
from tests.wire import money

if TYPE_CHECKING:
    from daftari.v1.promotions_pb2_grpc import PromotionCommandServiceAsyncStub, PromotionQueryServiceAsyncStub

FACE, CODES = 500, 5
OTHER, THIRD = "250782222222", "250783333333"
SECRET = "5e" * 32
LIABILITY, WINNERS = "liab.promo.caps-1", "liab.payable.winners.caps-1"
THANKS, NOT_VALID = "END Murakoze. RWF 500 arakugeraho", "END Iyi kode ntishobora gukoreshwa."


@dataclass
class Promotion:
    """Everything that runs, and the codes of the batch as they are printed."""

    wallet: WalletRig
    maker: PromotionCommandServiceAsyncStub
    checker: PromotionCommandServiceAsyncStub
    reader: PromotionQueryServiceAsyncStub
    telco: httpx.AsyncClient
    batch_id: str = ""
    codes: list[str] = field(default_factory=list)
    sessions: int = 0

    @property
    def ledger(self) -> str:
        return self.wallet.ledger.code

    async def print_codes(self) -> None:
        """A batch with its codes, which are worth nothing yet."""
        campaign = pb.Campaign(code="caps", name="Crown caps")
        await self.maker.CreateCampaign(pb.CreateCampaignRequest(ledger=self.ledger, request_id="c", campaign=campaign))
        request = pb.CreateBatchRequest(
            ledger=self.ledger,
            request_id="b",
            code="caps-1",
            campaign="caps",
            amount=money(FACE, "RWF"),
            count=CODES,
            funding=pb.Batch.FUNDING_PREFUND,
            partner="shop",
            expire_time=timestamp_of(self.wallet.now() + timedelta(days=30)),
            second_person=True,
        )
        self.batch_id = (await self.maker.CreateBatch(request)).batch.id
        about = {"ledger": self.ledger, "batch_id": self.batch_id}
        async for _ in self.maker.GenerateCodes(pb.GenerateCodesRequest(**about)):
            pass
        export = pb.ExportCodesRequest(request_id="e", reason="printer", **about)
        self.codes = [code.code async for part in self.maker.ExportCodes(export) for code in part.codes]

    async def activate(self) -> None:
        """By another than who made it."""
        request = pb.ActivateBatchRequest(ledger=self.ledger, request_id="a", batch_id=self.batch_id)
        await self.checker.ActivateBatch(request)

    async def redeem(self, phone: str, code: str) -> str:
        """The last screen of a session."""
        self.sessions += 1
        form = {"sessionId": f"ATUid_{self.sessions}", "phoneNumber": f"+{phone}", "networkCode": "63510"}
        for text in ("", "1", f"1*{code}"):
            screen = await self.telco.post(f"/ussd/{SECRET}", data={**form, "serviceCode": "*384#", "text": text})
            assert screen.status_code == 200
        return screen.text

    async def owed(self) -> tuple[int, int, int]:
        """What is owed for live codes, to winners whose payout failed, and is on its way to winners. The first is
        always as the batch tells it: its amount times its live codes."""
        batch = (await self.reader.GetBatch(pb.GetBatchRequest(ledger=self.ledger, batch_id=self.batch_id))).batch
        held = [await self.wallet.balance(path) for path in (LIABILITY, WINNERS, IN_TRANSIT)]
        owes = batch.state in (pb.Batch.STATE_ACTIVE, pb.Batch.STATE_PAUSED)
        assert held[0] == batch.liability.minor_units == (FACE * batch.live_count if owes else 0)
        return held[0], held[1], held[2]

    async def states(self) -> list[str]:
        """Of all redemptions, oldest first."""
        found = await self.reader.ListRedemptions(pb.ListRedemptionsRequest(ledger=self.ledger))
        return [pb.Redemption.State.Name(one.state).removeprefix("STATE_") for one in reversed(found.redemptions)]

    async def pass_time(self, **time: float) -> None:
        """What the clock does to batches and redemptions, and what follows."""
        await self.wallet.pass_time(timedelta(**time).total_seconds())
        await self.wallet.application.promotion_watch().step()
        await self.wallet.work()


@pytest.fixture
async def promotion(engine: AsyncEngine) -> AsyncIterator[Promotion]:
    """A wallet, a core and a gateway before it."""
    async with open_wallet(engine) as wallet:
        settings = wallet.application.settings.model_copy(update={"grpc_listen": "127.0.0.1:0"})
        service = Service(replace(wallet.application, settings=settings), roles=(Role.GRPC,))
        address = (await service.start()).grpc
        assert address is not None
        redeems = frozenset({Permission.PROMOTIONS_REDEEM.value})
        key = await create_operator_key(wallet, ledger_id=wallet.ledger.id, permissions=redeems, name="gateway")
        gateway = UssdSettings(
            listen="127.0.0.1:0", path_secret=SecretStr(SECRET), core=address, key=SecretStr(key),
            ledger=wallet.ledger.code,
        )  # fmt: skip
        channels = [
            grpc.aio.insecure_channel(address, interceptors=[WithKey(one), StreamWithKey(one)])
            for one in [await create_operator_key(wallet, ledger_id=None, name=name) for name in ("maker", "checker")]
        ]
        async with open_gateway(gateway) as running, httpx.AsyncClient(base_url=running.url, trust_env=False) as telco:
            maker, checker = (PromotionCommandServiceStub(one) for one in channels)
            yield Promotion(wallet, maker, checker, PromotionQueryServiceStub(channels[0]), telco)
        for one in channels:
            await one.close()
        await service.stop()


async def test_what_a_batch_owes_is_its_live_codes_from_the_printer_to_its_end(promotion: Promotion) -> None:
    wallet = promotion.wallet
    await promotion.print_codes()
    assert await promotion.owed() == (0, 0, 0)
    await promotion.activate()
    assert await promotion.owed() == (5 * FACE, 0, 0)
    assert await wallet.balance(PREFUND) == PREFUNDED - 5 * FACE

    # Redeemed: the winner's money is on its way before the screen says so, and paid by the wallet.
    assert (await promotion.redeem(NUMBER, promotion.codes[0].lower())).startswith(THANKS)
    assert await promotion.owed() == (4 * FACE, 0, FACE)
    await wallet.work()
    assert (await promotion.owed(), await promotion.states()) == ((4 * FACE, 0, 0), ["PAID"])
    (paid,) = wallet.momo.world.paid("disbursement")
    assert (paid.msisdn, paid.amount) == (NUMBER, FACE)

    # Used by another, and stolen: nothing moves, and both sound alike.
    stolen = pb.ReportStolenRequest(
        ledger=promotion.ledger, request_id="s", batch_id=promotion.batch_id, number=2, reason="a crate is gone"
    )
    await promotion.maker.ReportStolen(stolen)
    screens = {await promotion.redeem(OTHER, promotion.codes[0]), await promotion.redeem(OTHER, promotion.codes[1])}
    assert [one.startswith(NOT_VALID) for one in screens] == [True]
    assert await promotion.owed() == (3 * FACE, 0, 0)

    # A payout that fails leaves its code redeemed and the winner owed; another is made an hour later.
    await wallet.script("failed")
    assert (await promotion.redeem(THIRD, promotion.codes[2])).startswith(THANKS)
    await wallet.work()
    assert (await promotion.owed(), await promotion.states()) == ((2 * FACE, FACE, 0), ["PAID", "FAILED"])
    await promotion.pass_time(hours=1, seconds=1)
    assert (await promotion.owed(), await promotion.states()) == ((2 * FACE, 0, 0), ["PAID", "PAID"])
    assert [one.msisdn for one in wallet.momo.world.paid("disbursement")] == [NUMBER, THIRD]

    # Its time is over: what nobody redeemed goes back to whom it came from.
    await promotion.pass_time(days=31)
    assert await promotion.owed() == (0, 0, 0)
    assert (await promotion.redeem(OTHER, promotion.codes[3])).startswith(NOT_VALID)
    assert await wallet.balance(PREFUND) == PREFUNDED - 2 * FACE
    assert await wallet.agrees_with_the_rail()
