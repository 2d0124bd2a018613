"""`daftari demo` as a process: everything it plays holds."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given

from api.commands.demo import story_of
from tests.journeys.processes import daftari
from tests.strategies import moments

TOLD = (
    "3 payments were told by 4 confirmations and a prompt's callback: 3 receipts booked.",
    "Loan CLOSED: all 3 accounts of the loan hold 0.00; float and charges moved as on the rail",
    "1 missing_here: KES 750.00 unexplained; 1 payout of unknown outcome is settled by it.",
    "30 days later the rest expires           EXPIRED",
    "Batch EXPIRED: liability = 500 x live codes at all 8 steps; 4 winners paid once; nothing is left.",
)


def test_the_demonstration_exits_with_0_and_says_that_books_and_rails_agree(tmp_path: Path) -> None:
    ended = daftari("demo", "--report", str(tmp_path / "close.pdf"), settings={})

    assert (ended.code, ended.err) == (0, "")
    assert [one for one in TOLD if one not in ended.out] == []
    assert (tmp_path / "close.pdf").read_bytes().startswith(b"%PDF-")
    assert ended.out.endswith("\nThe books and the rail agree.\n")


@pytest.mark.parametrize("zone", ["Africa/Nairobi", "Africa/Kigali"])
@given(now=moments)
def test_the_story_is_of_the_last_day_of_a_month_that_is_over_wherever_the_books_are(now: datetime, zone: str) -> None:
    story = story_of(now).astimezone(ZoneInfo(zone))

    assert (story + timedelta(hours=8)).date() == story.date()
    assert (story + timedelta(days=1)).day == 1
    assert story.date() < now.astimezone(ZoneInfo(zone)).date()
