"""A shop whose shortcode takes money in: telling of receipts, making orders, and where the money is.

async with open_till(engine) as till:
    order = await till.order(shillings=1000)
    await till.tell(till.paid(reference=order.reference, shillings=1000))
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.collections import directory, ordering, shortcodes
from ledger.collections.allocation import Target, TargetKind
from ledger.collections.booking import Booked, BookResult, Told
from ledger.collections.ordering import Order, OrderRequest
from ledger.collections.receipt import Holdings
from ledger.collections.reference import ReceiptKeys
from ledger.collections.shortcodes import Shortcode
from ledger.collections.writing import LockedReceipt, lock_receipts
from ledger.database import driver, run
from ledger.idempotency import claim
from ledger.journal import accounts, chart
from ledger.money import Money
from ledger.outbox.collecting import Channel, Payer, PayerForm, Received
from ledger.receiving import RACING_CONSTRAINTS, ReceiptRecorder, open_recorder
from tests.ledger.payouts.shop import SECRET, Shop, open_shop

SHORTCODE = "600584"
LANDING = f"asset.float.daraja.{SHORTCODE}.utility"
UNALLOCATED = f"liab.receipts.unallocated.daraja.{SHORTCODE}"
RETURNING = f"liab.receipts.returning.daraja.{SHORTCODE}"
SUSPENSE, PREFUND, WALLET = "liab.receipts.suspense", "liab.partner_prefund.shop", "liab.wallet.amina"
NUMBER = "254712345678"
KEYS = ReceiptKeys(SECRET)


@dataclass
class Till:
    """One shop that collects. `shop` has the books; amounts are shillings."""

    shop: Shop
    recorder: ReceiptRecorder
    numbers: int = field(default=0)

    def paid(self, *, shillings: int = 1000, reference: str = "", receipt: str = "", **changes: Any) -> Received:
        """A receipt as a provider tells it; its number is fresh unless given."""
        self.numbers += 1
        told: dict[str, Any] = {
            "receipt": receipt or f"UI1{self.numbers:07}",
            "shortcode": SHORTCODE,
            "amount": Money("KES", shillings * 100),
            "completed_at": self.shop.now(),
            "payer": Payer(PayerForm.PLAIN, NUMBER, "AMINA WANJIRU"),
            "reference": reference,
        }
        return Received(**(told | changes))

    async def tell(self, *received: Received, channel: Channel = Channel.CONFIRMATION) -> list[BookResult]:
        """The verdicts on what was told, as one set, committed."""
        told = [Told("daraja", one, channel, "tests") for one in received]

        async def command(connection: AsyncConnection) -> list[BookResult]:
            return await self.recorder.record(
                await driver(connection), ledger=self.shop.ledger, told=told, now=self.shop.now()
            )

        return await run(self.shop.engine, command, again_on=RACING_CONSTRAINTS)

    async def take(self, **paid: Any) -> int:
        """The id of a receipt that must be new."""
        (result,) = await self.tell(self.paid(**paid))
        assert isinstance(result, Booked), result
        return result.receipt_id

    async def settle_waiting(self) -> int:
        """Money that has waited long enough goes to suspense; how many receipts that were."""

        async def command(connection: AsyncConnection) -> int:
            return await self.recorder.settle_waiting(
                await driver(connection), ledger=self.shop.ledger, now=self.shop.now(), limit=100
            )

        return await run(self.shop.engine, command)

    async def order(self, *, shillings: int = 1000, reference: str = "", minutes: int = 30, key: str = "") -> Order:
        """An order of the shop's."""
        order, _ = await self.request_order(shillings=shillings, reference=reference, minutes=minutes, key=key)
        return order

    async def request_order(
        self, *, shillings: int = 1000, reference: str = "", minutes: int = 30, key: str = ""
    ) -> tuple[Order, bool]:
        """An order, and whether the same request had made it before."""
        self.numbers += 1
        content = f"{shillings}:{reference}".encode()
        request = OrderRequest(
            key=claim(client_id=7, key=key or f"order-{self.numbers}", method="CreateOrder", content=content),
            partner=self.shop.partner,
            reference=reference,
            amount=Money("KES", shillings * 100),
            expires_at=self.shop.now() + timedelta(minutes=minutes),
        )

        async def command(connection: AsyncConnection) -> tuple[Order, bool]:
            return await ordering.create_order(
                await driver(connection),
                ledger=self.shop.ledger,
                request=request,
                keys=KEYS,
                ids=self.shop.ids,
                now=self.shop.now(),
            )

        return await run(self.shop.engine, command)

    async def read_order(self, order: Order) -> Order:
        """The order as it is now."""

        async def command(connection: AsyncConnection) -> Order:
            found = await ordering.lock_orders(
                await driver(connection), ledger_id=self.shop.ledger.id, order_ids=[order.id]
            )
            return found[order.id]

        return await run(self.shop.engine, command)

    async def add_reference(self, reference: str, *, path: str = WALLET) -> None:
        """Whoever types this pays into the account."""

        async def command(connection: AsyncConnection) -> None:
            await directory.add_reference(
                await driver(connection),
                ledger_id=self.shop.ledger.id,
                reference=reference,
                target=Target(TargetKind.ACCOUNT, path),
                keys=KEYS,
                ids=self.shop.ids,
                now=self.shop.now(),
            )

        await run(self.shop.engine, command)

    async def receipt(self, receipt_id: int) -> LockedReceipt:
        """The receipt as it is now."""

        async def command(connection: AsyncConnection) -> LockedReceipt:
            found = await lock_receipts(
                await driver(connection), ledger_id=self.shop.ledger.id, receipt_ids=[receipt_id]
            )
            return found[receipt_id]

        return await run(self.shop.engine, command)

    async def holdings(self, receipt_id: int) -> Holdings:
        """Where its money is."""
        return (await self.receipt(receipt_id)).holdings

    async def events(self, receipt_id: int) -> list[str]:
        """What happened to its money, oldest first."""
        found = await self.shop.rows(
            "SELECT event FROM receipt_events WHERE ledger_id = :ledger AND receipt_id = :receipt ORDER BY version",
            receipt=receipt_id,
        )
        return [event for (event,) in found]

    async def order_events(self, order: Order) -> list[tuple[str, int]]:
        """What happened to an order, oldest first, with what was paid then."""
        found = await self.shop.rows(
            "SELECT event, paid FROM order_events WHERE ledger_id = :ledger AND order_id = :id ORDER BY version",
            id=order.id,
        )
        return [(event, paid) for event, paid in found]

    async def cases(self) -> list[tuple[str, str]]:
        """The open cases about receipts: queue and reason, oldest first."""
        found = await self.shop.rows(
            "SELECT queue, reason FROM reviews WHERE ledger_id = :ledger AND receipt_id IS NOT NULL AND NOT EXISTS ("
            "SELECT FROM review_resolutions AS d WHERE d.ledger_id = reviews.ledger_id AND d.review_id = reviews.id) "
            "ORDER BY id"
        )
        return [(queue, reason) for queue, reason in found]

    async def balances(self, *paths: str) -> list[int]:
        """Balances in shillings."""
        return [await self.shop.balance(path) // 100 for path in paths]


@asynccontextmanager
async def open_till(engine: AsyncEngine, *, fee: int = 0) -> AsyncIterator[Till]:
    """A till, and one wallet; each payout costs the partner `fee` cents.
    Leaving it asserts that accounts and receipts agree to the cent."""
    async with open_shop(engine, fee=fee) as shop:
        await run(engine, partial(_open_shortcode, shop=shop))
        till = Till(shop, open_recorder(keys=KEYS, directory=shop.directory, ids=shop.ids))
        yield till
        assert await disagreements(till) == []


async def _open_shortcode(connection: AsyncConnection, *, shop: Shop) -> None:
    await shortcodes.open_shortcode(
        connection,
        ledger=shop.ledger,
        shortcode=Shortcode("daraja", SHORTCODE, "KES", LANDING, accepts_unanswered=True),
        ids=shop.ids,
        now=shop.now(),
    )
    wallet = chart.customer_accounts(customer="amina", currency="KES")
    await accounts.open_accounts(connection, ledger_id=shop.ledger.id, specs=wallet, ids=shop.ids, now=shop.now())


async def disagreements(till: Till) -> list[str]:
    """Where the accounts in which receipts wait hold anything else than the receipts say."""
    totals = await till.shop.rows(
        "SELECT coalesce(sum(unallocated), 0)::bigint, coalesce(sum(suspended), 0)::bigint, "
        "coalesce(sum(returning_now), 0)::bigint FROM receipts WHERE ledger_id = :ledger"
    )
    wanted: Sequence[tuple[str, int]] = list(zip((UNALLOCATED, SUSPENSE, RETURNING), totals[0], strict=True))
    found = [(path, amount, await till.shop.balance(path)) for path, amount in wanted]
    return [f"{path} holds {balance}, its receipts {amount}" for path, amount, balance in found if balance != amount]
