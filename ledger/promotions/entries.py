"""The entries of promotions: what each step of a batch and of a code does to the money. Pure.

Codes that are made are counted beside the books; activating them makes their worth a liability, at the partner's or our
own expense; redeeming one moves its worth to what is owed to winners, out of which its payout is reserved; what ends
unredeemed goes back to whom it came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.journal.chart import path_of
from ledger.journal.entry import JournalEntry, Posting, Source, Subject, credit, debit
from ledger.money import Money
from ledger.promotions.batch import Effect, Funding

BATCH_SUBJECT, CHANGE_SUBJECT, REDEMPTION_SUBJECT = "promotion", "promotion_change", "promotion_redemption"
REDEEMED_KIND = "promotion.redeemed"


@dataclass(frozen=True, slots=True)
class BatchMoney:
    """What the entries of a batch need. `public_id` is its subject in the journal, `code` the name in its accounts'
    paths; `amount` is what one code is worth."""

    public_id: str
    code: str
    amount: Money
    funding: Funding
    partner: str

    @property
    def liability(self) -> str:
        """What live codes are owed from."""
        return path_of("2310", batch=self.code)

    @property
    def payable(self) -> str:
        """What winners are owed, between redemption and payout."""
        return path_of("2150", batch=self.code)

    @property
    def unactivated(self) -> str:
        """What codes of a draft would be worth."""
        return path_of("9110", batch=self.code)

    @property
    def source(self) -> str:
        """At whose expense it is."""
        if self.funding is Funding.PREFUND:
            return path_of("2120", partner=self.partner)
        return path_of("5210")

    def worth(self, codes: int) -> Money:
        """Of so many codes."""
        return Money(self.amount.currency, self.amount.minor_units * codes)


def issued_entry(batch: BatchMoney, *, codes: int, version: int, at: datetime) -> JournalEntry:
    """Codes of a draft: printing them owes nobody anything."""
    lines = [debit(batch.unactivated, batch.worth(codes)), credit(path_of("9119"), batch.worth(codes))]
    return _entry(Effect.ISSUE.value, lines, _change(batch, version), at=at, source=Source.API)


def activated_entry(batch: BatchMoney, *, codes: int, at: datetime) -> JournalEntry:
    """From now on the codes are owed."""
    worth = batch.worth(codes)
    lines = [debit(batch.source, worth), credit(batch.liability, worth), *_withdrawn(batch, worth)]
    return _entry(Effect.ACTIVATE.value, lines, Subject(BATCH_SUBJECT, batch.public_id), at=at, source=Source.API)


def redeemed_entry(batch: BatchMoney, *, redemption: str, at: datetime) -> JournalEntry:
    """A code is redeemed: it is owed to its winner. The payout's own entry reserves it from there."""
    lines = [debit(batch.liability, batch.amount), credit(batch.payable, batch.amount)]
    subject = Subject(REDEMPTION_SUBJECT, redemption)
    return _entry(REDEEMED_KIND, lines, subject, at=at, source=Source.API, batch=batch)


def voided_entry(batch: BatchMoney, *, codes: int, version: int, owed: bool, at: datetime) -> JournalEntry:
    """Codes are taken out. `owed`: the batch is active or paused."""
    worth = batch.worth(codes)
    lines = _given_back(batch, worth, batch.source) if owed else _withdrawn(batch, worth)
    return _entry(Effect.VOID.value, lines, _change(batch, version), at=at, source=Source.MANUAL)


def ended_entry(
    effect: Effect, batch: BatchMoney, *, codes: int, owed: bool, breakage: bool, at: datetime, source: Source
) -> JournalEntry:
    """A batch expires or is cancelled with codes that nobody redeemed. `breakage`: our own promise of an earlier year
    is income now."""
    worth = batch.worth(codes)
    target = path_of("4310") if breakage and batch.funding is Funding.BUDGET else batch.source
    lines = _given_back(batch, worth, target) if owed else _withdrawn(batch, worth)
    return _entry(effect.value, lines, Subject(BATCH_SUBJECT, batch.public_id), at=at, source=source)


def _given_back(batch: BatchMoney, worth: Money, target: str) -> list[Posting]:
    return [debit(batch.liability, worth), credit(target, worth)]


def _withdrawn(batch: BatchMoney, worth: Money) -> list[Posting]:
    return [debit(path_of("9119"), worth), credit(batch.unactivated, worth)]


def _change(batch: BatchMoney, version: int) -> Subject:
    return Subject(CHANGE_SUBJECT, f"{batch.public_id}/{version}")


def _entry(
    kind: str,
    lines: list[Posting],
    subject: Subject,
    *,
    at: datetime,
    source: Source,
    batch: BatchMoney | None = None,
) -> JournalEntry:
    return JournalEntry(
        kind=kind,
        postings=tuple(lines),
        effective_at=at,
        source=source,
        subject=subject,
        once=True,
        facts={"batch": batch.public_id} if batch else None,
    )
