"""Booking receipts as a set: what a provider says it took in, once each, whatever channel tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from ledger.collections.receipt import ReceiptMoney, received_entry
from ledger.collections.reference import TYPED_LENGTH_MAX, ReceiptKeys, payer_shown, shown
from ledger.collections.shortcodes import Shortcode, find_shortcodes
from ledger.collections.writing import LockedReceipt, NewReceipt, add_evidence, add_receipts, find_receipts
from ledger.database import Driver
from ledger.errors import TransitionRepeated
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.decide import Posted, PostRequest, Refused
from ledger.journal.entry import Source
from ledger.journal.post import business_date, post_entries
from ledger.money import Money
from ledger.outbox.collecting import Channel, Received
from ledger.tariffs import Charged, collection_services, find_charges

# Two processes may be told of one receipt at once, or choose the same id in the same millisecond: the set is run again.
RACING_CONSTRAINTS = frozenset(
    {"receipts_are_booked_once", "receipts_pkey", "journal_entries_pkey", "postings_pkey", "allocations_pkey"}
)
_SOURCES = {
    Channel.CONFIRMATION: Source.CALLBACK,
    Channel.PROMPT: Source.CALLBACK,
    Channel.PULL: Source.QUERY,
    Channel.STATEMENT: Source.STATEMENT,
    Channel.QUERY: Source.QUERY,
    Channel.MANUAL: Source.MANUAL,
}


@dataclass(frozen=True, slots=True)
class Told:
    """A receipt as one message tells of it."""

    provider: str
    received: Received
    channel: Channel
    actor: str
    inbox_id: int | None = None

    @property
    def name(self) -> tuple[str, str]:
        """What it is known by: the provider and its receipt."""
        return (self.provider, self.received.receipt)


@dataclass(frozen=True, slots=True)
class Booked:
    """New: it is in the books (once the transaction commits)."""

    receipt_id: int


@dataclass(frozen=True, slots=True)
class ToldBefore:
    """In the books already: this message adds evidence and moves nothing."""

    receipt_id: int


@dataclass(frozen=True, slots=True)
class Contradiction:
    """It is in the books with other content; a person looks at it."""

    receipt_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class NotOurs:
    """It cannot be booked: no shortcode of this ledger takes such money in, or an account is closed."""

    reason: str


BookResult: TypeAlias = Booked | ToldBefore | Contradiction | NotOurs


@dataclass(frozen=True, slots=True, kw_only=True)
class Booker:
    """What booking needs and never changes in a process."""

    keys: ReceiptKeys
    directory: AccountDirectory
    ids: IdSource

    async def book(
        self, driver: Driver, *, ledger: Ledger, told: Sequence[Told], now: datetime
    ) -> tuple[list[BookResult], list[LockedReceipt]]:
        """A verdict per message, in order, and the receipts that are new, all of their money unallocated. Runs inside
        the caller's transaction; a violation of RACING_CONSTRAINTS means that the set should be run again."""
        shortcodes = await find_shortcodes(
            driver, ledger_id=ledger.id, names={(one.provider, one.received.shortcode) for one in told}
        )
        known = await find_receipts(driver, ledger_id=ledger.id, names={one.name for one in told})
        refusals = {index: why for index, one in enumerate(told) if (why := _refusal(one, shortcodes)) is not None}
        first = {one.name: index for index, one in reversed(list(enumerate(told))) if index not in refusals}
        fresh = [index for name, index in sorted(first.items(), key=lambda item: item[1]) if name not in known]
        rows, refused = await self._post(driver, ledger, [told[index] for index in fresh], shortcodes, now)
        if rows:
            await add_receipts(driver, ledger_id=ledger.id, receipts=rows, now=now)
        if fresh:
            names = [told[index].name for index in fresh]
            known |= await find_receipts(driver, ledger_id=ledger.id, names=names)
        refusals |= {index: refused[name] for name, index in first.items() if name in refused}
        added = {(row.provider, row.receipt) for row in rows}
        new = {told[index].name: index for index in fresh if told[index].name in added}
        results = [
            NotOurs(refusals[index]) if index in refusals else _verdict(one, known, is_new=new.get(one.name) == index)
            for index, one in enumerate(told)
        ]
        evidence = [
            (result.receipt_id, one.channel.value, one.inbox_id)
            for one, result in zip(told, results, strict=True)
            if isinstance(result, Booked | ToldBefore)
        ]
        await add_evidence(driver, ledger_id=ledger.id, evidence=evidence, now=now)
        return results, [known[name] for name in new]

    async def _post(
        self,
        driver: Driver,
        ledger: Ledger,
        fresh: Sequence[Told],
        shortcodes: Mapping[tuple[str, str], Shortcode],
        now: datetime,
    ) -> tuple[list[NewReceipt], dict[tuple[str, str], str]]:
        """The rows of what was posted, and why the rest was not."""
        if not fresh:
            return [], {}
        charges = await find_charges(
            driver, ledger_id=ledger.id, payments=[_charged(one, ledger, now) for one in fresh]
        )
        verdicts = await post_entries(
            driver,
            ledger=ledger,
            requests=[
                _request(one, shortcodes[one.provider, one.received.shortcode], charge, now)
                for one, charge in zip(fresh, charges, strict=True)
            ],
            directory=self.directory,
            ids=self.ids,
            now=now,
        )
        rows: list[NewReceipt] = []
        refused: dict[tuple[str, str], str] = {}
        for one, verdict in zip(fresh, verdicts, strict=True):
            if isinstance(verdict, Refused) and isinstance(verdict.error, TransitionRepeated):
                continue  # another process booked it while we waited for the accounts' locks
            if isinstance(verdict, Refused):
                refused[one.name] = f"the books refuse it: {verdict.error.message}"
                continue
            assert isinstance(verdict, Posted), "receipts carry no request id"
            rows.append(self._row(one, ledger, verdict.entry_id, now))
        return rows, refused

    def _row(self, one: Told, ledger: Ledger, entry_id: int, now: datetime) -> NewReceipt:
        received, receipt_id = one.received, self.ids.next(now)
        typed = received.reference[:TYPED_LENGTH_MAX]
        return NewReceipt(
            id=receipt_id,
            provider=one.provider,
            shortcode=received.shortcode,
            receipt=received.receipt,
            amount=received.amount,
            payer_form=received.payer.form.value if received.payer else None,
            payer_shown=payer_shown(received.payer),
            reference_index=self.keys.index(typed, ledger_id=ledger.id),
            reference_shown=shown(typed),
            sealed=self.keys.seal(received.payer, typed, ledger_id=ledger.id, receipt_id=receipt_id),
            completed_at=min(received.completed_at, now),
            entry_id=entry_id,
            actor=one.actor,
        )


