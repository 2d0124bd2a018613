"""A partner's statement: what its prefunded account did within some business dates, payout by payout, with its fees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ledger.database import Driver
from ledger.errors import SetTooLarge
from ledger.ids import decode
from ledger.journal.span import span_of_days
from ledger.partners import Partner

LINES_MAX = 100_000
_BEFORE_ALL = date(1, 1, 1)
_PAYOUT = "pay"
# A reserve takes amount and fee, and a release gives both back; what people charge later is the amount alone.
_WITH_FEE = frozenset({"payout.reserved", "payout.released"})

_OPENING = """
SELECT coalesce(sum(d.credits - d.debits), 0)::bigint FROM account_days AS d
JOIN accounts AS a ON a.ledger_id = d.ledger_id AND a.id = d.account_id
WHERE a.ledger_id = %(ledger)s AND a.path = %(path)s AND a.currency = %(currency)s AND d.business_date < %(from)s
"""
_LINES = """
SELECT e.id, e.business_date, e.kind, e.subject_kind, e.subject_id, e.reference,
    CASE p.side WHEN 'C' THEN p.amount ELSE -p.amount END, p.account_version
FROM accounts AS a
JOIN postings AS p ON p.ledger_id = a.ledger_id AND p.account_id = a.id
JOIN journal_entries AS e ON e.ledger_id = p.ledger_id AND e.id = p.entry_id
WHERE a.ledger_id = %(ledger)s AND a.path = %(path)s AND a.currency = %(currency)s
  AND p.entry_id BETWEEN %(first)s AND %(last)s AND e.business_date >= %(from)s AND e.business_date < %(until)s
  AND (e.business_date, p.account_version) > (%(after_day)s, %(after_place)s)
ORDER BY e.business_date, p.account_version LIMIT %(limit)s
"""
_PAYOUTS = """
SELECT p.id, p.partner_reference, p.fee, party.payee_masked FROM payouts AS p
JOIN parties AS party ON party.ledger_id = p.ledger_id AND party.id = p.party_id
WHERE p.ledger_id = %s AND p.id = ANY(%s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerLine:
    """What one entry did to the partner's money, minor units, negative where it left: `amount` without the `fee`, which
    is told apart. `place` orders those of a day. `about` names a payout or a receipt, `reference` is the partner's own
    word for a payout."""

    entry_id: int
    business_date: date
    kind: str
    about: str
    reference: str
    payee: str
    amount: int
    fee: int
    balance_after: int
    place: int

    @property
    def position(self) -> tuple[date, int, int]:
        """Where the page behind this line begins."""
        return self.business_date, self.place, self.balance_after


@dataclass(frozen=True, slots=True)
class KindTotal:
    """All lines of one kind of entry."""

    kind: str
    count: int
    amount: int
    fee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerStatement:
    """Of `from_date <= day < until_date`, in one currency; `opening` is before the first line."""

    partner: Partner
    currency: str
    from_date: date
    until_date: date
    opening: int
    lines: Sequence[PartnerLine]

    @property
    def closing(self) -> int:
        """After the last line."""
        return self.lines[-1].balance_after if self.lines else self.opening

    @property
    def totals(self) -> list[KindTotal]:
        """By kind."""
        found: dict[str, list[PartnerLine]] = {}
        for line in self.lines:
            found.setdefault(line.kind, []).append(line)
        return [
            KindTotal(kind, len(own), sum(one.amount for one in own), sum(one.fee for one in own))
            for kind, own in sorted(found.items())
        ]


async def partner_statement(
    driver: Driver, *, ledger_id: int, partner: Partner, from_date: date, until_date: date, lines_max: int = LINES_MAX
) -> PartnerStatement:
    """Raises SetTooLarge above `lines_max` lines."""
    days = (from_date, until_date)
    opening = await _opening(driver, ledger_id, partner, from_date)
    lines = await _lines(driver, ledger_id, partner, days, (_BEFORE_ALL, 0, opening), lines_max + 1)
    if len(lines) > lines_max:
        raise SetTooLarge(f"more than {lines_max:,} lines in this period; ask for a shorter one", field="until_date")
    currency = partner.payout_fee.currency
    return PartnerStatement(
        partner=partner, currency=currency, from_date=from_date, until_date=until_date, opening=opening, lines=lines
    )


async def partner_lines(
    driver: Driver,
    *,
    ledger_id: int,
    partner: Partner,
    days: tuple[date, date],
    after: tuple[date, int, int] | None,
    limit: int,
) -> list[PartnerLine]:
    """Up to `limit` lines of the half open `days`, behind the position of a line."""
    if after is None:
        after = (_BEFORE_ALL, 0, await _opening(driver, ledger_id, partner, days[0]))
    return await _lines(driver, ledger_id, partner, days, after, limit)


async def _opening(driver: Driver, ledger_id: int, partner: Partner, day: date) -> int:
    values = {
        "ledger": ledger_id, "path": partner.funding_account, "currency": partner.payout_fee.currency, "from": day
    }  # fmt: skip
    row = await (await driver.execute(_OPENING, values)).fetchone()
    assert row is not None, "a sum has a row"
    return int(row[0])


async def _lines(
    driver: Driver, ledger_id: int, partner: Partner, days: tuple[date, date], after: tuple[date, int, int], limit: int
) -> list[PartnerLine]:
    span = await span_of_days(driver, ledger_id=ledger_id, first=days[0], last=days[1] - timedelta(days=1))
    values = {
        "ledger": ledger_id, "path": partner.funding_account, "currency": partner.payout_fee.currency,
        "from": days[0], "until": days[1], "first": span.first_id, "last": span.last_id, "after_day": after[0],
        "after_place": after[1], "limit": limit,
    }  # fmt: skip
    rows = await (await driver.execute(_LINES, values)).fetchall()
    ids = {payout_id for one in rows if (payout_id := _payout_id(one[3], one[4])) is not None}
    cursor = await driver.execute(_PAYOUTS, (ledger_id, sorted(ids)))
    payouts = {payout_id: about for payout_id, *about in await cursor.fetchall()}
    balance, lines = after[2], list[PartnerLine]()
    for entry_id, day, kind, subject_kind, subject_id, reference, units, place in rows:
        balance += units
        own, fee, payee = payouts.get(_payout_id(subject_kind, subject_id) or 0, (reference or "", 0, ""))
        fee = (fee if units > 0 else -fee) if kind in _WITH_FEE else 0
        line = PartnerLine(
            entry_id=entry_id, business_date=day, kind=kind, about=subject_id or "", reference=own, payee=payee,
            amount=units - fee, fee=fee, balance_after=balance, place=place,
        )  # fmt: skip
        lines.append(line)
    return lines


def _payout_id(subject_kind: str | None, subject_id: str | None) -> int | None:
    return decode(_PAYOUT, subject_id) if subject_kind == "payout" and subject_id else None
