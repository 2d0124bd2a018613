"""The arithmetic of limits and windows: no counter passes its limit, and a day is its zone's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from ledger.money import Money
from ledger.payouts.allowance import WHOLE, Allowance, Bucket, Demand, Limit, day_start, window_end

NAIROBI = ZoneInfo("Africa/Nairobi")
# 02:30 in Nairobi: the business date began three hours before UTC's own.
EARLY = datetime(2026, 9, 1, 23, 30, tzinfo=UTC)

AMOUNTS = st.lists(st.integers(1, 500), min_size=1, max_size=30)
BOUNDS = st.none() | st.integers(0, 1_500)


@given(AMOUNTS, st.dictionaries(st.tuples(st.sampled_from(["partner", "payee"]), st.sampled_from(["hour", "day"])),
                                st.tuples(BOUNDS, st.none() | st.integers(0, 10))))  # fmt: skip
def test_whatever_is_asked_for_no_counter_passes_its_limit_and_refusals_move_none(
    amounts: list[int], bounds: dict[tuple[str, str], tuple[int | None, int | None]]
) -> None:
    starts = {"hour": EARLY, "day": EARLY}
    limits = {(1, scope, span): Limit(*pair) for (scope, span), pair in bounds.items()}
    usage = {Bucket(1, payee, span, EARLY): (0, 0) for payee in (WHOLE, b"a", b"b") for span in ("hour", "day")}
    allowance = Allowance(limits, usage, starts)

    for number, amount in enumerate(amounts):
        demand = Demand(1, b"ab"[number % 2 :][:1], Money("KES", amount))
        before = dict(usage)
        if allowance.refusal(demand) is None and number % 3:
            allowance.count(demand)
        else:
            assert usage == before

    for (_, scope, span), bound in limits.items():
        for payee in (WHOLE,) if scope == "partner" else (b"a", b"b"):
            amount, count = usage[Bucket(1, payee, span, EARLY)]
            assert bound.amount_max is None or amount <= bound.amount_max
            assert bound.count_max is None or count <= bound.count_max


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)), st.sampled_from(["Africa/Nairobi", "Africa/Cairo"]))  # noqa: DTZ001  (made aware below)
def test_a_day_holds_the_moment_and_begins_at_the_zones_midnight(moment: datetime, name: str) -> None:
    zone, now = ZoneInfo(name), moment.replace(tzinfo=UTC)

    start = day_start(now, zone)

    assert timedelta(0) <= now - start < timedelta(hours=25)
    assert start.astimezone(zone).date() == now.astimezone(zone).date()


def test_a_window_ends_an_hour_or_a_day_after_it_began() -> None:
    assert window_end(EARLY, "hour") == EARLY + timedelta(hours=1)
    assert window_end(EARLY, "day") == EARLY + timedelta(days=1)
    assert day_start(EARLY, NAIROBI) == datetime(2026, 9, 1, 21, tzinfo=UTC)