def _refusal(one: Told, shortcodes: Mapping[tuple[str, str], Shortcode]) -> str | None:
    shortcode = shortcodes.get((one.provider, one.received.shortcode))
    if shortcode is None:
        return "no shortcode of this ledger takes such money in"
    if one.received.amount.currency != shortcode.currency:
        return f"the shortcode takes in {shortcode.currency}"
    return None


def _verdict(one: Told, known: Mapping[tuple[str, str], LockedReceipt], *, is_new: bool) -> BookResult:
    receipt = known.get(one.name)
    if receipt is None:
        return NotOurs("the message before it could not be booked")
    if is_new:
        return Booked(receipt.id)
    if receipt.amount != one.received.amount:
        return Contradiction(receipt.id, f"booked with {receipt.amount}, and told again with {one.received.amount}")
    if receipt.shortcode != one.received.shortcode:
        return Contradiction(receipt.id, "booked for another shortcode of ours")
    return ToldBefore(receipt.id)


def _charged(one: Told, ledger: Ledger, now: datetime) -> Charged:
    """The day that its entry counts for, too."""
    day = business_date(min(one.received.completed_at, now), ledger.zone)
    return Charged(one.provider, collection_services(one.received.shortcode), one.received.amount, day)


def _request(one: Told, shortcode: Shortcode, charge: Money | None, now: datetime) -> PostRequest:
    money = ReceiptMoney(one.provider, one.received.receipt, shortcode.accounts)
    at = min(one.received.completed_at, now)
    entry = received_entry(money, one.received.amount, at=at, source=_SOURCES[one.channel], charge=charge)
    return PostRequest(entry, one.actor)
