"""What messages cost, in the books: told exactly, posted as far as it is whole minor units, once per message.

    Dr expense.sms_ussd   Cr liab.sms.PROVIDER

A provider that charges a fraction of a minor unit is owed the sum of its fractions: no message is rounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.journal.chart import path_of
from ledger.journal.decide import PostRequest
from ledger.journal.entry import JournalEntry, Source, Subject, credit, debit
from ledger.journal.poster import Poster
from ledger.money import Money, exponent_of
from ledger.sms.message import MICROS
from ledger.sms.writing import Step

SUBJECT, KIND, ACTOR = "sms", "sms.charged", "daftari.dispatch"
_TELL = """
INSERT INTO sms_costs AS c (ledger_id, provider, currency, told_micros, unit_micros, posted_minor_units)
VALUES (%(ledger)s, %(provider)s, %(currency)s, %(micros)s, %(unit)s, %(micros)s / %(unit)s)
ON CONFLICT (ledger_id, provider, currency) DO UPDATE SET told_micros = c.told_micros + excluded.told_micros,
    posted_minor_units = (c.told_micros + excluded.told_micros) / c.unit_micros
RETURNING told_micros
"""
_HAS_ACCOUNTS = """
SELECT currency FROM accounts WHERE ledger_id = %s AND path = ANY(%s) AND currency = ANY(%s)
GROUP BY currency HAVING count(*) = %s
"""


def account_of(provider: str) -> str:
    """What a provider of messages is owed from."""
    return path_of("2411", messenger=provider)


async def post_costs(
    driver: Driver, *, ledger: Ledger, steps: Sequence[Step], poster: Poster, now: datetime
) -> list[Step]:
    """Books what these sendings cost, an entry for each by which whole minor units came due; returns those whose
    currency the ledger keeps no account in, whose costs stand with their events alone."""
    unbooked: list[Step] = []
    by_place: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        if step.cost is not None:
            by_place.setdefault((step.message.provider, step.cost.currency), []).append(step)
    for (provider, currency), told in sorted(by_place.items()):  # a handful: providers by currencies
        paths = [path_of("5130"), account_of(provider)]
        found = await driver.execute(_HAS_ACCOUNTS, (ledger.id, paths, [currency], len(paths)))
        if await found.fetchone() is None:
            unbooked += told
            continue
        dues = await _tell(driver, ledger, provider, currency, told)
        requests = [
            PostRequest(_entry(provider, step, dues[step.message.id], now), ACTOR)
            for step in told
            if dues[step.message.id].minor_units
        ]
        await poster.post(driver, ledger=ledger, requests=requests, now=now)
    return unbooked


async def _tell(
    driver: Driver, ledger: Ledger, provider: str, currency: str, told: Sequence[Step]
) -> Mapping[int, Money]:
    """Adds costs up, and says how many minor units came due by each."""
    unit = MICROS // 10 ** exponent_of(currency)
    total = sum(step.cost.micros for step in told if step.cost is not None)
    parameters = {"ledger": ledger.id, "provider": provider, "currency": currency, "micros": total, "unit": unit}
    row = await (await driver.execute(_TELL, parameters)).fetchone()
    assert row is not None
    before, dues = row[0] - total, {}
    for step in told:
        assert step.cost is not None
        after = before + step.cost.micros
        due = after // unit - before // unit
        dues[step.message.id] = Money(currency, due)
        before = after
    return dues


def _entry(provider: str, step: Step, due: Money, at: datetime) -> JournalEntry:
    # A message that a person has sent again costs again: each sending is an entry of its own.
    subject = Subject(SUBJECT, f"{step.message.public_id}/{step.message.version}")
    return JournalEntry(
        kind=KIND,
        postings=(debit(path_of("5130"), due), credit(account_of(provider), due)),
        effective_at=at,
        source=Source.API,
        subject=subject,
        once=True,
    )
