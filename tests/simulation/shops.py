"""The shops of a history: orders they expect to be paid, phones they ask, money they send back."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.collections import ordering
from ledger.collections.ordering import OrderRequest
from ledger.collections.return_asking import ReturnRequest
from ledger.database import driver
from ledger.idempotency import KeyClaim
from ledger.journal.books import Ledger
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.partners import Partner
from ledger.prompts import PromptRequest
from tests.simulation.asks import Ask
from tests.simulation.daraja import SHORTCODE
from tests.simulation.processes import Process
from tests.simulation.till_books import WALLETS

PAYERS = ("254712345678", "254722000111", "254733222444")
LIVES = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))


@dataclass(slots=True, eq=False)
class ShopOrder:
    """An order that a shop wants, and what it was told of it."""

    number: int
    partner: Partner
    reference: str
    cents: int
    expires_at: datetime
    ask: Ask = field(init=False)

    def __post_init__(self) -> None:
        content = f"{self.partner.code} {self.reference} {self.cents}"
        self.ask = Ask(f"order-{self.number}", "CreateOrder", content, self._send)

    @property
    def is_known(self) -> bool:
        """Whether its shop has it."""
        return bool(self.ask.answers)

    async def _send(self, process: Process, ledger: Ledger, connection: AsyncConnection, key: KeyClaim) -> int:
        request = OrderRequest(
            key=key,
            partner=self.partner,
            reference=self.reference,
            amount=Money("KES", self.cents),
            expires_at=self.expires_at,
        )
        order, _ = await ordering.create_order(
            await driver(connection),
            ledger=ledger,
            request=request,
            keys=process.money_in.keys,
            ids=process.ids,
            now=process.clock.now(),
        )
        return order.id


@dataclass(slots=True, eq=False)
class ShopPrompt:
    """A phone that a shop wants asked: towards an order once it has one, or for a wallet."""

    number: int
    order: ShopOrder | None
    reference: str
    cents: int
    msisdn: str
    ask: Ask = field(init=False)

    def __post_init__(self) -> None:
        place = f"order {self.order.number}" if self.order else self.reference
        content = f"{place} {self.cents} {self.msisdn}"
        self.ask = Ask(f"prompt-{self.number}", "RequestPrompt", content, self._send)

    @property
    def may_be_asked(self) -> bool:
        """Not before its order is there."""
        return self.order is None or self.order.is_known

    async def _send(self, process: Process, ledger: Ledger, connection: AsyncConnection, key: KeyClaim) -> int:
        request = PromptRequest(
            key=key,
            actor="shop",
            partner=self.order.partner if self.order else None,
            rail="daraja",
            shortcode=SHORTCODE,
            payer=Msisdn(self.msisdn),
            amount=Money("KES", self.cents),
            order_id=self.order.ask.answer if self.order else None,
            reference="" if self.order else self.reference,
            description="",
        )
        door = process.money_in.prompts
        prompt, _ = await door.request(
            await driver(connection),
            ledger=ledger,
            request=request,
            rules=process.money_in.prompt_rules,
            now=process.clock.now(),
        )
        return prompt.id


def make_return(number: int, receipt_id: int, cents: int | None) -> Ask:
    """Money of a receipt that is to go back to its payer; None for all that is still here."""

    async def send(process: Process, ledger: Ledger, connection: AsyncConnection, key: KeyClaim) -> int:
        amount = Money("KES", cents) if cents is not None else None
        request = ReturnRequest(key=key, actor="shop", receipt_id=receipt_id, amount=amount, reason="sent back")
        made, _ = await process.money_in.returns.request(
            await driver(connection), ledger=ledger, request=request, now=process.clock.now()
        )
        return made.id

    return Ask(f"return-{number}", "ReturnReceipt", f"{receipt_id} {cents}", send)


def make_orders(chance: random.Random, partners: tuple[Partner, ...], count: int, now: datetime) -> list[ShopOrder]:
    """Amounts alike, so that one order's payment fits another; some are soon over."""
    return [
        ShopOrder(
            number=number,
            partner=chance.choice(partners),
            reference=f"ORD-{number}{chance.randrange(100, 999)}",
            cents=chance.choice([50_000, 50_000, 120_000, 450_000]),
            expires_at=now + chance.choice(LIVES),
        )
        for number in range(count)
    ]


def make_prompts(chance: random.Random, orders: list[ShopOrder], count: int) -> list[ShopPrompt]:
    """For orders mostly; two for the same now and then."""
    made = []
    for number in range(count):
        order = chance.choice(orders) if chance.random() < 0.7 and orders else None
        cents = order.cents if order and chance.random() < 0.8 else 50_000
        made.append(ShopPrompt(number, order, chance.choice(list(WALLETS)), cents, chance.choice(PAYERS)))
    return made
