"""The results of the benchmark of guessing as tables. Formats; measures nothing."""

from __future__ import annotations

from ledger.promotions.code import ALPHABET, RANDOM_LENGTH
from tests.benchmarks.guessing import JUDGED, KEPT_BACK, LIVE, SET, Guessed, wrong_an_hour
from tests.benchmarks.promotions_rig import POSTGRESQL
from tests.benchmarks.reporting import Report, Section, yes_or_no

_HOURS_A_YEAR = 24 * 365.25
_METHOD = """\
A caller sends codes at random for {phones:,} phones, {each:,} for each in a row, by `RedeemCodes` in sets of {set:,},
one after the other, to one core (`daftari serve --role grpc`, shipped settings) that has {live:,} live codes. The
guesser knows the form of the codes and their day of issue. Afterwards another phone of the same caller types a genuine
code."""
_ANSWERS_NOTE = """\
Every guess is asked about in its set's transaction: the throttle stands in the database, under the phone's lock. Those
that were held against the codes are answered `CODE_NOT_VALID` and counted, exactly as many as the rules allow; those
kept back are answered `TOO_MANY_ATTEMPTS`, whatever was typed, and count nothing."""
_ODDS_NOTE = """\
Computed: hours until one hit is expected, of {codes} codes that there can be, with 1,000,000 live ones, at the most
that the rules let through one caller: five an hour of a phone up to {braked:,} wrong codes, then one of each other."""


def guessing_report(found: Guessed, *, command: str) -> Report:
    """Everything found."""
    plan = found.plan
    return Report(
        title="Guessing",
        command=command,
        method=_METHOD.format(phones=plan.phones, each=plan.guesses_each, set=SET, live=LIVE),
        facts=found.facts,
        sections=[_answers(found), _odds()],
        verdict=(
            f"{found.guesses:,} guesses, {found.answers.get('', 0):,} hits, {found.counted:,} wrong codes counted; "
            f"{'the books agree' if found.agrees else 'the books do not agree'}."
        ),
        sound=found.sound and found.agrees,
    )


def _answers(found: Guessed) -> Section:
    used = found.processor_seconds
    row = [
        f"{found.guesses:,}", f"{found.answers.get(JUDGED, 0):,}", f"{wrong_an_hour(found.plan.phones):,}",
        f"{found.answers.get(KEPT_BACK, 0):,}", f"{found.locked_out:,}", f"{found.guesses / found.seconds:,.0f}",
        f"{used['grpc'] / found.guesses * 1e6:,.0f}", f"{used[POSTGRESQL] / found.guesses * 1e6:,.0f}",
        yes_or_no(found.genuine_redeemed),
    ]  # fmt: skip
    columns = (
        ">guesses", ">held against codes", ">allowed", ">kept back", ">phones locked out", ">a second",
        ">core, µs each", ">PostgreSQL, µs each", "genuine code redeemed",
    )  # fmt: skip
    return Section("What became of the guesses", columns, [row], _ANSWERS_NOTE)


def _odds() -> Section:
    codes, live = len(ALPHABET) ** RANDOM_LENGTH, 1_000_000
    rows = []
    for phones in (1, 100, 1_000, 100_000):
        allowed = wrong_an_hour(phones)
        hours = codes / live / allowed
        rows.append([f"{phones:,}", f"{allowed:,}", f"{hours:,.0f}", f"{hours / _HOURS_A_YEAR:,.1f}"])
    note = _ODDS_NOTE.format(codes=f"2^{codes.bit_length() - 1}", braked=wrong_an_hour(400))
    return Section("How long one hit takes", (">phones", ">guesses an hour", ">hours", ">years"), rows, note)
