"""`daftari demo` as a process: everything it plays holds."""

from __future__ import annotations

from pathlib import Path

from tests.journeys.processes import daftari

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
