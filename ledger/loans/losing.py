"""What is lost of loans that were given up, and what bears it: the allowance first, as far as it reaches."""

from __future__ import annotations

from datetime import datetime

from ledger.database import Driver
from ledger.ids import encode
from ledger.journal.books import Ledger
from ledger.journal.decide import PostRequest
from ledger.journal.entry import Source
from ledger.journal.post import lock_accounts
from ledger.journal.poster import Poster
from ledger.loans.books import PrincipalBook
from ledger.loans.entries import written_off_again_entry
from ledger.loans.loan import Event, Stay, transition
from ledger.loans.writing import Loan, Step, read_standings
from ledger.money import Money


async def lock_allowance(driver: Driver, *, ledger: Ledger, loan: Loan, poster: Poster) -> Money:
    """What the allowance holds for such a loan, its row locked: two losses do not use the same of it."""
    book, currency = loan.book, loan.net.currency
    if not isinstance(book, PrincipalBook):
        return Money(currency, 0)
    # All that a loss touches beside the loan's own accounts, in the one order that everybody locks in.
    names = {(path, currency) for path in (book.allowance, book.impairment, book.fee_income)}
    identities = await poster.directory.find(driver, ledger_id=ledger.id, names=names)
    locked = await lock_accounts(driver, ledger_id=ledger.id, identities=identities)
    held = sum(one.balance for one in locked if one.path == book.allowance)
    return Money(currency, max(0, held))


async def lose_again(
    driver: Driver, *, ledger: Ledger, loan: Loan, actor: str, poster: Poster, now: datetime
) -> list[Step]:
    """A return has restored something of a loan that was given up: that is lost too; the step to be written, none where
    nothing was restored. The caller holds the loan's lock."""
    standing = (await read_standings(driver, ledger_id=ledger.id, loans=[loan]))[loan.id]
    total = standing.outstanding.total
    if not total.minor_units:
        return []
    verdict = transition(Event.WRITTEN_OFF_AGAIN, loan.state, of_another_payout=False)
    assert isinstance(verdict, Stay), verdict
    entry = written_off_again_entry(
        loan.money,
        standing.outstanding,
        deferred_fee=standing.deferred_fee,
        allowance=await lock_allowance(driver, ledger=ledger, loan=loan, poster=poster),
        loss_id=encode("los", poster.ids.next(now)),
        at=now,
        source=Source.MANUAL,
    )
    (entry_id,) = await poster.post(driver, ledger=ledger, requests=[PostRequest(entry, actor)], now=now)
    after = loan.moved(verdict)
    return [Step(loan=after, event=Event.WRITTEN_OFF_AGAIN, actor=actor, entry_id=entry_id, amount=total.minor_units)]
