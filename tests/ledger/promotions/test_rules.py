"""The pure rules of promotions: what a code looks like and how it is read, the state tables, entries, and
throttling."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from api.promotion_reports import csv_lines, neutral, neutral_undone
from ledger.journal.entry import JournalEntry, Side, Source
from ledger.money import Money
from ledger.promotions import batch, entries, redemption
from ledger.promotions.attempts import DEFAULT_RULES, RECENT_MAX, Tally, allowance
from ledger.promotions.batch import Effect, Funding, is_breakage
from ledger.promotions.code import ALPHABET, draw_codes, first_repeated, normalise, printed
from ledger.promotions.code_keys import CodeKeys
from ledger.promotions.entries import BatchMoney
from ledger.promotions.refusals import CodeMalformed

NOW = datetime(2026, 11, 29, 9, 0, tzinfo=UTC)
MONEY = BatchMoney("batch_0000000000000", "tins", Money("RWF", 500), Funding.PREFUND, "acme")
OURS = BatchMoney("batch_0000000000000", "tins", Money("RWF", 500), Funding.BUDGET, "acme")
normal_codes = st.text(alphabet=ALPHABET, min_size=10, max_size=32)


def drawn(seed: bytes) -> Callable[[int], bytes]:
    """Randomness that is always the same."""
    return lambda size: (seed * (size // len(seed) + 1))[:size]


@given(st.binary(min_size=70, max_size=70), st.dates(date(2020, 1, 1), date(2088, 12, 31)))
def test_a_code_has_ten_random_characters_and_the_day_woven_in(seed: bytes, day: date) -> None:
    codes = draw_codes(drawn(seed), count=10, issued_on=day)

    for code in codes:
        text = printed(code)
        assert [len(group) for group in text.split("-")] == [4, 4, 4, 4]
        assert (code[6:8], code[10:12], code[14:16]) == (f"{day:%y}", f"{day:%m}", f"{day:%d}")
        assert set(code) <= set(ALPHABET)
        assert normalise(text) == code


@given(st.binary(min_size=7, max_size=7), st.binary(min_size=7, max_size=7))
def test_fifty_bits_of_what_is_random_are_in_the_code(one: bytes, other: bytes) -> None:
    mask = (1 << 50) - 1
    codes = draw_codes(drawn(one + other), count=2, issued_on=NOW.date())

    assert (codes[0] == codes[1]) == (int.from_bytes(one) & mask == int.from_bytes(other) & mask)


@given(normal_codes, st.data())
def test_what_people_type_is_read_as_it_is_meant(code: str, data: st.DataObject) -> None:
    looks = {"0": "0Oo", "1": "1IiLl"}
    typed = ""
    for character in code:
        typed += data.draw(st.sampled_from(looks.get(character, character + character.lower())))
        typed += data.draw(st.sampled_from(["", "", "", " ", "-", "\u2013", ".", "_"]))
    if len(typed) <= 80:
        assert normalise(typed) == code


@given(st.text(max_size=100))
def test_whatever_is_typed_is_a_code_in_normal_form_or_malformed(typed: str) -> None:
    code = read(typed)

    assert code is None or (normalise(code) == code and not set(code) & set("OIL"))


@given(st.text(min_size=5, max_size=100))
def test_a_refusal_never_quotes_what_was_typed(typed: str) -> None:
    try:
        normalise(typed)
    except CodeMalformed as refused:
        told = f"{refused} {refused.facts}"
    else:
        told = ""

    assert typed not in told


def read(typed: str) -> str | None:
    """The normal form; None for what is malformed."""
    try:
        return normalise(typed)
    except CodeMalformed:
        return None


@pytest.mark.parametrize("typed", ["", "ABC", "A" * 33, "ABCDE-1234\u00d7", "ABCDE12345'; --", "\u0410BCDE12345"])
def test_what_cannot_be_a_code_is_malformed(typed: str) -> None:
    with pytest.raises(CodeMalformed):
        normalise(typed)


def test_full_width_characters_are_read_too() -> None:
    assert normalise("\uff21\uff22\uff23\uff24\uff25\uff11\uff12\uff13\uff14\uff15") == "ABCDE12345"


@given(st.lists(normal_codes, max_size=20))
def test_the_first_repeated_code_is_found(codes: list[str]) -> None:
    at = first_repeated(codes)

    assert (at is None) == (len(set(codes)) == len(codes))
    if at is not None:
        assert codes[at] in codes[:at]


@given(st.lists(normal_codes, min_size=1, max_size=30), st.integers(1, 2**31 - 1))
def test_a_sheet_opens_as_itself_alone(codes: list[str], first: int) -> None:
    keys = CodeKeys(bytes(range(32)))
    sealed = keys.seal(codes, ledger_id=1, batch_id=2, first_number=first)

    assert keys.open(sealed, ledger_id=1, batch_id=2, first_number=first) == codes
    for place in ((2, 2, first), (1, 3, first), (1, 2, first - 1)):
        with pytest.raises(InvalidTag):
            keys.open(sealed, ledger_id=place[0], batch_id=place[1], first_number=place[2])


def test_a_code_is_known_by_another_hash_in_each_ledger_and_installation() -> None:
    keys, others = CodeKeys(bytes(range(32))), CodeKeys(bytes(32))

    told = {one.hash("ABCDE12345", ledger_id=ledger) for one in (keys, others) for ledger in (1, 2)}

    assert len(told) == 4
    assert keys.hashes(["ABCDE12345"], ledger_id=1) == [keys.hash("ABCDE12345", ledger_id=1)]


def test_every_event_is_drawn_for_every_state() -> None:
    assert all(set(row) == set(batch.State) for row in batch.TRANSITIONS.values())
    assert set(batch.TRANSITIONS) == set(batch.Event)
    assert all(set(row) == set(redemption.State) for row in redemption.TRANSITIONS.values())
    assert set(redemption.TRANSITIONS) == set(redemption.Event)


def test_nothing_leaves_a_final_state() -> None:
    for row in batch.TRANSITIONS.values():
        for state in (batch.State.EXPIRED, batch.State.CANCELLED):
            assert isinstance(row[state], batch.Standing)
    assert not any(isinstance(row[redemption.State.PAID], redemption.Move) for row in redemption.TRANSITIONS.values())


@given(st.integers(1, 10))
def test_a_redemption_is_tried_three_times_more_and_later_each_time(tries: int) -> None:
    moments = [redemption.retry_at(tries=one, failed_at=NOW) for one in (tries, tries + 1)]

    assert (moments[0] is None) == (tries > 3)
    if moments[0] and moments[1]:
        assert NOW < moments[0] < moments[1]


@dataclass
class Books:
    """Balances as credits minus debits."""

    held: dict[str, int]

    def post(self, entry: JournalEntry) -> None:
        """Applies one entry, which balances by construction."""
        for line in entry.postings:
            units = line.money.minor_units if line.side is Side.CREDIT else -line.money.minor_units
            self.held[line.account] = self.held.get(line.account, 0) + units


@given(
    st.sampled_from([MONEY, OURS]),
    st.integers(1, 50),
    st.data(),
    st.sampled_from([Effect.EXPIRE, Effect.CANCEL]),
    st.booleans(),
)
def test_through_any_life_the_liability_is_face_value_times_live_codes(
    money: BatchMoney, codes: int, data: st.DataObject, effect: Effect, breakage: bool
) -> None:
    books, live = Books({}), codes
    books.post(entries.issued_entry(money, codes=codes, version=2, at=NOW))
    assert books.held[money.unactivated] == -500 * live
    books.post(entries.activated_entry(money, codes=live, at=NOW))
    redeemed = data.draw(st.integers(0, live))
    for number in range(redeemed):
        books.post(entries.redeemed_entry(money, redemption=f"rdm_{number}", at=NOW))
    live -= redeemed
    voided = data.draw(st.integers(0, live))
    if voided:
        books.post(entries.voided_entry(money, codes=voided, version=3, owed=True, at=NOW))
    live -= voided
    assert books.held[money.liability] == 500 * live
    if live:
        ended = entries.ended_entry(
            effect, money, codes=live, owed=True, breakage=breakage, at=NOW, source=Source.CLOSE
        )
        books.post(ended)

    assert books.held[money.liability] == 0
    assert books.held.get(money.payable, 0) == 500 * redeemed
    assert books.held[money.unactivated] == 0
    back = books.held.get("income.breakage", 0)
    assert books.held[money.source] + back == -500 * redeemed
    assert not back or money is OURS


@given(st.integers(1, 50))
def test_a_draft_that_ends_touches_memorandum_accounts_alone(codes: int) -> None:
    books = Books({})
    books.post(entries.issued_entry(MONEY, codes=codes, version=2, at=NOW))
    books.post(
        entries.ended_entry(Effect.CANCEL, MONEY, codes=codes, owed=False, breakage=False, at=NOW, source=Source.MANUAL)
    )

    assert all(path.startswith("memo.") for path in books.held)
    assert set(books.held.values()) == {0}


def test_what_nobody_took_is_income_only_in_a_later_year_of_the_ledgers_zone() -> None:
    nairobi, evening = ZoneInfo("Africa/Nairobi"), datetime(2026, 12, 31, 20, 59, tzinfo=UTC)

    assert not is_breakage(activated_at=NOW, ended_at=evening, zone=nairobi)
    assert is_breakage(activated_at=NOW, ended_at=evening + timedelta(minutes=1), zone=nairobi)


@given(st.integers(0, 40), st.integers(0, 7200))
def test_a_tally_counts_within_its_window_and_remembers_a_bounded_number(wrong: int, seconds: int) -> None:
    tally = Tally(NOW - timedelta(days=3))
    for number in range(wrong):
        tally = tally.with_wrong(bytes([number]), now=NOW)
    later = NOW + timedelta(seconds=seconds)

    seen = tally.at(later, DEFAULT_RULES)

    assert seen.wrong == (wrong if wrong and seconds < 3600 else 0)
    assert len(seen.recent) <= RECENT_MAX
    assert 1 <= seen.seconds_left(later, DEFAULT_RULES) <= 3600


@given(st.integers(0, 20_000), st.integers(0, 20_000))
def test_the_brake_never_stops_a_phone_that_errs_for_the_first_time(caller: int, everybody: int) -> None:
    allowed = allowance(caller=Tally(NOW, caller), everybody=Tally(NOW, everybody), rules=DEFAULT_RULES)

    assert allowed == (1 if caller >= 2_000 or everybody >= 10_000 else 5)


@given(st.text())
def test_no_cell_of_the_printers_file_is_a_formula_and_none_is_lost(text: str) -> None:
    cell = neutral(text)

    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert (neutral_undone(cell) if cell != text else text) == text


@given(st.lists(st.lists(st.text(alphabet="ab=+-@'\"\t\r\n,", min_size=1), min_size=2, max_size=3), max_size=5))
def test_the_printers_file_reads_back(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(csv_lines(rows), newline="")))

    assert [[neutral(cell) for cell in row] for row in rows] == read
