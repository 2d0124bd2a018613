"""A shop that gives codes away, on real books: batches from draft to their end, phones that redeem, and what the
accounts of a batch hold.

async with open_fair(engine) as fair:
    batch = await fair.active(codes=3)
    result = await fair.redeem(batch, 1)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import Driver, driver, run
from ledger.idempotency import KeyClaim, claim
from ledger.journal.poster import Poster
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.promotions import campaigns, desk, queries, redeeming
from ledger.promotions.attempts import DEFAULT_RULES, ThrottleRules
from ledger.promotions.batch import Event, Funding
from ledger.promotions.campaigns import NewCampaign
from ledger.promotions.code_keys import CodeKeys
from ledger.promotions.desk import BatchDesk, BatchRequest, Order
from ledger.promotions.expiring import Expirer
from ledger.promotions.issuing import Mint, PrintedCode, Progress, open_export, read_sheet
from ledger.promotions.judging import RedemptionOrder
from ledger.promotions.redeeming import OrderBook, Redeemed, Redeemer, RedeemResult
from ledger.promotions.redemptions import Redemption
from ledger.promotions.retrying import Retrier
from ledger.promotions.writing import Batch
from tests.ledger.payouts.shop import LIMITS, PARTY_KEYS, PREFUND, SECRET, Shop, open_shop

Result = TypeVar("Result")
RACES = desk.RACING_CONSTRAINTS | redeeming.RACING_CONSTRAINTS
MAKER, CHECKER = "amina", "baraka"
CAMPAIGN, FACE = "tins", 5_000
KEYS = CodeKeys(SECRET)
GATEWAY = 31
PHONE = "254712345678"


def phone(number: int) -> str:
    """The MSISDN of one of many phones."""
    return f"2547{number:08d}"


@dataclass(kw_only=True)
class Fair:
    """A shop with a campaign. Amounts are minor units; codes are told as they are printed."""

    shop: Shop
    rules: ThrottleRules = DEFAULT_RULES
    numbers: int = 0
    codes: dict[int, dict[int, str]] = field(default_factory=dict)

    @property
    def poster(self) -> Poster:
        """Posts on the shop's books."""
        return Poster(directory=self.shop.directory, ids=self.shop.ids)

    @property
    def desk(self) -> BatchDesk:
        """Who is asked about batches."""
        return BatchDesk(poster=self.poster, limits=LIMITS)

    @property
    def mint(self) -> Mint:
        """Who makes codes, the same in every run."""
        self.numbers += 1
        return Mint(poster=self.poster, keys=KEYS, randomness=Random(self.numbers).randbytes)

    @property
    def redeemer(self) -> Redeemer:
        """Who redeems."""
        return Redeemer(poster=self.poster, party_keys=PARTY_KEYS, limits=LIMITS, rules=self.rules)

    @property
    def retrier(self) -> Retrier:
        """Who pays again."""
        return Retrier(poster=self.poster, party_keys=PARTY_KEYS, limits=LIMITS)

    def key(self, name: str = "", content: bytes = b"") -> KeyClaim:
        """A fresh request id unless named."""
        self.numbers += 1
        return claim(client_id=9, key=name or f"key-{self.numbers}", method="Test", content=content)

    def order(self, batch: Batch, *, actor: str = CHECKER, name: str = "", reason: str = "because") -> Order:
        """A command about a batch."""
        return Order(self.key(name, str(batch.id).encode()), batch.id, actor, reason)

    async def run(self, command: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """In one transaction, again after a lost race."""
        return await run(self.shop.engine, command, again_on=RACES)

    async def tell(self, command: Callable[[Driver], Awaitable[Result]]) -> Result:
        """The same for what speaks to the driver."""

        async def on_connection(connection: AsyncConnection) -> Result:
            return await command(await driver(connection))

        return await self.run(on_connection)

    async def campaign(self, *, code: str = CAMPAIGN, most: int | None = None, a_day: int | None = None) -> None:
        """Makes one."""
        new = NewCampaign(
            key=self.key(), actor=MAKER, code=code, name="Tins", per_msisdn_max=most, per_msisdn_day_max=a_day
        )
        await self.tell(
            lambda driver: campaigns.create_campaign(
                driver, ledger_id=self.shop.ledger.id, campaign=new, ids=self.shop.ids, now=self.shop.now()
            )
        )

    def wanted(self, *, codes: int = 3, name: str = "", face: int = FACE) -> BatchRequest:
        """A batch to ask for."""
        self.numbers += 1
        return BatchRequest(
            key=self.key(),
            actor=MAKER,
            code=name or f"batch-{self.numbers}",
            campaign=CAMPAIGN,
            amount=Money("KES", face),
            count=codes,
            funding=Funding.PREFUND,
            partner="shop",
            shortcode="",
            assignee="Mama Mboga",
            expires_at=self.shop.now() + timedelta(days=30),
            second_person=True,
        )

    async def create(self, request: BatchRequest) -> Batch:
        """The draft, without codes."""
        batch_id, _ = await self.run(
            lambda connection: self.desk.create(
                connection, ledger=self.shop.ledger, request=request, now=self.shop.now()
            )
        )
        return await self.batch(batch_id)

    async def draft(self, *, codes: int = 3, funding: Funding = Funding.PREFUND, days: int = 30) -> Batch:
        """A draft with all of its codes."""
        expires_at = self.shop.now() + timedelta(days=days)
        batch = await self.create(replace(self.wanted(codes=codes), funding=funding, expires_at=expires_at))
        progress = Progress(0, codes)
        while progress.issued < progress.count:
            progress = await self.generate(batch)
        self.codes[batch.id] = {one.number: one.code for one in await self.sheets(batch)}
        return await self.batch(batch.id)

    async def active(self, *, codes: int = 3, funding: Funding = Funding.PREFUND, days: int = 30) -> Batch:
        """A batch whose codes can be redeemed."""
        batch = await self.draft(codes=codes, funding=funding, days=days)
        await self.activate(batch)
        return await self.batch(batch.id)

    async def generate(self, batch: Batch) -> Progress:
        """The next part of its codes."""
        mint = self.mint
        return await self.tell(
            lambda driver: mint.generate(
                driver, ledger=self.shop.ledger, batch_id=batch.id, actor=MAKER, now=self.shop.now()
            )
        )

    async def take_in(self, batch: Batch, *typed: str, name: str = "") -> bool:
        """Imports codes."""
        order = self.order(batch, actor=MAKER, name=name)
        return await self.tell(
            lambda driver: self.mint.take_in(
                driver, ledger=self.shop.ledger, order=order, typed=typed, now=self.shop.now()
            )
        )

    async def export(self, batch: Batch, *, name: str = "") -> bool:
        """Opens the export of its codes."""
        order = self.order(batch, name=name)
        return await self.tell(
            lambda driver: open_export(driver, ledger=self.shop.ledger, order=order, now=self.shop.now())
        )

    async def sheets(self, batch: Batch) -> list[PrintedCode]:
        """All codes of a batch as they are printed."""
        found: list[PrintedCode] = []
        while sheet := await self._sheet(batch, len(found) + 1):
            found += sheet
        return found

    async def _sheet(self, batch: Batch, first: int) -> list[PrintedCode]:
        ledger = self.shop.ledger
        return await self.tell(
            lambda driver: read_sheet(driver, ledger=ledger, batch_id=batch.id, first_number=first, keys=KEYS)
        )

    async def activate(self, batch: Batch, *, actor: str = CHECKER, name: str = "") -> bool:
        """See BatchDesk."""
        order = self.order(batch, actor=actor, name=name)
        return await self.tell(
            lambda driver: self.desk.activate(driver, ledger=self.shop.ledger, order=order, now=self.shop.now())
        )

    async def switch(self, batch: Batch, verb: str, *, name: str = "") -> bool:
        """Pauses, resumes, cancels or expires it."""
        order, command = self.order(batch, name=name), getattr(self.desk, verb)
        return await self.tell(
            lambda driver: command(driver, ledger=self.shop.ledger, order=order, now=self.shop.now())
        )

    async def take(self, batch: Batch, number: int, event: Event = Event.STOLEN, *, name: str = "") -> bool:
        """Takes one code out."""
        order = self.order(batch, name=name)
        return await self.tell(
            lambda driver: self.desk.take_code(
                driver, ledger=self.shop.ledger, order=order, event=event, number=number, now=self.shop.now()
            )
        )

    async def void(self, batch: Batch, first: int, last: int, *, name: str = "") -> tuple[int, bool]:
        """Takes a range out."""
        order = self.order(batch, name=name)
        return await self.tell(
            lambda driver: self.desk.void_range(
                driver, ledger=self.shop.ledger, order=order, numbers=(first, last), now=self.shop.now()
            )
        )

    def typed(
        self, text: str, *, msisdn: str = PHONE, name: str = "", session: str = "", client: int = GATEWAY
    ) -> RedemptionOrder:
        """An order of what a phone typed."""
        self.numbers += 1
        return OrderBook(keys=KEYS, party_keys=PARTY_KEYS).order(
            ledger_id=self.shop.ledger.id,
            client_id=client,
            actor="gateway",
            request_id=name or f"hop-{self.numbers}",
            typed=text,
            msisdn=Msisdn(msisdn),
            session=session,
        )

    async def redeem_all(self, *orders: RedemptionOrder) -> list[RedeemResult]:
        """The results of a set, committed."""
        return await self.tell(
            lambda driver: self.redeemer.redeem(driver, ledger=self.shop.ledger, orders=orders, now=self.shop.now())
        )

    async def redeem(self, batch: Batch, number: int, *, msisdn: str = PHONE, session: str = "") -> RedeemResult:
        """What became of one code of a batch."""
        (result,) = await self.redeem_all(self.typed(self.codes[batch.id][number], msisdn=msisdn, session=session))
        return result

    async def won(self, batch: Batch, number: int, *, msisdn: str = PHONE) -> Redemption:
        """A redemption that must be made."""
        result = await self.redeem(batch, number, msisdn=msisdn)
        assert isinstance(result, Redeemed), result
        return result.redemption

    async def batch(self, batch_id: int) -> Batch:
        """As it is now."""
        return await self.tell(
            lambda driver: queries.get_batch(driver, ledger_id=self.shop.ledger.id, batch_id=batch_id)
        )

    async def redemption(self, redemption_id: int) -> Redemption:
        """As it is now."""
        return await self.tell(
            lambda driver: queries.get_redemption(driver, ledger_id=self.shop.ledger.id, redemption_id=redemption_id)
        )

    async def expire_due(self) -> int:
        """What the clock does to batches."""
        expirer = Expirer(poster=self.poster)
        return await self.tell(
            lambda driver: expirer.expire_due(driver, ledger=self.shop.ledger, now=self.shop.now(), limit=50)
        )

    async def retry_due(self) -> int:
        """What the clock does to redemptions."""
        return await self.run(
            lambda connection: self.retrier.retry_due(
                connection, ledger=self.shop.ledger, now=self.shop.now(), limit=50
            )
        )

    async def retry(self, redemption: Redemption, *, name: str = "") -> bool:
        """What a person does to one."""
        key = self.key(name)
        return await self.run(
            lambda connection: self.retrier.retry(
                connection,
                ledger=self.shop.ledger,
                key=key,
                redemption_id=redemption.id,
                actor=CHECKER,
                now=self.shop.now(),
            )
        )

    async def held(self, batch: Batch) -> tuple[int, int, int]:
        """What its accounts hold: for live codes, for winners, and beside the books for a draft."""
        money = batch.money
        balance = self.shop.balance
        return await balance(money.liability), await balance(money.payable), await balance(money.unactivated)

    async def prefund(self) -> int:
        """What the partner has left."""
        return await self.shop.balance(PREFUND)


@asynccontextmanager
async def open_fair(engine: AsyncEngine, *, rules: ThrottleRules = DEFAULT_RULES) -> AsyncIterator[Fair]:
    """A fair on a ledger of its own, with one campaign without limits."""
    async with open_shop(engine) as shop:
        fair = Fair(shop=shop, rules=rules)
        await fair.campaign()
        yield fair
