"""What people ask of batches: making them, activating, pausing, resuming, cancelling, and taking codes out. Each once,
by its request id, under the batch's lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import partners
from ledger.database import Driver, driver
from ledger.errors import AmountInvalid, ChoiceInvalid, CurrencyMismatch, PathInvalid, TimeInvalid
from ledger.idempotency import KeyClaim, find_answer, store_key
from ledger.journal import accounts, chart
from ledger.journal.books import Ledger
from ledger.journal.decide import PostRequest
from ledger.journal.entry import JournalEntry, Source
from ledger.journal.poster import Poster
from ledger.money import MINOR_UNITS_MAX, Money
from ledger.payouts.limits import check_payable
from ledger.payouts.rails import choose_route, find_routes
from ledger.payouts.request import Limits
from ledger.promotions.batch import Effect, Event, Funding, Move, State, is_breakage, transition
from ledger.promotions.campaigns import check_code, find_campaign
from ledger.promotions.entries import activated_entry, ended_entry, voided_entry
from ledger.promotions.refusals import ActivatorNeeded, BatchExists, BatchNotReady, CodeNotFound, CodeNotLive
from ledger.promotions.writing import (
    Batch,
    NewBatch,
    Step,
    add_batch,
    lock_batch,
    read_code_state,
    take_out,
    write_steps,
)
from ledger.text import check_text

COUNT_MAX = 5_000_000
RANGE_MAX = 100_000
# Two processes may choose the same id in the same millisecond, or be asked the same at once: the command is run again.
RACING_CONSTRAINTS = frozenset({"idempotency_keys_pkey", "campaigns_code_is_unique", "promo_batches_code_is_unique"})
_BY_CODE = "SELECT id FROM promo_batches WHERE ledger_id = %s AND code = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """A batch to make: so many codes worth `amount` each, paid by `funding` in the name of a partner. Raises what makes
    it impossible."""

    key: KeyClaim
    actor: str
    code: str
    campaign: str
    amount: Money
    count: int
    funding: Funding
    partner: str
    shortcode: str
    assignee: str
    expires_at: datetime
    second_person: bool

    def __post_init__(self) -> None:
        check_code(self.code, field="code")
        if not 1 <= self.count <= COUNT_MAX:
            raise ChoiceInvalid(f"a batch has 1 to {COUNT_MAX:,} codes", field="count")
        if not 0 < self.amount.minor_units <= MINOR_UNITS_MAX // self.count:
            raise AmountInvalid("all codes of a batch together are worth more than nothing and less than too much",
                                field="amount")  # fmt: skip
        for field, text, length_max in (("shortcode", self.shortcode, 40), ("assignee", self.assignee, 200)):
            if text:
                check_text(text, field=field, length_max=length_max)


@dataclass(frozen=True, slots=True)
class Order:
    """A command about one batch: the claim of its request id, and who gives it why."""

    key: KeyClaim
    batch_id: int
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDesk:
    """Carries the commands out inside the caller's transaction; whether each had been before is answered."""

    poster: Poster
    limits: Limits

    async def create(
        self, connection: AsyncConnection, *, ledger: Ledger, request: BatchRequest, now: datetime
    ) -> tuple[int, bool]:
        """The id of a draft without codes, whose accounts are open. Raises CampaignNotFound, PartnerNotFound,
        BatchExists, CurrencyMismatch, TimeInvalid, IdempotencyKeyReused."""
        session = await driver(connection)
        if (known := await find_answer(session, ledger_id=ledger.id, claim=request.key)) is not None:
            return known, True
        campaign = await find_campaign(session, ledger_id=ledger.id, code=request.campaign)
        partner = await partners.find_partner(connection, ledger_id=ledger.id, code=request.partner)
        if partner.payout_fee.currency != request.amount.currency:
            raise CurrencyMismatch(
                f"partner {partner.code} is funded in {partner.payout_fee.currency}", field="amount.currency"
            )
        if request.expires_at <= now:
            raise TimeInvalid("a batch ends in the future", field="expire_time")
        if await (await session.execute(_BY_CODE, (ledger.id, request.code))).fetchone():
            raise BatchExists(f"batch {request.code} exists; choose another code", field="code")
        batch_id = self.poster.ids.next(now)
        batch = NewBatch(
            id=batch_id,
            code=request.code,
            campaign_id=campaign.id,
            partner_id=partner.id,
            amount=request.amount,
            count=request.count,
            funding=request.funding,
            shortcode=request.shortcode,
            assignee=request.assignee,
            expires_at=request.expires_at,
            second_person=request.second_person,
            actor=request.actor,
            account_ids=await self._open(connection, ledger, request, now),
        )
        await add_batch(session, ledger_id=ledger.id, batch=batch, now=now)
        await store_key(session, ledger_id=ledger.id, claim=request.key, result_id=batch_id, now=now)
        return batch_id, False

    async def activate(self, driver: Driver, *, ledger: Ledger, order: Order, now: datetime) -> bool:
        """Makes the codes of a complete draft worth their money. Raises BatchNotFound, BatchNotReady, ActivatorNeeded,
        what makes the amount unpayable, FloorWouldBreak where the partner has less."""
        batch = await lock_batch(driver, ledger_id=ledger.id, batch_id=order.batch_id)
        if await find_answer(driver, ledger_id=ledger.id, claim=order.key) is not None:
            return True
        move = check_allowed(batch, Event.ACTIVATED)
        if batch.issued < batch.count:
            raise BatchNotReady(
                f"{batch.count - batch.issued:,} codes are missing; GenerateCodes makes them", field="batch_id"
            )
        if not batch.live:
            raise BatchNotReady("none of its codes is live; cancel it", field="batch_id")
        if batch.expires_at <= now:
            raise BatchNotReady("its time is over; make another batch", field="batch_id")
        if batch.second_person and batch.created_by == order.actor:
            raise ActivatorNeeded("another than who created the batch activates it", field="batch_id")
        await self._check_payable(driver, ledger, batch)
        entry = activated_entry(batch.money, codes=batch.live, at=now)
        after = batch.moved(move, activated_by=order.actor, activated_at=now)
        await self._change(driver, ledger, after, Event.ACTIVATED, order, now, entry=entry, codes=batch.live)
        return False

    async def pause(self, driver: Driver, *, ledger: Ledger, order: Order, now: datetime) -> bool:
        """Stops redemption. Raises BatchNotFound, BatchNotReady."""
        return await self._switch(driver, ledger, Event.PAUSED, order, now)

    async def resume(self, driver: Driver, *, ledger: Ledger, order: Order, now: datetime) -> bool:
        """Lets redemption go on. Raises BatchNotFound, BatchNotReady."""
        return await self._switch(driver, ledger, Event.RESUMED, order, now)

    async def cancel(self, driver: Driver, *, ledger: Ledger, order: Order, now: datetime) -> bool:
        """Ends a batch. Raises BatchNotFound, BatchNotReady."""
        return await self._end(driver, ledger, Event.CANCELLED, order, now)

    async def expire(self, driver: Driver, *, ledger: Ledger, order: Order, now: datetime) -> bool:
        """Ends a batch whose time is over. Raises BatchNotFound, BatchNotReady."""
        return await self._end(driver, ledger, Event.EXPIRED, order, now)

    async def take_code(
        self, driver: Driver, *, ledger: Ledger, order: Order, event: Event, number: int, now: datetime
    ) -> bool:
        """Takes one live code out: `event` is DISABLED or STOLEN. Raises BatchNotFound, BatchNotReady, CodeNotFound,
        CodeNotLive."""
        batch = await lock_batch(driver, ledger_id=ledger.id, batch_id=order.batch_id)
        if await find_answer(driver, ledger_id=ledger.id, claim=order.key) is not None:
            return True
        check_allowed(batch, event)
        taken = await self._take(driver, ledger, batch, event, order, (number, number), now)
        if not taken:
            state = await read_code_state(driver, ledger_id=ledger.id, batch_id=batch.id, number=number)
            if state is None:
                raise CodeNotFound("the batch has no code of this number", field="number")
            raise CodeNotLive(f"the code is {state}; nothing was done", field="number", state=state)
        return False

    async def void_range(
        self, driver: Driver, *, ledger: Ledger, order: Order, numbers: tuple[int, int], now: datetime
    ) -> tuple[int, bool]:
        """Takes the live codes of a range of numbers out, both ends included; how many, and whether the same request
        had before. Raises BatchNotFound, BatchNotReady, ChoiceInvalid."""
        first, last = numbers
        if not 1 <= first <= last or last - first >= RANGE_MAX:
            raise ChoiceInvalid(f"a range is at most {RANGE_MAX:,} numbers from 1 on", field="last_number")
        batch = await lock_batch(driver, ledger_id=ledger.id, batch_id=order.batch_id)
        known = await find_answer(driver, ledger_id=ledger.id, claim=order.key)
        if known is not None:
            return known, True
        check_allowed(batch, Event.VOIDED)
        return await self._take(driver, ledger, batch, Event.VOIDED, order, numbers, now), False

    async def _open(
        self, connection: AsyncConnection, ledger: Ledger, request: BatchRequest, now: datetime
    ) -> list[int]:
        specs = chart.batch_accounts(batch=request.code, currency=request.amount.currency)
        opened = await accounts.open_accounts(
            connection, ledger_id=ledger.id, specs=specs, ids=self.poster.ids, now=now
        )
        own = opened[: len(chart.PER_BATCH)]
        if any(one.version for one in own):
            raise PathInvalid("the accounts of this code were used before; choose another code", field="code")
        return [one.id for one in own]

    async def _check_payable(self, driver: Driver, ledger: Ledger, batch: Batch) -> None:
        """No code is worth what no rail carries."""
        routes = await find_routes(driver, ledger_id=ledger.id)
        currency = batch.amount.currency
        route = choose_route(routes, currency=currency, shortcode=batch.shortcode, rails=self.limits)
        bounds = self.limits[route.rail].get(currency)
        if bounds is None:
            raise BatchNotReady(f"{route.rail} does not carry {currency}", field="batch_id")
        check_payable(batch.amount, bounds, rail=route.rail)

    async def _switch(self, driver: Driver, ledger: Ledger, event: Event, order: Order, now: datetime) -> bool:
        batch = await lock_batch(driver, ledger_id=ledger.id, batch_id=order.batch_id)
        if await find_answer(driver, ledger_id=ledger.id, claim=order.key) is not None:
            return True
        move = check_allowed(batch, event)
        await self._change(driver, ledger, batch.moved(move), event, order, now)
        return False

    async def _end(self, driver: Driver, ledger: Ledger, event: Event, order: Order, now: datetime) -> bool:
        batch = await lock_batch(driver, ledger_id=ledger.id, batch_id=order.batch_id)
        if await find_answer(driver, ledger_id=ledger.id, claim=order.key) is not None:
            return True
        move = check_allowed(batch, event)
        if event is Event.EXPIRED and now < batch.expires_at:
            raise BatchNotReady("its time is not over; CancelBatch ends it before", field="batch_id")
        entry = ending(batch, move, ledger=ledger, source=Source.API, now=now)
        await self._change(driver, ledger, batch.moved(move), event, order, now, entry=entry, codes=batch.live)
        return False

    async def _take(
        self,
        driver: Driver,
        ledger: Ledger,
        batch: Batch,
        event: Event,
        order: Order,
        numbers: tuple[int, int],
        now: datetime,
    ) -> int:
        taken = await take_out(driver, ledger_id=ledger.id, batch_id=batch.id, numbers=numbers, state=event.name)
        if not taken:
            return 0
        after = batch.moved(check_allowed(batch, event))
        entry = voided_entry(batch.money, codes=taken, version=after.version, owed=batch.owes, at=now)
        first, last = numbers
        detail = f"number {first}" if first == last else f"numbers {first} to {last}"
        told = Order(order.key, order.batch_id, order.actor, f"{detail}: {order.reason}" if order.reason else detail)
        await self._change(driver, ledger, after, event, told, now, entry=entry, codes=taken, result_id=taken)
        return taken

    async def _change(
        self,
        driver: Driver,
        ledger: Ledger,
        after: Batch,
        event: Event,
        order: Order,
        now: datetime,
        *,
        entry: JournalEntry | None = None,
        codes: int = 0,
        result_id: int | None = None,
    ) -> None:
        requests = [PostRequest(entry, order.actor)] if entry else []
        posted = await self.poster.post(driver, ledger=ledger, requests=requests, now=now)
        step = Step(
            batch=after,
            event=event,
            actor=order.actor,
            codes=codes,
            entry_id=posted[0] if posted else None,
            detail=order.reason,
        )
        await write_steps(driver, ledger_id=ledger.id, steps=[step], now=now)
        answer = after.id if result_id is None else result_id
        await store_key(driver, ledger_id=ledger.id, claim=order.key, result_id=answer, now=now)


def check_allowed(batch: Batch, event: Event) -> Move:
    """What a command does. Raises BatchNotReady where the batch's state does not allow it."""
    verdict = transition(event, batch.state)
    if not isinstance(verdict, Move):
        raise BatchNotReady(
            f"the batch is {batch.state.value}: {verdict.value}", field="batch_id", state=batch.state.value
        )
    return verdict


def ending(batch: Batch, move: Move, *, ledger: Ledger, source: Source, now: datetime) -> JournalEntry | None:
    """The entry of a batch that ends; None where nothing of it is live."""
    assert move.effect in (Effect.EXPIRE, Effect.CANCEL), move
    if not batch.live:
        return None
    activated_at = batch.activated_at
    breakage = (
        move.target is State.EXPIRED
        and activated_at is not None
        and is_breakage(activated_at=activated_at, ended_at=now, zone=ledger.zone)
    )
    return ended_entry(
        move.effect, batch.money, codes=batch.live, owed=batch.owes, breakage=breakage, at=now, source=source
    )
