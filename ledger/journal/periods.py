"""Which business dates are closed, and what that means for an entry of such a date. Pure.

A close that is begun keeps out whoever asks for an entry there; what the books learn late is still dated as it
happened. Once it is signed, nothing is dated there: what is learned later counts for the first open day, and its
`effective_at` still says when it happened. So nothing that a provider tells is ever refused because of a close."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from ledger.errors import RuleBroken


class PeriodClosed(RuleBroken):
    """The business date is closed, or being closed."""


@dataclass(frozen=True, slots=True)
class Periods:
    """The last business dates that are signed, and that a close begun is about; as ordinals, None for none."""

    signed: int | None = None
    begun: int | None = None

    def date_of(self, happened: date) -> date:
        """The business date of what happened then."""
        if self.signed is None or happened.toordinal() > self.signed:
            return happened
        return date.fromordinal(self.signed + 1)

    def open_from(self, zone: ZoneInfo) -> datetime | None:
        """The first moment of which entries may be asked for; None for any."""
        if self.signed is None and self.begun is None:
            return None
        last = max(one for one in (self.signed, self.begun) if one is not None)
        return datetime.combine(date.fromordinal(last + 1), time(), tzinfo=zone)


NOTHING_CLOSED = Periods()


def closed_to_requests(open_from: datetime) -> PeriodClosed:
    """The refusal of an entry that was asked for too late."""
    return PeriodClosed(
        f"the days before {open_from:%Y-%m-%d} are closed or being closed; say that it happened since, or have an "
        "adjustment approved",
        field="effective_at",
    )
