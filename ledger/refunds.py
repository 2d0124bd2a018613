"""The door for what a payee sends back by a way that no provider tells of: into a bank account, or in cash. One person
says so and with what evidence, another lets it into the books: as a receipt, all of it given to the payout.

So there is one rule for what is sent back of a payout, whatever the way: never more than was paid."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.collections.allocating import Want
from ledger.collections.allocation import Claim, Target, TargetKind, Unfit
from ledger.collections.booking import Booked, NotOurs, Told
from ledger.collections.receipt import Place
from ledger.collections.refusals import ApproverNeeded, RefundNotFound, RefundNotReady
from ledger.collections.shortcodes import get_shortcode
from ledger.collections.writing import LockedReceipt
from ledger.database import Driver
from ledger.errors import TargetUnfit, TimeInvalid
from ledger.idempotency import KeyClaim, find_answer, store_key
from ledger.ids import encode
from ledger.journal.books import Ledger
from ledger.journal.decide import Refused
from ledger.journal.entry import Source
from ledger.money import Money
from ledger.outbox.collecting import Channel, Received
from ledger.receiving import EVIDENCE_LENGTH_MAX, ReceiptRecorder
from ledger.receiving import RACING_CONSTRAINTS as RECEIVING_RACES
from ledger.text import check_text

PREFIX = "rfd"
# Two persons may decide at once: the command is run again, and finds what the other decided.
RACING_CONSTRAINTS = RECEIVING_RACES | {"payout_refunds_pkey", "refund_decisions_pkey"}
RECEIPT_LENGTH_MAX = 100
_ADD = """
INSERT INTO payout_refunds (ledger_id, id, payout_id, provider, shortcode, receipt, currency, amount, completed_at,
    evidence, requested_by, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_DECIDE = """
INSERT INTO refund_decisions (ledger_id, refund_id, receipt_id, reason, actor, decided_at)
VALUES (%s, %s, %s, %s, %s, %s)
"""
_SELECT = """
SELECT f.id, f.payout_id, f.provider, f.shortcode, f.receipt, f.currency, f.amount, f.completed_at, f.evidence,
    f.requested_by, f.created_at, d.receipt_id, d.reason, d.actor, d.decided_at
FROM payout_refunds AS f LEFT JOIN refund_decisions AS d ON d.ledger_id = f.ledger_id AND d.refund_id = f.id
"""
_READ = _SELECT + "WHERE f.ledger_id = %s AND f.id = %s"
_LIST = (
    _SELECT
    + """
WHERE f.ledger_id = %s AND f.id < %s AND (%s::bigint IS NULL OR f.payout_id = %s) AND (NOT %s OR d.refund_id IS NULL)
ORDER BY f.id DESC LIMIT %s
"""
)
_LIVING = (
    _SELECT
    + """
WHERE f.ledger_id = %s AND f.provider = %s AND f.receipt = %s AND (d.refund_id IS NULL OR d.receipt_id IS NOT NULL)
LIMIT 1
"""
)


class State(enum.Enum):
    """Where a refund stands."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """What was sent back of a payout: `receipt` is what the bank, or the cash book, calls it; the shortcode says where
    the money is. `key` is None for a command that is found again by its receipt alone."""

    key: KeyClaim | None
    payout_id: int
    provider: str
    shortcode: str
    receipt: str
    amount: Money
    completed_at: datetime
    evidence: str
    actor: str

    def __post_init__(self) -> None:
        check_text(self.receipt, field="receipt", length_max=RECEIPT_LENGTH_MAX)
        check_text(self.evidence, field="evidence", length_max=EVIDENCE_LENGTH_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A refund as it stands. What was decided is None until it is; `receipt_id` is the receipt that booked it."""

    id: int
    payout_id: int
    provider: str
    shortcode: str
    receipt: str
    amount: Money
    completed_at: datetime
    evidence: str
    requested_by: str
    created_at: datetime
    receipt_id: int | None
    reason: str | None
    decided_by: str | None
    decided_at: datetime | None

    @property
    def state(self) -> State:
        """By what was decided."""
        if self.decided_at is None:
            return State.REQUESTED
        return State.REJECTED if self.receipt_id is None else State.APPROVED


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's decision about a refund; `reason` may be empty where it is let in."""

    refund_id: int
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RefundDesk:
    """Carries the commands out inside the caller's transaction; each answers whether it had been done before."""

    receipts: ReceiptRecorder

    async def request(
        self, driver: Driver, *, ledger: Ledger, request: RefundRequest, now: datetime
    ) -> tuple[Refund, bool]:
        """Writes it down; no money moves. Raises ShortcodeNotFound, TargetUnfit, TimeInvalid, RefundNotReady,
        IdempotencyKeyReused."""
        if request.key is not None:
            known = await find_answer(driver, ledger_id=ledger.id, claim=request.key)
            if known is not None:
                return await read_refund(driver, ledger_id=ledger.id, refund_id=known), True
        if request.completed_at > now:
            raise TimeInvalid("what was sent back was sent before now", field="complete_time")
        await get_shortcode(driver, ledger_id=ledger.id, provider=request.provider, shortcode=request.shortcode)
        await self._check_fits(driver, ledger, request, now)
        cursor = await driver.execute(_LIVING, (ledger.id, request.provider, request.receipt))
        if (row := await cursor.fetchone()) is not None:
            raise RefundNotReady(f"{request.receipt} was asked for as {encode(PREFIX, row[0])}", field="receipt")
        refund_id = self.receipts.booker.ids.next(now)
        money = (request.amount.currency, request.amount.minor_units)
        place = (request.payout_id, request.provider, request.shortcode, request.receipt)
        said = (request.completed_at, request.evidence, request.actor, now)
        await driver.execute(_ADD, (ledger.id, refund_id, *place, *money, *said))
        if request.key is not None:
            await store_key(driver, ledger_id=ledger.id, claim=request.key, result_id=refund_id, now=now)
        return await read_refund(driver, ledger_id=ledger.id, refund_id=refund_id), False

    async def approve(
        self, driver: Driver, *, ledger: Ledger, approval: Approval, now: datetime
    ) -> tuple[Refund, bool]:
        """Books the money and gives it to the payout. Raises RefundNotFound, RefundNotReady, ApproverNeeded,
        TargetUnfit where more would be sent back than was paid, and what the books refuse."""
        refund = await read_refund(driver, ledger_id=ledger.id, refund_id=approval.refund_id)
        if refund.state is State.APPROVED:
            return refund, True
        if refund.state is State.REJECTED:
            raise RefundNotReady("the refund was rejected; ask for another", field="refund_id")
        if refund.requested_by == approval.actor:
            raise ApproverNeeded("another than who asked for the refund approves it", field="refund_id")
        receipt = await self._book(driver, ledger, refund, approval.actor, now)
        if receipt is None:  # by another approval, at the same time
            return await self._approved_meanwhile(driver, ledger, refund.id), True
        await self._give(driver, ledger, refund, receipt, approval.actor, now)
        return await self._decide(driver, ledger, approval, receipt.id, now), False

    async def reject(self, driver: Driver, *, ledger: Ledger, approval: Approval, now: datetime) -> tuple[Refund, bool]:
        """Turns it down; whoever asked may do so too. Raises RefundNotFound, RefundNotReady, TextInvalid."""
        check_text(approval.reason, field="reason", length_max=EVIDENCE_LENGTH_MAX)
        refund = await read_refund(driver, ledger_id=ledger.id, refund_id=approval.refund_id)
        if refund.state is State.REJECTED:
            return refund, True
        if refund.state is State.APPROVED:
            raise RefundNotReady("the refund is in the books; ReallocateReceipt takes it back", field="refund_id")
        return await self._decide(driver, ledger, approval, None, now), False

    async def _check_fits(self, driver: Driver, ledger: Ledger, request: RefundRequest, now: datetime) -> None:
        claim = Claim(0, str(request.payout_id), request.amount, request.completed_at)
        allocator = self.receipts.allocating.allocators[TargetKind.PAYOUT]
        (share,) = await allocator.share(driver, ledger, [claim], now=now)
        if isinstance(share, Unfit):
            raise TargetUnfit(f"the payout does not take it: {share.reason}", field="payout_id")

    async def _book(
        self, driver: Driver, ledger: Ledger, refund: Refund, actor: str, now: datetime
    ) -> LockedReceipt | None:
        """The receipt, new; None for one that is in the books."""
        received = Received(refund.receipt, refund.shortcode, refund.amount, refund.completed_at)
        told = Told(refund.provider, received, Channel.MANUAL, actor)
        (result,), new = await self.receipts.booker.book(driver, ledger=ledger, told=[told], now=now)
        if isinstance(result, NotOurs):
            raise RefundNotReady(result.reason, field="refund_id")
        return new[0] if isinstance(result, Booked) else None

    async def _approved_meanwhile(self, driver: Driver, ledger: Ledger, refund_id: int) -> Refund:
        refund = await read_refund(driver, ledger_id=ledger.id, refund_id=refund_id)
        if refund.state is not State.APPROVED:
            raise RefundNotReady("that receipt is in the books already; AllocateReceipt gives it", field="refund_id")
        return refund

    async def _give(
        self, driver: Driver, ledger: Ledger, refund: Refund, receipt: LockedReceipt, actor: str, now: datetime
    ) -> None:
        want = Want(
            receipt=receipt,
            source=Place.UNALLOCATED,
            target=Target(TargetKind.PAYOUT, str(refund.payout_id)),
            amount=refund.amount,
            at=refund.completed_at,
            actor=actor,
            evidence=Source.MANUAL,
            detail=refund.evidence[:200],
        )
        (result,) = await self.receipts.allocating.allocate(driver, ledger=ledger, wants=[want], now=now)
        if isinstance(result, Unfit):
            raise TargetUnfit(f"the payout does not take it: {result.reason}", field="refund_id")
        if isinstance(result, Refused):
            raise result.error

    async def _decide(
        self, driver: Driver, ledger: Ledger, approval: Approval, receipt_id: int | None, now: datetime
    ) -> Refund:
        values = (ledger.id, approval.refund_id, receipt_id, approval.reason, approval.actor, now)
        await driver.execute(_DECIDE, values)
        return await read_refund(driver, ledger_id=ledger.id, refund_id=approval.refund_id)


async def read_refund(driver: Driver, *, ledger_id: int, refund_id: int) -> Refund:
    """Raises RefundNotFound."""
    row = await (await driver.execute(_READ, (ledger_id, refund_id))).fetchone()
    if row is None:
        raise RefundNotFound("no such refund in this ledger", field="refund_id")
    return _refund(row)


async def list_refunds(
    driver: Driver, *, ledger_id: int, payout_id: int | None, only_open: bool, before: int, limit: int
) -> list[Refund]:
    """Newest first, below an id: of a payout, or (None) of all."""
    values = (ledger_id, before, payout_id, payout_id, only_open, limit)
    return [_refund(row) for row in await (await driver.execute(_LIST, values)).fetchall()]


def _refund(row: Sequence[Any]) -> Refund:
    (
        refund_id, payout_id, provider, shortcode, receipt, currency, amount, completed_at, evidence, requested_by,
        created_at, receipt_id, reason, decided_by, decided_at,
    ) = row  # fmt: skip
    return Refund(
        id=refund_id,
        payout_id=payout_id,
        provider=provider,
        shortcode=shortcode,
        receipt=receipt,
        amount=Money(currency, amount),
        completed_at=completed_at,
        evidence=evidence,
        requested_by=requested_by,
        created_at=created_at,
        receipt_id=receipt_id,
        reason=reason,
        decided_by=decided_by,
        decided_at=decided_at,
    )
